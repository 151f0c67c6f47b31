//! A request on its way through the gate, and what of it is refused before anybody asks who it is.

use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};
use lockgate_oci::{ErrorCode, OciError, Route, RouteError};
use pingora::http::RequestHeader;

use crate::access::Permit;
use crate::config::Limits;
use crate::last_byte::LastByte;
use crate::rescue;
use crate::upstream::Reuse;

/// What the gate knows of one request, from its arrival to its access-log line.
#[derive(Debug)]
pub(crate) struct Passage {
    /// When its header was complete.
    pub(crate) arrived: Instant,
    /// How far it came.
    pub(crate) stage: Stage,
    /// How often the upstream could not be connected to.
    pub(crate) failed_connects: usize,
    /// What is known of the upstream's connection, if it is one for a blob.
    pub(crate) blob: Option<Reuse>,
    /// When its header was sent to the upstream.
    pub(crate) forwarded: Option<Instant>,
    /// From then to the upstream's response header.
    pub(crate) upstream_time: Option<Duration>,
    /// How many 1xx the upstream has answered.
    pub(crate) interim_answers: usize,
    /// The client waits for 100 before it sends its body, and was not given it.
    pub(crate) awaits_leave: bool,
    /// Of a body of declared length that came over HTTP/2.
    pub(crate) last_byte: Option<LastByte>,
}

/// A request is refused, or still to be judged, until it is admitted; only then has it a permit.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Nobody judged it yet, or it was refused.
    Arrived,
    /// It may pass.
    Admitted(Permit),
}

impl Passage {
    pub(crate) fn begin() -> Self {
        Self {
            arrived: Instant::now(),
            stage: Stage::Arrived,
            failed_connects: 0,
            blob: None,
            forwarded: None,
            upstream_time: None,
            interim_answers: 0,
            awaits_leave: false,
            last_byte: None,
        }
    }

    /// The permit, once it was given.
    pub(crate) fn permit(&self) -> Option<&Permit> {
        match &self.stage {
            Stage::Arrived => None,
            Stage::Admitted(permit) => Some(permit),
        }
    }
}

/// Refuses what RFC 9112 forbids and pingora 0.9.1 lets through: two ways to tell a body's length, or
/// a header section that does not mean the same to every reader.
///
/// `raw` is the header section as it was read, but for the request line, which pingora may have rewritten
/// (empty over HTTP/2, which frames by itself).
///
/// # Errors
/// 400 with the rule that was broken. The connection must be closed: where its next request begins is
/// unknown.
pub(crate) fn check_framing(request: &RequestHeader, raw: &[u8]) -> Result<(), OciError> {
    let headers = &request.headers;
    if has_bare_line_feed(raw) {
        return Err(malformed("its header lines must end in CRLF (RFC 9112, 2.2)"));
    }
    // pingora drops a Content-Length that came with Transfer-Encoding: only the raw bytes still tell.
    if headers.contains_key(TRANSFER_ENCODING) && (names_header(raw, CONTENT_LENGTH.as_str()) || !is_chunked(headers)) {
        return Err(malformed(
            "a body is framed by one Content-Length or by Transfer-Encoding: chunked (RFC 9112, 6.1)",
        ));
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if lengths.next().is_some_and(|length| !is_length(length.as_bytes())) {
        return Err(malformed("Content-Length must be one number, in digits (RFC 9110, 8.6)"));
    }
    if lengths.next().is_some() {
        return Err(malformed("Content-Length stands more than once (RFC 9110, 8.6)"));
    }
    if headers.get_all(COOKIE).iter().count() > 1 {
        return Err(malformed("Cookie stands more than once, and a registry knows none (RFC 6265, 5.4)"));
    }
    check_host(request, raw.is_empty())
}

/// Exactly one Host that names one host (RFC 9112, 3.2); `:authority` stands for it in HTTP/2.
fn check_host(request: &RequestHeader, is_http2: bool) -> Result<(), OciError> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        (None, _) if is_http2 => request.uri.authority().map(|authority| authority.as_str()),
        (None, _) if request.version == http::Version::HTTP_10 => return Ok(()),
        (None, _) => return Err(malformed("Host is missing (RFC 9112, 3.2)")),
        (Some(_), Some(_)) => return Err(malformed("Host stands more than once (RFC 9112, 3.2)")),
    };
    let names_one = host.is_some_and(names_one_host);
    if names_one { Ok(()) } else { Err(malformed("Host must name one host, and its port (RFC 9110, 7.2)")) }
}

/// `uri-host [ ":" port ]` (RFC 9110, 7.2), where the host is an IP address or made of a domain name's
/// characters. The grammar has more for a name, as `a,b` and `a;b`, which some read as two.
fn names_one_host(text: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let has_good_end = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return has_good_end && address.parse::<Ipv6Addr>().is_ok();
    }
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && name.bytes().all(is_of_name) && port.is_none_or(is_port)
}

