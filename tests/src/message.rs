//! HTTP/1.1 messages as they stand on the wire, for those who must see the bytes.

use std::io::{self, BufRead, Read, Write};

/// The start line and header of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// `GET /v2/ HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub start_line: String,
    /// Names and values in their order, names as they were written.
    pub headers: Vec<(String, String)>,
    /// All of it, the empty line included.
    pub raw: Vec<u8>,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    Undeclared,
}

impl Head {
    /// The head that `raw` holds, up to and with its empty line.
    pub fn parse(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw);
        let mut lines = text.split("\r\n");
        let start_line = lines.next().unwrap_or_default().to_owned();
        let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Self { start_line, headers: lines.filter_map(header).collect(), raw: raw.to_vec() }
    }

    /// Every value of a header, whatever the case of its name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a header that stands there once.
    ///
    /// # Panics
    /// When it is missing or repeated.
    #[track_caller]
    pub fn one(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} should stand once in {:#?}", self.headers);
        all[0]
    }

    /// A request's method.
    pub fn method(&self) -> &str {
        self.start_line.split(' ').next().unwrap_or_default()
    }

    /// A request's target, as it was sent.
    pub fn target(&self) -> &str {
        self.start_line.split(' ').nth(1).unwrap_or_default()
    }

    /// A response's status.
    ///
    /// # Panics
    /// When there is none.
    pub fn status(&self) -> u16 {
        let code = self.start_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        code.unwrap_or_else(|| panic!("no status line: {:?}", self.start_line))
    }

    pub(crate) fn framing(&self) -> Framing {
        if self.all("transfer-encoding").iter().any(|value| value.eq_ignore_ascii_case("chunked")) {
            return Framing::Chunked;
        }
        let length = self.all("content-length").first().and_then(|value| value.parse().ok());
        length.map_or(Framing::Undeclared, Framing::Length)
    }
}

/// A whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its status line and header.
    pub head: Head,
    /// Its body, decoded.
    pub body: Vec<u8>,
}

impl Response {
    /// The response at the start of `bytes` and how long it is there, when it is all there.
    /// `bodiless`: it answers a HEAD.
    pub(crate) fn parse(mut bytes: &[u8], bodiless: bool, ended: bool) -> Option<(Self, usize)> {
        let all = bytes.len();
        let head = read_head(&mut bytes).ok()??;
        let status = head.status();
        let mut body = Vec::new();
        if !(bodiless || status < 200 || status == 204 || status == 304) {
            match head.framing() {
                Framing::Undeclared if !ended => return None,
                Framing::Undeclared => bytes.read_to_end(&mut body).ok()?,
                framing => usize::try_from(copy_body(&mut bytes, framing, &mut body).ok()?).ok()?,
            };
        }
        Some((Self { head, body }, all - bytes.len()))
    }
}

/// Reads up to and with the empty line; `None` at the end of the stream.
pub(crate) fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut raw = Vec::new();
    loop {
        let before = raw.len();
        reader.read_until(b'\n', &mut raw)?;
        match &raw[before..] {
            [] if before == 0 => return Ok(None),
            line if !line.ends_with(b"\n") => return Err(io::ErrorKind::UnexpectedEof.into()),
            b"\r\n" | b"\n" => return Ok(Some(Head::parse(&raw))),
            _ => {}
        }
    }
}

/// Copies a body to `sink`, decoded, and returns its length. A body of undeclared length is empty, as in a request.
pub(crate) fn copy_body(reader: &mut impl BufRead, framing: Framing, sink: &mut dyn Write) -> io::Result<u64> {
    match framing {
        Framing::Undeclared => Ok(0),
        Framing::Length(length) => copy_exactly(reader, length, sink),
        Framing::Chunked => copy_chunks(reader, sink),
    }
}

fn copy_chunks(reader: &mut impl BufRead, sink: &mut dyn Write) -> io::Result<u64> {
    let mut total = 0;
    loop {
        let line = read_line(reader)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| io::Error::other(format!("chunk size {line:?}")))?;
        total += copy_exactly(reader, size, sink)?;
        if size == 0 {
            while !read_line(reader)?.is_empty() {}
            return Ok(total);
        }
        if !read_line(reader)?.is_empty() {
            return Err(io::Error::other("a chunk is longer than it says"));
        }
    }
}

fn copy_exactly(reader: &mut impl BufRead, length: u64, sink: &mut dyn Write) -> io::Result<u64> {
    let mut left = length;
    while left > 0 {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let n = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        sink.write_all(&buffer[..n])?;
        reader.consume(n);
        left -= n as u64;
    }
    Ok(length)
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_response_is_whole_only_with_its_last_chunk() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 ";
        assert_eq!(Response::parse(&bytes[..bytes.len() - 11], false, false), None);
        let (response, length) = Response::parse(bytes, false, false).unwrap();
        assert_eq!((response.head.status(), response.body.as_slice(), length), (200, &b"abc"[..], bytes.len() - 9));
    }

    #[test]
    fn the_answer_to_a_head_has_a_length_and_no_body() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(Response::parse(bytes, false, true), None);
        assert_eq!(Response::parse(bytes, true, false).unwrap().1, bytes.len());
    }
}
