//! The steps of an upload, each by itself: what lets small bodies through may stop large ones.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use lockgate_oci::Digest;

use super::answer::Answer;
use super::client::{AskError, pieces, whole};
use super::finding::{Check, Remedy};
use super::limits;
use super::location;
use super::remedy;
use super::report::Report;
use super::repository::Repository;

/// Begins an upload, and looks where it is to go on: there, at the URL that is examined. None where nothing can.
pub(super) async fn judge_begin(report: &mut Report<'_>, repository: &Repository) -> Option<String> {
    let answer = match repository.begin().await {
        Ok(answer) if answer.status == StatusCode::ACCEPTED => answer,
        Ok(answer) => {
            let remedy = match answer.status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !answer.is_html() => &remedy::MAY_NOT_PUSH,
                _ => &remedy::NO_UPLOAD,
            };
            report.fail(Check::Upload, format!("POST is answered by {answer}"), remedy);
            return None;
        }
        Err(error) => {
            report.fail(Check::Upload, format!("POST: {error}"), &remedy::NO_UPLOAD);
            return None;
        }
    };
    report.ok(Check::Upload, format!("POST is answered by {}", answer.status.as_u16()));
    let written = answer.field(header::LOCATION).unwrap_or_default();
    let base = repository.path("blobs/uploads/");
    let Some(location) = location::read(&written, &base, repository.client().target()).filter(|_| !written.is_empty())
    else {
        report.fail(Check::Location, format!("Location: {written}"), &remedy::NO_LOCATION);
        return None;
    };
    // What follows the path is the upload's own, and long.
    let shown = written.split_once(&base).map_or(written.as_str(), |(start, _)| start);
    for fault in &location.faults {
        report.fail(Check::Location, format!("Location begins with {shown}"), fault);
    }
    if location.faults.is_empty() {
        report.ok(Check::Location, if shown.is_empty() { "it is relative" } else { shown });
    }
    Some(location.path)
}

/// Sends the first piece, with a length. What passes it goes on there.
pub(super) async fn judge_methods(
    report: &mut Report<'_>,
    repository: &Repository,
    at: String,
    piece: Bytes,
) -> Option<String> {
    let length = piece.len() as u64;
    match repository.client().ask(repository.patch(&at, whole(piece), Some(length))).await {
        Ok(answer) if answer.status.is_success() => {
            report.ok(Check::Methods, "POST and PATCH pass");
            Some(repository.next(&answer).unwrap_or(at))
        }
        Ok(answer) => {
            report.fail(Check::Methods, format!("PATCH is answered by {answer}"), &remedy::METHOD_REFUSED);
            None
        }
        Err(error) => {
            report.fail(Check::Methods, format!("PATCH: {error}"), &remedy::METHOD_REFUSED);
            None
        }
    }
}

/// Sends the second piece in chunks, and ends the upload. False where the blob is not there afterwards.
pub(super) async fn judge_chunks(
    report: &mut Report<'_>,
    repository: &Repository,
    at: String,
    piece: Bytes,
    digest: &Digest,
) -> bool {
    let (sender, body) = pieces();
    let exchange = repository.client().begin(repository.patch(&at, body, None), limits::BODY_BYTES);
    // Where nobody takes it, the answer says why.
    let _ = sender.send(piece).await;
    drop(sender);
    match exchange.answer(limits::ANSWER).await {
        Ok(answer) if answer.status.is_success() => {
            report.ok(Check::Chunked, "a body in chunks passes");
            let at = repository.next(&answer).unwrap_or(at);
            repository.finish(&at, digest).await.is_ok_and(|answer| answer.status == StatusCode::CREATED)
        }
        Ok(answer) => {
            report.fail(Check::Chunked, format!("a body in chunks is answered by {answer}"), &remedy::NO_CHUNKS);
            false
        }
        Err(error) => {
            report.fail(Check::Chunked, format!("a body in chunks: {error}"), &remedy::NO_CHUNKS);
            false
        }
    }
}

/// Announces a body of [`limits::ANNOUNCED_BYTES`] and asks whether to send it, which it never does. False where it was
/// told that such a body does not pass.
pub(super) async fn judge_announced(report: &mut Report<'_>, repository: &Repository) -> bool {
    let Some(at) = repository.begin().await.ok().and_then(|answer| repository.next(&answer)) else { return true };
    let (sender, body) = pieces();
    let mut request = repository.patch(&at, body, Some(limits::ANNOUNCED_BYTES));
    request.headers_mut().insert(header::EXPECT, const { HeaderValue::from_static("100-continue") });
    let mut exchange = repository.client().begin(request, limits::BODY_BYTES);
    let is_continued = exchange.continues(limits::CONTINUE).await;
    let passes = if is_continued {
        report.ok(Check::Continue, "Expect: 100-continue is answered by 100");
        drop(exchange);
        true
    } else {
        // It has come by now, or the time was over.
        let answer = exchange.answer(std::time::Duration::from_millis(500)).await;
        judge_no_continue(report, answer)
    };
    drop(sender);
    repository.give_up(&at).await;
    passes
}

fn judge_no_continue(report: &mut Report<'_>, answer: Result<Answer, AskError>) -> bool {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let seen = format!("Expect: 100-continue gets no 100 within {} s: {error}", limits::CONTINUE.as_secs());
            report.warn(Check::Continue, seen, &remedy::NO_CONTINUE);
            return true;
        }
    };
    let seen = format!("10 GiB announced: {answer}");
    match answer.status {
        StatusCode::EXPECTATION_FAILED => {
            report.fail(Check::Continue, format!("Expect: 100-continue is answered by {answer}"), &remedy::NO_CONTINUE);
            return true;
        }
        StatusCode::INSUFFICIENT_STORAGE => {
            report.warn(Check::BodySize, seen, &remedy::NO_ROOM);
        }
        _ => report.fail(Check::BodySize, seen, limit(&answer)),
    }
    report.ok(Check::Continue, "Expect: 100-continue is answered at once");
    answer.status == StatusCode::INSUFFICIENT_STORAGE
}

fn limit(answer: &Answer) -> &'static Remedy {
    match answer.status {
        StatusCode::PAYLOAD_TOO_LARGE => &remedy::BODY_LIMIT,
        StatusCode::FORBIDDEN => &remedy::MAY_NOT_PUSH,
        _ => &remedy::BODY_FAILS,
    }
}

/// Sends a layer of some MiB, with a length. False where it is not there afterwards.
pub(super) async fn judge_layer(
    report: &mut Report<'_>,
    repository: &Repository,
    layer: &Bytes,
    digest: &Digest,
) -> bool {
    let Some(at) = repository.begin().await.ok().and_then(|answer| repository.next(&answer)) else { return false };
    let length = layer.len() as u64;
    let patch = repository.patch(&at, whole(layer.clone()), Some(length));
    let mib = length >> 20;
    let patched = match repository.client().ask_long(patch, limits::BODY_BYTES).await {
        Ok(answer) if answer.status.is_success() => answer,
        Ok(answer) => {
            report.fail(Check::BodySize, format!("a body of {mib} MiB is answered by {answer}"), limit(&answer));
            return false;
        }
        Err(error) => {
            report.fail(Check::BodySize, format!("a body of {mib} MiB: {error}"), &remedy::BODY_FAILS);
            return false;
        }
    };
    let seen = format!("10 GiB may be announced; {mib} MiB take {:.1} s", patched.took.as_secs_f32());
    report.ok(Check::BodySize, seen);
    let at = repository.next(&patched).unwrap_or(at);
    repository.finish(&at, digest).await.is_ok_and(|answer| answer.status == StatusCode::CREATED)
}
