//! Refusals, and the words of those that the listener or several steps of the gate may have to say. How they reach a
//! client is the gate's and the listener's business.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY};
use lockgate_oci::{ErrorCode, NoAction, OciError};

/// What every answer carries by the configuration, whoever makes it.
pub(crate) type OwnFields = Arc<[(HeaderName, HeaderValue)]>;

/// `Strict-Transport-Security`, where it is said, beside what `oci` signs every answer with.
pub(crate) fn own_fields(hsts: Option<HeaderValue>) -> OwnFields {
    hsts.map(|hsts| (STRICT_TRANSPORT_SECURITY, hsts)).into_iter().collect()
}

/// What is said instead of passing a request on.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Status, code and message.
    pub(crate) error: OciError,
    /// `WWW-Authenticate`, with a 401.
    pub(crate) challenge: Option<HeaderValue>,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after: Option<u32>,
    /// `Allow`, with a 405.
    pub(crate) allow: Option<HeaderValue>,
    /// Where the next request on this connection begins cannot be told.
    pub(crate) hang_up: bool,
}

impl From<OciError> for Refusal {
    fn from(error: OciError) -> Self {
        Self { error, challenge: None, retry_after: None, allow: None, hang_up: false }
    }
}

impl From<NoAction> for Refusal {
    fn from(NoAction { error, allow }: NoAction) -> Self {
        Self { allow, ..error.into() }
    }
}

impl Refusal {
    /// 401: say who you are.
    pub(crate) fn unauthorized(challenge: Option<HeaderValue>, message: &str) -> Self {
        let error = OciError::new(ErrorCode::Unauthorized, message);
        Self { challenge, ..error.into() }
    }

    /// 429: come back in so many seconds.
    pub(crate) fn too_many(seconds: u32, message: impl Into<String>) -> Self {
        let error = OciError::new(ErrorCode::TooManyRequests, message);
        Self { retry_after: Some(seconds), ..error.into() }
    }

    /// The same, on a connection that must end with it.
    pub(crate) fn hanging_up(error: OciError) -> Self {
        Self { hang_up: true, ..error.into() }
    }
}

fn with_status(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> OciError {
    OciError::new(code, message).with_status(status)
}

/// 400: the request breaks a rule of HTTP.
pub(crate) fn malformed(rule: &str) -> OciError {
    with_status(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, format!("the request is refused: {rule}"))
}

/// 400: a first line that is no request line.
pub(crate) fn no_request_line() -> OciError {
    malformed(
        "its first line must be METHOD SP TARGET SP HTTP/1.1, without other bytes (RFC 9112, 3); if it comes from a container client, update it",
    )
}

/// 400: HTTP without TLS.
pub(crate) fn plain_http() -> OciError {
    let message = "this port speaks HTTPS; write https://. If your client fell back to http:// by itself, https:// was refused: log in (docker login HOST:PORT) with the right password, and let it trust the certificate";
    with_status(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message)
}

/// 400, or what the status line of `page` says: in place of an error page that hyper made.
pub(crate) fn in_place_of(page: &[u8]) -> OciError {
    let status = page.get(9..12).and_then(|code| StatusCode::from_bytes(code).ok()).unwrap_or(StatusCode::BAD_REQUEST);
    let message = "the request is not well-formed HTTP/1.1; if it comes from a container client, update it";
    with_status(status, ErrorCode::Unsupported, message)
}

/// 400: the bytes of a body are no chunks.
pub(crate) fn malformed_body() -> OciError {
    let message = "the request cannot be forwarded as it was sent: its header or its chunks are malformed";
    with_status(StatusCode::BAD_REQUEST, ErrorCode::Unsupported, message)
}

/// 408: the header's time is over.
pub(crate) fn header_too_slow(limit: Duration) -> OciError {
    let limit = humantime::format_duration(limit);
    let message = format!("the request's header did not arrive within {limit}; check the network and try again");
    with_status(StatusCode::REQUEST_TIMEOUT, ErrorCode::Unsupported, message)
}

/// 408: nothing came of a body for too long.
pub(crate) fn body_stalled() -> OciError {
    let message = "the request's body stopped arriving (limits.body_timeout); send it again";
    with_status(StatusCode::REQUEST_TIMEOUT, ErrorCode::Unsupported, message)
}

/// 408: a body comes, but too slowly.
pub(crate) fn body_too_slow() -> OciError {
    let message = "the request's body arrives too slowly (limits.min_body_rate); check the network and send it again";
    with_status(StatusCode::REQUEST_TIMEOUT, ErrorCode::Unsupported, message)
}

/// 431: more header than the budget has room for.
pub(crate) fn header_too_large(limit: usize) -> OciError {
    let message = format!("the request's header is over this proxy's limit of {limit} bytes (limits.header_size)");
    with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, ErrorCode::Unsupported, message)
}

/// 431: more fields than the budget.
pub(crate) fn too_many_fields(limit: usize) -> OciError {
    let message = format!("the request's header has over {limit} fields (limits.header_count)");
    with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, ErrorCode::Unsupported, message)
}

/// 503: nothing is done for somebody known of which no line can be written.
pub(crate) fn audit_is_full() -> OciError {
    let message = "this registry cannot write its audit log (audit.file), and does nothing without it (audit.on_full); its operator should see to the disk";
    OciError::new(ErrorCode::Unavailable, message)
}

/// 502: a registry that wants to be logged in to.
pub(crate) fn upstream_wants_credentials() -> OciError {
    let message = "the registry behind this proxy wants credentials of its own; its operator should switch that off, or set upstream.forward_authorization";
    with_status(StatusCode::BAD_GATEWAY, ErrorCode::Unavailable, message)
}

/// 502: nobody there.
pub(crate) fn unreachable() -> OciError {
    let message =
        "the registry behind this proxy cannot be reached; its operator should see that it runs at upstream.url";
    with_status(StatusCode::BAD_GATEWAY, ErrorCode::Unavailable, message)
}

/// 502: an answer that nobody can use.
pub(crate) fn broke_off() -> OciError {
    let message = "the registry behind this proxy broke off without a whole answer; try again, or ask its operator to read its log";
    with_status(StatusCode::BAD_GATEWAY, ErrorCode::Unavailable, message)
}

/// 504: no answer in time.
pub(crate) fn upstream_silent() -> OciError {
    let message = "the registry behind this proxy did not answer in time (upstream.connect_timeout, upstream.read_timeout); try again, or ask its operator";
    with_status(StatusCode::GATEWAY_TIMEOUT, ErrorCode::Unavailable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_place_of_a_page_has_its_status_or_400() {
        assert_eq!(in_place_of(b"HTTP/1.1 431 Request Header Fields Too Large\r\n").status(), 431);
        assert_eq!(in_place_of(b"").status(), 400);
        assert_eq!(in_place_of(b"HTTP/1.1 x").status(), 400);
    }

    #[test]
    fn an_upstream_that_broke_off_is_not_called_unreachable() {
        assert!(unreachable().message().contains("cannot be reached"));
        assert!(broke_off().message().contains("broke off"));
    }
}
