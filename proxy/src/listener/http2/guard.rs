//! How a client behaves on its HTTP/2 connection, as far as the frames tell that go by.
//!
//! The h2 crate bounds what it keeps: field blocks, CONTINUATION frames, small and empty DATA, resets
//! of requests that nobody took yet. What it does not bound is how long something takes, and how much
//! work frames make that leave nothing behind. Three things are seen to here:
//!
//! - **Frames without content** cost of an allowance, which grows back with time and with what the
//!   client is sent: a pull earns the WINDOW_UPDATEs that it needs.
//! - **A request's header** must come to its end within `limits.header_timeout`.
//! - **A request's body** must keep the rate `limits.min_body_rate`, and not stand still for
//!   `limits.body_timeout`, while its windows are open. Where they are closed the client waits for us.

mod allowance;
mod bodies;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::frames::{Frame, FrameReader, Kind, Seen};
use crate::config::Limits;
use crate::listener::connection::pace::Rule;
use crate::lock::lock;
use allowance::{Allowance, Exhausted};
use bodies::Bodies;

pub(super) use bodies::STREAM_WINDOW;

/// What a reset costs, the client's or ours: each ended work that was begun.
const RESET_COST: u32 = 10;

/// What a HEADERS or DATA frame that we send earns, and a DATA frame for each KiB beside it. Some
/// clients open two windows for every 4 KiB that they read.
const SENT_FRAME_EARNS: u32 = 2;

/// Error codes (RFC 9113, 7).
mod code {
    pub(super) const NO_ERROR: u32 = 0;
    pub(super) const INTERNAL_ERROR: u32 = 2;
    pub(super) const CANCEL: u32 = 8;
}

/// Why a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The allowance is used up.
    Flood,
    /// A header, or another frame without content, did not come to its end.
    SlowHeader,
    /// A body stood still, or came too slowly.
    SlowBody,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flood => "too many frames without content (limits.control_frames)",
            Self::SlowHeader => "a request's header did not arrive in time (limits.header_timeout)",
            Self::SlowBody => {
                "a request's body stopped arriving, or arrives too slowly (limits.body_timeout, limits.min_body_rate)"
            }
        })
    }
}

/// A handle on what is known, for who sees the bytes and for who serves the connection.
#[derive(Debug, Clone)]
pub(super) struct Guard(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    record: Mutex<Record>,
    changed: Notify,
}

impl Guard {
    pub(super) fn new(limits: &Limits) -> Self {
        let record = Mutex::new(Record::new(limits, Instant::now()));
        Self(Arc::new(Shared { record, changed: Notify::new() }))
    }

    /// These bytes came from the client.
    pub(super) fn received(&self, bytes: &[u8]) {
        self.follow(|record, now| record.received(bytes, now));
    }

    /// These bytes went to it.
    pub(super) fn sent(&self, bytes: &[u8]) {
        self.follow(|record, now| record.sent(bytes, now));
    }

    /// What the client is to blame for by now.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.record().fault(Instant::now())
    }

    /// Whether the allowance is used up: no byte more is read.
    pub(super) fn is_flooding(&self) -> bool {
        self.record().flooding
    }

    /// Whether time matters: a header or a body is under way.
    pub(super) fn is_timed(&self) -> bool {
        self.record().is_timed()
    }

    /// Whether an answer was broken off in the middle, or given up.
    pub(super) fn broke_off(&self) -> bool {
        self.record().broke_off
    }

    /// Waits until it becomes worth a look: a flood, or time begins to matter.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    fn follow(&self, read: impl FnOnce(&mut Record, Instant)) {
        let mut record = self.record();
        let before = (record.flooding, record.is_timed());
        read(&mut record, Instant::now());
        if before != (record.flooding, record.is_timed()) {
            self.0.changed.notify_one();
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        lock(&self.0.record)
    }
}

#[derive(Debug)]
struct Record {
    from_client: FrameReader,
    to_client: FrameReader,
    rules: Rules,
    flooding: bool,
    broke_off: bool,
}

