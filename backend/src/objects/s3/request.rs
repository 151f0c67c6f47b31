//! A request to S3 before it is signed, and its answer.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::objects::{Stat, Version};

/// Where distribution does not look: what is put beside the bytes.
const MARK: HeaderName = HeaderName::from_static("x-amz-meta-lockgate");

/// How long an answer is waited for, where the store has little to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same, where it copies or joins what it has.
const LONG_PATIENCE: Duration = Duration::from_secs(180);

/// The slowest that a body is expected to be sent, in bytes a second.
const SLOWEST: usize = 256 << 10;

/// What is asked of the store.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Below the prefix of the site; `None` is the bucket itself.
    pub(super) key: Option<String>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    patience: Duration,
}

impl Request {
    pub(super) fn new(method: Method, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..Self::of_bucket(method) }
    }

    pub(super) fn of_bucket(method: Method) -> Self {
        let (query, headers, body) = (Vec::new(), HeaderMap::new(), Bytes::new());
        Self { method, key: None, query, headers, body, patience: PATIENCE }
    }

    pub(super) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        // Keys, versions and marks are of characters that a header takes; what is not is refused by the store.
        self.headers.insert(name, HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("invalid")));
        self
    }

    pub(super) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    pub(super) fn mark(self, mark: Option<&str>) -> Self {
        match mark {
            Some(mark) => self.header(MARK, mark),
            None => self,
        }
    }

    pub(super) fn if_match(self, version: &Version) -> Self {
        self.header(header::IF_MATCH, &quoted(version))
    }

    pub(super) fn range(self, start: u64, end: u64) -> Self {
        self.header(header::RANGE, &format!("bytes={start}-{}", end - 1))
    }

    /// For what the store may work at for minutes.
    pub(super) fn patiently(mut self) -> Self {
        self.patience = LONG_PATIENCE;
        self
    }

    /// How long its answer is waited for, where a store with little to do may take so long.
    pub(super) fn patience(&self) -> Duration {
        self.patience + Duration::from_secs((self.body.len() / SLOWEST) as u64)
    }

    /// The permission that it takes.
    pub(super) fn permission(&self) -> &'static str {
        let is_upload = self.query.iter().any(|(name, _)| *name == "uploadId");
        match (&self.method, &self.key) {
            (_, None) => "s3:ListBucket",
            (&Method::DELETE, _) if is_upload => "s3:AbortMultipartUpload",
            (&Method::DELETE, _) => "s3:DeleteObject",
            (&Method::PUT | &Method::POST, _) => "s3:PutObject",
            _ => "s3:GetObject",
        }
    }
}

/// A version as a header has it.
pub(super) fn quoted(version: &Version) -> String {
    format!("\"{}\"", version.0)
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn text(&self, name: &HeaderName) -> Option<&str> {
        text(&self.headers, name)
    }

    pub(super) fn version(&self) -> Option<Version> {
        version(&self.headers)
    }

    /// What the headers of an object tell of it.
    pub(super) fn stat(&self, size: u64) -> Option<Stat> {
        let modified: SystemTime = httpdate::parse_http_date(self.text(&header::LAST_MODIFIED)?).ok()?;
        Some(Stat { size, modified, version: self.version()?, mark: self.text(&MARK).map(str::to_owned) })
    }
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(super) fn version(headers: &HeaderMap) -> Option<Version> {
    Some(Version(text(headers, &header::ETAG)?.trim_matches('"').to_owned()))
}
