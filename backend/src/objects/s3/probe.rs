//! What is tried of S3 beyond what every store of objects promises: its clock, and that a DELETE expires.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Method;
use uuid::Uuid;

use super::S3Objects;
use super::answers::{self, Versioning};
use super::failure::Kind;
use super::request::Request;
use crate::objects::probe::{Problem, ROUNDS, probe};
use crate::objects::{BucketObjects, Objects as _};

/// How far apart the clocks may be, in seconds. A request is signed by one and judged by the other.
const APART: i64 = 10;

/// How long the DELETE is good for that is sent too late.
const LIFETIME: Duration = Duration::from_secs(1);

/// How late it is sent: both clocks have whole seconds, and an answer tells the time of a moment ago.
const LATE: Duration = Duration::from_secs(4);

impl S3Objects {
    /// What is wrong with the bucket, or its servers, which these are, or what is allowed there. It takes some seconds.
    pub(crate) async fn problems(doors: &[Self]) -> Vec<Problem> {
        let (first, each): (_, Vec<&dyn BucketObjects>) = (&doors[0], doors.iter().map(|door| door as _).collect());
        let expiries = join_all(doors.iter().map(Self::expiry));
        let (mut problems, expiries, versioning) = tokio::join!(probe(&each, ROUNDS), expiries, first.versioning());
        let ahead = first.client.ahead.load(Ordering::Relaxed);
        if ahead.abs() > APART {
            let (client, than) = (&first.client.endpoint, if ahead > 0 { "ahead of" } else { "behind" });
            problems.push(Problem::Unusable(format!(
                "this machine's clock is {} seconds {than} that of S3 at {client}; have both follow the same time",
                ahead.abs()
            )));
        } else if problems.is_empty() {
            problems.extend(expiries.into_iter().flatten().next());
        }
        problems.extend(versioning);
        problems
    }

    /// A server that does not know the question keeps no versions, and who may not ask is told nothing.
    pub(super) async fn versioning(&self) -> Option<Problem> {
        let request = Request::of_bucket(Method::GET).query("versioning", "");
        let answer = self.client.send_once(&request).await.ok()?;
        let versioning: Versioning = answers::parse(&answer.body)?;
        (versioning.status.as_deref() == Some("Enabled")).then(|| {
            let what = format!(
                "the bucket {} is versioned: what is deleted or replaced there goes on taking space; switch versioning off \
                 (suspend it), or give the bucket a lifecycle rule that expires noncurrent versions",
                self.client.bucket
            );
            Problem::Wasteful(what)
        })
    }

    async fn expiry(&self) -> Option<Problem> {
        let key = format!(".lockgate/probe/{}", Uuid::new_v4());
        self.put(&key, Bytes::from_static(b"probe"), None).await.ok()?;
        let request = Request::new(Method::DELETE, &key);
        let url = self.client.sign(&request, LIFETIME).await.ok()?;
        let ahead = u64::try_from(self.client.ahead.load(Ordering::Relaxed)).unwrap_or(0);
        tokio::time::sleep(LATE + Duration::from_secs(ahead.min(APART.unsigned_abs()))).await;
        let told = self.client.send_signed(&request, &url).await;
        let is_refused = matches!(&told, Err(failure) if failure.kind == Kind::Refused);
        let is_there = self.stat(&key).await.ok()?.is_some();
        let _ = self.remove(&key).await;
        (!is_refused || !is_there).then(|| {
            let what = "it does what a signed URL asks after that has expired, so that a DELETE that was held up could \
                        remove what was written since";
            Problem::Unusable(what.to_owned())
        })
    }
}
