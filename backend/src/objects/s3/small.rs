//! Small objects: read whole, written whole, removed.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode, header};

use super::client::{Client, Retries};
use super::failure::{Failure, Kind};
use super::request::{Answer, Request, quoted};
use crate::objects::{Object, REMOVAL, Read, Result, Stat, Version};

pub(super) async fn get(client: &Client, key: &str) -> Result<Option<Object>> {
    let request = Request::new(Method::GET, key);
    let answer = client.send(&request).await?;
    match answer.status {
        StatusCode::NOT_FOUND => Ok(None),
        _ => object(client, &request, answer).map(Some),
    }
}

pub(super) async fn get_unless(client: &Client, key: &str, known: &Version) -> Result<Read> {
    let request = Request::new(Method::GET, key).header(header::IF_NONE_MATCH, &quoted(known));
    let answer = client.send(&request).await?;
    match answer.status {
        StatusCode::NOT_FOUND => Ok(Read::Absent),
        StatusCode::NOT_MODIFIED => Ok(Read::Unchanged),
        _ => object(client, &request, answer).map(Read::Changed),
    }
}

fn object(client: &Client, request: &Request, answer: Answer) -> Result<Object> {
    let stat = answer.stat(answer.body.len() as u64).filter(|_| answer.status == StatusCode::OK);
    let stat = stat.ok_or_else(|| client.odd(request, "it has no ETag, or no Last-Modified"))?;
    Ok(Object { bytes: answer.body, stat })
}

/// It is not asked for by HEAD, whose answer has no body: what is missing could be the object, the bucket or the server, and
/// what is refused would be so for one of many reasons.
pub(super) async fn stat(client: &Client, key: &str) -> Result<Option<Stat>> {
    let request = Request::new(Method::GET, key).range(0, 1);
    let answer = client.send(&request).await?;
    let size = match answer.status {
        StatusCode::NOT_FOUND => return Ok(None),
        // What has no first byte is read whole.
        StatusCode::RANGE_NOT_SATISFIABLE => return Ok(get(client, key).await?.map(|object| object.stat)),
        StatusCode::PARTIAL_CONTENT => answer.text(&header::CONTENT_RANGE).and_then(size_of_all),
        StatusCode::OK => Some(answer.body.len() as u64),
        _ => None,
    };
    let stat = size.and_then(|size| answer.stat(size));
    stat.map(Some).ok_or_else(|| client.odd(&request, "it has no ETag, no size, or no Last-Modified"))
}

/// How large an object is whose first byte was asked for.
fn size_of_all(content_range: &str) -> Option<u64> {
    content_range.strip_prefix("bytes 0-0/")?.parse().ok()
}

pub(super) async fn put(client: &Client, key: &str, bytes: Bytes, mark: Option<&str>) -> Result<()> {
    let request = Request::new(Method::PUT, key).body(bytes).mark(mark);
    let answer = client.send(&request).await?;
    if answer.status.is_success() { Ok(()) } else { Err(client.odd(&request, "it is none to a write")) }
}

/// Removes an object by a request that the store refuses once [`REMOVAL`] has passed. What may still be on its way is
/// not sent again: the first could come after the second was acknowledged, and take what was written in between.
pub(super) async fn remove(client: &Client, key: &str) -> Result<()> {
    let request = Request::new(Method::DELETE, key);
    // The signature counts from this machine's time, and ends by the store's.
    let ahead = u64::try_from(client.ahead.load(Ordering::Relaxed)).unwrap_or(0);
    let lifetime = REMOVAL.saturating_sub(Duration::from_secs(ahead));
    if lifetime < REMOVAL / 2 {
        let message = format!(
            "this machine's clock is {ahead} seconds ahead of that of S3 at {}; nothing is removed until both follow the \
             same time",
            client.endpoint
        );
        return Err(Failure { kind: Kind::Refused, message }.into());
    }
    let (begun, mut retries) = (Instant::now(), Retries::new());
    let url = client.sign(&request, lifetime).await?;
    loop {
        match client.send_signed(&request, &url).await {
            Ok(answer) if answer.status.is_success() || answer.status == StatusCode::NOT_FOUND => return Ok(()),
            Ok(_) => return Err(client.odd(&request, "it is none to a removal")),
            Err(Failure { kind: Kind::Busy | Kind::Failed, message }) if begun.elapsed() < lifetime / 2 => {
                tracing::debug!("S3: {message}");
                if !retries.next().await {
                    return Err(Failure { kind: Kind::Failed, message }.into());
                }
            }
            Err(failure) => return Err(failure.into()),
        }
    }
}
