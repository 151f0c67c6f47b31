//! HTTP/2 as far as a test needs it that chooses its frames itself (RFC 9113). What comes back is not read: the upstream
//! and the access log tell.

use crate::door::Door;
use crate::secrets::note_authorization;
use crate::wire::Wire;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// An open connection.
#[derive(Debug)]
pub struct Http2(Wire);

impl Http2 {
    /// Connects and opens with the preface.
    pub fn open(door: &Door) -> Self {
        let mut wire = Wire::open_with(door, &["-alpn", "h2"]);
        wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut connection = Self(wire);
        connection.frame(SETTINGS, 0, 0, b"");
        connection
    }

    /// Opens a stream with a request. `is_whole`: it has no body.
    pub fn request(&mut self, stream: u32, method: &str, path: &str, authorization: &str, is_whole: bool) {
        note_authorization(authorization);
        // Literals without indexing, their names from the static table (RFC 7541, appendix A).
        let fields: [(&[u8], &str); 5] = [
            (&[2], method),
            (&[7], "https"),
            (&[4], path),
            (&[1], "registry.test"),
            // 23 does not fit into the four bits of the prefix: 15, and 8 more.
            (&[15, 8], authorization),
        ];
        let block: Vec<u8> = fields.iter().flat_map(|(name, value)| [name, &literal(value)[..]].concat()).collect();
        self.frame(HEADERS, END_HEADERS | end_stream(is_whole), stream, &block);
    }

    /// Sends a piece of a request's body, which may be empty.
    pub fn data(&mut self, stream: u32, piece: &[u8], is_last: bool) {
        self.frame(DATA, end_stream(is_last), stream, piece);
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a test's frame is short").to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.send([&head, payload].concat());
    }
}

fn end_stream(is_last: bool) -> u8 {
    if is_last { END_STREAM } else { 0 }
}

/// A string without Huffman coding, its length before it.
fn literal(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a test's string is short");
    [&[length], text.as_bytes()].concat()
}