/// A number of bytes that every reader reads alike.
fn is_length(value: &[u8]) -> bool {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    is_number && std::str::from_utf8(value).is_ok_and(|digits| digits.parse::<i64>().is_ok())
}

/// Whether `Transfer-Encoding` stands once and says `chunked`, and nothing else.
pub(crate) fn is_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let only = codings.next().filter(|_| codings.next().is_none());
    only.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

fn has_bare_line_feed(raw: &[u8]) -> bool {
    let mut previous = 0;
    raw.iter().any(|&byte| std::mem::replace(&mut previous, byte) != b'\r' && byte == b'\n')
}

fn names_header(raw: &[u8], name: &str) -> bool {
    raw.split(|&byte| byte == b'\n').any(|line| {
        line.split(|&byte| byte == b':')
            .next()
            .is_some_and(|field| field.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes()))
    })
}

fn malformed(rule: &str) -> OciError {
    OciError::new(ErrorCode::Unsupported, format!("the request is refused: {rule}"))
        .with_status(StatusCode::BAD_REQUEST)
}

/// Refuses a header over the budgets. Of an HTTP/1.1 request they were seen to while it was read; of an
/// HTTP/2 one the size is that of its fields, unpacked (RFC 9113, 6.5.2).
///
/// # Errors
/// 431 (RFC 6585, 5).
pub(crate) fn check_header_size(request: &RequestHeader, limits: &Limits) -> Result<(), OciError> {
    const FIELD: usize = 32;
    let fields = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    let pseudo_fields = [request.method.as_str().len(), request.raw_path().len()];
    let size: usize = pseudo_fields.into_iter().chain(fields).map(|bytes| FIELD + bytes).sum();
    if size > limits.header_size.get() {
        return Err(rescue::header_too_large(limits.header_size.get()));
    }
    if request.headers.len() > limits.header_count.get() {
        return Err(rescue::too_many_fields(limits.header_count.get()));
    }
    Ok(())
}

/// Refuses methods that no registry has. TRACE would send the credentials back to whoever can make a
/// browser ask (RFC 9110, 9.3.8).
///
/// # Errors
/// 501 (RFC 9110, 9.1); 405 for CONNECT, which everybody knows.
pub(crate) fn check_method(method: &Method) -> Result<(), OciError> {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    if KNOWN.contains(method) {
        return Ok(());
    }
    if method == Method::CONNECT {
        return Err(OciError::new(ErrorCode::Unsupported, "a registry does not tunnel: CONNECT is not supported"));
    }
    let message = "a registry has the methods GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS, in capitals";
    Err(OciError::new(ErrorCode::Unsupported, message).with_status(StatusCode::NOT_IMPLEMENTED))
}

/// What a request is for, as far as its target tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An end-point of the registry API, or a path below `/v2/` that is none.
    Api(Result<Route, RouteError>),
    /// Something else than the registry API.
    Elsewhere,
}

impl Target {
    /// Reads a request target in origin form (RFC 9112, 3.2.1), as it was sent.
    ///
    /// # Errors
    /// 400 for other forms, for bytes that no target has, and for a path with escapes: no name, tag or digest
    /// needs one, and a path that two readers decode differently is how a guard is walked around.
    pub(crate) fn read(target: &[u8]) -> Result<Self, OciError> {
        let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
        let is_of_target = |byte: &u8| byte.is_ascii_graphic() && *byte != b'#';
        if path.first() != Some(&b'/') || !target.iter().all(is_of_target) {
            return Err(malformed("its target must be a path in ASCII, without a fragment (RFC 9112, 3.2.1)"));
        }
        let plain = |byte: &u8| !matches!(byte, b'%' | b'\\');
        match std::str::from_utf8(path) {
            Ok(path) if path.bytes().all(|byte| plain(&byte)) => {
                Ok(if Route::is_api_path(path) { Self::Api(Route::parse(path)) } else { Self::Elsewhere })
            }
            _ => Err(malformed("the path of a registry end-point holds no escapes and no special characters")),
        }
    }
}

