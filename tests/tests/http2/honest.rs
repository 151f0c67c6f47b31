//! Clients that mean well are never taken for others.

use crate::common::{ALICE, MANIFEST, before, open_gate};
use lockgate_e2e::{Http2, Outcome, Pattern, PatternCheck, Upstream, finish, frame, tool};

const SIZE: u64 = 256 << 20;

#[test]
fn a_large_push_with_curl_arrives_whole() {
    let upstream = Upstream::scripted(|connection| {
        while let Some(head) = connection.request()? {
            let mut check = PatternCheck::new(1);
            connection.body(&head, &mut check)?;
            let length = check.length();
            let range = format!("HTTP/1.1 202 Accepted\r\nRange: 0-{}\r\nContent-Length: 0\r\n\r\n", length - 1);
            connection.send(range.as_bytes())?;
        }
        Ok(())
    });
    let gate = before(&upstream).start();
    let patch = gate.curl("/v2/big/blobs/uploads/u").method("PATCH").arg("--http2");
    let answer = patch.run_sending(Pattern::new(1, SIZE)).expect(202);
    assert_eq!(answer.head().one("range"), format!("0-{}", SIZE - 1));
    assert!(answer.head().start_line.starts_with("HTTP/2"), "{}", answer.head().start_line);
}

#[test]
fn a_large_pull_with_curl_arrives_whole() {
    let upstream = large_answers();
    let gate = before(&upstream).start();
    let mut check = PatternCheck::new(2);
    gate.curl("/v2/big/manifests/x").arg("--http2").run_receiving(&mut check).expect(200);
    assert_eq!(check.length(), SIZE);
}

/// nghttp opens its window by halves; with a small one it sends a WINDOW_UPDATE for a few KiB.
#[test]
fn a_large_pull_with_small_windows_arrives_whole() {
    let upstream = large_answers();
    let gate = before(&upstream).start();
    let mut nghttp = tool("nghttp");
    nghttp.args(["--no-verify-peer", "--null-out", "--stat", "--window-bits=12", "--connection-window-bits=12"]);
    nghttp.arg(format!("--header=authorization: {ALICE}")).arg(gate.door().url("/v2/big/manifests/x"));
    let done = finish(&mut nghttp).success();
    assert!(done.stdout.contains(" 200 "), "{done}");
    let bytes = gate.log().await_line(lockgate_e2e::PATIENCE, "its line", |line| line.contains("/v2/big/manifests/x"));
    assert!(bytes.contains(&format!("bytes_out={SIZE}")), "{bytes}");
}

fn large_answers() -> Upstream {
    Upstream::scripted(|connection| {
        connection.request()?;
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes())?;
        connection.send_all_of(&mut Pattern::new(2, SIZE)).map(drop)
    })
}

#[test]
fn many_requests_on_one_connection_are_all_answered() {
    let (_upstream, gate) = open_gate();
    let mut h2load = tool("h2load");
    h2load.args(["--requests=20000", "--clients=2", "--max-concurrent-streams=100"]);
    h2load.arg(format!("--header=authorization: {ALICE}")).arg(gate.door().url(MANIFEST));
    let done = finish(&mut h2load).success();
    assert!(done.stdout.contains("20000 succeeded, 0 failed, 0 errored"), "{done}");
}

#[test]
fn a_refused_upload_gets_its_answer_and_the_connection_goes_on() {
    let (upstream, gate) = open_gate();
    let mut client = Http2::open(gate.door());
    for request in 0..200_u32 {
        let stream = 2 * request + 1;
        client.request(stream, "PATCH", "/v2/a/blobs/uploads/u", "Basic bm86Ym9keQ==", false);
        client.data(stream, &[b'a'; 64], false);
        assert!(matches!(client.outcome(stream), Outcome::Answer { status: 401 | 429, .. }), "{request}");
    }
    client.request(401, "GET", MANIFEST, ALICE, true);
    assert!(matches!(client.outcome(401), Outcome::Answer { status: 200, .. }));
    assert_eq!(upstream.received().len(), 1);
}

#[test]
fn a_client_that_gives_up_a_request_now_and_then_is_served_on() {
    let (_upstream, gate) = open_gate();
    let mut client = Http2::open(gate.door());
    for request in 0..40_u32 {
        let stream = 4 * request + 1;
        client.request(stream, "PATCH", "/v2/a/blobs/uploads/u", ALICE, false);
        client.frame(frame::RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        client.request(stream + 2, "GET", MANIFEST, ALICE, true);
        assert!(matches!(client.outcome(stream + 2), Outcome::Answer { status: 200, .. }), "{request}");
    }
}
