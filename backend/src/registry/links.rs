//! Links, and the bytes that they point at.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use lockgate_oci::{Algorithm, Digest, RepositoryName};
use uuid::Uuid;

use super::keys;
use super::node::Node;
use crate::hasher::digest_of;
use crate::objects::{Object, Result};

/// How long a link keeps what it points at, for whoever relied on it: a collector spares what is younger. A link that is
/// older than half of it is written again by whoever relies on it. The store's clock is compared with this machine's
/// here, of which some minutes do not matter.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// A blob that a repository holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// Under which digest its bytes are kept. Distribution's link of a sha512 points at what it keeps under the sha256.
    pub(super) target: Digest,
    pub(super) size: u64,
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
        futures_util::try_join!(self.name_repository(repository), self.write_link(&key, digest, None))?;
        self.look(&[key, keys::blob(digest)]).await
    }

    /// Makes a repository one that is listed.
    pub(super) async fn name_repository(&self, repository: &RepositoryName) -> Result<()> {
        if self.is_named(repository) {
            return Ok(());
        }
        self.objects.put(&keys::name_of_repository(repository), Bytes::new(), None).await?;
        self.note_named(repository);
        Ok(())
    }

    /// How many bytes are kept under a digest; `None` when there are none, or none where some should be.
    async fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        let key = keys::blob(digest);
        let Some(stat) = self.objects.stat(&key).await? else { return Ok(None) };
        let lost = stat.size == 0 && digest_of(digest.algorithm(), b"") != *digest;
        if lost {
            tracing::warn!(key, "this object is empty and should not be: it counts as missing");
        }
        Ok((!lost).then_some(stat.size))
    }

    /// A blob of a repository, for somebody who relies on it from here on.
    pub(super) async fn rely(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Held>> {
        let key = keys::layer(repository, digest);
        let (link, size) = futures_util::try_join!(self.objects.get(&key), self.size(digest))?;
        let Some(link) = link else { return Ok(None) };
        let Some(target) = target(&key, &link) else { return Ok(None) };
        let size = if target == *digest { size } else { self.size(&target).await? };
        let Some(size) = size else { return Ok(None) };
        let is_old = || SystemTime::now().duration_since(link.stat.modified).is_ok_and(|age| age > GRACE / 2);
        if self.is_relied_on && is_old() {
            self.write_link(&key, &target, link.stat.mark.as_deref()).await?;
            self.look(&[key, keys::blob(&target)]).await?;
            if self.size(&target).await?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(Held { target, size }))
    }

    /// The bytes of a manifest of a repository. Who wants them has its digest, which the link may lead away from.
    pub(super) async fn manifest_bytes(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Bytes>> {
        let (revision, data) = (keys::revision(repository, digest), keys::blob(digest));
        let (link, bytes) = futures_util::try_join!(self.link(&revision), self.objects.get(&data))?;
        let Some(target) = link else { return Ok(None) };
        let bytes = if target == *digest { bytes } else { self.objects.get(&keys::blob(&target)).await? };
        Ok(bytes.map(|object| object.bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// Whether a repository holds a manifest.
    pub(super) async fn holds_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        let revision = keys::revision(repository, digest);
        let (link, size) = futures_util::try_join!(self.link(&revision), self.size(digest))?;
        match link {
            Some(target) if target != *digest => Ok(self.size(&target).await?.is_some()),
            link => Ok(link.is_some() && size.is_some()),
        }
    }
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
