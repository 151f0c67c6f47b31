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

/// Codes that are about who asks.
const CREDENTIALS: [&str; 5] =
    ["InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired"];

/// Codes that are about when it is asked.
const CLOCK: [&str; 3] = ["RequestTimeTooSkewed", "RequestExpired", "ExpiredRequest"];

/// Codes that are about where it is asked.
const REGION: [&str; 4] =
    ["PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"];

/// Codes of what was not done, and may be asked for again.
const BUSY: [&str; 4] = ["SlowDown", "ServiceUnavailable", "OperationAborted", "ConditionalRequestConflict"];

/// What rustls says of a certificate before it says why.
const BAD_CERTIFICATE: &str = "invalid peer certificate";

/// An error and what caused it.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
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
        let (kind, advice) = match code {
            "NoSuchBucket" => {
                let advice = format!("there is no bucket {bucket} at {endpoint}; create it, or correct storage.data");
                return (Kind::Refused, advice);
            }
            code if CREDENTIALS.contains(&code) => (
                Kind::Refused,
                "it does not take the credentials; see to AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the credentials \
                 file, or the role",
            ),
            code if CLOCK.contains(&code) => {
                (Kind::Refused, "its clock and this machine's are too far apart; have both follow the same time")
            }
            code if BUSY.contains(&code) => (Kind::Busy, "it is busy; what was tried several times is given up"),
            code if REGION.contains(&code) => return self.elsewhere(region),
            "RequestTimeout" => (Kind::Failed, "it waited too long for the request"),
            _ => match status.as_u16() {
                300..=399 => return self.elsewhere(region),
                401 | 403 => {
                    // Where listing is not allowed, what is not there is forbidden.
                    let advice = format!(
                        "the credentials are not allowed this; allow {} on {bucket}, and s3:ListBucket; if they are, see \
                         that this machine's clock is right",
                        self.permission
                    );
                    return (Kind::Refused, advice);
                }
                404 | 405 => {
                    let advice = "that is no answer of an S3 server; correct s3.endpoint and s3.path_style, which make";
                    return (Kind::Refused, format!("{advice} {endpoint}"));
                }
                408 | 409 | 429 => (Kind::Busy, "it is busy; what was tried several times is given up"),
                501 => (Kind::Refused, "this server lacks what is needed here"),
                // A gateway has given up waiting; what stands behind it has perhaps not.
                502 | 504 => (Kind::Lost, "what stands before it cannot reach it; see to that"),
                500..=599 => (Kind::Failed, "it fails; see to it"),
                _ => (Kind::Refused, "this is not expected of an S3 server"),
            },
        };
        (kind, advice.to_owned())
    }

    fn elsewhere(&self, region: Option<&str>) -> (Kind, String) {
        let hint = region.map(|region| format!("; it is in {region}")).unwrap_or_default();
        (Kind::Refused, format!("{} is in another region; correct s3.region or s3.endpoint{hint}", self.bucket))
    }

    /// Without an answer.
    pub(super) fn unanswered(&self, error: &HttpError) -> Failure {
        let causes = causes(error);
        if let Some((_, why)) = causes.split_once(BAD_CERTIFICATE) {
            let advice = "where an authority of your own has signed it, name a file with that one's in s3.ca_file";
            let message = format!("{} has a certificate that is not trusted here{why}; {advice}", self.endpoint);
            return Failure { kind: Kind::Refused, message };
        }
        let kind = if error.kind() == HttpErrorKind::Connect { Kind::Busy } else { Kind::Lost };
        let message = format!("no answer of {} to {self}; see to it, and to s3.endpoint: {causes}", self.endpoint);
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
