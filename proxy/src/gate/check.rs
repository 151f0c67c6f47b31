//! What of a request is refused before anybody asks who it is.

use std::net::Ipv6Addr;

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING};
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use lockgate_oci::{ErrorCode, OciError, Route};

use super::headers::is_chunked;
use crate::config::Limits;
use crate::refusal::{self, malformed};

/// Refuses what RFC 9112 forbids and hyper lets through: a body's length that not every reader reads alike, or a
/// header that does not mean the same to all. What only the bytes tell the listener has refused.
///
/// # Errors
/// 400 with the rule that was broken. The connection must be closed: where its next request begins is
/// unknown.
pub(crate) fn check_framing<B>(request: &Request<B>) -> Result<(), OciError> {
    let headers = request.headers();
    if headers.contains_key(TRANSFER_ENCODING) && !is_chunked(headers) {
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
    check_connection(headers)?;
    check_host(request)
}

/// What `Connection` names goes no further (RFC 9110, 7.6.1): it may name neither what every request needs nor what
/// the gate says itself.
fn check_connection(headers: &HeaderMap) -> Result<(), OciError> {
    const NEVER: [&str; 6] = ["host", "if-match", "if-none-match", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"];
    const MOST: usize = 64;
    let values = headers.get_all(CONNECTION).iter();
    let mut options = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let is_never = |option: &[u8]| NEVER.iter().any(|name| option.eq_ignore_ascii_case(name.as_bytes()));
    // hyper passes over a value with other bytes, and the client would wait for a close.
    let is_text = headers.get_all(CONNECTION).iter().all(|value| value.to_str().is_ok());
    if !is_text || options.by_ref().take(MOST).any(is_never) || options.next().is_some() {
        return Err(malformed("Connection names fields of the connection only, and few (RFC 9110, 7.6.1)"));
    }
    Ok(())
}

/// Exactly one Host that names one host (RFC 9112, 3.2). A target in absolute form names the same one (3.2.2), and so
/// does `:authority`, which stands for it in HTTP/2 (RFC 9113, 8.3.1).
fn check_host<B>(request: &Request<B>) -> Result<(), OciError> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, another) = (hosts.next().map(|host| host.to_str().unwrap_or_default()), hosts.next());
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let named = match (request.version(), host, authority) {
        _ if another.is_some() => return Err(malformed("Host stands more than once (RFC 9112, 3.2)")),
        (Version::HTTP_2, Some(host), Some(authority)) if host != authority => {
            return Err(malformed("it must name one host: :authority and host must not differ (RFC 9113, 8.3.1)"));
        }
        (_, Some(host), Some(authority)) if !is_same_host(host, authority) => {
            return Err(malformed("it must name one host: Host and its target must not differ (RFC 9112, 3.2.2)"));
        }
        (Version::HTTP_10, None, None) => return Ok(()),
        (Version::HTTP_11, None, _) => return Err(malformed("Host is missing (RFC 9112, 3.2)")),
        (_, host, authority) => host.or(authority),
    };
    let names_one = named.is_some_and(names_one_host);
    if names_one { Ok(()) } else { Err(malformed("Host must name one host, and its port (RFC 9110, 7.2)")) }
}

/// `uri-host [ ":" port ]` (RFC 9110, 7.2), where the host is an IP address or made of a domain name's
/// characters. The grammar has more for a name, as `a,b` and `a;b`, which some read as two.
fn names_one_host(text: &str) -> bool {
    let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let is_port = |port: &str| port.is_empty() || is_number(port);
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let has_good_end = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return has_good_end && address.parse::<Ipv6Addr>().is_ok();
    }
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && name.bytes().all(is_of_name) && port.is_none_or(is_port)
}

/// Whether two authorities name one server of `https` (RFC 9110, 4.2.3).
fn is_same_host(one: &str, other: &str) -> bool {
    let without_default_port = |authority: &str| {
        let port = authority.strip_suffix(":443").or_else(|| authority.strip_suffix(':'));
        port.unwrap_or(authority).to_ascii_lowercase()
    };
    without_default_port(one) == without_default_port(other)
}

