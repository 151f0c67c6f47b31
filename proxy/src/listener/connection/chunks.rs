//! The chunks of a request's body (RFC 9112, 7.1), followed as they pass.
//!
//! hyper's parser takes a little more than the grammar has. What is sent on is framed anew, so that nothing is
//! smuggled by that; but another reader of the same bytes would see another end of the body, and where readers
//! disagree the next request begins in two places. So the bytes are read strictly here, before hyper has them,
//! and none of them is kept.

/// Bytes of a line with a chunk's size, its extension included. No container client sends an extension.
const SIZE_LINE: usize = 1024;

/// Bytes of all trailer fields. They go no further; no container client sends any.
const TRAILERS: usize = 8 * 1024;

/// Hexadecimal digits of a size: what 64 bits hold.
const DIGITS: usize = 16;

/// The largest chunk: some readers count in signed numbers.
const MOST: u64 = i64::MAX as u64;

/// The bytes are no chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// How far a chunked body was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunks {
    place: Place,
    /// Bytes of the line, or of the trailers, so far.
    length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the digits of a size.
    Size(u64),
    /// Behind them, up to the line's end.
    Extension(u64),
    /// Behind the CR of a size line.
    SizeLineFeed(u64),
    /// In a chunk, so many bytes before its end.
    Data(u64),
    /// Behind a chunk.
    DataReturn,
    DataLineFeed,
    /// At the beginning of a trailer field, or of the line that ends the body.
    Trailer,
    /// In the name of a trailer field.
    TrailerName,
    /// In its value.
    TrailerValue,
    TrailerLineFeed,
    LastLineFeed,
    /// Behind the body.
    End,
}

impl Chunks {
    /// At the beginning of a body.
    pub(super) fn begin() -> Self {
        Self { place: Place::Size(0), length: 0 }
    }

    /// Whether the body is over.
    pub(super) fn ended(&self) -> bool {
        self.place == Place::End
    }

