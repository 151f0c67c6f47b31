//! `/v2/<name>/referrers/<digest>` ([spec.md, "Listing referrers"])
//!
//! [spec.md, "Listing referrers"]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers

use std::collections::BTreeSet;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use lockgate_oci::{Algorithm, Digest, Pagination, Reference, RepositoryName, Tag};
use serde::Serialize;

use crate::http::{Outcome, Page, Refusal, Reply};
use crate::manifest::{Manifest, OCI_INDEX, Referrer};
use crate::registry::Registry;
use crate::store::{StoreError, StoredManifest};

const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// Manifests that are read for a page, at most, those that a filter leaves out included. Clients exist that
/// ask for no second page, so it is far more than an image has.
const MOST_READ: usize = 10_000;

/// Bytes of descriptors on a page, at most, unless one alone has more: as much as clients take for an index.
const PAGE_SIZE: usize = 4 * 1024 * 1024;

/// Digests that are in memory at once.
const BATCH: usize = 1000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u64,
    media_type: &'static str,
    manifests: Vec<Referrer>,
}

/// `GET`: an index of the manifests that refer to this one, or a page of it; an empty one when there are none.
/// `wanted` is the only type of artifact that it lists, if any is.
pub(crate) async fn list(
    registry: &Registry,
    name: &RepositoryName,
    subject: &Digest,
    wanted: Option<&str>,
    page: &Pagination,
) -> Outcome {
    let page = Page::new(page, MOST_READ)?;
    let candidates = Candidates::after(&page.after, registry, name, subject).await?;
    let (manifests, last) = fill(&page, candidates, wanted).await?;
    let index = json(&Index { schema_version: 2, media_type: OCI_INDEX, manifests });
    let reply = Reply::new(StatusCode::OK).bytes(HeaderValue::from_static(OCI_INDEX), index);
    let filter = wanted.map(|wanted| ("artifactType", wanted));
    let reply =
        page.link_of(reply, &format!("/v2/{name}/referrers/{subject}"), filter, last.as_ref().map(Digest::as_str));
    Ok(match wanted {
        Some(_) => reply.header(OCI_FILTERS_APPLIED, HeaderValue::from_static("artifactType")),
        None => reply,
    })
}

/// What is on a page, and the last one that was looked at, if there are more.
async fn fill(
    page: &Page,
    mut candidates: Candidates<'_>,
    wanted: Option<&str>,
) -> Result<(Vec<Referrer>, Option<Digest>), Refusal> {
    let (mut manifests, mut size, mut last) = (Vec::new(), 0, None);
    for looked_at in 0.. {
        let Some(digest) = candidates.next().await? else { return Ok((manifests, None)) };
        if looked_at == MOST_READ || page.is_full(manifests.len()) {
            break;
        }
        let found = read(candidates.registry, candidates.name, &Reference::Digest(digest.clone())).await?;
        let found = found.filter(|(manifest, _)| wanted.is_none_or(|wanted| manifest.artifact_type() == Some(wanted)));
        if let Some((manifest, length)) = found {
            let referrer = manifest.into_referrer(&digest, length);
            size += json(&referrer).len();
            if size > PAGE_SIZE && !manifests.is_empty() {
                break;
            }
            manifests.push(referrer);
        }
        last = Some(digest);
    }
    Ok((manifests, last))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("texts and numbers always serialise")
}

/// What may be a referrer, in lexical order: those that the store knows, and those that clients listed
/// themselves, under a tag, while the registry was one that did not know of referrers.
struct Candidates<'a> {
    registry: &'a Registry,
    name: &'a RepositoryName,
    subject: &'a Digest,
    /// Those under the tag that are yet to come.
    listed: BTreeSet<Digest>,
    /// The next of all.
    batch: BTreeSet<Digest>,
    /// Where the store goes on; nowhere when it has no more.
    after: Option<String>,
}

impl<'a> Candidates<'a> {
    async fn after(
        after: &str,
        registry: &'a Registry,
        name: &'a RepositoryName,
        subject: &'a Digest,
    ) -> Result<Self, Refusal> {
        let fallback = read(registry, name, &Reference::Tag(fallback_tag(subject))).await?;
        let listed = fallback.iter().flat_map(|(index, _)| index.children());
        let listed = listed.filter(|digest| digest.as_str() > after).cloned().collect();
        Ok(Self { registry, name, subject, listed, batch: BTreeSet::new(), after: Some(after.to_owned()) })
    }

    async fn next(&mut self) -> Result<Option<Digest>, Refusal> {
        if self.batch.is_empty()
            && let Some(after) = self.after.take()
        {
            let known = self.registry.store.referrers(self.name, self.subject, &after, BATCH).await?;
            let last = known.last().filter(|_| known.len() == BATCH).cloned();
            // Of those under the tag, what sorts after the store's batch waits for the next.
            let mut later = last.as_ref().map(|last| self.listed.split_off(last)).unwrap_or_default();
            later.retain(|digest| Some(digest) != last.as_ref());
            self.batch = std::mem::replace(&mut self.listed, later);
            self.batch.extend(known);
            self.after = last.map(|last| last.as_str().to_owned());
        }
        Ok(self.batch.pop_first())
    }
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
