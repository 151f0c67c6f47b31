//! Frames that cost the sender little: however many come, the gate holds nothing for them and ends the connection.

use crate::common::{
    ALICE, ENHANCE_YOUR_CALM, MANIFEST, UPLOAD, assert_serves, fields_with, is_refused, open_gate, ping,
};
use lockgate_e2e::{
    Gate, Http2, Outcome, PATIENCE, Unresponsive, Upstream, eventually, field_block, frame, frame_bytes,
};

/// The most that a flood may make the gate grow.
const MOST_GROWTH: u64 = 4 << 20;

/// Sends pieces until the gate closes, or there are none left, and returns the gate's last word.
fn flood(gate: &Gate, client: &mut Http2, pieces: impl Iterator<Item = Vec<u8>>) -> Option<u32> {
    assert_serves(gate);
    let before = gate.process().peak_memory();
    let all_taken = pieces.map(|piece| client.try_send(piece)).all(|sent| sent.is_ok());
    let word = client.closed_within(PATIENCE);
    let grown = gate.process().growth_since(before);
    assert!(grown < MOST_GROWTH, "it grew by {} KiB; all taken: {all_taken}", grown >> 10);
    assert_serves(gate);
    word
}

/// `count` times the same bytes, in writes of about 64 KiB.
fn repeated(bytes: Vec<u8>, count: usize) -> impl Iterator<Item = Vec<u8>> {
    let a_write = (64 * 1024 / bytes.len()).max(1);
    (0..count.div_ceil(a_write)).map(move |_| bytes.repeat(a_write))
}

/// The last word is what it should be, or was lost: who sends on after the end resets the connection with it.
#[track_caller]
fn assert_calmed(word: Option<u32>) {
    assert!(word.is_none_or(|code| code == ENHANCE_YOUR_CALM), "{word:?}");
}

fn no_canary(upstream: &Upstream) {
    assert!(upstream.received().iter().all(|request| !request.head.target().contains("canary")));
}

#[test]
fn floods_of_frames_without_content_end_the_connection() {
    let (upstream, gate) = open_gate();
    let word = |value: u32| value.to_be_bytes();
    let frames = [
        ("PING", ping()),
        ("answers to no PING", frame_bytes(frame::PING, frame::ACK, 0, &[0; 8])),
        ("SETTINGS", frame_bytes(frame::SETTINGS, 0, 0, &[])),
        ("SETTINGS that move windows", frame_bytes(frame::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1])),
        ("PRIORITY", frame_bytes(frame::PRIORITY, 0, 1, &[0, 0, 0, 3, 0])),
        ("WINDOW_UPDATE", frame_bytes(frame::WINDOW_UPDATE, 0, 0, &word(1))),
        ("WINDOW_UPDATE of a stream", frame_bytes(frame::WINDOW_UPDATE, 0, 1, &word(1))),
        ("frames of an unknown type", frame_bytes(0xfa, 0, 0, b"")),
        ("large frames of an unknown type", frame_bytes(0xfa, 0, 0, &[0; 16 * 1024])),
    ];
    for (ended, (what, frame)) in (1..).zip(frames) {
        let mut client = Http2::open(gate.door());
        client.request(1, "PATCH", UPLOAD, ALICE, false);
        assert_calmed(flood(&gate, &mut client, repeated(frame, 100_000)));
        let lines = || gate.log().text().matches("limits.control_frames").count();
        eventually(PATIENCE, &format!("the end of {what} in the log"), || (lines() == ended).then_some(()));
    }
    no_canary(&upstream);
}

#[test]
fn a_flood_of_empty_data_ends_the_connection() {
    let (_upstream, gate) = open_gate();
    let mut client = Http2::open(gate.door());
    client.request(1, "PATCH", UPLOAD, ALICE, false);
    assert_calmed(flood(&gate, &mut client, repeated(frame_bytes(frame::DATA, 0, 1, b""), 1_000_000)));
    // The same with padding: RFC 9113, 6.1.
    let mut client = Http2::open(gate.door());
    client.request(1, "PATCH", UPLOAD, ALICE, false);
    let padded = frame_bytes(frame::DATA, 0x8, 1, &[&[9][..], &[0; 9]].concat());
    flood(&gate, &mut client, repeated(padded, 100_000));
}

