//! Uploads in parts, and copies within the store, which are such uploads where they are large.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderName, Method, StatusCode};

use super::answers::{self, Begun, Copied};
use super::client::Client;
use super::request::{Answer, Request, quoted};
use super::small;
use crate::objects::{Completed, Multipart, ObjectsError, Part, Result, Version};

const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
const COPY_SOURCE_RANGE: HeaderName = HeaderName::from_static("x-amz-copy-source-range");
const COPY_SOURCE_IF_MATCH: HeaderName = HeaderName::from_static("x-amz-copy-source-if-match");
const METADATA_DIRECTIVE: HeaderName = HeaderName::from_static("x-amz-metadata-directive");

/// How many parts of one object are copied at a time.
const COPIES_AT_ONCE: usize = 8;

/// How a large object is copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct CopySizes {
    /// The largest that one request copies; larger ones would take too long. S3 itself ends at 5 GiB.
    pub(super) whole: u64,
    /// The least that a part of a larger one has; of more than [`PARTS`] it has more.
    pub(super) part: u64,
}

/// The most parts of a copy.
const PARTS: u64 = 10_000;

pub(super) async fn begin(client: &Client, key: &str) -> Result<Multipart> {
    let request = Request::new(Method::POST, key).query("uploads", "");
    let answer = client.send(&request).await?;
    let begun: Option<Begun> = answers::parse(&answer.body).filter(|_| answer.status.is_success());
    begun.map(|begun| Multipart(begun.upload_id)).ok_or_else(|| client.odd(&request, "it names no upload"))
}

pub(super) async fn put_part(
    client: &Client,
    key: &str,
    upload: &Multipart,
    number: u16,
    bytes: Bytes,
) -> Result<Part> {
    let request = part_request(key, upload, number).body(bytes);
    let answer = client.send(&request).await?;
    if_known(client, &request, &answer)?;
    let tag = answer.version().map(|version| version.0);
    tag.map(|tag| Part { number, tag }).ok_or_else(|| client.odd(&request, "it names no ETag"))
}

pub(super) async fn copy_part(
    client: &Client,
    key: &str,
    upload: &Multipart,
    number: u16,
    from: &str,
    range: Range<u64>,
) -> Result<Part> {
    let range = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
    let request = part_request(key, upload, number).header(COPY_SOURCE, &source(client, from));
    let request = request.header(COPY_SOURCE_RANGE, &range).patiently();
    let answer = client.send(&request).await?;
    if_known(client, &request, &answer)?;
    let copied: Option<Copied> = answers::parse(&answer.body);
    let tag = copied.map(|copied| copied.tag.trim_matches('"').to_owned());
    tag.map(|tag| Part { number, tag }).ok_or_else(|| client.odd(&request, "it names no ETag"))
}

pub(super) async fn complete(client: &Client, key: &str, upload: &Multipart, parts: &[Part]) -> Result<Completed> {
    let request = Request::new(Method::POST, key).query("uploadId", &upload.0).patiently();
    let request = request.body(answers::list_of(parts).into());
    let answer = client.send(&request).await?;
    match answer.status {
        StatusCode::NOT_FOUND => Ok(Completed::Unknown),
        // What was cut after the head of 200 may have failed.
        _ if answers::parse::<Copied>(&answer.body).is_some() => Ok(Completed::Done),
        _ => Err(client.odd(&request, "it says neither that it is complete nor that it is not")),
    }
}

pub(super) async fn abort(client: &Client, key: &str, upload: &Multipart) -> Result<()> {
    let request = Request::new(Method::DELETE, key).query("uploadId", &upload.0);
    let answer = client.send(&request).await?;
    let is_gone = answer.status.is_success() || answer.status == StatusCode::NOT_FOUND;
    if is_gone { Ok(()) } else { Err(client.odd(&request, "it is none to the end of an upload")) }
}

pub(super) async fn copy(client: &Client, from: &str, range: Range<u64>, to: &str, sizes: CopySizes) -> Result<()> {
    let stat = small::stat(client, from).await?;
    let stat = stat.ok_or_else(|| ObjectsError::Refused(format!("{from} cannot be copied: it is not there")))?;
    if range.end > stat.size || range.start > range.end {
        return Err(ObjectsError::Refused(format!("{from} cannot be copied: it has {} bytes", stat.size)));
    }
    if range.is_empty() {
        small::put(client, to, Bytes::new(), None).await
    } else if range == (0..stat.size) && stat.size <= sizes.whole {
        copy_whole(client, from, &stat.version, to).await
    } else {
        copy_in_parts(client, from, range, to, sizes.part).await
    }
}

async fn copy_whole(client: &Client, from: &str, version: &Version, to: &str) -> Result<()> {
    let request = Request::new(Method::PUT, to).header(COPY_SOURCE, &source(client, from)).patiently();
    let request = request.header(COPY_SOURCE_IF_MATCH, &quoted(version)).header(METADATA_DIRECTIVE, "REPLACE");
    let answer = client.send(&request).await?;
    let is_copied = answer.status.is_success() && answers::parse::<Copied>(&answer.body).is_some();
    if is_copied { Ok(()) } else { Err(client.odd(&request, "it is not copied, or has changed meanwhile")) }
}

async fn copy_in_parts(client: &Client, from: &str, range: Range<u64>, to: &str, part: u64) -> Result<()> {
    let upload = begin(client, to).await?;
    let copied = copy_parts(client, from, range.clone(), to, &upload, part).await;
    if copied.is_err() {
        // What cannot be ended is removed by the bucket's rule for abandoned uploads.
        let _ = abort(client, to, &upload).await;
    }
    match copied? {
        Completed::Done => Ok(()),
        Completed::Unknown => {
            let found = small::stat(client, to).await?.map(|stat| stat.size);
            let is_there = found == Some(range.end - range.start);
            let message = || format!("{to} was copied from {from}, and is not there");
            if is_there { Ok(()) } else { Err(ObjectsError::Unavailable(message())) }
        }
    }
}

async fn copy_parts(
    client: &Client,
    from: &str,
    range: Range<u64>,
    to: &str,
    upload: &Multipart,
    part: u64,
) -> Result<Completed> {
    let size = part.max((range.end - range.start).div_ceil(PARTS));
    let ranges = (0..).map(|number| range.start + number * size).take_while(|start| *start < range.end);
    let copies = ranges
        .zip(1..)
        .map(|(start, number)| copy_part(client, to, upload, number, from, start..range.end.min(start + size)));
    let parts: Vec<Part> = stream::iter(copies).buffered(COPIES_AT_ONCE).try_collect().await?;
    complete(client, to, upload, &parts).await
}

fn part_request(key: &str, upload: &Multipart, number: u16) -> Request {
    Request::new(Method::PUT, key).query("partNumber", number).query("uploadId", &upload.0)
}

/// An object as the source of a copy. Keys hold only what a URL has as it is.
fn source(client: &Client, key: &str) -> String {
    format!("{}/{}", client.bucket, client.full(key))
}

fn if_known(client: &Client, request: &Request, answer: &Answer) -> Result<()> {
    if answer.status.is_success() {
        return Ok(());
    }
    let message = format!("{} has no effect: the upload has ended, or there is nothing to copy", client.asked(request));
    Err(ObjectsError::Refused(message))
}
