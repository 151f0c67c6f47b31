//! `/v2/<name>/manifests/<reference>`

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use lockgate_oci::{Algorithm, Digest, ErrorCode, OciError, Reference, RepositoryName, Tag};

use super::conditional;
use super::room::{Pushed, Room};
use crate::hasher::digest_of;
use crate::http::{Outcome, Reply, RequestBody, caller, header, header_value};
use crate::manifest::{Manifest, ManifestError};
use crate::registry::Registry;
use crate::store::{Cause, NewManifest, StoreError, StoredManifest};

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

fn unknown(reference: &Reference) -> OciError {
    let message = "this repository has no such manifest: push it first, or look at its tags";
    OciError::new(ErrorCode::ManifestUnknown, message).with_detail(reference.to_string())
}

/// `GET` and `HEAD`: the bytes as they were pushed.
pub(crate) async fn get(registry: &Registry, request: &Parts, name: &RepositoryName, reference: &Reference) -> Outcome {
    let stored = registry.store.manifest(name, reference).await?.ok_or_else(|| unknown(reference))?;
    let StoredManifest { digest, content } = stored;
    if request.method == Method::GET {
        // Of who asks by HEAD nobody knows whether he has it already, or only looks.
        registry.store.note_pull(name, &digest);
    }
    if let Some(reply) = conditional::instead_of(request, &digest)? {
        return Ok(reply);
    }
    let manifest = Manifest::stored(&content).map_err(unreadable)?;
    let media_type = HeaderValue::try_from(manifest.media_type());
    let media_type = media_type.map_err(|_| unreadable(ManifestError::MediaTypeInvalid))?;
    Ok(Reply::new(StatusCode::OK).entity(&digest).length(content.len() as u64).bytes(media_type, content))
}

/// Another registry accepted it once.
fn unreadable(error: ManifestError) -> OciError {
    OciError::new(ErrorCode::ManifestUnknown, format!("the manifest is stored, and cannot be served: {error}"))
}

/// `PUT`: keeps a manifest and lets the tag point at it.
pub(crate) async fn put(
    registry: &Registry,
    request: &Parts,
    body: &mut RequestBody,
    name: &RepositoryName,
    reference: Reference,
    tags: Vec<Tag>,
) -> Outcome {
    let content = content(registry, body).await?;
    let precondition = conditional::precondition(request).map(|precondition| (reference.clone(), precondition));
    let (digest, tags) = names(reference, tags, &content)?;
    let manifest = Manifest::pushed(&content, header(request, &CONTENT_TYPE)).map_err(OciError::from)?;
    look_after_sizes(registry, name, &manifest).await?;
    let subject = manifest.subject().cloned();
    let requires = if registry.storage.sparse { Vec::new() } else { manifest.requires() };
    let reply = Reply::new(StatusCode::CREATED).location(format!("/v2/{name}/manifests/{digest}"));
    let reply =
        tags.iter().fold(reply.digest(&digest).length(0), |reply, tag| reply.also(OCI_TAG, header_value(tag.as_str())));
    let by = caller(request);
    let room = Room::of(registry, name, Pushed::Manifest(&digest), content.len() as u64).await?;
    let new = NewManifest { digest, content, tags, subject: subject.clone(), requires, precondition, by };
    registry.store.put_manifest(name, new).await?;
    room.take();
    Ok(match subject {
        Some(subject) => reply.header(OCI_SUBJECT, header_value(subject.as_str())),
        None => reply,
    })
}

/// A layout of distribution's records no sizes, so that a blob which a crash has cut short is found when a manifest
/// tells another: then its bytes are looked at. A blob that was lost is missing, and clients push it again.
async fn look_after_sizes(registry: &Registry, name: &RepositoryName, manifest: &Manifest) -> Result<(), StoreError> {
    if !registry.store.may_lose_bytes() {
        return Ok(());
    }
    for (digest, size) in manifest.sizes() {
        if registry.store.blob(name, digest).await?.is_some_and(|blob| blob.size() != size) {
            registry.store.forget_if_corrupt(name, digest).await?;
        }
    }
    Ok(())
}

async fn content(registry: &Registry, body: &mut RequestBody) -> Result<Bytes, OciError> {
    let limit = registry.storage.manifest_size.get() as u64;
    body.collect(limit).await?.ok_or_else(|| {
        let message = format!("a manifest has at most {limit} bytes here (storage.manifest_size)");
        OciError::new(ErrorCode::SizeInvalid, message).with_status(StatusCode::PAYLOAD_TOO_LARGE)
    })
}

/// A pushed manifest's digest and its tags. Where it is pushed by tag, the specification knows no `?tag=`.
fn names(reference: Reference, tags: Vec<Tag>, content: &[u8]) -> Result<(Digest, Vec<Tag>), OciError> {
    match reference {
        Reference::Tag(tag) => Ok((digest_of(Algorithm::Sha256, content), vec![tag])),
        Reference::Digest(digest) => {
            let found = digest_of(digest.algorithm(), content);
            if found != digest {
                let message = "the manifest that arrived has another digest than its URL";
                return Err(OciError::new(ErrorCode::DigestInvalid, message).with_detail(found.as_str()));
            }
            Ok((digest, tags))
        }
    }
}

/// `DELETE`: removes a tag; or, by digest, a manifest with its tags.
pub(crate) async fn delete(
    registry: &Registry,
    request: &Parts,
    name: &RepositoryName,
    reference: &Reference,
) -> Outcome {
    let precondition = conditional::precondition(request).unwrap_or_default();
    let cause = Cause { by: caller(request), why: None };
    let deleted = match reference {
        Reference::Tag(tag) => registry.store.delete_tag(name, tag, &precondition, &cause).await?,
        Reference::Digest(digest) => {
            // One that cannot be read, or is not what its name says, can still be deleted.
            let stored = registry.store.manifest(name, reference).await;
            if !matches!(stored, Ok(None)) && !precondition.holds(Some(digest)) {
                return Err(StoreError::PreconditionFailed.into());
            }
            let manifest = stored.ok().flatten().and_then(|stored| Manifest::stored(&stored.content).ok());
            let subject = manifest.as_ref().and_then(Manifest::subject);
            registry.store.delete_manifest(name, digest, subject, &cause).await?
        }
    };
    if deleted { Ok(Reply::new(StatusCode::ACCEPTED).length(0)) } else { Err(unknown(reference).into()) }
}