#[test]
fn requests_that_are_reset_at_once_end_the_connection_and_few_of_them_reach_the_upstream() {
    let (upstream, gate) = open_gate();
    let mut client = Http2::open(gate.door());
    let block = field_block(&fields_with("GET", ":method", "GET"));
    let cancelled = (0..100_000_u32).map(|request| {
        let stream = 2 * request + 1;
        let mut bytes = frame_bytes(frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, stream, &block);
        bytes.extend(frame_bytes(frame::RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        bytes
    });
    assert_calmed(flood(&gate, &mut client, cancelled));
    let reached = upstream.received().len();
    assert!(reached < 1000, "{reached}");
}

/// Each is in work when it is given up: h2 bounds only those that nobody took yet.
#[test]
fn a_client_that_gives_up_request_after_request_is_let_go() {
    let upstream = Upstream::silent();
    let gate = crate::common::before(&upstream).set("limits.control_frames", 100).start();
    let mut client = Http2::open(gate.door());
    for request in 0..100_u32 {
        let path = format!("/v2/a/manifests/{request}");
        client.request(2 * request + 1, "GET", &path, ALICE, true);
        let ended = || client.frames().iter().any(|frame| frame.kind == frame::GOAWAY);
        let reached = || upstream.received().iter().any(|request| request.head.target() == path);
        eventually(PATIENCE, "the request, or the end", || (reached() || ended()).then_some(()));
        if ended() {
            break;
        }
        client.frame(frame::RST_STREAM, 0, 2 * request + 1, &8_u32.to_be_bytes());
    }
    assert_eq!(client.closed_within(PATIENCE), Some(ENHANCE_YOUR_CALM));
    assert!(upstream.received().len() < 100);
}

#[test]
fn no_more_requests_are_in_work_than_there_may_be_streams_and_one_that_is_given_up_is_in_none() {
    const STREAMS: usize = 4;
    const MORE: usize = 30;
    let upstream = Unresponsive::new();
    let gate = Gate::before(format!("http://{}", upstream.address())).set("listen.http2", true);
    let gate = gate.set("limits.streams", STREAMS).set("upstream.connect_timeout", "60s").start();
    let mut client = Http2::open(gate.door());
    let mut most = 0;
    for request in 0..STREAMS + MORE {
        let stream = 2 * u32::try_from(request).unwrap() + 1;
        client.request(stream, "GET", MANIFEST, ALICE, true);
        if request < STREAMS {
            let in_work = || (gate.opening_connections_to(upstream.address()) > request).then_some(());
            eventually(PATIENCE, "the request in work", in_work);
        } else {
            client.frame(frame::RST_STREAM, 0, stream - 2 * STREAMS as u32, &8_u32.to_be_bytes());
        }
        most = most.max(gate.opening_connections_to(upstream.address()));
    }
    assert!(most.max(gate.opening_connections_to(upstream.address())) <= STREAMS);
    for request in MORE..STREAMS + MORE {
        client.frame(frame::RST_STREAM, 0, 2 * u32::try_from(request).unwrap() + 1, &8_u32.to_be_bytes());
    }
    let none_left = || (gate.opening_connections_to(upstream.address()) == 0).then_some(());
    eventually(PATIENCE, "the end of the work that nobody waits for", none_left);
}

#[test]
fn a_gate_that_is_made_to_reset_streams_ends_the_connection() {
    let (upstream, gate) = open_gate();
    let zero = 0_u32.to_be_bytes();
    let huge = 0x7fff_ffff_u32.to_be_bytes();
    // After the end, over its bound, a second time, of nothing.
    let provocations: [(u8, u8, &[u8]); 4] = [
        (frame::DATA, 0, b"more"),
        (frame::WINDOW_UPDATE, 0, &huge),
        (frame::HEADERS, frame::END_HEADERS, &[]),
        (frame::WINDOW_UPDATE, 0, &zero),
    ];
    let block = field_block(&fields_with("GET", ":method", "GET"));
    for (kind, flags, payload) in provocations {
        let mut client = Http2::open(gate.door());
        let provoking = (0..100_000_u32).map(|request| {
            let stream = 2 * request + 1;
            let mut bytes = frame_bytes(frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, stream, &block);
            bytes.extend(frame_bytes(kind, flags, stream, payload));
            bytes
        });
        flood(&gate, &mut client, provoking);
    }
    let reached = upstream.received().len();
    assert!(reached < 4 * 2000, "{reached}");
}

#[test]
fn a_header_without_end_ends_the_connection() {
    let (upstream, gate) = open_gate();
    let block = field_block(&fields_with("GET", ":path", "/v2/canary/manifests/x"));
    for part in [&b""[..], b"\0\x01x\x01y", &[0; 1]] {
        let mut client = Http2::open(gate.door());
        client.frame(frame::HEADERS, frame::END_STREAM, 1, &block);
        flood(&gate, &mut client, repeated(frame_bytes(frame::CONTINUATION, 0, 1, part), 10_000));
    }
    let mut client = Http2::open(gate.door());
    client.frame(frame::HEADERS, frame::END_STREAM, 1, &block);
    let value = [&b"\0\x01x\x7f\x80\x80\x80\x01"[..], &[b'a'; 16_000]].concat();
    flood(&gate, &mut client, repeated(frame_bytes(frame::CONTINUATION, 0, 1, &value), 10_000));
    no_canary(&upstream);
}

#[test]
fn a_header_list_over_its_bound_is_431_or_reset() {
    let (upstream, gate) = open_gate();
    for size in [40_000, 200_000, 1 << 20] {
        let mut client = Http2::open(gate.door());
        let value = "a".repeat(1000);
        let mut fields = fields_with("GET", ":path", "/v2/canary/manifests/x");
        fields.extend((0..size / 1000).map(|_| ("x", &value[..])));
        let block = field_block(&fields);
        let mut parts = block.chunks(16_000).peekable();
        let mut kind = frame::HEADERS;
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_none() { frame::END_HEADERS } else { 0 };
            let flags = if kind == frame::HEADERS { flags | frame::END_STREAM } else { flags };
            client.frame(kind, flags, 1, part);
            kind = frame::CONTINUATION;
        }
        let outcome = client.outcome(1);
        assert!(is_refused(&outcome) || matches!(outcome, Outcome::Answer { status: 431, .. }), "{size}: {outcome:?}");
    }
    assert!(upstream.received().is_empty());
    assert_serves(&gate);
}

#[test]
fn fields_that_grow_when_they_are_unpacked_are_bounded_by_what_they_are_then() {
    let (upstream, gate) = open_gate();
    let mut client = Http2::open(gate.door());
    assert_serves(&gate);
    let before = gate.process().peak_memory();
    // One large field for the dynamic table, and then a byte for each time that it is meant (RFC 7541, 6.1).
    let mut block = field_block(&fields_with("GET", ":path", "/v2/canary/manifests/x"));
    block.extend([0x40, 1, b'x', 0x7f, 0x80 | 57, 30]);
    block.extend(vec![b'a'; 127 + 57 + 30 * 128]);
    block.extend(vec![0x80 | 62; 10_000]);
    client.frame(frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, 1, &block);
    let outcome = client.outcome(1);
    assert!(is_refused(&outcome) || matches!(outcome, Outcome::Answer { status: 431, .. }), "{outcome:?}");
    let grown = gate.process().growth_since(before);
    assert!(grown < MOST_GROWTH, "{grown}");
    assert_serves(&gate);
    no_canary(&upstream);
}

#[test]
fn a_request_over_the_number_of_streams_is_refused_and_the_number_is_told() {
    let upstream = Upstream::silent();
    let gate = crate::common::before(&upstream).start();
    let mut client = Http2::open(gate.door());
    for request in 0..101 {
        client.request(2 * request + 1, "GET", MANIFEST, ALICE, true);
    }
    let settings = client.await_frame("its settings", |frame| frame.kind == frame::SETTINGS);
    // SETTINGS_MAX_CONCURRENT_STREAMS: RFC 9113, 6.5.2.
    let told = settings.payload.chunks(6).find(|setting| setting[..2] == [0, 3]).expect("a bound");
    assert_eq!(told[2..], 100_u32.to_be_bytes());
    assert_eq!(client.outcome(201), Outcome::Reset(7), "REFUSED_STREAM");
    eventually(PATIENCE, "the other hundred", || (upstream.received().len() == 100).then_some(()));
}
