//! What is stripped from a request, what is set, and what every answer carries.

use std::net::IpAddr;

use http::HeaderName;
use http::header::{AUTHORIZATION, FORWARDED, HOST, HeaderValue, STRICT_TRANSPORT_SECURITY, TRANSFER_ENCODING};
use lockgate_oci::{API_VERSION, API_VERSION_HEADER};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

/// What only a proxy may say. A client that says it is a stranger claiming to be one.
const STRANGERS_CLAIMS: [&str; 20] = [
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-prefix",
    "x-forwarded-user",
    "x-forwarded-scheme",
    "x-forwarded-ssl",
    "x-scheme",
    "x-url-scheme",
    "front-end-https",
    "x-client-ip",
    "true-client-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-remote-user",
    "remote-user",
    "proxy",
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Prepares a request for the upstream: forwarding headers as the nginx of the seeds sets them, and
/// nothing that a stranger claims. `Host` stays as the client sent it, with its port: registries build
/// their `Location`s from it. A client of HTTP/1.0 that sent none gets `host`, the upstream's own name.
pub(crate) fn forward(
    request: &mut RequestHeader,
    client: Option<IpAddr>,
    keep_authorization: bool,
    host: &HeaderValue,
) -> Result<()> {
    if !request.headers.contains_key(HOST) {
        request.insert_header(HOST, host)?;
    }
    strip_strangers_claims(request);
    if !keep_authorization {
        request.remove_header(&AUTHORIZATION);
    }
    if let Some(client) = client.map(|ip| ip.to_canonical().to_string()) {
        let forwarded_for = appended(request, &client);
        request.insert_header(X_FORWARDED_FOR, forwarded_for)?;
        request.insert_header("X-Real-IP", client)?;
    }
    request.insert_header("X-Forwarded-Proto", "https")
}

/// Underscores are dropped with it, as nginx does: many a server reads `X_Forwarded_Proto` and
/// `X-Forwarded-Proto` as one variable.
fn strip_strangers_claims(request: &mut RequestHeader) {
    let is_claim = |name: &HeaderName| {
        name == FORWARDED || name.as_str().contains('_') || STRANGERS_CLAIMS.contains(&name.as_str())
    };
    let claims: Vec<HeaderName> = request.headers.keys().filter(|name| is_claim(name)).cloned().collect();
    for name in claims {
        request.remove_header(&name);
    }
}

/// `X-Forwarded-For` as it came, with the client's address behind it.
fn appended(request: &RequestHeader, client: &str) -> HeaderValue {
    let mut hops = Vec::new();
    for value in request.headers.get_all(X_FORWARDED_FOR) {
        hops.extend_from_slice(value.as_bytes());
        hops.extend_from_slice(b", ");
    }
    hops.extend_from_slice(client.as_bytes());
    // Header values joined by ", " and an IP address are again a header value.
    HeaderValue::from_bytes(&hops).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Prepares an upstream's answer for the client; `hsts` as in [`sign`].
pub(crate) fn give_back(response: &mut ResponseHeader, hsts: Option<&HeaderValue>) -> Result<()> {
    // It is about the upstream's connection, and the client has one of its own (RFC 9110, 7.6.1).
    response.remove_header("Keep-Alive");
    sign(response, hsts)
}

/// For a client that knows no chunks (HTTP/1.0): the end of the connection then ends the body. Says
/// whether it has to.
pub(crate) fn unchunk(response: &mut ResponseHeader) -> bool {
    response.remove_header(&TRANSFER_ENCODING).is_some()
}

/// Every answer says that a registry speaks, and for how long only https is to be spoken with it
/// (`hsts`), each once, whatever the upstream said.
pub(crate) fn sign(response: &mut ResponseHeader, hsts: Option<&HeaderValue>) -> Result<()> {
    if let Some(hsts) = hsts {
        response.insert_header(STRICT_TRANSPORT_SECURITY, hsts)?;
    }
    response.insert_header(API_VERSION_HEADER, API_VERSION)
}

/// Does the request name this machine itself? What is then said of the host holds for every other
/// program that listens there, on whatever port.
pub(crate) fn is_for_localhost(request: &RequestHeader) -> bool {
    let header = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = header.or_else(|| request.uri.authority().map(|authority| authority.as_str()));
    let host = authority.map_or("", |authority| authority.split(':').next().unwrap_or_default());
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST_OF_UPSTREAM: HeaderValue = HeaderValue::from_static("registry:5000");

    fn forwarded(headers: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/v2/", None).expect("a request");
        for (name, value) in headers {
            request.append_header(*name, *value).expect("a header");
        }
        forward(&mut request, Some("192.0.2.7".parse().expect("an address")), false, &HOST_OF_UPSTREAM)
            .expect("forwarded");
        request
    }

    fn value<'a>(request: &'a RequestHeader, name: &str) -> Vec<&'a str> {
        request.headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
    }

    #[test]
    fn the_client_s_address_is_appended_and_its_claims_are_overwritten() {
        let request = forwarded(&[
            ("X-Forwarded-For", "10.0.0.1"),
            ("X-Forwarded-For", "10.0.0.2"),
            ("X-Real-IP", "10.9.9.9"),
            ("X-Forwarded-Proto", "http"),
        ]);
        assert_eq!(value(&request, "x-forwarded-for"), ["10.0.0.1, 10.0.0.2, 192.0.2.7"]);
        assert_eq!(value(&request, "x-real-ip"), ["192.0.2.7"]);
        assert_eq!(value(&request, "x-forwarded-proto"), ["https"]);
    }

    #[test]
    fn what_only_a_proxy_may_say_is_dropped_in_every_spelling() {
        let request = forwarded(&[
            ("X-Forwarded-Host", "evil.test"),
            ("Forwarded", "for=1.2.3.4"),
            ("X_Forwarded_Proto", "http"),
            ("X_Remote_User", "root"),
            ("X-Remote-User", "root"),
            ("Proxy", "http://evil.test"),
            ("Authorization", "Basic YTpi"),
            ("Accept", "*/*"),
        ]);
        let mut names: Vec<_> = request.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "host", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"]);
    }

    #[test]
    fn every_request_names_one_host() {
        assert_eq!(value(&forwarded(&[("Host", "reg.test:5043")]), "host"), ["reg.test:5043"]);
        assert_eq!(value(&forwarded(&[]), "host"), ["registry:5000"]);
    }

    #[test]
    fn authorization_goes_on_only_where_it_is_configured() {
        let mut request = RequestHeader::build("GET", b"/v2/", None).expect("a request");
        request.append_header("Authorization", "Basic YTpi").expect("a header");
        forward(&mut request, None, true, &HOST_OF_UPSTREAM).expect("forwarded");
        assert!(request.headers.contains_key(AUTHORIZATION));
    }

    #[test]
    fn an_answer_is_given_back_without_what_concerns_the_upstream_s_connection() {
        let mut response = ResponseHeader::build(200, None).expect("a response");
        response.append_header("Keep-Alive", "timeout=5").expect("a header");
        response.append_header("Transfer-Encoding", "chunked").expect("a header");
        give_back(&mut response, None).expect("given back");
        assert!(!response.headers.contains_key("keep-alive"));
        assert!(unchunk(&mut response) && !response.headers.contains_key(TRANSFER_ENCODING));
        assert!(!unchunk(&mut response));
    }

    #[test]
    fn an_answer_is_signed_once() {
        let mut response = ResponseHeader::build(200, None).expect("a response");
        response.append_header(API_VERSION_HEADER, "registry/1.0").expect("a header");
        response.append_header(API_VERSION_HEADER, "registry/2.0").expect("a header");
        sign(&mut response, None).expect("signed");
        assert_eq!(response.headers.get_all(API_VERSION_HEADER).iter().collect::<Vec<_>>(), ["registry/2.0"]);
    }

    #[test]
    fn localhost_is_known_by_its_names_of_rfc_6761_with_and_without_a_port() {
        let is_local = |host: &'static str| {
            let mut request = RequestHeader::build("GET", b"/v2/", None).expect("a request");
            request.append_header("Host", host).expect("a header");
            is_for_localhost(&request)
        };
        for host in ["localhost", "localhost:5043", "LocalHost.", "registry.localhost:5043"] {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["registry.example.com", "localhost.example.com:5043", "mylocalhost", "127.0.0.1:5043", "[::1]:5043"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}