impl Record {
    fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            from_client: FrameReader::of_client(),
            to_client: FrameReader::of_server(),
            rules: Rules::new(limits, now),
            flooding: false,
            broke_off: false,
        }
    }

    fn received(&mut self, bytes: &[u8], now: Instant) {
        let Self { from_client, rules, flooding, .. } = self;
        from_client.read(bytes, |seen| match seen {
            Seen::Content { stream, bytes } => rules.bodies.moved(stream, bytes, now),
            Seen::Frame(frame) => *flooding |= rules.received(&frame, now).is_err(),
        });
        if self.from_client.is_within_control_frame() {
            self.rules.header_since.get_or_insert(now);
        }
    }

    fn sent(&mut self, bytes: &[u8], now: Instant) {
        let Self { to_client, rules, flooding, broke_off, .. } = self;
        to_client.read(bytes, |seen| {
            if let Seen::Frame(frame) = seen {
                *flooding |= rules.sent(&frame, now).is_err();
                let given_up = matches!(frame.error_code(), code::INTERNAL_ERROR | code::CANCEL);
                *broke_off |= frame.kind == Kind::Reset && given_up;
            }
        });
    }

    fn is_timed(&self) -> bool {
        self.rules.header_since.is_some() || !self.rules.bodies.is_empty()
    }

    fn fault(&self, now: Instant) -> Option<Fault> {
        let rules = &self.rules;
        if self.flooding {
            Some(Fault::Flood)
        } else if rules.header_since.is_some_and(|since| now - since >= rules.header_timeout) {
            Some(Fault::SlowHeader)
        } else {
            rules.bodies.is_one_too_slow(now).then_some(Fault::SlowBody)
        }
    }
}

/// What each frame means for the client.
#[derive(Debug)]
struct Rules {
    allowance: Allowance,
    header_timeout: Duration,
    /// When the frame or the field block began that is not at its end.
    header_since: Option<Instant>,
    within_block: bool,
    bodies: Bodies,
}

impl Rules {
    fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            allowance: Allowance::new(limits.control_frames.into(), now),
            header_timeout: limits.header_timeout.duration(),
            header_since: None,
            within_block: false,
            bodies: Bodies::new(Rule::sending(limits)),
        }
    }

    fn received(&mut self, frame: &Frame, now: Instant) -> Result<(), Exhausted> {
        self.within_block = match frame.kind {
            Kind::Headers | Kind::Continuation => !frame.ends_headers(),
            _ => false,
        };
        self.header_since = self.header_since.filter(|_| self.within_block).or(self.within_block.then_some(now));
        match frame.kind {
            Kind::Headers if frame.ends_stream() => self.bodies.close(frame.stream),
            Kind::Headers => self.bodies.open(frame.stream, now),
            Kind::Data => {
                self.bodies.spend_windows(frame, now);
                if frame.ends_stream() {
                    self.bodies.close(frame.stream);
                } else if frame.length == 0 {
                    return self.allowance.spend(1, now);
                }
            }
            Kind::Reset => {
                self.bodies.close(frame.stream);
                return self.allowance.spend(RESET_COST, now);
            }
            Kind::Settings if frame.is_acknowledgement() => self.bodies.windows_known(now),
            Kind::Settings | Kind::WindowUpdate | Kind::Continuation | Kind::Other => {
                return self.allowance.spend(1, now);
            }
        }
        Ok(())
    }

    fn sent(&mut self, frame: &Frame, now: Instant) -> Result<(), Exhausted> {
        match frame.kind {
            Kind::Headers => self.allowance.earn(SENT_FRAME_EARNS),
            Kind::Data => self.allowance.earn(SENT_FRAME_EARNS + frame.length / 1024),
            Kind::WindowUpdate => self.bodies.widen(frame.stream, frame.increment(), now),
            Kind::Reset => {
                self.bodies.close(frame.stream);
                // So ends an answer that came before the end of the request (RFC 9113, 8.1).
                if frame.error_code() != code::NO_ERROR {
                    return self.allowance.spend(RESET_COST, now);
                }
            }
            Kind::Settings | Kind::Continuation | Kind::Other => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
