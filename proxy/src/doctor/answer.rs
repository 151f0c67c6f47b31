//! An answer, and what it is taken for.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::Value;
use time::OffsetDateTime;

/// A whole answer, but for what of its body is over the limit.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// How long it took since the request was on its way.
    pub(super) took: Duration,
}

impl Answer {
    /// A field's value, whatever bytes are in it.
    pub(super) fn field(&self, name: HeaderName) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// Whether a page for people came.
    pub(super) fn is_html(&self) -> bool {
        let of_that_type = self.field(header::CONTENT_TYPE).is_some_and(|kind| kind.contains("html"));
        let start = self.body.trim_ascii_start();
        of_that_type || (start.starts_with(b"<") && !start.starts_with(b"<?xml"))
    }

    /// Whether it is an object of JSON, as `{}` is.
    pub(super) fn is_json(&self) -> bool {
        serde_json::from_slice::<Value>(&self.body).is_ok_and(|value| value.is_object())
    }

    /// Whether it is an error in the registry's language.
    pub(super) fn has_oci_errors(&self) -> bool {
        let parsed: Option<Value> = serde_json::from_slice(&self.body).ok();
        parsed.is_some_and(|value| value["errors"].as_array().is_some_and(|errors| !errors.is_empty()))
    }

    /// How its body is encoded, if it is not as it is.
    pub(super) fn encoding(&self) -> Option<String> {
        self.field(header::CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
    }

    /// Whether it leads elsewhere.
    pub(super) fn is_redirect(&self) -> bool {
        self.status.is_redirection() && self.headers.contains_key(header::LOCATION)
    }

    /// The message of the first error, or a page's title.
    fn message(&self) -> Option<String> {
        if let Ok(value) = serde_json::from_slice::<Value>(&self.body) {
            let error = &value["errors"][0];
            let code = error["code"].as_str()?;
            return Some(format!("{code} {}", error["message"].as_str().unwrap_or_default()));
        }
        let text = String::from_utf8_lossy(&self.body);
        // Lower case of ASCII alone, so that the offsets stay those of the text.
        let lower = text.to_ascii_lowercase();
        let start = lower.find("<title>")? + "<title>".len();
        let end = start + lower.get(start..)?.find("</title>")?;
        text.get(start..end).map(str::to_owned)
    }

    /// What the server's clock says.
    pub(super) fn date(&self) -> Option<OffsetDateTime> {
        let date = httpdate::parse_http_date(&self.field(header::DATE)?).ok()?;
        let since = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        OffsetDateTime::from_unix_timestamp(i64::try_from(since.as_secs()).ok()?).ok()
    }
}

/// The status, and what else tells where it comes from.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status.as_u16())?;
        if self.is_html() {
            f.write_str(" with HTML")?;
        }
        if let Some(message) = self.message() {
            write!(f, " \"{}\"", message.trim())?;
        }
        if let Some(location) = self.field(header::LOCATION).filter(|_| self.is_redirect()) {
            write!(f, " to {location}")?;
        }
        match self.field(header::SERVER) {
            Some(server) => write!(f, " (Server: {server})"),
            None => Ok(()),
        }
    }
}
