//! HTTP/2 as far as a test needs it that chooses its frames itself (RFC 9113).

use crate::door::Door;
use crate::process::Capture;
use crate::secrets::note_authorization;
use crate::waiting::PATIENCE;
use crate::wire::Wire;
use std::io;
use std::time::Duration;

/// Frame types and flags (RFC 9113, 6).
pub mod frame {
    #![allow(missing_docs)]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
    pub const END_STREAM: u8 = 0x1;
    pub const ACK: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
}

use frame::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, SETTINGS};

const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD: usize = 9;
/// `SETTINGS_HEADER_TABLE_SIZE`. At 0 every answer's fields are told in full.
const HEADER_TABLE_SIZE: u16 = 1;

/// An open connection.
#[derive(Debug)]
pub struct Http2(Wire);

/// A frame of the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// One of [`frame`]'s types.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 for the connection.
    pub stream: u32,
    /// The rest.
    pub payload: Vec<u8>,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With a whole answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its body.
        body: Vec<u8>,
    },
    /// It was reset, with this error code.
    Reset(u32),
    /// The connection ended before it did.
    Closed,
}

impl Http2 {
    /// Connects and opens with the preface.
    pub fn open(door: &Door) -> Self {
        Self::open_with(door, &[])
    }

    /// The same with settings (RFC 9113, 6.5.2) of one's own.
    pub fn open_with(door: &Door, settings: &[(u16, u32)]) -> Self {
        let mut connection = Self::connect(door);
        connection.send(PREFACE);
        let of_ours = [(HEADER_TABLE_SIZE, 0)];
        let settings = of_ours.iter().chain(settings);
        let payload: Vec<u8> =
            settings.flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        connection.frame(SETTINGS, 0, 0, &payload);
        connection
    }

    /// Connects, agrees on HTTP/2 and says nothing.
    pub fn connect(door: &Door) -> Self {
        Self(Wire::open_with(door, &["-alpn", "h2"]))
    }

    /// Opens a stream with a request. `is_whole`: it has no body.
    pub fn request(&mut self, stream: u32, method: &str, path: &str, authorization: &str, is_whole: bool) {
        note_authorization(authorization);
        let fields = [
            (":method", method),
            (":scheme", "https"),
            (":path", path),
            (":authority", "registry.test"),
            ("authorization", authorization),
        ];
        self.headers(stream, &fields, is_whole);
    }

    /// Sends a field section in one frame. `is_last`: the stream's last frame.
    pub fn headers(&mut self, stream: u32, fields: &[(&str, &str)], is_last: bool) {
        self.frame(HEADERS, END_HEADERS | end_stream(is_last), stream, &field_block(fields));
    }

    /// Sends a piece of a request's body, which may be empty.
    pub fn data(&mut self, stream: u32, piece: &[u8], is_last: bool) {
        self.frame(DATA, end_stream(is_last), stream, piece);
    }

    /// Sends any frame. A server that is gone is no error here.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send(frame_bytes(kind, flags, stream, payload));
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.send(bytes);
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.try_send(bytes)
    }

    /// The frames that came so far.
    pub fn frames(&self) -> Vec<Frame> {
        parse(&self.incoming().bytes())
    }

    /// Awaits a frame that `wanted` takes.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub fn await_frame(&self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Frame {
        self.incoming().await_bytes(PATIENCE, what, |bytes, _| parse(bytes).into_iter().find(&wanted))
    }

    /// Awaits the end of a stream.
    ///
    /// # Panics
    /// After [`PATIENCE`], and when an answer is not well-formed.
    pub fn outcome(&self, stream: u32) -> Outcome {
        self.incoming().await_bytes(PATIENCE, "the end of a stream", |bytes, ended| {
            outcome(&parse(bytes), stream).or(ended.then_some(Outcome::Closed))
        })
    }

    /// Awaits that the server closes, and returns the error code of its last GOAWAY, if it sent one.
    ///
    /// # Panics
    /// When it is still open after `bound`.
    pub fn closed_within(&mut self, bound: Duration) -> Option<u32> {
        self.0.closed_within(bound);
        let frames = self.frames();
        let last = frames.iter().rev().find(|frame| frame.kind == GOAWAY)?;
        Some(word(&last.payload[4..]))
    }

    /// The client stays, and reads and writes nothing.
    pub fn pause(&self) {
        self.0.pause();
    }

    fn incoming(&self) -> &Capture {
        self.0.incoming()
    }
}

