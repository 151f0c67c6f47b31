//! What S3's errors mean: whether to ask again, whether it may have happened all the same, and what to do.

use http::{Method, StatusCode};
use object_store::client::{HttpError, HttpErrorKind};

use crate::objects::ObjectsError;

/// Why a request has no answer that can be used.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) message: String,
}

/// What is known of a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It was refused, and would be the next time.
    Refused,
    /// Nothing has happened; it may be tried again.
    Busy,
    /// It is over, and may have happened.
    Failed,
    /// It may have happened, or happen yet.
    Lost,
}

impl From<Failure> for ObjectsError {
    fn from(failure: Failure) -> Self {
        match failure.kind {
            Kind::Refused => Self::Refused(failure.message),
            Kind::Busy | Kind::Failed | Kind::Lost => Self::Unavailable(failure.message),
        }
    }
}

/// What was asked, and of whom, as messages say it.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// The permission that it takes, as AWS names it.
    pub(super) permission: &'static str,
    pub(super) bucket: &'a str,
    /// `None` is the bucket itself.
    pub(super) key: Option<&'a str>,
    pub(super) endpoint: &'a str,
}

impl Asked<'_> {
    /// What an answer means that is none of those that operations expect.
    pub(super) fn refused_with(&self, status: StatusCode, code: &str, region: Option<&str>) -> Failure {
        let (kind, advice) = self.meaning(status, code, region);
        let code = if code.is_empty() { "no code of S3" } else { code };
        Failure { kind, message: format!("S3 answers {self} with {status} ({code}): {advice}") }
    }

    fn meaning(&self, status: StatusCode, code: &str, region: Option<&str>) -> (Kind, String) {
        let (bucket, endpoint) = (self.bucket, self.endpoint);
        match (status.as_u16(), code) {
            (_, "NoSuchBucket") => {
                (Kind::Refused, format!("there is no bucket {bucket} at {endpoint}; create it, or correct storage.data"))
            }
            (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken" | "TokenRefreshRequired") => (
                Kind::Refused,
                "it does not know the credentials; see to AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the credentials \
                 file, or the role"
                    .to_owned(),
            ),
            (_, "RequestTimeTooSkewed" | "RequestExpired" | "ExpiredRequest") => (
                Kind::Refused,
                "its clock and this machine's are too far apart; have both follow the same time".to_owned(),
            ),
            (_, "PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
            | (301 | 302 | 307 | 308, _) => {
                let hint = region.map(|region| format!("; it is in {region}")).unwrap_or_default();
                (Kind::Refused, format!("the bucket is in another region; correct s3.region or s3.endpoint{hint}"))
            }
            // A bucket whose listing is not allowed answers 403 for what is not there.
            (401 | 403, _) => (
                Kind::Refused,
                format!(
                    "the credentials are not allowed this; allow {} on {bucket}, and s3:ListBucket; if they are, see that \
                     this machine's clock is right",
                    self.permission
                ),
            ),
            (_, "SlowDown" | "ServiceUnavailable" | "OperationAborted" | "ConditionalRequestConflict") | (408 | 409 | 429, _) => {
                (Kind::Busy, "it is asked more than it takes, or is busy; what was tried several times is given up".to_owned())
            }
            (400, "RequestTimeout") => (Kind::Failed, "it waited too long for the request".to_owned()),
            (404 | 405, _) => (
                Kind::Refused,
                format!("that is no answer of an S3 server; correct s3.endpoint ({endpoint}), and s3.path_style"),
            ),
            (501, _) | (_, "NotImplemented") => (Kind::Refused, "this server lacks what is needed here".to_owned()),
            // A gateway has given up waiting; what stands behind it has perhaps not.
            (502 | 504, _) => (Kind::Lost, format!("what stands before it cannot reach it; see to {endpoint}")),
            (500..=599, _) => (Kind::Failed, format!("it fails; see to {endpoint}")),
            _ => (Kind::Refused, "this is not expected of an S3 server".to_owned()),
        }
    }

    /// Without an answer.
    pub(super) fn unanswered(&self, error: &HttpError) -> Failure {
        let kind = if error.kind() == HttpErrorKind::Connect { Kind::Busy } else { Kind::Lost };
        let mut message = format!("no answer of {} to {self}; see to it, and to s3.endpoint: {error}", self.endpoint);
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        Failure { kind, message }
    }

    pub(super) fn too_late(&self) -> Failure {
        let message = format!("no answer of {} to {self} in time; see to it, and to s3.endpoint", self.endpoint);
        Failure { kind: Kind::Lost, message }
    }

    /// An answer that cannot be what was asked for.
    pub(super) fn odd(&self, what: &str) -> Failure {
        Failure { kind: Kind::Failed, message: format!("S3 at {} answers {self} oddly: {what}", self.endpoint) }
    }
}

impl std::fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} s3://{}", self.method, self.bucket)?;
        self.key.map_or(Ok(()), |key| write!(f, "/{key}"))
    }
}
