//! What RFC 9113 calls malformed and the h2 crate lets through. Such a request is reset
//! (8.1.1): it is nobody's to read.

use http::Request;

/// The rule that a request breaks, if it breaks one.
pub(super) fn broken_rule<B>(request: &Request<B>) -> Option<&'static str> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if request.uri().path_and_query().is_none_or(|target| target.as_str().is_empty()) && request.method() != "CONNECT" {
        return Some(":path must not be missing (8.3.1)");
    }
    let has_margin = |value: &[u8]| is_blank(value.first()) || is_blank(value.last());
    if request.headers().values().any(|value| has_margin(value.as_bytes())) {
        return Some("a field value must not begin or end with white space (8.2.1)");
    }
    // The `http` crate takes it; over HTTP/1.1 it would be no name to the upstream.
    if request.headers().keys().any(|name| name.as_str().contains('"')) {
        return Some("a field name is a token (RFC 9110, 5.1)");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, value: &[u8]) -> Request<()> {
        Request::builder().uri(uri).header("x", value).body(()).expect("a request")
    }

    #[test]
    fn a_plain_request_is_well_formed() {
        assert_eq!(broken_rule(&request("https://registry.test/v2/", b"a b")), None);
        assert_eq!(broken_rule(&request("/v2/", b"")), None);
    }

    #[test]
    fn a_quotation_mark_in_a_name_is_malformed() {
        // As the h2 crate reads it.
        let name = http::HeaderName::from_lowercase(b"x\"").expect("a name to the `http` crate");
        let mut request = Request::builder().uri("/v2/").body(()).expect("a request");
        request.headers_mut().insert(name, http::HeaderValue::from_static("a"));
        assert!(broken_rule(&request).is_some());
    }

    #[test]
    fn white_space_around_a_value_and_a_missing_path_are_malformed() {
        for value in [&b" a"[..], b"a ", b"\ta", b"a\t", b" "] {
            assert!(broken_rule(&request("/v2/", value)).is_some(), "{value:?}");
        }
        assert!(broken_rule(&request("registry.test", b"a")).is_some());
    }
}
