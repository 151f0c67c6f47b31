//! The error codes of the API ([spec.md, "Error Codes"]), each with its HTTP status, in one table.
//!
//! [spec.md, "Error Codes"]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes

use http::StatusCode;
use serde::Serialize;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:ident;)*) => {
        /// A code of the API's error table. The last six are not of the specification.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $variant,)* }

        impl ErrorCode {
            /// Every code, in the order of the specification.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it stands in the JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The status that goes with it where nothing more exact is known.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }
        }
    };
}

codes! {
    /// The blob is not in this repository.
    BlobUnknown = "BLOB_UNKNOWN", NOT_FOUND;
    /// The upload cannot go on as asked.
    BlobUploadInvalid = "BLOB_UPLOAD_INVALID", BAD_REQUEST;
    /// No such upload session.
    BlobUploadUnknown = "BLOB_UPLOAD_UNKNOWN", NOT_FOUND;
    /// The digest is malformed, or the content has another one.
    DigestInvalid = "DIGEST_INVALID", BAD_REQUEST;
    /// The manifest names a blob that was not pushed.
    ManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN", NOT_FOUND;
    /// The manifest cannot be read, or not accepted.
    ManifestInvalid = "MANIFEST_INVALID", BAD_REQUEST;
    /// The manifest is not in this repository.
    ManifestUnknown = "MANIFEST_UNKNOWN", NOT_FOUND;
    /// The repository's name is outside the grammar.
    NameInvalid = "NAME_INVALID", BAD_REQUEST;
    /// The repository does not exist.
    NameUnknown = "NAME_UNKNOWN", NOT_FOUND;
    /// A length is not what it was said to be.
    SizeInvalid = "SIZE_INVALID", BAD_REQUEST;
    /// Credentials are missing or wrong.
    Unauthorized = "UNAUTHORIZED", UNAUTHORIZED;
    /// The credentials are right and do not suffice.
    Denied = "DENIED", FORBIDDEN;
    /// The operation is not supported, or is switched off.
    Unsupported = "UNSUPPORTED", METHOD_NOT_ALLOWED;
    /// Too many requests.
    TooManyRequests = "TOOMANYREQUESTS", TOO_MANY_REQUESTS;
    /// A page's size `n` is no number.
    PaginationNumberInvalid = "PAGINATION_NUMBER_INVALID", BAD_REQUEST;
    /// The tag is outside the grammar.
    TagInvalid = "TAG_INVALID", BAD_REQUEST;
    /// A range is out of order or unsatisfiable.
    RangeInvalid = "RANGE_INVALID", RANGE_NOT_SATISFIABLE;
    /// What a request requires of the state before it is not so ([RFC 9110, 13]).
    ///
    /// [RFC 9110, 13]: https://www.rfc-editor.org/rfc/rfc9110#section-13
    PreconditionFailed = "PRECONDITION_FAILED", PRECONDITION_FAILED;
    /// Something failed that the client cannot help.
    Unknown = "UNKNOWN", INTERNAL_SERVER_ERROR;
    /// The service is not there for now.
    Unavailable = "UNAVAILABLE", SERVICE_UNAVAILABLE;
}

/// A refusal as a client reads it: one code, a status, and a message that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct OciError {
    code: ErrorCode,
    status: StatusCode,
    message: String,
    detail: Option<serde_json::Value>,
}

#[derive(Serialize)]
struct Body<'a> {
    errors: [Entry<'a>; 1],
}

#[derive(Serialize)]
struct Entry<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a serde_json::Value>,
}

impl OciError {
    /// The `Content-Type` of [`OciError::to_json`].
    pub const CONTENT_TYPE: &'static str = "application/json; charset=utf-8";

    /// A refusal with the status that the table gives its code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, status: code.status(), message: message.into(), detail: None }
    }

    /// The same refusal with a status more exact than the table's.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same refusal with machine-readable detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<serde_json::Value>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Its code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Its HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What it says to a person.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// `{"errors":[{"code":...,"message":...,"detail":...}]}`.
    pub fn to_json(&self) -> Vec<u8> {
        let entry = Entry { code: self.code.as_str(), message: &self.message, detail: self.detail.as_ref() };
        serde_json::to_vec(&Body { errors: [entry] }).expect("strings and JSON values always serialise")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_the_json_that_docker_reads() {
        let error = OciError::new(ErrorCode::BlobUnknown, "push it first").with_detail("sha256:00");
        assert_eq!(
            error.to_json(),
            br#"{"errors":[{"code":"BLOB_UNKNOWN","message":"push it first","detail":"sha256:00"}]}"#
        );
        assert_eq!(error.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn every_code_is_an_error_and_no_two_are_written_alike() {
        let mut seen: Vec<_> = ErrorCode::ALL.iter().map(|c| c.as_str()).collect();
        assert!(ErrorCode::ALL.iter().all(|c| c.status().is_client_error() || c.status().is_server_error()));
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), ErrorCode::ALL.len());
    }
}
