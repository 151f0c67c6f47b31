//! `/v2/<name>/_lockgate/trash/`: what was deleted, and the way back. It is an extension of Lockgate's.

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use lockgate_oci::{ErrorCode, OciError, RepositoryName, Tag, TrashId};
use serde::Serialize;

use crate::http::{Outcome, Refusal, Reply, caller, header_value};
use crate::registry::Registry;
use crate::space::{RestoreError, Restored, restore};
use crate::store::{Deleted, Kind, Trashed};

const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

#[derive(Serialize)]
struct List<'a> {
    name: &'a str,
    deleted: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: String,
    /// RFC 3339.
    time: String,
    #[serde(flatten)]
    deleted: &'a Deleted,
}

/// `GET`: what was deleted in a repository, the newest first.
pub(crate) async fn list(registry: &Registry, name: &RepositoryName) -> Outcome {
    let records = registry.store.trash(Some(name)).await?;
    let deleted = records.iter().map(|Trashed { id, deleted, .. }| Entry {
        id: id.to_string(),
        time: humantime::format_rfc3339_seconds(id.time()).to_string(),
        deleted,
    });
    let list = List { name: name.as_str(), deleted: deleted.collect() };
    let list = serde_json::to_vec(&list).expect("texts always serialise");
    Ok(Reply::new(StatusCode::OK).bytes(HeaderValue::from_static("application/json"), list))
}

/// `POST`: brings it back, with these tags of those that it had. None of them may be another image by now.
pub(crate) async fn restore_one(
    registry: &Registry,
    request: &Parts,
    name: &RepositoryName,
    id: &TrashId,
    tags: &[Tag],
) -> Outcome {
    let unknown = || {
        let message = "the trash of this repository has no such thing: it was restored, or is too old";
        OciError::new(ErrorCode::ManifestUnknown, message).with_detail(id.to_string())
    };
    let record = registry.store.trashed(name, id).await?.ok_or_else(unknown)?;
    if let Some(tag) = tags.iter().find(|tag| !record.deleted.tags.contains(tag)) {
        let message = format!("it had no tag {tag} when it was deleted: push it again to give it another");
        return Err(OciError::new(ErrorCode::TagInvalid, message).into());
    }
    let Restored { tags, .. } = restore(registry, &record, tags, true, caller(request)).await?;
    let digest = &record.deleted.digest;
    let kind = if record.deleted.what == Kind::Blob { "blobs" } else { "manifests" };
    let reply =
        Reply::new(StatusCode::CREATED).location(format!("/v2/{name}/{kind}/{digest}")).digest(digest).length(0);
    Ok(tags.iter().fold(reply, |reply, tag| reply.also(OCI_TAG, header_value(tag.as_str()))))
}

impl From<RestoreError> for Refusal {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Store(error) => error.into(),
            RestoreError::Gone(_) => OciError::new(ErrorCode::ManifestBlobUnknown, error.to_string()).into(),
            RestoreError::Taken(_) => {
                OciError::new(ErrorCode::Denied, error.to_string()).with_status(StatusCode::CONFLICT).into()
            }
        }
    }
}
