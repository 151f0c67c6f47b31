use lockgate_settings::ByteSize;

use super::bodies::INITIAL_WINDOW;
use super::*;
use crate::config::Config;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn ping() -> Vec<u8> {
    frame(PING, 0, 0, &[0; 8])
}

fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// A client that has sent its preface, and the limits that hold for it.
fn begun() -> (Guard, Limits) {
    begun_within(Config::default().limits)
}

fn begun_within(limits: Limits) -> (Guard, Limits) {
    let guard = Guard::new(&limits);
    guard.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    (guard, limits)
}

/// The same with an upload on stream 1.
fn uploading() -> (Guard, Limits) {
    uploading_within(Config::default().limits)
}

fn uploading_within(limits: Limits) -> (Guard, Limits) {
    let (guard, limits) = begun_within(limits);
    guard.received(&frame(HEADERS, END_HEADERS, 1, b"h"));
    (guard, limits)
}

#[tokio::test(start_paused = true)]
async fn a_burst_over_the_allowance_is_a_flood_and_what_time_gives_back_is_none() {
    let (guard, limits) = begun();
    for _ in 0..limits.control_frames.get() {
        guard.received(&ping());
    }
    assert_eq!(guard.fault(), None);
    for _ in 0..20 {
        tokio::time::advance(allowance::PERIOD / 2).await;
        for _ in 0..limits.control_frames.get() / 2 {
            guard.received(&ping());
        }
    }
    assert_eq!(guard.fault(), None);
    guard.received(&ping());
    assert_eq!(guard.fault(), Some(Fault::Flood));
    tokio::time::advance(allowance::PERIOD).await;
    assert!(guard.is_flooding(), "once is for ever");
    guard.changed().await;
}

