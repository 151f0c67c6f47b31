//! Every refusal and failure: which status, which words, and how they reach the client.
//!
//! pingora's `respond_error` closes the connection, has no Content-Type and skips our filters, so
//! nothing here calls it.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, STRICT_TRANSPORT_SECURITY};
use http::{Method, StatusCode};
use lockgate_oci::{API_VERSION, API_VERSION_HEADER, ErrorCode, OciError};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType, Result};

use crate::{headers, listener};

/// What the gate says instead of passing a request on.
#[derive(Debug)]
pub(crate) struct Refusal {
    error: OciError,
    /// `WWW-Authenticate`, with a 401.
    challenge: Option<HeaderValue>,
    /// `Retry-After`, in seconds.
    retry_after: Option<u32>,
    /// Where the next request on this connection begins cannot be told.
    hang_up: bool,
}

impl From<OciError> for Refusal {
    fn from(error: OciError) -> Self {
        Self { error, challenge: None, retry_after: None, hang_up: false }
    }
}

impl Refusal {
    /// 401: say who you are.
    pub(crate) fn unauthorized(challenge: HeaderValue, message: &str) -> Self {
        let error = OciError::new(ErrorCode::Unauthorized, message);
        Self { challenge: Some(challenge), ..error.into() }
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

    fn header(&self, body_length: usize, hsts: Option<&HeaderValue>) -> Result<ResponseHeader> {
        let mut header = ResponseHeader::build(self.error.status(), Some(7))?;
        header.insert_header("Content-Type", OciError::CONTENT_TYPE)?;
        header.insert_header("Content-Length", body_length)?;
        if let Some(challenge) = &self.challenge {
            header.insert_header("WWW-Authenticate", challenge)?;
        }
        if let Some(seconds) = self.retry_after {
            header.insert_header("Retry-After", seconds)?;
        }
        headers::sign(&mut header, hsts)?;
        Ok(header)
    }
}

/// Sends a refusal. The connection is kept where no body is pending; else the body is read and thrown
/// away, up to the drain timeout, so that a client that reads only after writing still gets its answer.
/// `hsts` as in [`headers::sign`].
///
/// # Errors
/// The client does not take it, which [`for_failure`] knows for the client's doing.
pub(crate) async fn answer(session: &mut Session, refusal: &Refusal, hsts: Option<&HeaderValue>) -> Result<()> {
    let body_pending = !session.is_body_empty() && !session.is_body_done();
    if refusal.hang_up || body_pending {
        session.set_keepalive(None);
    }
    say_if_last(session);
    let body = refusal.error.to_json();
    let header = refusal.header(body.len(), hsts)?;
    let is_head = session.req_header().method == Method::HEAD;
    // pingora does not say whose fault it is that an HTTP/2 stream takes nothing.
    session.write_response_header(Box::new(header), is_head).await.map_err(Error::into_down)?;
    if !is_head {
        session.write_response_body(Some(Bytes::from(body)), true).await.map_err(Error::into_down)?;
    }
    if refusal.hang_up {
        // How long the body is, is what could not be told.
        session.as_downstream().stream().map(listener::linger);
    } else if body_pending && !session.is_http2() {
        // A client that leaves in mid-body got its answer, or did not want it.
        let _ = session.as_mut().drain_request_body().await;
    }
    Ok(())
}

/// Has an answer say `Connection: close` where the process stops: a client that does not know would send
/// its next request into the close.
pub(crate) fn say_if_last(session: &mut Session) {
    if session.as_downstream().stream().is_some_and(listener::is_last_answer) {
        session.set_keepalive(None);
    }
}

/// Sends a refusal on a connection that pingora drops afterwards, and closes it such that the client gets
/// to read it.
pub(crate) async fn last_answer(session: &mut Session, refusal: &Refusal, hsts: Option<&HeaderValue>) -> Result<()> {
    session.set_keepalive(None);
    answer(session, refusal, hsts).await?;
    if !session.is_http2() {
        session.as_downstream_mut().shutdown().await;
    }
    Ok(())
}

/// A refusal as bytes, for a connection on which no request could be read. What answers HEAD has no content
/// (RFC 9110, 9.3.2).
pub(crate) fn on_the_wire(error: &OciError, is_head: bool, hsts: Option<&HeaderValue>) -> Bytes {
    let body = error.to_json();
    let mut text = format!("HTTP/1.1 {}\r\n", error.status());
    let length = body.len().to_string();
    let fields = [
        (CONTENT_TYPE.as_str(), OciError::CONTENT_TYPE),
        (CONTENT_LENGTH.as_str(), &length),
        (API_VERSION_HEADER, API_VERSION),
        (CONNECTION.as_str(), "close"),
    ];
    let hsts = hsts.and_then(|hsts| Some((STRICT_TRANSPORT_SECURITY.as_str(), hsts.to_str().ok()?)));
    for (name, value) in fields.into_iter().chain(hsts) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    if !is_head {
        bytes.extend_from_slice(&body);
    }
    bytes.into()
}

/// What a client is told when its request failed on the way; `None` when it is gone itself.
pub(crate) fn for_failure(error: &Error) -> Option<OciError> {
    match (error.esource(), error.etype()) {
        (_, ErrorType::HTTPStatus(code)) => Some(for_status(*code)),
        (ErrorSource::Upstream, kind) if is_timeout(kind) => Some(
            OciError::new(
                ErrorCode::Unavailable,
                "the registry behind this proxy did not answer in time (upstream.connect_timeout, upstream.read_timeout); try again, or ask its operator",
            )
            .with_status(StatusCode::GATEWAY_TIMEOUT),
        ),
        (ErrorSource::Upstream, kind) if is_no_connection(kind) => Some(unreachable()),
        (ErrorSource::Upstream, _) => Some(
            OciError::new(
                ErrorCode::Unavailable,
                "the registry behind this proxy broke off without a whole answer; try again, or ask its operator to read its log",
            )
            .with_status(StatusCode::BAD_GATEWAY),
        ),
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Some(
            OciError::new(ErrorCode::Unsupported, "the request's body stopped arriving (limits.body_timeout); send it again")
                .with_status(StatusCode::REQUEST_TIMEOUT),
        ),
        (ErrorSource::Downstream, ErrorType::ReadError) if read_ended_by(error, io::ErrorKind::InvalidData) => {
            Some(malformed_request())
        }
        (ErrorSource::Downstream, ErrorType::ReadError) if read_ended_by(error, io::ErrorKind::TimedOut) => Some(
            OciError::new(ErrorCode::Unsupported, "the request's body arrives too slowly (limits.min_body_rate); check the network and send it again")
                .with_status(StatusCode::REQUEST_TIMEOUT),
        ),
        (
            ErrorSource::Downstream,
            ErrorType::ReadError
            | ErrorType::WriteError
            | ErrorType::WriteTimedout
            | ErrorType::ConnectionClosed
            // An HTTP/2 stream that the client reset, or whose connection is gone.
            | ErrorType::H2Error,
        ) => None,
        (ErrorSource::Downstream, _) => Some(malformed_request()),
        (ErrorSource::Internal | ErrorSource::Unset, _) => Some(for_status(500)),
    }
}

/// 502: nobody there.
pub(crate) fn unreachable() -> OciError {
    OciError::new(
        ErrorCode::Unavailable,
        "the registry behind this proxy cannot be reached; its operator should see that it runs at upstream.url",
    )
    .with_status(StatusCode::BAD_GATEWAY)
}

fn for_status(code: u16) -> OciError {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = "the proxy failed on this request; its log says why";
    OciError::new(ErrorCode::Unknown, message).with_status(status)
}

fn malformed_request() -> OciError {
    let message = "the request cannot be forwarded as it was sent: its header or its chunks are malformed";
    OciError::new(ErrorCode::Unsupported, message).with_status(StatusCode::BAD_REQUEST)
}

/// Whether the client's connection gave up a read for this reason: the client was too slow, or its chunks
/// are none.
fn read_ended_by(error: &Error, kind: io::ErrorKind) -> bool {
    error.root_cause().downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == kind)
}

