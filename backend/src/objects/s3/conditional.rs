//! Writes under a condition, which one of many wins, though answers are lost.

use bytes::Bytes;
use http::{Method, StatusCode, header};

use super::client::{Client, Retries};
use super::failure::{Failure, Kind};
use super::request::Request;
use super::small;
use crate::objects::{Object, Result, Version};

/// What must be so for a write to happen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Condition<'a> {
    /// There is nothing.
    Absent,
    /// There is this.
    Is(&'a Version),
}

/// What an object that was read back says of a write that has no certain answer.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    Won(Version),
    Lost,
    /// Nothing has changed.
    Again,
    /// The write may have happened, and another after it.
    Unknown,
}

/// Writes, or not, and tells which.
pub(super) async fn write(
    client: &Client,
    key: &str,
    bytes: Bytes,
    mark: Option<&str>,
    condition: Condition<'_>,
) -> Result<Option<Version>> {
    let request = Request::new(Method::PUT, key).mark(mark).body(bytes.clone());
    let request = match condition {
        Condition::Absent => request.header(header::IF_NONE_MATCH, "*"),
        Condition::Is(version) => request.if_match(version),
    };
    let (mut retries, mut is_doubtful) = (Retries::new(), false);
    loop {
        let failure = match client.send_once(&request).await {
            Ok(answer) if answer.status.is_success() => {
                return answer.version().map(Some).ok_or_else(|| client.odd(&request, "it names no version"));
            }
            // AWS answers 404 to If-Match where there is nothing.
            Ok(answer) if matches!(answer.status, StatusCode::PRECONDITION_FAILED | StatusCode::NOT_FOUND) => {
                let message = format!("S3 refuses {} for its condition, which is met", client.asked(&request));
                Failure { kind: Kind::Busy, message }
            }
            Ok(_) => return Err(client.odd(&request, "it is none to a write")),
            Err(failure) if failure.kind == Kind::Refused => return Err(failure.into()),
            Err(failure) => failure,
        };
        tracing::debug!("S3: {}", failure.message);
        is_doubtful |= failure.kind != Kind::Busy;
        match decide(small::get(client, key).await?, &bytes, condition, is_doubtful) {
            Finding::Won(version) => return Ok(Some(version)),
            Finding::Lost => return Ok(None),
            Finding::Again if retries.next().await => {}
            Finding::Again | Finding::Unknown => return Err(failure.into()),
        }
    }
}

fn decide(found: Option<Object>, bytes: &Bytes, condition: Condition<'_>, is_doubtful: bool) -> Finding {
    match (found, condition) {
        // A certain refusal is one also where another has written the same.
        (Some(found), _) if is_doubtful && found.bytes == *bytes => Finding::Won(found.stat.version),
        (None, Condition::Absent) => Finding::Again,
        (Some(found), Condition::Is(version)) if found.stat.version == *version => Finding::Again,
        _ if is_doubtful => Finding::Unknown,
        _ => Finding::Lost,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::objects::Stat;

    fn object(content: &'static str) -> Option<Object> {
        let version = Version(content.to_owned());
        let stat = Stat { size: content.len() as u64, modified: SystemTime::UNIX_EPOCH, version, mark: None };
        Some(Object { bytes: Bytes::from_static(content.as_bytes()), stat })
    }

    #[test]
    fn what_is_read_back_decides_who_won() {
        let (ours, known) = (Bytes::from_static(b"ours"), Version("known".to_owned()));
        let won = Finding::Won(Version("ours".to_owned()));
        for (found, condition, when_certain, when_doubtful) in [
            (object("ours"), Condition::Absent, &Finding::Lost, &won),
            (object("ours"), Condition::Is(&known), &Finding::Lost, &won),
            (object("theirs"), Condition::Absent, &Finding::Lost, &Finding::Unknown),
            (object("theirs"), Condition::Is(&known), &Finding::Lost, &Finding::Unknown),
            (None, Condition::Absent, &Finding::Again, &Finding::Again),
            (None, Condition::Is(&known), &Finding::Lost, &Finding::Unknown),
            (object("known"), Condition::Is(&known), &Finding::Again, &Finding::Again),
        ] {
            assert_eq!(&decide(found.clone(), &ours, condition, false), when_certain, "{found:?} {condition:?}");
            assert_eq!(&decide(found.clone(), &ours, condition, true), when_doubtful, "{found:?} {condition:?}");
        }
    }
}
