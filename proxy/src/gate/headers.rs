//! What is stripped from a request, what is set, and what every answer carries.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderValue, STRICT_TRANSPORT_SECURITY, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, Request, Response, Uri, Version};

use super::browser;
use super::trusted_proxies::X_FORWARDED_FOR;
use crate::client::Client;
use crate::refusal::OwnFields;

/// What only a proxy may say. A client that says it is a stranger claiming to be one.
const STRANGERS_CLAIMS: [&str; 19] = [
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
];

/// The digest of a manifest, as registries tell it.
pub(super) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What is about one connection and goes no further (RFC 9110, 7.6.1), beside what `Connection` names. The framing is
/// made anew by whoever sends on.
static HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Prepares a request for the upstream: forwarding headers as nginx in front of a registry is told to set them, and
/// nothing that a stranger claims. `Host` stays as the client sent it, with its port: registries build
/// their `Location`s from it. A client of HTTP/1.0 that sent none gets `host`, the upstream's own name.
///
/// `Expect` goes no further: whether the client may send its body was decided here. In `user_header` stands who asks, and
/// for nobody it stands not at all.
pub(super) fn forward<B>(
    request: &mut Request<B>,
    client: &Client,
    keep_authorization: bool,
    host: &HeaderValue,
    user_header: Option<(&HeaderName, Option<&str>)>,
) {
    name_host(request, host);
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    strip_hop_by_hop(headers);
    strip_strangers_claims(headers);
    headers.remove(EXPECT);
    if !keep_authorization {
        headers.remove(AUTHORIZATION);
    }
    headers.insert(X_FORWARDED_FOR, client.ip_value().clone());
    headers.insert(X_REAL_IP, client.ip_value().clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    if let Some((name, user)) = user_header {
        // Its other spellings are gone: those with `_`.
        headers.remove(name);
        // A user's name has no control characters.
        if let Some(user) = user.and_then(|user| HeaderValue::from_bytes(user.as_bytes()).ok()) {
            headers.insert(name, user);
        }
    }
}

/// In HTTP/2 the host stands in the target, and over HTTP/1.1 in one that has the absolute form.
fn name_host<B>(request: &mut Request<B>, host: &HeaderValue) {
    let authority = request.uri().authority().and_then(|authority| HeaderValue::try_from(authority.as_str()).ok());
    request.headers_mut().entry(HOST).or_insert_with(|| authority.unwrap_or_else(|| host.clone()));
    if request.uri().authority().is_some() {
        let target = request.uri().path_and_query().cloned();
        *request.uri_mut() = target.map_or_else(Uri::default, Uri::from);
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    while let Some(named) = headers.get(CONNECTION).cloned() {
        headers.remove(CONNECTION);
        for name in named.as_bytes().split(|byte| *byte == b',') {
            if let Ok(name) = HeaderName::from_bytes(name.trim_ascii())
                && name != HOST
                && name != CONTENT_LENGTH
            {
                headers.remove(name);
            }
        }
    }
    strip(headers, |name| HOP_BY_HOP.contains(name));
}

/// What is for a proxy is dropped with it (RFC 9110, 11.7), and what has an underscore, as nginx does: many a server
/// reads `X_Forwarded_Proto` and `X-Forwarded-Proto` as one variable.
fn strip_strangers_claims(headers: &mut HeaderMap) {
    strip(headers, |name| {
        name == FORWARDED
            || name.as_str().contains('_')
            || name.as_str().starts_with("proxy")
            || STRANGERS_CLAIMS.contains(&name.as_str())
    });
}

/// Mostly there is none: to look at each name that is there costs less than to look up each that might be.
fn strip(headers: &mut HeaderMap, is_meant: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| is_meant(name)).cloned() {
        headers.remove(name);
    }
}

/// Prepares an upstream's answer for a client that asks by `version`.
pub(super) fn give_back<B>(response: &mut Response<B>, version: Version) {
    let headers = response.headers_mut();
    let is_chunked = headers.contains_key(TRANSFER_ENCODING);
    strip_hop_by_hop(headers);
    if is_chunked {
        // It overrides a length (RFC 9112, 6.3), which the client is not to be told either.
        headers.remove(CONTENT_LENGTH);
    }
    *response.version_mut() = version;
}

/// Whether `Transfer-Encoding` stands once and says `chunked`, and nothing else.
pub(super) fn is_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let only = codings.next().filter(|_| codings.next().is_none());
    only.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// Every answer says that a registry speaks, that it does so to this user, and for how long only https is to be spoken
/// with it, each once, whatever the upstream said.
pub(super) fn set_common_headers(headers: &mut HeaderMap, own_fields: &OwnFields, is_for_localhost: bool) {
    lockgate_oci::set_common_headers(headers);
    browser::vary_by_user(headers);
    for (name, value) in own_fields.iter() {
        // What is said of localhost holds for every other program that listens there, on whatever port.
        if !(is_for_localhost && *name == STRICT_TRANSPORT_SECURITY) {
            headers.insert(name, value.clone());
        }
    }
}

/// The name of this machine itself (RFC 6761, 6.3).
const LOCALHOST: &[u8] = b"localhost";

/// Does the request name this machine itself?
pub(super) fn is_for_localhost<B>(request: &Request<B>) -> bool {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let authority = header.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let host = authority.map_or("", |authority| authority.split(':').next().unwrap_or_default());
    let host = host.strip_suffix('.').unwrap_or(host).as_bytes();
    let (sub_domain, name) = host.split_at(host.len().saturating_sub(LOCALHOST.len()));
    name.eq_ignore_ascii_case(LOCALHOST) && (sub_domain.is_empty() || sub_domain.ends_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST_OF_UPSTREAM: HeaderValue = HeaderValue::from_static("registry:5000");

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::get("/v2/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    fn forwarded(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = request(headers);
        forward(&mut request, &client(), false, &HOST_OF_UPSTREAM, None);
        request
    }

    fn client() -> Client {
        std::net::SocketAddr::from(([192, 0, 2, 7], 1)).into()
    }

    fn value<'a>(request: &'a Request<()>, name: &str) -> Vec<&'a str> {
        request.headers().get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
    }

    #[test]
    fn the_client_s_address_is_appended_and_its_claims_are_overwritten() {
        let request = forwarded(&[
            ("X-Forwarded-For", "10.0.0.1"),
            ("X-Forwarded-For", "10.0.0.2"),
            ("X-Real-IP", "10.9.9.9"),
            ("X-Forwarded-Proto", "http"),
        ]);
        assert_eq!(value(&request, "x-forwarded-for"), ["192.0.2.7"]);
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
        let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "host", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"]);
    }

    #[test]
    fn every_request_names_one_host() {
        assert_eq!(value(&forwarded(&[("Host", "reg.test:5043")]), "host"), ["reg.test:5043"]);
        assert_eq!(value(&forwarded(&[]), "host"), ["registry:5000"]);
    }

    #[test]
    fn what_is_about_the_clients_connection_goes_no_further() {
        let request = forwarded(&[
            ("Connection", "close, X-Mine"),
            ("X-Mine", "1"),
            ("Connection", "Host"),
            ("Host", "reg.test"),
            ("Keep-Alive", "timeout=5"),
            ("Upgrade", "h2c"),
            ("TE", "trailers"),
            ("Transfer-Encoding", "chunked"),
            ("Expect", "100-continue"),
        ]);
        let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["host", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"]);
    }

    #[test]
    fn over_http_2_the_host_of_the_target_is_named() {
        let mut request = Request::get("https://reg.test:5043/v2/?n=1").version(Version::HTTP_2).body(()).expect("one");
        forward(&mut request, &client(), false, &HOST_OF_UPSTREAM, None);
        assert_eq!(
            (value(&request, "host"), request.uri().to_string()),
            (vec!["reg.test:5043"], "/v2/?n=1".to_owned())
        );
    }

    #[test]
    fn authorization_goes_on_only_where_it_is_configured() {
        let mut request = request(&[("Authorization", "Basic YTpi")]);
        forward(&mut request, &client(), true, &HOST_OF_UPSTREAM, None);
        assert!(request.headers().contains_key(AUTHORIZATION));
    }

    #[test]
    fn the_registry_behind_is_told_who_asks_and_by_nobody_else() {
        for header in ["x-forwarded-user", "x-webauth-user"] {
            let told = |user, claims: &[(&str, &str)]| {
                let mut request = request(claims);
                let header = HeaderName::from_bytes(header.as_bytes()).expect("a name");
                forward(&mut request, &client(), false, &HOST_OF_UPSTREAM, Some((&header, user)));
                let named = request.headers().keys().filter(|name| name.as_str().contains("user")).count();
                assert!(named <= 1, "{:?}", request.headers());
                request.headers().get(header).map(|value| value.as_bytes().to_vec())
            };
            let (capitals, underscores) = (header.to_ascii_uppercase(), header.replace('-', "_"));
            let claims = [(header, "root"), (&*capitals, "root"), (&*underscores, "root"), ("Connection", header)];
            assert_eq!(told(Some("jürg"), &claims).as_deref(), Some("jürg".as_bytes()), "{header}");
            assert_eq!(told(None, &claims), None, "nobody is nobody");
        }
    }

    #[test]
    fn an_answer_is_given_back_without_what_concerns_the_upstream_s_connection() {
        let response = Response::builder().header("Keep-Alive", "timeout=5").header("Connection", "keep-alive");
        let response = response.header("Transfer-Encoding", "chunked").header("Content-Length", "4");
        let mut response = response.body(()).expect("a response");
        give_back(&mut response, Version::HTTP_11);
        assert!(response.headers().is_empty(), "{:?}", response.headers());
    }

    #[test]
    fn an_answer_is_signed_once_and_localhost_is_told_nothing_of_https() {
        let hsts = Some(HeaderValue::from_static("max-age=60"));
        let fields = crate::refusal::own_fields(hsts);
        let signed = |is_for_localhost| {
            let mut headers = HeaderMap::new();
            headers.append("docker-distribution-api-version", HeaderValue::from_static("registry/1.0"));
            headers.append("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
            set_common_headers(&mut headers, &fields, is_for_localhost);
            headers
        };
        let headers = signed(false);
        let versions: Vec<_> = headers.get_all("docker-distribution-api-version").iter().collect();
        assert_eq!(versions, ["registry/2.0"]);
        assert_eq!(headers[STRICT_TRANSPORT_SECURITY], "max-age=60");
        assert!(!signed(true).contains_key(STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn localhost_is_known_by_its_names_of_rfc_6761_with_and_without_a_port() {
        let is_local = |host: &str| is_for_localhost(&request(&[("Host", host)]));
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