    /// Follows the next bytes, and says how many of them are the body's: fewer than there are where it
    /// ends among them.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.place {
                Place::End => break,
                Place::Data(left) => {
                    let here = usize::try_from(left).map_or(bytes.len() - at, |left| left.min(bytes.len() - at));
                    at += here;
                    let left = left - here as u64;
                    self.place = if left == 0 { Place::DataReturn } else { Place::Data(left) };
                }
                place => {
                    self.place = self.step(place, byte)?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    fn step(&mut self, place: Place, byte: u8) -> Result<Place, Malformed> {
        self.length += 1;
        let next = match (place, byte) {
            (Place::Size(size), _) if byte.is_ascii_hexdigit() && self.length <= DIGITS && size <= MOST >> 4 => {
                let digit = char::from(byte).to_digit(16).expect("it is a hexadecimal digit");
                Place::Size(size << 4 | u64::from(digit))
            }
            (Place::Size(size), b'\r') if self.length > 1 => Place::SizeLineFeed(size),
            (Place::Size(size), b';') if self.length > 1 => Place::Extension(size),
            (Place::Extension(size), b'\r') => Place::SizeLineFeed(size),
            (Place::Extension(_), _) if is_text(byte) && self.length <= SIZE_LINE => place,
            (Place::SizeLineFeed(size), b'\n') => {
                self.length = 0;
                if size == 0 { Place::Trailer } else { Place::Data(size) }
            }
            (Place::DataReturn, b'\r') => Place::DataLineFeed,
            (Place::DataLineFeed, b'\n') => {
                self.length = 0;
                Place::Size(0)
            }
            (Place::Trailer, b'\r') => Place::LastLineFeed,
            (Place::Trailer | Place::TrailerName, _) if is_token(byte) => Place::TrailerName,
            (Place::TrailerName, b':') => Place::TrailerValue,
            (Place::TrailerValue, b'\r') => Place::TrailerLineFeed,
            (Place::TrailerValue, _) if is_text(byte) => place,
            (Place::TrailerLineFeed, b'\n') => Place::Trailer,
            (Place::LastLineFeed, b'\n') => Place::End,
            _ => return Err(Malformed),
        };
        // Only trailers get this long without a line's own bound.
        if self.length > TRAILERS { Err(Malformed) } else { Ok(next) }
    }
}

/// What a field's value or an extension may hold (RFC 9110, 5.5): no control character but the tab.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// A character of a field's name (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn follow(bytes: &[u8]) -> Result<usize, Malformed> {
        let mut chunks = Chunks::begin();
        let length = chunks.follow(bytes)?;
        assert!(chunks.ended() || length == bytes.len());
        if chunks.ended() { Ok(length) } else { Err(Malformed) }
    }

    #[test]
    fn a_body_ends_where_rfc_9112_says() {
        for (body, rest) in [
            ("0\r\n\r\n", ""),
            ("0\r\n\r\n", "GET / HTTP/1.1\r\n"),
            ("2\r\nab\r\n0\r\n\r\n", "x"),
            ("002\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
            ("A;name=value\r\n0123456789\r\n00\r\n\r\n", ""),
            ("1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n", "rest"),
        ] {
            assert_eq!(follow(format!("{body}{rest}").as_bytes()), Ok(body.len()), "{body:?}");
        }
    }

    #[test]
    fn what_two_readers_could_end_in_two_places_is_malformed() {
        for body in [
            "\r\nab\r\n0\r\n\r\n",
            ";a\r\n\r\n",
            " \r\n\r\n",
            "0x2\r\nab\r\n",
            "-1\r\n",
            "+2\r\nab\r\n",
            "0_2\r\nab\r\n",
            "2 \r\nab\r\n",
            " 2\r\nab\r\n",
            "2\nab\r\n",
            "2\r\nab\n0\r\n\r\n",
            "2\r\nabc\r\n0\r\n\r\n",
            "2;a\nb\r\nab\r\n",
            "2;a\rb\r\nab\r\n",
            "2;\0\r\nab\r\n",
            "10000000000000002\r\n",
            "ffffffffffffffff\r\n",
            "0\n\n",
            "0\r\n\n",
            "0\r\nX: y\n\r\n",
            "0\r\nfoo\r\n\r\n",
            "0\r\n X: y\r\n\r\n",
            "0\r\n: y\r\n\r\n",
        ] {
            assert_eq!(follow(body.as_bytes()), Err(Malformed), "{body:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_have_an_end() {
        let long = |length| "a".repeat(length);
        assert!(follow(format!("0;{}\r\n\r\n", long(SIZE_LINE - 2)).as_bytes()).is_ok());
        assert!(follow(format!("0;{}\r\n\r\n", long(SIZE_LINE)).as_bytes()).is_err());
        assert!(follow(format!("0\r\nX:{}\r\n\r\n", long(TRAILERS - 6)).as_bytes()).is_ok());
        assert!(follow(format!("0\r\nX:{}\r\n\r\n", long(TRAILERS)).as_bytes()).is_err());
    }

    /// Chunks of a body, and how they are written.
    fn bodies() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        let chunk = prop::collection::vec(any::<u8>(), 1..40);
        prop::collection::vec(chunk, 0..6).prop_map(|chunks| {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            wire.extend(b"0\r\n\r\n");
            (wire, chunks.concat())
        })
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_split_the_end_is_the_same(
            bytes in prop_oneof![
                bodies().prop_map(|(wire, _)| wire),
                prop::collection::vec(prop::sample::select(&b"012af;: \r\n\tXx\0\x80"[..]), 0..40),
            ],
            cut in any::<prop::sample::Index>(),
        ) {
            let cut = if bytes.is_empty() { 0 } else { cut.index(bytes.len()) };
            let mut whole = Chunks::begin();
            let at_once = whole.follow(&bytes);
            let mut parts = Chunks::begin();
            let in_parts = parts.follow(&bytes[..cut]).and_then(|first| {
                if first < cut { Ok(first) } else { Ok(first + parts.follow(&bytes[cut..])?) }
            });
            prop_assert_eq!(at_once, in_parts);
            prop_assert!(at_once.is_err() || whole.place == parts.place);
        }

        #[test]
        fn every_well_formed_body_is_followed_to_its_end((wire, _) in bodies(), rest in ".{0,20}") {
            let bytes = [&wire[..], rest.as_bytes()].concat();
            prop_assert_eq!(follow(&bytes), Ok(wire.len()));
        }
    }
}