fn is_no_connection(kind: &ErrorType) -> bool {
    use ErrorType::{BindError, ConnectError, ConnectNoRoute, ConnectRefused, SocketError};
    matches!(kind, BindError | ConnectError | ConnectNoRoute | ConnectRefused | SocketError)
}

fn is_timeout(kind: &ErrorType) -> bool {
    matches!(kind, ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout)
}

/// 431: more header than the budget has room for.
pub(crate) fn header_too_large(limit: usize) -> OciError {
    let message = format!("the request's header is over this proxy's limit of {limit} bytes (limits.header_size)");
    OciError::new(ErrorCode::Unsupported, message).with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
}

/// 431: more fields than the budget.
pub(crate) fn too_many_fields(limit: usize) -> OciError {
    let message = format!("the request's header has over {limit} fields (limits.header_count)");
    OciError::new(ErrorCode::Unsupported, message).with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
}

/// 408: the header's time is over.
pub(crate) fn header_too_slow(limit: Duration) -> OciError {
    let limit = humantime::format_duration(limit);
    let message = format!("the request's header did not arrive within {limit}; check the network and try again");
    OciError::new(ErrorCode::Unsupported, message).with_status(StatusCode::REQUEST_TIMEOUT)
}

/// 400: a first line that is no request line.
pub(crate) fn no_request_line() -> OciError {
    let message = "the request is refused: its first line must be METHOD SP TARGET SP HTTP/1.1, without other bytes (RFC 9112, 3); if it comes from a container client, update it";
    OciError::new(ErrorCode::Unsupported, message).with_status(StatusCode::BAD_REQUEST)
}

