//! What the answers below `/v2/` have in common, whoever gives them.

use std::time::SystemTime;

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, DATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::OciError;

/// What `Docker-Distribution-Api-Version` says: that a client speaks to a registry.
pub const API_VERSION: &str = "registry/2.0";

/// A manifest is served under a type of its pusher's choice, so that a browser must do nothing with it: not guess
/// that it is a page, run no script of it ([CSP, sandbox]), and let no page frame or embed it.
///
/// [CSP, sandbox]: https://www.w3.org/TR/CSP3/#directive-sandbox
const ON_EVERY_ANSWER: [(HeaderName, &str); 4] = [
    (HeaderName::from_static("docker-distribution-api-version"), API_VERSION),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Sets what every answer below `/v2/` carries, each header once, in place of any that stands there; and dates it,
/// unless it is ([RFC 9110, 6.6.1]): not every server does, nor does HTTP/2.
///
/// [RFC 9110, 6.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1
pub fn set_common_headers(headers: &mut HeaderMap) {
    for (name, value) in ON_EVERY_ANSWER {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(DATE).or_insert_with(|| {
        let date = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now()));
        date.expect("a date is ASCII")
    });
}

impl OciError {
    /// The refusal as the bytes of a whole HTTP/1.1 answer that ends its connection ([RFC 9112]), for a request
    /// that no service saw. `more` are headers beside those of every answer. What answers HEAD has no content
    /// ([RFC 9110, 9.3.2]), only its length.
    ///
    /// [RFC 9112]: https://www.rfc-editor.org/rfc/rfc9112
    /// [RFC 9110, 9.3.2]: https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2
    pub fn on_the_wire(&self, is_head: bool, more: &[(HeaderName, HeaderValue)]) -> Vec<u8> {
        let body = self.to_json();
        let mut headers = HeaderMap::new();
        set_common_headers(&mut headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(Self::CONTENT_TYPE));
        headers.insert(CONTENT_LENGTH, body.len().into());
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.extend(more.iter().cloned());
        let mut answer = format!("HTTP/1.1 {}\r\n", self.status()).into_bytes();
        for (name, value) in &headers {
            answer.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        answer.extend_from_slice(b"\r\n");
        if !is_head {
            answer.extend_from_slice(&body);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorCode;

    #[test]
    fn an_answer_is_signed_once_whatever_it_said_before() {
        let mut headers = HeaderMap::new();
        for _ in 0..2 {
            headers.append("docker-distribution-api-version", HeaderValue::from_static("registry/1.0"));
            headers.append(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src *"));
        }
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        set_common_headers(&mut headers);
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "content-security-policy: default-src 'none'; frame-ancestors 'none'; sandbox",
                "cross-origin-resource-policy: same-origin",
                "date: Sun, 06 Nov 1994 08:49:37 GMT",
                "docker-distribution-api-version: registry/2.0",
                "x-content-type-options: nosniff",
            ]
        );
    }

    #[test]
    fn a_refusal_on_the_wire_is_a_whole_answer_and_for_head_its_header() {
        let error = OciError::new(ErrorCode::Unavailable, "nobody there");
        let hsts = (http::header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=60"));
        let answer = String::from_utf8(error.on_the_wire(false, &[hsts])).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an empty line");
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
        assert!(body.starts_with(r#"{"errors":[{"code":"UNAVAILABLE""#), "{body}");
        for field in [
            &format!("content-length: {}", body.len()),
            "content-type: application/json; charset=utf-8",
            "connection: close",
            "docker-distribution-api-version: registry/2.0",
            "x-content-type-options: nosniff",
            "strict-transport-security: max-age=60",
        ] {
            assert!(head.lines().any(|line| line == field), "{field}: {head}");
        }
        let date = head.lines().find_map(|line| line.strip_prefix("date: ")).expect("a date");
        assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
        let to_head = String::from_utf8(error.on_the_wire(true, &[])).expect("text");
        assert!(to_head.ends_with("\r\n\r\n") && to_head.contains(&format!("content-length: {}\r\n", body.len())));
    }
}
