//! The request bodies that are under way, and whose turn it is: the client's while its windows are open
//! (RFC 9113, 5.2), else ours.
//!
//! While it is the client's turn it has to keep a [`Pace`], as over HTTP/1.1. A window stays closed as long
//! as the upstream does not take what was sent: that time is not the client's.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::listener::connection::pace::{Pace, Rule};
use crate::listener::http2::frames::Frame;

/// What every stream may send before it is told that it may send more, from when the client knows.
pub(in super::super) const STREAM_WINDOW: u32 = 512 * 1024;

/// The same, until the client knows (RFC 9113, 6.9.2).
pub(super) const INITIAL_WINDOW: u32 = 65_535;

/// The bodies that are under way.
#[derive(Debug)]
pub(super) struct Bodies {
    rule: Rule,
    open: HashMap<u32, Body>,
    /// The highest stream that a client opened: a second field block on one is its trailers.
    newest: u32,
    new_window: u32,
    connection_window: i64,
}

#[derive(Debug)]
struct Body {
    window: i64,
    pace: Pace,
    /// It moved, but too late. Nobody looks at every moment.
    was_late: bool,
}

impl Body {
    fn is_late(&self, now: Instant) -> bool {
        self.was_late || self.pace.is_over(now)
    }

    /// Decides whose turn it is, after one of its windows changed or it moved.
    fn take_turns(&mut self, connection_window: i64, now: Instant) {
        if self.window > 0 && connection_window > 0 {
            self.pace.wait(now);
        } else {
            self.pace.rest(now);
        }
    }
}

impl Bodies {
    pub(super) fn new(rule: Rule) -> Self {
        let connection_window = i64::from(INITIAL_WINDOW);
        Self { rule, open: HashMap::new(), newest: 0, new_window: INITIAL_WINDOW, connection_window }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The client opened a stream with a request that has a body.
    pub(super) fn open(&mut self, stream: u32, now: Instant) {
        if stream > self.newest {
            self.newest = stream;
            let mut body = Body { window: i64::from(self.new_window), pace: Pace::new(self.rule), was_late: false };
            body.take_turns(self.connection_window, now);
            self.open.insert(stream, body);
        }
    }

    /// Nothing more is awaited of this stream.
    pub(super) fn close(&mut self, stream: u32) {
        self.newest = self.newest.max(stream);
        self.open.remove(&stream);
    }

    /// So many bytes of a body came.
    pub(super) fn moved(&mut self, stream: u32, bytes: u32, now: Instant) {
        if let Some(body) = self.open.get_mut(&stream).filter(|_| bytes > 0) {
            body.was_late = body.is_late(now);
            body.pace.moved(bytes as usize, self.rule, now);
            body.take_turns(self.connection_window, now);
        }
    }

    /// A DATA frame counts against two windows, padding and all.
    pub(super) fn spend_windows(&mut self, frame: &Frame, now: Instant) {
        let length = i64::from(frame.length);
        if let Some(body) = self.open.get_mut(&frame.stream) {
            body.window -= length;
            body.take_turns(self.connection_window, now);
        }
        self.change_connection_window(-length, now);
    }

    /// The client acknowledged our SETTINGS.
    pub(super) fn windows_known(&mut self, now: Instant) {
        let more = i64::from(STREAM_WINDOW - self.new_window);
        self.new_window = STREAM_WINDOW;
        for body in self.open.values_mut() {
            body.window += more;
            body.take_turns(self.connection_window, now);
        }
    }

    /// We sent a WINDOW_UPDATE.
    pub(super) fn widen(&mut self, stream: u32, increment: u32, now: Instant) {
        if stream == 0 {
            self.change_connection_window(i64::from(increment), now);
        } else if let Some(body) = self.open.get_mut(&stream) {
            body.window += i64::from(increment);
            body.take_turns(self.connection_window, now);
        }
    }

    fn change_connection_window(&mut self, change: i64, now: Instant) {
        let was_open = self.connection_window > 0;
        self.connection_window += change;
        if was_open != (self.connection_window > 0) {
            self.open.values_mut().for_each(|body| body.take_turns(self.connection_window, now));
        }
    }

    /// Whether a client was too slow with one of them when it was its turn.
    pub(super) fn is_one_too_slow(&self, now: Instant) -> bool {
        self.open.values().any(|body| body.is_late(now))
    }
}
