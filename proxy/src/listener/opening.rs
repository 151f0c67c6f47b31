//! What a client says first. Not all who come to a port that speaks TLS speak it: docker falls back to plain HTTP on
//! localhost, and a load balancer says before TLS on whose behalf it comes.

use std::io;

use super::socket::ReadAhead;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// TLS, or what TLS has an alert for.
    Tls,
    /// A request in plain HTTP/1.1, or the preface of HTTP/2.
    Http { is_head: bool },
    /// A header of the [PROXY protocol](https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt), version 1 or 2.
    Proxy,
}

const HTTP: Opening = Opening::Http { is_head: false };

/// None of them begins another, and none begins as a TLS handshake does.
const OPENINGS: [(&[u8], Opening); 12] = [
    (b"GET ", HTTP),
    (b"HEAD ", Opening::Http { is_head: true }),
    (b"POST ", HTTP),
    (b"PUT ", HTTP),
    (b"PATCH ", HTTP),
    (b"DELETE ", HTTP),
    (b"OPTIONS ", HTTP),
    (b"CONNECT ", HTTP),
    (b"TRACE ", HTTP),
    (b"PRI * HTTP/2.0\r\n", HTTP),
    (b"PROXY ", Opening::Proxy),
    (b"\r\n\r\n\0\r\nQUIT\n", Opening::Proxy),
];

impl Opening {
    /// Reads no more than it takes to tell, and leaves it to be read.
    ///
    /// # Errors
    /// Those of the socket.
    pub(super) async fn read(socket: &mut ReadAhead) -> io::Result<Self> {
        loop {
            if let Some(opening) = Self::of(socket.ahead()) {
                return Ok(opening);
            }
            if !socket.read_more().await? {
                return Ok(Self::Tls);
            }
        }
    }

    /// `None` until enough has come.
    fn of(bytes: &[u8]) -> Option<Self> {
        let said = OPENINGS.iter().find(|(words, _)| bytes.starts_with(words));
        if let Some((_, opening)) = said {
            return Some(*opening);
        }
        let may_be_said = OPENINGS.iter().any(|(words, _)| words.starts_with(bytes));
        (!may_be_said).then_some(Self::Tls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_method_and_a_proxy_header_are_known_by_their_first_bytes() {
        for (bytes, opening) in [
            (&b"GET /v2/ HTTP/1.1\r\n"[..], HTTP),
            (b"HEAD ", Opening::Http { is_head: true }),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n\x16\x03\x01", Opening::Proxy),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", Opening::Proxy),
            (b"\x16", Opening::Tls),
            (b"get /", Opening::Tls),
            (b"GETS ", Opening::Tls),
            (b"SSH-2.0-x\r\n", Opening::Tls),
            (b"\r\n\r\nGET ", Opening::Tls),
        ] {
            assert_eq!(Opening::of(bytes), Some(opening), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn however_little_comes_at_a_time_the_verdict_is_the_same(
            bytes in "(GET|HEAD|PATCH|PRI|PROXY|\r\n\r\n\u{0}\r\nQUIT\n|\u{16}|[a-zA-Z]{0,3})[ -~]{0,9}",
        ) {
            let verdicts = (0..=bytes.len()).map(|n| Opening::of(&bytes.as_bytes()[..n]));
            let first = verdicts.into_iter().flatten().next();
            prop_assert_eq!(first, Opening::of(bytes.as_bytes()));
        }

        #[test]
        fn what_begins_as_tls_does_is_tls_at_once(rest: Vec<u8>) {
            prop_assert_eq!(Opening::of(&[&[0x16], &rest[..]].concat()), Some(Opening::Tls));
        }
    }
}
