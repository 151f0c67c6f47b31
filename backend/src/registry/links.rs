//! Links, and the bytes that they point at.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt as _;
use lockgate_oci::{Algorithm, Digest, RepositoryName};
use uuid::Uuid;

use super::keys;
use super::node::{Node, all};
use crate::hasher::digest_of;
use crate::objects::{Object, Opened, Result};

/// A blob that a repository holds.
pub(super) struct Held {
    /// Under which digest its bytes are kept. Distribution's link of a sha512 points at what it keeps under the sha256.
    pub(super) target: Digest,
    pub(super) content: Box<dyn Opened>,
}

/// What a link says. One that holds no digest is as good as none: distribution does not sync what it writes.
pub(super) fn target(key: &str, link: &Object) -> Option<Digest> {
    let digest = std::str::from_utf8(&link.bytes).ok().and_then(|text| text.trim_end().parse().ok());
    if digest.is_none() {
        tracing::warn!(key, "this link holds no digest: what it is for counts as missing");
    }
    digest
}

impl Node {
    pub(super) async fn write_link(&self, key: &str, digest: &Digest, mark: Option<&str>) -> Result<()> {
        self.objects.put(key, Bytes::copy_from_slice(digest.as_str().as_bytes()), mark).await
    }

    /// What a link points at.
    pub(super) async fn link(&self, key: &str) -> Result<Option<Digest>> {
        Ok(self.objects.get(key).await?.and_then(|link| target(key, &link)))
    }

    /// Makes a blob one of a repository's. The bytes, which come next, are safe from the collector from here on.
    pub(super) async fn link_layer(&self, repository: &RepositoryName, digest: &Digest) -> Result<()> {
        let key = keys::layer(repository, digest);
        let _adding = self.lock(repository).read().await;
        self.names.add_repository(repository).await?;
        self.link_blob(&key, digest).await
    }

    /// Writes a blob's link, so that the collector takes neither it nor the blob.
    pub(super) async fn link_blob(&self, key: &str, target: &Digest) -> Result<()> {
        let keys = [key.to_owned(), keys::blob(target)];
        loop {
            let sight = self.sight().await?;
            self.write_link(key, target, None).await?;
            if self.look(&sight, &keys).await? {
                return Ok(());
            }
        }
    }

    /// What is kept under a digest; `None` when there is nothing, or nothing where something should be.
    async fn content(&self, digest: &Digest) -> Result<Option<Box<dyn Opened>>> {
        let key = keys::blob(digest);
        let opened = Arc::clone(&self.objects).open(&key).await?;
        Ok(opened.filter(|opened| is_whole(&key, digest, opened.size())))
    }

    /// Whether something is kept under a digest.
    pub(super) async fn is_kept(&self, digest: &Digest) -> Result<bool> {
        let key = keys::blob(digest);
        Ok(self.objects.stat(&key).await?.is_some_and(|stat| is_whole(&key, digest, stat.size)))
    }

    /// A link, and what is asked of the digest that it leads to: in turn; or beside the link of the digest that it mostly
    /// leads to, as each answer of a bucket takes its time.
    async fn follow<T, F: Future<Output = Result<Option<T>>>>(
        &self,
        key: &str,
        digest: &Digest,
        in_turn: bool,
        ask: impl Fn(Digest) -> F,
    ) -> Result<Option<(Object, Digest, T)>> {
        let (link, beside) = if in_turn || self.objects.alone().is_some() {
            (self.objects.get(key).await?, None)
        } else {
            let (link, found) = futures_util::try_join!(self.objects.get(key), ask(digest.clone()))?;
            (link, Some(found))
        };
        let Some(link) = link else { return Ok(None) };
        let Some(target) = target(key, &link) else { return Ok(None) };
        let found = match beside {
            Some(found) if target == *digest => found,
            _ => ask(target.clone()).await?,
        };
        Ok(found.map(|found| (link, target, found)))
    }

