//! The request bodies that are under way, and whose turn it is: the client's while its windows are open
//! (RFC 9113, 5.2), else ours.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Frame;

/// What every stream may send before it is told that it may send more, from when the client knows.
pub(in super::super) const STREAM_WINDOW: u32 = 256 * 1024;

/// The same, until the client knows (RFC 9113, 6.9.2).
pub(super) const INITIAL_WINDOW: u32 = 65_535;

/// The bodies that are under way.
#[derive(Debug)]
pub(super) struct Bodies {
    timeout: Duration,
    open: HashMap<u32, Body>,
    /// The highest stream that a client opened: a second field block on one is its trailers.
    newest: u32,
    new_window: u32,
    connection_window: i64,
}

#[derive(Debug)]
struct Body {
    window: i64,
    /// When it last moved, or could move again.
    moved: Instant,
}

impl Bodies {
    pub(super) fn new(timeout: Duration) -> Self {
        let connection_window = i64::from(INITIAL_WINDOW);
        Self { timeout, open: HashMap::new(), newest: 0, new_window: INITIAL_WINDOW, connection_window }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The client opened a stream with a request that has a body.
    pub(super) fn open(&mut self, stream: u32, now: Instant) {
        if stream > self.newest {
            self.newest = stream;
            self.open.insert(stream, Body { window: i64::from(self.new_window), moved: now });
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
            body.moved = now;
        }
    }

    /// A DATA frame counts against two windows, padding and all.
    pub(super) fn spend_windows(&mut self, frame: &Frame) {
        self.connection_window -= i64::from(frame.length);
        if let Some(body) = self.open.get_mut(&frame.stream) {
            body.window -= i64::from(frame.length);
        }
    }

    /// The client acknowledged our SETTINGS.
    pub(super) fn windows_known(&mut self) {
        let more = i64::from(STREAM_WINDOW - self.new_window);
        self.new_window = STREAM_WINDOW;
        self.open.values_mut().for_each(|body| body.window += more);
    }

    /// We sent a WINDOW_UPDATE. From a closed window on the client's time begins anew.
    pub(super) fn widen(&mut self, stream: u32, increment: u32, now: Instant) {
        if stream == 0 {
            if self.connection_window <= 0 {
                self.open.values_mut().for_each(|body| body.moved = now);
            }
            self.connection_window += i64::from(increment);
        } else if let Some(body) = self.open.get_mut(&stream) {
            if body.window <= 0 {
                body.moved = now;
            }
            body.window += i64::from(increment);
        }
    }

    /// Whether one of them had its turn for the whole timeout, and nothing came.
    pub(super) fn stand_still(&self, now: Instant) -> bool {
        let is_late = |body: &Body| body.window > 0 && now - body.moved >= self.timeout;
        self.connection_window > 0 && self.open.values().any(is_late)
    }
}
