//! What a browser must not do with a registry. It shows what somebody pushed on the registry's own origin, it keeps a
//! password for good that it asked for by itself, and it sends that password along with what any other site has it ask.
//!
//! Browsers say what they ask for in `Sec-Fetch-*` ([Fetch Metadata]), which no page can set and no client of registries
//! sends.
//!
//! [Fetch Metadata]: https://www.w3.org/TR/fetch-metadata/

use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, VARY};
use http::{HeaderMap, HeaderName, Response, StatusCode};
use lockgate_oci::{Action, ErrorCode, OciError};

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Parts of the media types that a browser shows as a page, or that a page takes as a script or a style.
const RUNNING_TYPES: [&str; 7] = ["html", "xml", "svg", "xsl", "script", "css", "mixed-replace"];

/// Whether a browser asks. It is never asked for a password by Basic: it would show a prompt of its own, and keep the
/// password until it is closed, whoever logs out.
pub(super) fn is_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(SEC_FETCH_MODE)
}

/// Refuses what another site has a browser ask for: it would be done with the password that the browser keeps.
///
/// # Errors
/// 403.
pub(super) fn check_site(headers: &HeaderMap) -> Result<(), OciError> {
    let is_own = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    if headers.get_all(SEC_FETCH_SITE).iter().all(is_own) {
        return Ok(());
    }
    Err(OciError::new(ErrorCode::Denied, "a page of another site may ask nothing of this registry"))
}

/// Makes of a blob something that is kept and not shown, under whatever type the registry serves it: some take the one
/// that a manifest gives.
pub(super) fn disarm<B>(action: &Action, answer: &mut Response<B>) {
    if !matches!(action, Action::PullBlob(..)) || !shows_content(answer.status()) {
        return;
    }
    let headers = answer.headers_mut();
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    if headers.get_all(CONTENT_TYPE).iter().any(runs) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    }
}

/// With a 304 a browser writes the type anew that it has kept (RFC 9111, 3.2).
fn shows_content(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::NOT_MODIFIED
}

fn runs(media_type: &HeaderValue) -> bool {
    let media_type = media_type.as_bytes().to_ascii_lowercase();
    let media_type = String::from_utf8_lossy(&media_type);
    RUNNING_TYPES.iter().any(|part| media_type.contains(part))
}

/// Says that an answer is for whoever asked: a browser keeps blobs for a year, and is shared.
pub(super) fn vary_by_user(headers: &mut HeaderMap) {
    let says_so = |value: &HeaderValue| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"authorization"))
    };
    if !headers.get_all(VARY).iter().any(says_so) {
        headers.append(VARY, HeaderValue::from_static("Authorization"));
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).fold(
            HeaderMap::new(),
            |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            },
        )
    }

    #[test]
    fn another_site_may_ask_nothing() {
        for own in [&[][..], &[("sec-fetch-site", "none")], &[("sec-fetch-site", "same-origin")]] {
            check_site(&headers(own)).expect("a client, a person or a page of ours");
        }
        for other in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-origin, cross-site")],
        ] {
            let refusal = check_site(&headers(other)).expect_err("another site");
            assert_eq!((refusal.status(), refusal.code()), (StatusCode::FORBIDDEN, ErrorCode::Denied));
        }
    }

    #[test]
    fn a_browser_says_so() {
        assert!(is_browser(&headers(&[("sec-fetch-mode", "cors")])) && !is_browser(&HeaderMap::new()));
    }

    fn answered(target: &str, status: u16, media_type: &'static str) -> HeaderMap {
        let action = Action::parse(&Method::GET, target, None).expect("an action");
        let mut answer = Response::builder().status(status).header(CONTENT_TYPE, media_type).body(()).expect("one");
        disarm(&action, &mut answer);
        answer.into_parts().0.headers
    }

    const BLOB: &str = "/v2/a/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_blob_is_kept_and_not_shown_and_has_no_type_that_runs() {
        for runs in [
            "text/html",
            "TEXT/HTML; charset=utf-8",
            "application/xhtml+xml",
            "image/svg+xml",
            "text/xml",
            "application/json, text/html",
            "text/javascript",
            "application/ecmascript",
            "text/css",
            "multipart/x-mixed-replace; boundary=x",
        ] {
            let headers = answered(BLOB, 200, runs);
            assert_eq!(headers[CONTENT_TYPE], "application/octet-stream", "{runs}");
            assert_eq!(headers[CONTENT_DISPOSITION], "attachment");
            assert_eq!(answered(BLOB, 304, runs)[CONTENT_TYPE], "application/octet-stream");
        }
        for rests in ["application/vnd.oci.image.layer.v1.tar+gzip", "multipart/byteranges; boundary=x", "text/plain"] {
            assert_eq!(answered(BLOB, 206, rests)[CONTENT_TYPE], rests);
        }
    }

    #[test]
    fn what_is_no_blob_keeps_its_type() {
        for (target, status) in [("/v2/a/manifests/v1", 200), (BLOB, 404), (BLOB, 307)] {
            let headers = answered(target, status, "text/html");
            assert_eq!(headers[CONTENT_TYPE], "text/html", "{target}");
            assert!(!headers.contains_key(CONTENT_DISPOSITION));
        }
    }

    #[test]
    fn an_answer_varies_by_user_beside_what_it_varies_by() {
        for (before, after) in [
            (&[][..], &["Authorization"][..]),
            (&[("vary", "Accept, Accept-Encoding")], &["Accept, Accept-Encoding", "Authorization"]),
            (&[("vary", "Accept, authorization")], &["Accept, authorization"]),
            (&[("vary", "*")], &["*"]),
        ] {
            let mut headers = headers(before);
            vary_by_user(&mut headers);
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), after);
        }
    }
}