    /// A blob of a repository, for somebody who relies on it from here on.
    pub(super) async fn rely(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Held>> {
        self.rely_asking(repository, digest, false).await
    }

    /// The same for somebody who mostly asks for what is not there, as before a push. Then its link is all that is asked
    /// for, and nothing else costs a request; what is there takes a round trip more.
    pub(super) async fn rely_if_there(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Held>> {
        self.rely_asking(repository, digest, true).await
    }

    async fn rely_asking(&self, repository: &RepositoryName, digest: &Digest, in_turn: bool) -> Result<Option<Held>> {
        let key = keys::layer(repository, digest);
        let found = self.follow(&key, digest, in_turn, |digest| async move { self.content(&digest).await }).await?;
        let Some((link, target, content)) = found else { return Ok(None) };
        if self.is_to_be_renewed(&link) {
            // So that whoever is told that it is there finds it when he names it.
            let (sight, keys) = (self.sight().await?, [key, keys::blob(&target)]);
            let is_renewed = self.objects.renew(&keys[0], &link).await?;
            if !is_renewed || !self.look(&sight, &keys).await? && !self.are_there(&keys).await? {
                return Ok(None);
            }
        }
        Ok(Some(Held { target, content }))
    }

    /// The bytes of a manifest of a repository. Who wants them has its digest, which the link may lead away from.
    pub(super) async fn manifest_bytes(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Bytes>> {
        let key = keys::revision(repository, digest);
        let bytes = |digest| async move { self.objects.get(&keys::blob(&digest)).await };
        let found = self.follow(&key, digest, false, bytes).await?;
        Ok(found.map(|(_, _, object)| object.bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// Whether a repository has a link, and the bytes that it leads to; with the keys of both, which the collector must not
    /// take. A link that it might take is renewed.
    pub(super) async fn relied_on(&self, key: String) -> Result<Option<[String; 2]>> {
        let Some(link) = self.objects.get(&key).await? else { return Ok(None) };
        let Some(target) = target(&key, &link) else { return Ok(None) };
        if self.is_to_be_renewed(&link) && !self.objects.renew(&key, &link).await? {
            return Ok(None);
        }
        // The bytes after the link: somebody may have written it anew, who has yet to send them.
        Ok(self.content(&target).await?.map(|_| [key, keys::blob(&target)]))
    }

    async fn are_there(&self, keys: &[String]) -> Result<bool> {
        let stats = all(keys.iter().map(|key| self.objects.stat(key).boxed()).collect()).await?;
        Ok(stats.iter().all(Option::is_some))
    }

    /// Whether a link is so old that the collector takes it soon. The store's clock is compared with this machine's here.
    pub(super) fn is_to_be_renewed(&self, link: &Object) -> bool {
        let age = SystemTime::now().duration_since(link.stat.modified).unwrap_or_default();
        self.is_relied_on && age > self.ages().grace / 2
    }

    /// Whether a repository holds a manifest.
    pub(super) async fn holds_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        let key = keys::revision(repository, digest);
        let is_kept = |digest| async move { Ok(self.is_kept(&digest).await?.then_some(())) };
        let found = self.follow(&key, digest, false, is_kept).await?;
        Ok(found.is_some())
    }
}

/// Whether so many bytes may be those of a digest: distribution does not sync what it writes, and a crash leaves none.
pub(super) fn is_whole(key: &str, digest: &Digest, size: u64) -> bool {
    let is_whole = size > 0 || digest_of(digest.algorithm(), b"") == *digest;
    if !is_whole {
        tracing::warn!(key, "this is empty and should not be: it counts as missing");
    }
    is_whole
}

/// How many of its digits are 0 in the digest of a tag that is being deleted: nobody finds content that has such a one.
const ZEROS: usize = 32;

/// A digest that leads nowhere, for a tag that is being deleted: another one each time, so that of two who delete a tag at
/// once each knows whether it was the one.
pub(super) fn dying() -> Digest {
    let nonce = [&[0; ZEROS / 2][..], Uuid::new_v4().as_bytes()].concat();
    Digest::from_bytes(Algorithm::Sha256, &nonce).expect("32 bytes are a SHA-256")
}

/// Whether a tag with this digest is being deleted.
pub(super) fn is_dying(digest: &Digest) -> bool {
    digest.hex().bytes().take(ZEROS).all(|digit| digit == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_is_being_deleted_is_known_and_no_two_are_alike() {
        assert!(is_dying(&dying()) && dying() != dying());
        assert!(is_dying(&Digest::from_bytes(Algorithm::Sha256, &[0; 32]).unwrap()));
        assert!(!is_dying(&digest_of(Algorithm::Sha256, b"a manifest")));
    }
}