#[tokio::test(start_paused = true)]
async fn resets_weigh_ten_times_as_much_on_either_side() {
    for by_client in [true, false] {
        let (guard, limits) = begun();
        let reset = frame(RESET, 0, 1, &1_u32.to_be_bytes());
        let mut count = 0;
        while guard.fault().is_none() {
            if by_client {
                guard.received(&reset)
            } else {
                guard.sent(&reset)
            }
            count += 1;
        }
        assert_eq!(count, u32::from(limits.control_frames) / RESET_COST + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_reset_behind_an_early_answer_costs_nothing() {
    let (guard, limits) = begun();
    for _ in 0..limits.control_frames.get() {
        guard.sent(&frame(RESET, 0, 1, &[0; 4]));
    }
    assert_eq!((guard.fault(), guard.broke_off()), (None, false));
}

#[tokio::test(start_paused = true)]
async fn a_pull_earns_the_window_updates_that_it_needs() {
    let (guard, _) = begun();
    let data = frame(DATA, 0, 1, &[0; 16 * 1024]);
    for _ in 0..10_000 {
        guard.sent(&data);
        // Two for every 4 KiB, as Go's client does.
        for _ in 0..8 {
            guard.received(&window_update(1, 2048));
        }
    }
    assert_eq!(guard.fault(), None);
}

#[tokio::test(start_paused = true)]
async fn a_header_that_does_not_end_is_a_fault_in_its_time() {
    let block = frame(HEADERS, 0, 1, b"h");
    let goes_on = frame(CONTINUATION, 0, 1, b"h");
    let endless: [(&[u8], &[u8]); 3] = [(&block, &goes_on), (&block[..5], &block[5..9]), (&ping()[..3], b"")];
    for (begin, go_on) in endless {
        let (guard, limits) = begun();
        guard.received(begin);
        assert!(guard.is_timed());
        tokio::time::advance(limits.header_timeout.duration() / 2).await;
        guard.received(go_on);
        tokio::time::advance(limits.header_timeout.duration() / 2 - Duration::from_millis(1)).await;
        assert_eq!(guard.fault(), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(guard.fault(), Some(Fault::SlowHeader));
    }
}

#[tokio::test(start_paused = true)]
async fn frames_that_end_are_not_timed_wherever_the_reads_are_cut() {
    let (guard, limits) = begun();
    let mut cut = ping();
    cut.extend(&ping()[..4]);
    guard.received(&cut[..13]);
    let (end, begin) = (ping()[..].to_vec()[4..].to_vec(), ping()[..4].to_vec());
    for _ in 0..10 {
        tokio::time::advance(limits.header_timeout.duration() / 2).await;
        guard.received(&[&end[..], &begin[..]].concat());
        assert_eq!(guard.fault(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stands_still_is_a_fault_in_its_time() {
    let without_rate = Limits { min_body_rate: ByteSize::from_bytes(0), ..Config::default().limits };
    for (limits, then) in [(Config::default().limits, 2), (without_rate, 1)] {
        let (guard, limits) = uploading_within(limits);
        tokio::time::advance(limits.body_timeout.duration() - Duration::from_millis(1)).await;
        assert_eq!(guard.fault(), None, "the first byte has the whole time");
        guard.received(&frame(DATA, 0, 1, b""));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(guard.fault(), Some(Fault::SlowBody));

        let (guard, limits) = uploading_within(limits);
        guard.received(&frame(DATA, 0, 1, b"p"));
        tokio::time::advance(limits.body_timeout.duration() / then - Duration::from_millis(1)).await;
        assert_eq!(guard.fault(), None);
        tokio::time::advance(Duration::from_millis(2)).await;
        assert_eq!(guard.fault(), Some(Fault::SlowBody));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_under_the_least_rate_is_a_fault_and_one_at_it_is_none() {
    let second = Duration::from_secs(1);
    let rate = usize::try_from(Config::default().limits.min_body_rate.bytes()).expect("it is small");
    let seconds_until_fault = |a_second: usize| async move {
        let (guard, limits) = uploading();
        for passed in 0..10 * limits.body_timeout.duration().as_secs() {
            guard.received(&frame(DATA, 0, 1, &vec![0; a_second]));
            guard.sent(&window_update(1, u32::try_from(a_second).expect("it is small")));
            guard.sent(&window_update(0, u32::try_from(a_second).expect("it is small")));
            if guard.fault().is_some() {
                return Some(passed);
            }
            tokio::time::advance(second).await;
        }
        None
    };
    assert_eq!(seconds_until_fault(rate).await, None);
    let half_of_patience = Config::default().limits.body_timeout.duration().as_secs() / 2;
    assert_eq!(seconds_until_fault(1).await, Some(half_of_patience + 1));
    assert!(seconds_until_fault(rate * 9 / 10).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_came_too_late_is_too_late_whoever_looks_after_it() {
    let (guard, limits) = uploading();
    tokio::time::advance(limits.body_timeout.duration()).await;
    guard.received(&frame(DATA, 0, 1, &[0; 16 * 1024]));
    assert_eq!(guard.fault(), Some(Fault::SlowBody));
}

#[tokio::test(start_paused = true)]
async fn a_large_frame_that_trickles_in_is_a_body_that_moves() {
    let (guard, limits) =
        uploading_within(Limits { min_body_rate: ByteSize::from_bytes(0), ..Config::default().limits });
    let data = frame(DATA, 0, 1, &[0; 100]);
    let (head, payload) = data.split_at(9);
    guard.received(head);
    for byte in payload.chunks(1) {
        tokio::time::advance(limits.header_timeout.duration() - Duration::from_secs(1)).await;
        guard.received(byte);
        assert_eq!(guard.fault(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_window_is_not_to_blame() {
    for of_connection in [true, false] {
        let (guard, limits) = begun();
        guard.sent(&window_update(0, if of_connection { STREAM_WINDOW - INITIAL_WINDOW } else { 1 << 20 }));
        guard.received(&frame(SETTINGS, 0x1, 0, b""));
        guard.received(&frame(HEADERS, END_HEADERS, 1, b"h"));
        for _ in 0..STREAM_WINDOW / (16 * 1024) {
            guard.received(&frame(DATA, 0, 1, &[0; 16 * 1024]));
        }
        tokio::time::advance(limits.body_timeout.duration() * 10).await;
        assert_eq!(guard.fault(), None, "the window is used up");
        guard.sent(&window_update(1, 1 << 17));
        guard.sent(&window_update(0, 1 << 17));
        tokio::time::advance(limits.body_timeout.duration() / 2).await;
        assert_eq!(guard.fault(), None, "its time begins with the window");
        tokio::time::advance(limits.body_timeout.duration() / 2).await;
        assert_eq!(guard.fault(), Some(Fault::SlowBody));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_ended_is_not_timed() {
    let ends: [(bool, Vec<u8>); 4] = [
        (true, frame(DATA, END_STREAM, 1, b"end")),
        (true, frame(HEADERS, END_HEADERS | END_STREAM, 1, b"trailers")),
        (true, frame(RESET, 0, 1, &[0; 4])),
        (false, frame(RESET, 0, 1, &[0; 4])),
    ];
    for (by_client, end) in ends {
        let (guard, limits) = uploading();
        assert!(guard.is_timed());
        if by_client {
            guard.received(&end)
        } else {
            guard.sent(&end)
        }
        assert!(!guard.is_timed());
        tokio::time::advance(limits.body_timeout.duration() * 2).await;
        assert_eq!(guard.fault(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_we_give_up_is_known() {
    let (guard, _) = begun();
    guard.sent(&frame(RESET, 0, 1, &1_u32.to_be_bytes()));
    assert!(!guard.broke_off(), "what was malformed was no answer");
    guard.sent(&frame(RESET, 0, 3, &code::CANCEL.to_be_bytes()));
    assert!(guard.broke_off());
}