/// A frame's bytes.
///
/// # Panics
/// When it is longer than a frame can be.
pub fn frame_bytes(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a test's frame is short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields as literals without indexing and without Huffman coding (RFC 7541, 6.2.2).
pub fn field_block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| [&[0], &literal(name)[..], &literal(value)].concat()).collect()
}

fn parse(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while bytes.len() >= HEAD {
        let length = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        let Some(payload) = bytes[HEAD..].get(..length) else { break };
        let (kind, flags, stream) = (bytes[3], bytes[4], word(&bytes[5..]));
        frames.push(Frame { kind, flags, stream, payload: payload.to_vec() });
        bytes = &bytes[HEAD + length..];
    }
    frames
}

/// A reset after a whole answer only says that no more of the request is wanted (RFC 9113, 8.1).
fn outcome(frames: &[Frame], stream: u32) -> Option<Outcome> {
    let mut status = None;
    let mut body = Vec::new();
    for frame in frames.iter().filter(|frame| frame.stream == stream) {
        match frame.kind {
            HEADERS => {
                assert_eq!((status, frame.flags & END_HEADERS), (None, END_HEADERS), "one header in one frame");
                status = Some(status_of(&frame.payload));
            }
            DATA => body.extend_from_slice(&frame.payload),
            RST_STREAM => return Some(Outcome::Reset(word(&frame.payload))),
            _ => continue,
        }
        if frame.flags & END_STREAM != 0 {
            return Some(Outcome::Answer { status: status.expect("a header comes first"), body });
        }
    }
    None
}

/// The status at the start of an answer's field block (RFC 7541).
fn status_of(block: &[u8]) -> u16 {
    // Changes of the dynamic table's size come before it.
    let start = block.iter().position(|byte| byte & 0xe0 != 0x20).expect("a field");
    let block = &block[start..];
    match block[0] {
        indexed @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        // A literal whose name is the static table's 8: `:status`.
        0x08 | 0x18 | 0x48 if block[1] & 0x80 == 0 => {
            std::str::from_utf8(&block[2..5]).expect("digits").parse().expect("a number")
        }
        0x08 | 0x18 | 0x48 => {
            let coded = &block[2..2 + usize::from(block[1] & 0x7f)];
            huffman_digits(coded)
        }
        other => panic!("{other:#x} is no :status"),
    }
}

/// Three digits in the Huffman code: 0, 1 and 2 have five bits, the others six (RFC 7541, appendix B).
fn huffman_digits(coded: &[u8]) -> u16 {
    let bits: String = coded.iter().map(|byte| format!("{byte:08b}")).collect();
    let mut rest = &bits[..];
    let mut number = 0;
    for _ in 0..3 {
        let short = u16::from_str_radix(&rest[..5], 2).expect("bits");
        let (digit, length) =
            if short <= 2 { (short, 5) } else { (u16::from_str_radix(&rest[..6], 2).expect("bits") - 22, 6) };
        number = number * 10 + digit;
        rest = &rest[length..];
    }
    number
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().expect("four bytes"))
}

fn end_stream(is_last: bool) -> u8 {
    if is_last { END_STREAM } else { 0 }
}

/// A string without Huffman coding, its length before it (RFC 7541, 5.1 and 5.2).
fn literal(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match u8::try_from(text.len()) {
        Ok(short @ 0..127) => bytes.push(short),
        _ => {
            bytes.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                bytes.push((rest % 128) as u8 | 0x80);
                rest /= 128;
            }
            bytes.push(rest as u8);
        }
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_in_every_coding() {
        assert_eq!(status_of(&[0x8d]), 404);
        assert_eq!(status_of(&[0x20, 0x88]), 200);
        assert_eq!(status_of(b"\x08\x03401"), 401);
        // From RFC 7541, C.6.1.
        assert_eq!(status_of(&[0x48, 0x82, 0x64, 0x02]), 302);
    }

    #[test]
    fn a_long_string_has_a_long_length() {
        assert_eq!(literal(&"a".repeat(127))[..2], [127, 0]);
        assert_eq!(literal(&"a".repeat(127 + 300))[..3], [127, 0xac, 0x02]);
    }
}