/// The answer to a path below `/v2/` that is no end-point.
pub(crate) fn no_such_route(error: RouteError) -> OciError {
    match error {
        RouteError::Unknown => OciError::new(
            ErrorCode::Unsupported,
            "no end-point of the registry API has this path; see the OCI distribution specification",
        )
        .with_status(StatusCode::NOT_FOUND),
        RouteError::Name(why) => OciError::new(ErrorCode::NameInvalid, why.to_string()),
        RouteError::Reference(lockgate_oci::ReferenceError::Tag(why)) => {
            OciError::new(ErrorCode::TagInvalid, why.to_string())
        }
        RouteError::Reference(lockgate_oci::ReferenceError::Digest(why)) | RouteError::Digest(why) => {
            OciError::new(ErrorCode::DigestInvalid, why.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request = RequestHeader::build("POST", b"/v2/a/blobs/uploads/", None).expect("a request");
        for (name, value) in headers {
            request.append_header(*name, *value).expect("a header");
        }
        request
    }

    fn framing(headers: &[(&'static str, &'static str)], raw: &str) -> Result<(), OciError> {
        check_framing(&request(headers), raw.as_bytes())
    }

    #[test]
    fn one_way_to_tell_the_length_is_accepted() {
        let host = ("Host", "reg.test:5043");
        assert_eq!(framing(&[host, ("Content-Length", "2")], "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n"), Ok(()));
        assert_eq!(
            framing(&[host, ("Transfer-Encoding", "Chunked")], "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"),
            Ok(())
        );
    }

    #[test]
    fn two_ways_to_tell_the_length_are_refused() {
        let host = ("Host", "reg.test");
        let chunked = ("Transfer-Encoding", "chunked");
        assert!(framing(&[host, chunked], "POST / HTTP/1.1\r\nContent-length : 4\r\n\r\n").is_err());
        assert!(framing(&[host, chunked, chunked], "").is_err());
        assert!(framing(&[host, ("Transfer-Encoding", "gzip, chunked")], "").is_err());
        assert!(framing(&[host, ("Content-Length", "2"), ("Content-Length", "2")], "").is_err());
        assert!(framing(&[host, ("Content-Length", "2, 2")], "").is_err());
    }

    #[test]
    fn a_length_is_digits_and_nothing_else() {
        let host = ("Host", "reg.test");
        for bad in ["", "2, 2", "2,", "+2", "-2", "0x2", "2.0", "1_0", "2 2", "9223372036854775808"] {
            assert!(framing(&[host, ("Content-Length", bad)], "").is_err(), "{bad:?}");
        }
        for good in ["0", "010", "9223372036854775807"] {
            assert_eq!(framing(&[host, ("Content-Length", good)], ""), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn only_the_methods_of_a_registry_are_known() {
        for (name, known) in [("GET", true), ("PATCH", true), ("OPTIONS", true), ("TRACE", false), ("get", false)] {
            let method = Method::from_bytes(name.as_bytes()).expect("a token");
            assert_eq!(check_method(&method).is_ok(), known, "{name}");
        }
    }

    #[test]
    fn a_line_ended_by_a_bare_line_feed_is_refused() {
        let host = ("Host", "reg.test");
        assert!(framing(&[host], "GET / HTTP/1.1\r\nX: y\n\r\n").is_err());
        assert!(framing(&[host], "GET / HTTP/1.1\r\nX: y\r\n\r\n").is_ok());
    }

    #[test]
    fn host_must_name_one_host() {
        for bad in [
            "",
            "a@reg.test",
            "reg.test, evil.test",
            "reg.test,evil.test",
            "reg.test;a",
            "(a)",
            "a%2e",
            "a b",
            "a:b",
            "a:",
            "a:+1",
            ":443",
            "a:1:2",
            "a/b",
            "[::1",
            "[]",
            "[a]",
            "[::1]a",
            "[::1]:",
            "::1",
            "a:99999",
        ] {
            let mut request = request(&[]);
            request.append_header("Host", bad).expect("a header");
            assert!(check_framing(&request, b"GET / HTTP/1.1\r\n").is_err(), "{bad:?}");
        }
        for good in ["reg.test", "reg.test:5043", "127.0.0.1:1", "[::1]", "[::1]:5043", "a_b"] {
            let mut request = request(&[]);
            request.append_header("Host", good).expect("a header");
            assert_eq!(check_framing(&request, b"GET / HTTP/1.1\r\n"), Ok(()), "{good:?}");
        }
        assert!(framing(&[], "GET / HTTP/1.1\r\n\r\n").is_err());
        assert!(framing(&[], "").is_err(), "neither Host nor :authority");
        assert!(framing(&[("Host", "a"), ("Host", "a")], "GET / HTTP/1.1\r\n\r\n").is_err());
    }

    #[test]
    fn only_a_plain_path_is_a_target() {
        for bad in [
            "",
            "*",
            "reg.test:443",
            "https://reg.test/v2/",
            " /v2/",
            "/v2/\0",
            "/v2/%00",
            "/v2/a%2fb/tags/list",
            "/v2/ canary",
            "/v2/#a",
            "/v2/?a#b",
        ] {
            assert!(Target::read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Target::read(b"/v2/\xff").is_err() && Target::read(b"/v2/?\xff").is_err());
        assert_eq!(Target::read(b"/v2/?n=%2f"), Ok(Target::Api(Ok(Route::Base))));
        assert_eq!(Target::read(b"/?u=/v2/"), Ok(Target::Elsewhere));
    }
}
