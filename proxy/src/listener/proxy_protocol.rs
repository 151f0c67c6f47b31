//! What a load balancer says before TLS: on whose behalf it comes
//! ([PROXY protocol](https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt), versions 1 and 2).

use std::io;
use std::net::SocketAddr;

use ppp::{HeaderResult, v1, v2};

use super::socket::ReadAhead;

/// The first bytes of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The first bytes of version 1.
const PREFIX: &[u8] = b"PROXY ";

/// A header of version 1 has so many bytes at most, its line's end with them.
const LINE: usize = 107;

/// The bytes of version 2 before what its length counts.
const FIXED: usize = 16;

/// The most that is read of version 2: the addresses take up to 216 bytes, and the rest is left out.
const MOST: usize = 4096;

/// Reads such a header off a connection, and no byte more. `None` where the balancer speaks for itself, or for nobody whose
/// address is known.
///
/// # Errors
/// Those of the socket; `InvalidData` for what is no such header.
pub(super) async fn read(socket: &mut ReadAhead) -> io::Result<Option<SocketAddr>> {
    loop {
        match parse(socket.ahead()).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))? {
            Some((length, client)) => {
                socket.discard(length);
                return Ok(client);
            }
            None if socket.read_more().await? => {}
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The length of the header that `bytes` begin with, and the client that it names. `None` until enough has come.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(usize, Option<SocketAddr>)>, &'static str> {
    let Some(length) = length(bytes)? else { return Ok(None) };
    let client = match HeaderResult::parse(&bytes[..length]) {
        HeaderResult::V1(Ok(header)) => match header.addresses {
            v1::Addresses::Tcp4(ip) => Some(SocketAddr::from((ip.source_address, ip.source_port))),
            v1::Addresses::Tcp6(ip) => Some(SocketAddr::from((ip.source_address, ip.source_port))),
            v1::Addresses::Unknown => None,
        },
        HeaderResult::V2(Ok(header)) => match (header.command, header.addresses) {
            (v2::Command::Proxy, v2::Addresses::IPv4(ip)) => Some((ip.source_address, ip.source_port).into()),
            (v2::Command::Proxy, v2::Addresses::IPv6(ip)) => Some((ip.source_address, ip.source_port).into()),
            _ => None,
        },
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => return Err("its PROXY protocol header is malformed"),
    };
    Ok(Some((length, client)))
}

/// How long the header is, once that is known and all of it is there.
fn length(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    let begins_as = |words: &[u8]| bytes.starts_with(words) || words.starts_with(bytes);
    if begins_as(SIGNATURE) {
        let Some(&[high, low]) = bytes.get(FIXED - 2..FIXED) else { return Ok(None) };
        let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
        if length > MOST {
            return Err("its PROXY protocol header is too long");
        }
        return Ok((bytes.len() >= length).then_some(length));
    }
    if !begins_as(PREFIX) {
        return Err("it sent no PROXY protocol header");
    }
    let line = &bytes[..bytes.len().min(LINE)];
    match line.windows(2).position(|end| end == b"\r\n") {
        Some(end) => Ok(Some(end + 2)),
        None if line.len() == LINE => Err("its PROXY protocol header is too long"),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn client(bytes: &[u8]) -> Option<String> {
        let (length, client) = parse(bytes).unwrap().expect("all of it is there");
        assert_eq!(length, bytes.len());
        client.map(|client| client.to_string())
    }

    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[0x20 | command, family], &length, rest].concat()
    }

    #[test]
    fn both_versions_name_the_client() {
        let client_of_line = |line: &str| client(line.as_bytes());
        assert_eq!(client_of_line("PROXY TCP4 192.0.2.1 10.0.0.1 5 443\r\n").as_deref(), Some("192.0.2.1:5"));
        assert_eq!(client_of_line("PROXY TCP6 2001:db8::1 ::1 5 443\r\n").as_deref(), Some("[2001:db8::1]:5"));
        let addresses = [192, 0, 2, 1, 10, 0, 0, 1, 0, 5, 1, 187];
        assert_eq!(client(&version_2(1, 0x11, &addresses)).as_deref(), Some("192.0.2.1:5"));
        let with_a_tlv = [&addresses[..], &[4, 0, 2, 7, 7]].concat();
        assert_eq!(client(&version_2(1, 0x11, &with_a_tlv)).as_deref(), Some("192.0.2.1:5"));
    }

    #[test]
    fn a_balancer_that_asks_for_itself_or_for_it_knows_not_whom_names_nobody() {
        let addresses = [192, 0, 2, 1, 10, 0, 0, 1, 0, 5, 1, 187];
        for header in [
            b"PROXY UNKNOWN\r\n".to_vec(),
            b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
            version_2(0, 0, &[]),
            version_2(0, 0x11, &addresses),
            version_2(1, 0, &[]),
            version_2(1, 0x31, &[0; 216]),
        ] {
            assert_eq!(client(&header), None, "{header:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused_by_its_first_bytes_and_what_is_long_before_it_is_read() {
        for bytes in [
            &b"\x16\x03"[..],
            b"GET /",
            b"PROXY TCP4 1.2.3.4\r\n",
            b"PROXY TCP4 999.0.2.1 10.0.0.1 5 443\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 5 99999\r\n",
            b"PROXY TCP5 192.0.2.1 10.0.0.1 5 443\r\n",
            &[b"PROXY UNKNOWN ", &[b'x'; 100][..]].concat(),
            &version_2(1, 0x11, &[0; 4]),
            &version_2(7, 0x11, &[0; 12]),
            &[SIGNATURE, &[0x31, 0x11, 0, 0]].concat(),
            &[SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat(),
        ] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn however_little_comes_at_a_time_the_client_is_the_same_and_no_byte_of_tls_is_taken(
            ip: [u8; 4], port: u16, is_text: bool, tls: Vec<u8>,
        ) {
            let header = if is_text {
                format!("PROXY TCP4 {} 10.0.0.1 {port} 443\r\n", std::net::Ipv4Addr::from(ip)).into_bytes()
            } else {
                let [high, low] = port.to_be_bytes();
                version_2(1, 0x11, &[&ip[..], &[10, 0, 0, 1, high, low, 1, 187]].concat())
            };
            let all = [&header[..], &tls[..]].concat();
            for come in 0..=all.len() {
                let expected = (come >= header.len()).then_some((header.len(), Some((ip, port).into())));
                prop_assert_eq!(parse(&all[..come]), Ok(expected));
            }
        }
    }
}