/// A number of bytes that every reader reads alike.
pub(super) fn is_length(value: &[u8]) -> bool {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    is_number && std::str::from_utf8(value).is_ok_and(|digits| digits.parse::<i64>().is_ok())
}

/// Refuses a header over the budgets. Of an HTTP/1.1 request they were seen to while it was read; of an
/// HTTP/2 one the size is that of its fields, unpacked (RFC 9113, 6.5.2).
///
/// # Errors
/// 431 (RFC 6585, 5).
pub(super) fn check_header_size<B>(request: &Request<B>, limits: &Limits) -> Result<(), OciError> {
    const FIELD: usize = 32;
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let pseudo_fields = [request.method().as_str().len(), target];
    let size: usize = pseudo_fields.into_iter().chain(fields).map(|bytes| FIELD + bytes).sum();
    if size > limits.header_size.get() {
        return Err(refusal::header_too_large(limits.header_size.get()));
    }
    if request.headers().len() > limits.header_count.get() {
        return Err(refusal::too_many_fields(limits.header_count.get()));
    }
    Ok(())
}

/// Refuses methods that no registry has. TRACE would send the credentials back to whoever can make a
/// browser ask (RFC 9110, 9.3.8).
///
/// # Errors
/// 501 (RFC 9110, 9.1); 405 for CONNECT, which everybody knows.
pub(super) fn check_method(method: &Method) -> Result<(), OciError> {
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

/// Whether a request is for a path below the registry API, by its target in origin or absolute form (RFC 9112, 3.2).
/// An absolute one is of `https`: what `http` names is another resource (RFC 9110, 4.2.2), and is not served here.
///
/// # Errors
/// 400 for other forms, for bytes that no target has, and for a path with escapes: no name, tag or digest
/// needs one, and a path that two readers decode differently is how a guard is walked around.
pub(crate) fn is_for_the_registry<B>(request: &Request<B>) -> Result<bool, OciError> {
    let uri = request.uri();
    // In HTTP/2 scheme and authority are fields of their own.
    let is_ours = request.version() == Version::HTTP_2 || uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTPS);
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if !is_ours || !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed(
            "its target must be a path in ASCII, without a fragment, or https://, Host and the path (RFC 9112, 3.2)",
        ));
    }
    if uri.path().contains(['%', '\\']) {
        return Err(malformed("the path of a registry end-point holds no escapes and no special characters"));
    }
    Ok(Route::is_api_path(uri.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::post("/v2/a/blobs/uploads/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    fn framing(headers: &[(&str, &str)]) -> Result<(), OciError> {
        check_framing(&request(headers))
    }

    fn target(text: &str) -> Result<bool, OciError> {
        let uri = text.parse().map_err(|_| malformed("no target at all"))?;
        let mut request = request(&[]);
        *request.uri_mut() = uri;
        is_for_the_registry(&request)
    }

    #[test]
    fn one_way_to_tell_the_length_is_accepted() {
        let host = ("Host", "reg.test:5043");
        assert_eq!(framing(&[host, ("Content-Length", "2")]), Ok(()));
        assert_eq!(framing(&[host, ("Transfer-Encoding", "Chunked")]), Ok(()));
    }

    #[test]
    fn two_ways_to_tell_the_length_are_refused() {
        let host = ("Host", "reg.test");
        let chunked = ("Transfer-Encoding", "chunked");
        assert!(framing(&[host, chunked, chunked]).is_err());
        assert!(framing(&[host, ("Transfer-Encoding", "gzip, chunked")]).is_err());
        assert!(framing(&[host, ("Content-Length", "2"), ("Content-Length", "2")]).is_err());
        assert!(framing(&[host, ("Content-Length", "2, 2")]).is_err());
    }

    #[test]
    fn a_length_is_digits_and_nothing_else() {
        let host = ("Host", "reg.test");
        for bad in ["", "2, 2", "2,", "+2", "-2", "0x2", "2.0", "1_0", "2 2", "9223372036854775808"] {
            assert!(framing(&[host, ("Content-Length", bad)]).is_err(), "{bad:?}");
        }
        for good in ["0", "010", "9223372036854775807"] {
            assert_eq!(framing(&[host, ("Content-Length", good)]), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn connection_takes_nothing_away_that_the_gate_says() {
        let host = ("Host", "reg.test");
        for bad in ["Host", "close, If-None-Match", "if-match", "X-Real-IP,close"] {
            assert!(framing(&[host, ("Connection", bad)]).is_err(), "{bad}");
        }
        assert_eq!(framing(&[host, ("Connection", "close, X-Hop")]), Ok(()));
    }

    #[test]
    fn only_the_methods_of_a_registry_are_known() {
        for (name, known) in [("GET", true), ("PATCH", true), ("OPTIONS", true), ("TRACE", false), ("get", false)] {
            let method = Method::from_bytes(name.as_bytes()).expect("a token");
            assert_eq!(check_method(&method).is_ok(), known, "{name}");
        }
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
            "a:+1",
            ":443",
            ":",
            "a:1:2",
            "a::",
            "a/b",
            "[::1",
            "[]",
            "[a]",
            "[::1]a",
            "::1",
            "a:99999",
        ] {
            assert!(framing(&[("Host", bad)]).is_err(), "{bad:?}");
        }
        for good in ["reg.test", "reg.test:5043", "127.0.0.1:1", "[::1]", "[::1]:5043", "a_b", "a:", "[::1]:"] {
            assert_eq!(framing(&[("Host", good)]), Ok(()), "{good:?}");
        }
        assert!(framing(&[]).is_err());
        assert!(framing(&[("Host", "a"), ("Host", "a")]).is_err());
    }

    #[test]
    fn over_http_2_authority_stands_for_host_and_may_not_differ_from_it() {
        let framing = |headers: &[(&str, &str)], uri: &'static str| {
            let mut request = request(headers);
            *request.version_mut() = Version::HTTP_2;
            *request.uri_mut() = uri.parse().expect("a target");
            check_framing(&request)
        };
        assert!(framing(&[], "https://reg.test/v2/").is_ok());
        assert!(framing(&[("Host", "reg.test")], "https://reg.test/v2/").is_ok());
        assert!(framing(&[("Host", "reg.test")], "/v2/").is_ok());
        assert!(framing(&[("Host", "evil.test")], "https://reg.test/v2/").is_err());
        assert!(framing(&[], "/v2/").is_err());
    }

    #[test]
    fn only_a_plain_path_is_a_target() {
        for bad in [
            "",
            "*",
            "reg.test:443",
            "http://reg.test/v2/",
            "ftp://reg.test/v2/",
            "https://reg.test/v2/%00",
            " /v2/",
            "/v2/\0",
            "/v2/%00",
            "/v2/a%2fb/tags/list",
            "/v2/ canary",
        ] {
            assert!(target(bad).is_err(), "{bad}");
        }
        assert!(target("/v2/\u{e9}").is_err() && target("/v2/?\u{e9}").is_err());
        assert_eq!(target("/v2/?n=%2f"), Ok(true));
        assert_eq!(target("/?u=/v2/"), Ok(false));
        assert_eq!(target("https://reg.test/v2/?n=%2f"), Ok(true));
        assert_eq!(target("https://reg.test"), Ok(false));
    }

    #[test]
    fn an_absolute_target_names_the_host_that_host_names() {
        let framing = |target: &str, headers: &[(&str, &str)], version| {
            let mut request = request(headers);
            *request.uri_mut() = target.parse().expect("a target");
            *request.version_mut() = version;
            check_framing(&request)
        };
        let target = "https://reg.test:443/v2/";
        for host in ["reg.test:443", "reg.test", "Reg.Test:", "REG.TEST"] {
            assert_eq!(framing(target, &[("Host", host)], Version::HTTP_11), Ok(()), "{host}");
        }
        for host in ["evil.test", "reg.test:5043", "reg.test:80", "xreg.test", ""] {
            assert!(framing(target, &[("Host", host)], Version::HTTP_11).is_err(), "{host}");
        }
        assert!(framing(target, &[], Version::HTTP_11).is_err());
        assert_eq!(framing(target, &[], Version::HTTP_10), Ok(()));
        let with_user = "https://a@reg.test/v2/";
        for headers in [&[("Host", "reg.test")][..], &[("Host", "a@reg.test")], &[]] {
            assert!(framing(with_user, headers, Version::HTTP_10).is_err(), "{headers:?}");
        }
    }
}
