//! What is between keeps a body back, or gives an upload up that rests.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use tokio::time::sleep;

use super::answer::Answer;
use super::client::{AskError, pieces};
use super::finding::Check;
use super::limits;
use super::remedy;
use super::report::Report;
use super::repository::Repository;

/// What is sent before an upload rests, and after it.
const HALF: &[u8] = &[0; 64];

/// Begins bodies for an upload that does not exist and does not end them. A registry refuses at once; who keeps bodies
/// back waits for the rest.
pub(super) async fn judge_buffering(report: &mut Report<'_>, repository: &Repository) {
    let start = Instant::now();
    let lengthy = begin_only(repository, Some(limits::WITHHELD_BYTES), HALF.len());
    let (lengthy, chunked) = tokio::join!(lengthy, begin_only(repository, None, limits::WITHHELD_CHUNKS));
    let waited = limits::EARLY_ANSWER.as_secs();
    match (lengthy, chunked) {
        (Err(AskError::Late(_)), _) => {
            let seen = format!("the registry does not see a body within {waited} s before its end");
            report.warn(Check::Buffering, seen, &remedy::BUFFERED);
        }
        (Ok(answer), Err(AskError::Late(_))) if is_the_registry_s(&answer) => {
            let seen = format!("the registry does not see a body in chunks within {waited} s before its end");
            report.warn(Check::Buffering, seen, &remedy::CHUNKS_BUFFERED);
        }
        (Ok(answer), _) if is_the_registry_s(&answer) => {
            let seen = format!("bodies are handed on as they come (seen within {} ms)", start.elapsed().as_millis());
            report.ok(Check::Buffering, seen);
        }
        (Ok(answer), _) => report.skip(&[Check::Buffering], &format!("the answer tells nothing: {answer}")),
        (Err(error), _) => report.skip(&[Check::Buffering], &format!("the answer tells nothing: {error}")),
    }
}

/// Whether a registry judged the upload: what is before it would answer so without it.
fn is_the_registry_s(answer: &Answer) -> bool {
    matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::RANGE_NOT_SATISFIABLE)
}

async fn begin_only(repository: &Repository, length: Option<u64>, sent: usize) -> Result<Answer, AskError> {
    let at = repository.path(&format!("blobs/uploads/{}", uuid::Uuid::new_v4()));
    let (sender, body) = pieces();
    let exchange = repository.client().begin(repository.patch(&at, body, length), limits::BODY_BYTES);
    // Where nobody takes it, the answer says why. The sender stays, so that the body does not end.
    let _ = sender.send(Bytes::from(vec![0; sent])).await;
    let answer = exchange.answer(limits::EARLY_ANSWER).await;
    drop(sender);
    answer
}

/// An upload that rested, and how it ended.
pub(super) struct Rested {
    answer: Result<Answer, AskError>,
    took: Duration,
    rest: Duration,
}

/// Uploads a few bytes with a pause in the middle.
pub(super) async fn rest(repository: Repository, rest: Duration) -> Option<Rested> {
    let at = repository.begin().await.ok().and_then(|answer| repository.next(&answer))?;
    let (sender, body) = pieces();
    let length = 2 * HALF.len() as u64;
    let start = Instant::now();
    let exchange = repository.client().begin(repository.patch(&at, body, Some(length)), limits::BODY_BYTES);
    let send = async move {
        // Where it is taken no more, the answer says why.
        let _ = sender.send(Bytes::from_static(HALF)).await;
        sleep(rest).await;
        let _ = sender.send(Bytes::from_static(HALF)).await;
    };
    let answer = exchange.answer(rest + limits::ANSWER);
    tokio::pin!(answer);
    let answer = tokio::select! {
        answer = &mut answer => answer,
        () = send => answer.await,
    };
    let took = start.elapsed();
    let at = answer.as_ref().ok().and_then(|answer| repository.next(answer)).unwrap_or(at);
    repository.give_up(&at).await;
    Some(Rested { answer, took, rest })
}

/// Judges how it ended.
pub(super) fn judge_rest(report: &mut Report<'_>, rested: Option<Rested>) {
    let Some(Rested { answer, took, rest }) = rested else {
        return report.skip(&[Check::Idle], "the second upload did not begin");
    };
    let after = format!("an upload that rests for {} s", rest.as_secs());
    match answer {
        Ok(answer) if answer.status.is_success() => report.ok(Check::Idle, format!("{after} goes on")),
        Ok(answer) => {
            let seen = format!("{after} is answered after {:.1} s by {answer}", took.as_secs_f32());
            report.fail(Check::Idle, seen, &remedy::IDLE_TIME);
        }
        Err(error) => {
            report.fail(
                Check::Idle,
                format!("{after}, after {:.1} s: {error}", took.as_secs_f32()),
                &remedy::IDLE_TIME,
            );
        }
    }
}
