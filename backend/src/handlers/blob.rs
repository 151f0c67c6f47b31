//! `/v2/<name>/blobs/<digest>`

use std::sync::Once;
use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, HOST, HeaderValue, RANGE};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, StatusCode, Uri};
use lockgate_oci::{Digest, ErrorCode, OciError, RepositoryName};
use tokio::time::timeout;

use super::conditional;
use crate::http::{Multipart, Outcome, Part, Refusal, Reply, caller, header, header_value, requested};
use crate::redirect::is_shown_the_password;
use crate::registry::Registry;
use crate::store::{Blob, Cause, StoreError};

fn unknown(digest: &Digest) -> OciError {
    let message = "this repository does not hold the blob: push it, or mount it from where it is";
    OciError::new(ErrorCode::BlobUnknown, message).with_detail(digest.as_str())
}

/// How long a HEAD waits until a blob is read. A longer one is there until it was read to its end.
const PATIENCE: Duration = Duration::from_secs(1);

/// A client may be sent to where a blob of more bytes than this is, and for how long it can read it there.
const LARGE: u64 = 1 << 20;
const LIFETIME: Duration = Duration::from_secs(15 * 60);

const CONTENT: &str = "application/octet-stream";

/// `GET` and `HEAD`: the blob, or ranges of it.
pub(crate) async fn get(registry: &Registry, request: &Parts, name: &RepositoryName, digest: &Digest) -> Outcome {
    let mut blob = match request.method {
        Method::HEAD => registry.store.blob_if_there(name, digest).await?,
        _ => registry.store.blob(name, digest).await?,
    };
    if request.method == Method::HEAD && blob.as_ref().is_some_and(|blob| !blob.is_recorded()) {
        blob = looked_at(registry, name, digest).await?;
    }
    let blob = blob.ok_or_else(|| unknown(digest))?;
    if let Some(reply) = conditional::instead_of(request, digest)? {
        return Ok(lasting(reply));
    }
    let size = blob.size();
    if request.method == Method::HEAD {
        return Ok(described(StatusCode::OK, digest).length(size));
    }
    let range = header(request, &RANGE).filter(|_| conditional::range_applies(request, digest));
    match range.map_or(Part::Whole, |range| requested(range, size)) {
        Part::Whole => match elsewhere(request, &*blob).await? {
            Some(url) => Ok(Reply::new(StatusCode::TEMPORARY_REDIRECT).digest(digest).location(url).length(0)),
            None => Ok(described(StatusCode::OK, digest).length(size).stream(blob.read(0..size), size)),
        },
        Part::Bytes(range) => {
            let length = range.end - range.start;
            let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            let reply = described(StatusCode::PARTIAL_CONTENT, digest).length(length);
            Ok(reply.header(CONTENT_RANGE, header_value(content_range)).stream(blob.read(range), length))
        }
        Part::Several(ranges) => {
            let parts = Multipart::new(ranges, size, CONTENT);
            let (length, content_type) = (parts.length(), parts.content_type());
            let reply = described(StatusCode::PARTIAL_CONTENT, digest).length(length);
            Ok(reply.header(CONTENT_TYPE, content_type).stream(parts.read(blob), length))
        }
        Part::Unsatisfiable => Err(unsatisfiable(format!("the blob has only {size} bytes"), size)),
        Part::Backwards => Err(unsatisfiable("a range ends before it begins".to_owned(), size)),
    }
}

/// Where a client reads a blob by itself, if it is sent there.
async fn elsewhere(request: &Parts, blob: &dyn Blob) -> Result<Option<String>, StoreError> {
    if blob.size() <= LARGE || is_of_a_browser(request) {
        return Ok(None);
    }
    // In HTTP/2 the host stands in the target.
    let registry = request.uri.authority().map(Authority::as_str).or_else(|| header(request, &HOST)).unwrap_or("");
    let url = blob.url(LIFETIME).await?;
    let host = url.as_deref().and_then(|url| url.parse::<Uri>().ok()?.into_parts().authority);
    if let Some(host) = host.filter(|host| is_shown_the_password(host.as_str(), registry)) {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            tracing::warn!(
                %host,
                registry,
                "storage.redirect sends nobody there: it is the registry's own name or one below it, and clients written in Go would show it their password"
            );
        });
        return Ok(None);
    }
    Ok(url)
}

/// A page could not read what another origin answers, and is to be sent nowhere by what somebody pushed.
fn is_of_a_browser(request: &Parts) -> bool {
    let marks = ["origin", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site"];
    // Browsers without those marks, or where they leave them out, are known by what they ask for.
    let is_page = |accept: &HeaderValue| accept.to_str().is_ok_and(|accept| accept.contains("text/html"));
    marks.iter().any(|name| request.headers.contains_key(*name)) || request.headers.get_all(ACCEPT).iter().any(is_page)
}

/// Who asks whether a blob is there sends it if it is not. So the bytes of one that another registry wrote, and may have
/// lost a part of in a crash, are read when they are asked for first.
async fn looked_at(
    registry: &Registry,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Option<Box<dyn Blob>>, StoreError> {
    if let Ok(Err(error)) = timeout(PATIENCE, registry.store.forget_if_corrupt(name, digest)).await {
        tracing::warn!(%error, %digest, "whether this blob is whole is not known, or it could not be removed");
    }
    registry.store.blob(name, digest).await
}

fn unsatisfiable(message: String, size: u64) -> Refusal {
    let error = OciError::new(ErrorCode::RangeInvalid, message);
    Refusal::from(error).with_header(CONTENT_RANGE, header_value(format!("bytes */{size}")))
}

fn described(status: StatusCode, digest: &Digest) -> Reply {
    let reply = Reply::new(status).entity(digest).header(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    lasting(reply).header(CONTENT_TYPE, HeaderValue::from_static(CONTENT))
}

/// What has this digest will have it in a year.
fn lasting(reply: Reply) -> Reply {
    reply.header(CACHE_CONTROL, HeaderValue::from_static("max-age=31536000"))
}

/// `DELETE`: the repository no longer holds the blob.
pub(crate) async fn delete(registry: &Registry, request: &Parts, name: &RepositoryName, digest: &Digest) -> Outcome {
    let holds = conditional::precondition(request).is_none_or(|precondition| precondition.holds(Some(digest)));
    if !holds && registry.store.blob(name, digest).await?.is_some() {
        return Err(StoreError::PreconditionFailed.into());
    }
    let cause = Cause { by: caller(request), why: None };
    if registry.store.delete_blob(name, digest, &cause).await? {
        Ok(Reply::new(StatusCode::ACCEPTED).digest(digest).length(0))
    } else {
        Err(unknown(digest).into())
    }
}