/// What to say in place of an error page that pingora made, by the page's status line.
pub(crate) fn in_place_of(page: &[u8]) -> OciError {
    let status = page.get(9..12).and_then(|code| StatusCode::from_bytes(code).ok());
    let message = "the request is not well-formed HTTP/1.1; if it comes from a container client, update it";
    OciError::new(ErrorCode::Unsupported, message).with_status(status.unwrap_or(StatusCode::BAD_REQUEST))
}

/// 400: an HTTP/2 request for no host, or for two.
pub(crate) fn ambiguous_host() -> OciError {
    let message = "the request must name one host: :authority and host must not differ (RFC 9113, 8.3.1)";
    OciError::new(ErrorCode::Unsupported, message).with_status(StatusCode::BAD_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(source: ErrorSource, kind: ErrorType) -> Option<u16> {
        let mut error = *Error::new(kind);
        error.esource = source;
        for_failure(&error).map(|error| error.status().as_u16())
    }

    #[test]
    fn a_silent_upstream_is_504_and_any_other_trouble_with_it_502() {
        assert_eq!(failure(ErrorSource::Upstream, ErrorType::ReadTimedout), Some(504));
        assert_eq!(failure(ErrorSource::Upstream, ErrorType::ConnectTimedout), Some(504));
        assert_eq!(failure(ErrorSource::Upstream, ErrorType::ConnectRefused), Some(502));
        assert_eq!(failure(ErrorSource::Upstream, ErrorType::ConnectionClosed), Some(502));
        assert_eq!(failure(ErrorSource::Upstream, ErrorType::InvalidHTTPHeader), Some(502));
    }

    #[test]
    fn an_upstream_that_broke_off_is_not_called_unreachable() {
        let message = |kind| {
            let error = Error::new(kind).into_up();
            for_failure(&error).expect("an answer").message().to_owned()
        };
        assert!(message(ErrorType::ConnectRefused).contains("cannot be reached"));
        assert!(message(ErrorType::ConnectionClosed).contains("broke off"));
    }

    #[test]
    fn a_stalled_client_is_408_and_one_that_left_is_told_nothing() {
        assert_eq!(failure(ErrorSource::Downstream, ErrorType::ReadTimedout), Some(408));
        assert_eq!(failure(ErrorSource::Downstream, ErrorType::ConnectionClosed), None);
        assert_eq!(failure(ErrorSource::Downstream, ErrorType::H2Error), None);
        assert_eq!(failure(ErrorSource::Downstream, ErrorType::InvalidHTTPHeader), Some(400));
    }

    #[test]
    fn a_refusal_on_the_wire_is_a_whole_http_answer() {
        let text = String::from_utf8(
            on_the_wire(&unreachable(), false, Some(&HeaderValue::from_static("max-age=60"))).to_vec(),
        )
        .expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("an empty line");
        assert!(head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        assert!(head.contains("Docker-Distribution-Api-Version: registry/2.0"), "{head}");
        assert!(head.contains("strict-transport-security: max-age=60"), "{head}");
        assert!(body.starts_with(r#"{"errors":[{"code":"UNAVAILABLE""#), "{body}");
    }
}
