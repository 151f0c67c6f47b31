//! Reading everything, to find what is damaged and which images that hits.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::{FutureExt as _, TryStreamExt as _};
use lockgate_oci::{Algorithm, Digest, RepositoryName};
use serde::{Deserialize, Serialize};

use super::keys;
use super::links::is_whole;
use super::manifests::current;
use super::node::{Node, all};
use crate::hasher::Hasher;
use crate::manifest::Manifest;
use crate::objects::Entry;
use crate::store::{Damage, Hit, Result};

/// Parts in which everything is read: by the first byte of a digest, in either algorithm.
pub(super) const PARTS: u16 = 512;

/// How far it is.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Mark {
    part: u16,
    damaged: Vec<Digest>,
}

/// Where a run goes on that was cut off, and what it had found.
pub(super) async fn mark(node: &Node) -> Result<(u16, Vec<Digest>)> {
    let object = node.objects.get(keys::VERIFY).await?;
    // One that cannot be read is as good as none: everything is read again.
    let mark = object.and_then(|object| serde_json::from_slice::<Mark>(&object.bytes).ok()).unwrap_or_default();
    Ok((mark.part, mark.damaged))
}

/// Writes down how far it is; at its end, nothing.
pub(super) async fn set_mark(node: &Node, part: u16, damaged: Vec<Digest>) -> Result<()> {
    if part >= PARTS {
        return Ok(node.objects.remove(keys::VERIFY).await?);
    }
    let mark = serde_json::to_vec(&Mark { part, damaged }).expect("texts and numbers are written as JSON");
    Ok(node.objects.put(keys::VERIFY, mark.into(), None).await?)
}

/// The blobs of a part, with their sizes.
pub(super) async fn blobs(node: &Node, part: u16) -> Result<Vec<(Digest, u64)>> {
    let [half, first] = part.to_be_bytes();
    let algorithm = if half == 0 { Algorithm::Sha256 } else { Algorithm::Sha512 };
    let entries = node.objects.scan(&keys::blobs_of(algorithm, first)).try_collect::<Vec<Entry>>().await?;
    let named = |entry: Entry| Some((keys::digest_of_blob(&entry.key[keys::BLOBS.len()..])?, entry.size));
    Ok(entries.into_iter().filter_map(named).collect())
}

/// Reads a blob; what is wrong with it, if anything is.
pub(super) async fn look_at(node: &Arc<Node>, digest: &Digest) -> Result<Option<Damage>> {
    let key = keys::blob(digest);
    let (name, opened) = (key.clone(), Arc::clone(node));
    let open = move |_| async move {
        let stat = opened.objects.stat(&name).await?;
        Ok((stat, Arc::clone(&opened.objects).open(&name).await?))
    };
    let (Some(stat), content) = node.run(open).await? else { return Ok(None) };
    let damage = |found: String| Ok(Some(Damage { digest: digest.clone(), found, version: stat.version.clone() }));
    let Some(content) = content else {
        return damage(format!("{} bytes, fewer or more than were pushed", stat.size));
    };
    if !is_whole(&key, digest, content.size()) {
        return damage("nothing".to_owned());
    }
    let mut hasher = Hasher::new(digest.algorithm());
    let mut pieces = content.read(0..content.size());
    while let Some(piece) = pieces.try_next().await? {
        hasher.update(&piece);
    }
    let found = hasher.finish();
    if found == *digest { Ok(None) } else { damage(format!("bytes with the digest {found}")) }
}

/// Manifests that name something damaged, or something that is not there.
pub(super) async fn hits(node: &Node, repository: &RepositoryName, damaged: &HashSet<Digest>) -> Result<Vec<Hit>> {
    let links = keys::links(repository, crate::store::Links::Manifests);
    let entries: Vec<Entry> = node.objects.scan(&links).try_collect().await?;
    let mut hits = Vec::new();
    for digest in entries.iter().filter_map(|entry| keys::digest_of_link(&entry.key[links.len()..])) {
        let Some(content) = node.manifest_bytes(repository, &digest).await? else {
            hits.push(Hit {
                repository: repository.clone(),
                lacks: vec![digest.clone()],
                manifest: digest,
                tags: Vec::new(),
            });
            continue;
        };
        let requires = Manifest::stored(&content).map(|manifest| manifest.requires()).unwrap_or_default();
        let mut named: Vec<Digest> = requires.iter().map(|requirement| requirement.digest().clone()).collect();
        named.push(digest.clone());
        let are_kept = all(named.iter().map(|digest| node.is_kept(digest).boxed()).collect()).await?;
        let lacks = named.into_iter().zip(are_kept).filter(|(digest, is_kept)| !is_kept || damaged.contains(digest));
        let lacks: Vec<Digest> = lacks.map(|(digest, _)| digest).collect();
        if !lacks.is_empty() {
            hits.push(Hit { repository: repository.clone(), manifest: digest, tags: Vec::new(), lacks });
        }
    }
    if !hits.is_empty() {
        let mut tags = node.names.linked_tags(repository);
        while let Some(tag) = tags.try_next().await? {
            let points_at = current(node, repository, &tag).await.ok().flatten();
            hits.iter_mut()
                .filter(|hit| Some(&hit.manifest) == points_at.as_ref())
                .for_each(|hit| hit.tags.push(tag.clone()));
        }
    }
    Ok(hits)
}
