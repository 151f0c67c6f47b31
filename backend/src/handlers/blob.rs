//! `/v2/<name>/blobs/<digest>`

use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE};
use http::request::Parts;
use http::{Method, StatusCode};
use lockgate_oci::{Digest, ErrorCode, OciError, RepositoryName};

use super::conditional;
use crate::http::{Multipart, Outcome, Part, Refusal, Reply, header, header_value, requested};
use crate::registry::Registry;
use crate::store::StoreError;

fn unknown(digest: &Digest) -> OciError {
    let message = "this repository does not hold the blob: push it, or mount it from where it is";
    OciError::new(ErrorCode::BlobUnknown, message).with_detail(digest.as_str())
}

const CONTENT: &str = "application/octet-stream";

/// `GET` and `HEAD`: the blob, or ranges of it.
pub(crate) async fn get(registry: &Registry, request: &Parts, name: &RepositoryName, digest: &Digest) -> Outcome {
    let blob = registry.store.blob(name, digest).await?.ok_or_else(|| unknown(digest))?;
    if let Some(reply) = conditional::instead_of(request, digest)? {
        return Ok(lasting(reply));
    }
    let size = blob.size();
    if request.method == Method::HEAD {
        return Ok(described(StatusCode::OK, digest).length(size));
    }
    let range = header(request, &RANGE).filter(|_| conditional::range_applies(request, digest));
    match range.map_or(Part::Whole, |range| requested(range, size)) {
        Part::Whole => Ok(described(StatusCode::OK, digest).length(size).stream(blob.read(0..size), size)),
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
    if registry.store.delete_blob(name, digest).await? {
        Ok(Reply::new(StatusCode::ACCEPTED).digest(digest).length(0))
    } else {
        Err(unknown(digest).into())
    }
}
