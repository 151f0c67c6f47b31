//! Faults of an upstream: how far it plays its part, and what it does then.
//!
//! One upstream has them all, and a request asks for the one it wants by its target:
//!
//! ```text
//! /v2/fault/manifests/NUMBER       the fault of that number
//! /v2/fault/blobs/sha256:NUMBER    the same
//! anything else                 an honest answer, which says what it answers
//! ...?size=N                    with a body of N bytes
//! ```

use crate::message::{Framing, Head};
use crate::upstream::{Connection, Upstream};
use std::io::{self, Write};

/// How far an exchange comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// The request's header was read.
    RequestHeader,
    /// A piece of the request's body was read, if it has one.
    RequestBody,
    /// The request was read, and nothing is answered.
    BeforeAnswer,
    /// Half of the answer's header was sent.
    AnswerHeader,
    /// Half of the answer's body was sent.
    AnswerBody,
    /// The answer was sent, and the connection waits for the next request.
    Idle,
}

impl Point {
    /// All of them, in their order.
    pub const ALL: [Self; 6] =
        [Self::RequestHeader, Self::RequestBody, Self::BeforeAnswer, Self::AnswerHeader, Self::AnswerBody, Self::Idle];
}

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The connection is reset (RST).
    Reset,
    /// The connection is closed (FIN).
    Close,
    /// Nothing: neither a byte nor an end.
    Stall,
}

/// What a script's connection does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It takes another request.
    GoOn,
    /// It ends.
    HangUp,
}

type Script = dyn Fn(&mut Connection, &Head) -> io::Result<Next> + Send + Sync;

/// One way to fail.
pub struct Fault {
    /// What the upstream does, as a test's message says it.
    pub name: String,
    script: Box<Script>,
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Fault {
    /// A fault by a script, which begins when a request's header was read.
    pub fn new(
        name: impl Into<String>,
        script: impl Fn(&mut Connection, &Head) -> io::Result<Next> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), script: Box::new(script) }
    }

    /// Plays its part up to a point.
    pub fn at(point: Point, act: Act) -> Self {
        Self::new(format!("{act:?} at {point:?}"), move |connection, head| {
            reach(connection, head, point)?;
            match act {
                Act::Reset => connection.reset()?,
                Act::Close => {}
                Act::Stall => connection.stall(),
            }
            Ok(Next::HangUp)
        })
    }

    /// Takes the whole request and answers with these bytes.
    pub fn saying(name: impl Into<String>, answer: impl Into<Vec<u8>>, next: Next) -> Self {
        let answer = answer.into();
        Self::new(name, move |connection, head| {
            connection.body(head, &mut io::sink())?;
            connection.send(&answer)?;
            Ok(next)
        })
    }

    /// Answers with these bytes as soon as it has the header, and reads the body afterwards if it goes on.
    pub fn answering_early(name: impl Into<String>, answer: impl Into<Vec<u8>>, next: Next) -> Self {
        let answer = answer.into();
        Self::new(name, move |connection, head| {
            connection.send(&answer)?;
            if next == Next::GoOn {
                // The client was told enough: it is not asked to send on.
                connection.body_unasked(head)?;
            }
            Ok(next)
        })
    }
}

/// An upstream with these faults.
pub fn upstream_with(faults: Vec<Fault>) -> Upstream {
    Upstream::scripted(move |connection| {
        while let Some(head) = connection.request()? {
            let next = match number_in(head.target()).and_then(|number| faults.get(number)) {
                Some(fault) => (fault.script)(connection, &head)?,
                None => {
                    reach(connection, &head, Point::Idle)?;
                    Next::GoOn
                }
            };
            if next == Next::HangUp {
                break;
            }
        }
        Ok(())
    })
}

/// The body of the honest answer: the request line, again and again.
pub fn honest_body(method: &str, target: &str) -> Vec<u8> {
    let size = target.split_once("size=").and_then(|(_, size)| size.parse().ok()).unwrap_or(0);
    let line = format!("{method} {target}\n");
    if size == 0 { line.into_bytes() } else { line.bytes().cycle().take(size).collect() }
}

fn number_in(target: &str) -> Option<usize> {
    let kinds = ["/v2/fault/manifests/", "/v2/fault/blobs/sha256:", "/v2/fault/blobs/uploads/"];
    let rest = kinds.iter().find_map(|kind| target.strip_prefix(kind));
    rest?.split('?').next()?.parse().ok()
}

fn reach(connection: &mut Connection, head: &Head, point: Point) -> io::Result<()> {
    if point == Point::RequestHeader {
        return Ok(());
    }
    if point == Point::RequestBody {
        let has_body = !matches!(head.framing(), Framing::Undeclared | Framing::Length(0));
        return if has_body { connection.first_piece(head) } else { Ok(()) };
    }
    connection.body(head, &mut io::sink())?;
    let body = honest_body(head.method(), head.target());
    // Where no body breaks off, as in the answer to HEAD, the connection is not to be used again either.
    let connection_is = if point == Point::Idle { "keep-alive" } else { "close" };
    let header = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: {connection_is}\r\n\r\n", body.len());
    let (header, body) = match point {
        Point::AnswerHeader => (&header.as_bytes()[..header.len() / 2], &[][..]),
        Point::AnswerBody => (header.as_bytes(), &body[..body.len() / 2]),
        Point::Idle => (header.as_bytes(), &body[..]),
        Point::RequestHeader | Point::RequestBody | Point::BeforeAnswer => return Ok(()),
    };
    let body = if head.method() == "HEAD" { &[] } else { body };
    let mut answer = header.to_vec();
    answer.write_all(body)?;
    connection.send(&answer)
}
