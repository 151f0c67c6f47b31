//! `/v2/<name>/referrers/<digest>` ([spec.md, "Listing referrers"])
//!
//! [spec.md, "Listing referrers"]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers

use std::collections::BTreeSet;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use lockgate_oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use serde::Serialize;

use crate::http::{Call, Outcome, Refusal, Registry, Reply};
use crate::manifest::{Manifest, OCI_INDEX, Referrer};
use crate::store::{StoreError, StoredManifest};

const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u64,
    media_type: &'static str,
    manifests: Vec<Referrer>,
}

/// `GET`: an index of the manifests that refer to this one; an empty one when there are none.
pub(crate) async fn list(registry: &Registry, call: &Call, name: &RepositoryName, subject: &Digest) -> Outcome {
    let wanted = call.query.get("artifactType").filter(|wanted| !wanted.is_empty());
    let mut manifests = Vec::new();
    for digest in digests(registry, name, subject).await? {
        let Some((manifest, size)) = read(registry, name, &Reference::Digest(digest.clone())).await? else { continue };
        if wanted.is_none_or(|wanted| manifest.artifact_type() == Some(wanted)) {
            manifests.push(manifest.into_referrer(&digest, size));
        }
    }
    let index = Index { schema_version: 2, media_type: OCI_INDEX, manifests };
    let index = serde_json::to_vec(&index).expect("texts and numbers always serialise");
    let reply = Reply::new(StatusCode::OK).bytes(HeaderValue::from_static(OCI_INDEX), index);
    Ok(match wanted {
        Some(_) => reply.header(OCI_FILTERS_APPLIED, HeaderValue::from_static("artifactType")),
        None => reply,
    })
}

/// The referrers that the store knows, and those that clients listed themselves, under a tag, while
/// the registry was one that did not know of referrers.
async fn digests(registry: &Registry, name: &RepositoryName, subject: &Digest) -> Result<BTreeSet<Digest>, Refusal> {
    let mut digests: BTreeSet<_> = registry.store.referrers(name, subject).await?.into_iter().collect();
    let fallback = Reference::Tag(fallback_tag(subject));
    if let Some((index, _)) = read(registry, name, &fallback).await? {
        digests.extend(index.children().cloned());
    }
    Ok(digests)
}

/// A manifest and its size. One that is gone meanwhile, or is none, is not listed.
async fn read(
    registry: &Registry,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<Option<(Manifest, u64)>, Refusal> {
    let stored = match registry.store.manifest(name, reference).await {
        Err(StoreError::Corrupt(what)) => {
            tracing::warn!(repository = %name, what, "a referrer is not listed");
            return Ok(None);
        }
        stored => stored?,
    };
    let listed = |stored: StoredManifest| Some((Manifest::stored(&stored.content).ok()?, stored.content.len() as u64));
    Ok(stored.and_then(listed))
}

/// `<algorithm>-<hex>`, cut to 64 digits ([spec.md, "Referrers Tag Schema"]).
///
/// [spec.md, "Referrers Tag Schema"]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
fn fallback_tag(subject: &Digest) -> Tag {
    let hex = &subject.hex()[..Algorithm::Sha256.hex_len()];
    let tag = format!("{}-{hex}", subject.algorithm());
    tag.parse().expect("letters, a dash and 64 digits are a tag")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fallback_tag_of_any_digest_is_a_tag() {
        let sha256: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        assert_eq!(fallback_tag(&sha256).as_str(), format!("sha256-{}", "a".repeat(64)));
        let sha512: Digest = format!("sha512:{}", "b".repeat(128)).parse().unwrap();
        assert_eq!(fallback_tag(&sha512).as_str(), format!("sha512-{}", "b".repeat(64)));
    }
}
