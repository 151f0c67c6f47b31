//! The access log: a line a request, through `tracing` with the target `access`.
//!
//! | field | is |
//! |---|---|
//! | `client` | the client's address and port |
//! | `user` | whose credentials were good; `-` when nobody's |
//! | `method`, `path` | as the client sent them, the query with it, control characters escaped |
//! | `repository` | the repository it is about; `-` for none |
//! | `status` | the status that the client was sent; 0 when it left before, or was reset |
//! | `bytes_in`, `bytes_out` | the bodies' bytes |
//! | `duration_ms` | from the complete request header to the end |
//! | `request_id` | what the request is called, here and by the registry behind |
//! | `protocol` | the version of HTTP, as in `HTTP/1.1` |
//! | `user_agent`, `referer` | the first 200 bytes of what the client says of itself; absent where it says nothing |
//! | `upstream_ms` | from forwarding to the upstream's response header; absent when it was not asked |
//!
//! Neither passwords nor `Authorization` values are known to this module.

use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, REFERER, USER_AGENT};
use http::{Method, Uri, Version};
use lockgate_oci::RepositoryName;
use lockgate_settings::ACCESS;

use crate::auth::UserName;
use crate::client::Client;

/// What stands where there is nothing to say.
const NONE: &str = "-";

/// What of a `User-Agent` and a `Referer` is logged, in bytes.
const CLAIM: usize = 200;

/// What a client says of itself.
pub(crate) struct Claims {
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
}

impl Claims {
    /// What a request's header says.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self { user_agent: headers.get(USER_AGENT).cloned(), referer: headers.get(REFERER).cloned() }
    }
}

/// Its first bytes, where it is visible ASCII.
fn claimed(value: &Option<HeaderValue>) -> Option<&str> {
    let text = value.as_ref()?.to_str().ok()?;
    Some(&text[..text.len().min(CLAIM)])
}

/// What is logged of a request.
pub(crate) struct Line<'a> {
    pub(crate) client: &'a Client,
    /// Who asked, where that is known.
    pub(crate) user: Option<&'a UserName>,
    /// What it was about, where it was let in.
    pub(crate) repository: Option<&'a RepositoryName>,
    pub(crate) method: &'a Method,
    /// As the client sent it.
    pub(crate) target: &'a Uri,
    pub(crate) version: Version,
    pub(crate) request_id: &'a HeaderValue,
    pub(crate) claims: &'a Claims,
    /// 0 where there was no answer.
    pub(crate) status: u16,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) duration: Duration,
    pub(crate) upstream_time: Option<Duration>,
}

/// Logs a request that the gate saw.
pub(crate) fn request(line: &Line<'_>) {
    // That of a CONNECT is no path.
    let target = line.target.authority().map_or("", |authority| authority.as_str());
    let path = line.target.path_and_query().map_or(target, |target| target.as_str());
    tracing::info!(
        target: ACCESS,
        client = line.client.as_str(),
        user = line.user.map_or(NONE, UserName::as_str),
        method = line.method.as_str(),
        path,
        repository = line.repository.map_or(NONE, RepositoryName::as_str),
        status = line.status,
        bytes_in = line.bytes_in,
        bytes_out = line.bytes_out,
        duration_ms = millis(line.duration),
        upstream_ms = line.upstream_time.map(millis),
        request_id = line.request_id.to_str().ok(),
        protocol = protocol(line.version),
        user_agent = claimed(&line.claims.user_agent),
        referer = claimed(&line.claims.referer),
    );
}

/// Logs a request that nobody could read, and why. `status` as in [`Line`].
pub(crate) fn unreadable(client: &Client, status: u16, reason: &str) {
    tracing::info!(
        target: ACCESS,
        client = client.as_str(),
        user = NONE,
        method = NONE,
        path = NONE,
        repository = NONE,
        status,
        reason,
    );
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

/// Milliseconds with three decimals' worth of precision.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
