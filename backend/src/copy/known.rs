//! Which bytes are at both places, by what each lists: asking for every blob would take a request or two for each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt as _;
use lockgate_oci::{Digest, RepositoryName};

use super::CopyError;
use crate::lock::held;
use crate::store::Store;

/// What is known of the bytes with a digest.
#[derive(Debug, Default)]
struct Whereabouts {
    /// How many the source has.
    at_source: Option<u64>,
    /// How many the target has.
    at_target: Option<u64>,
    /// A repository of the target that holds them as a blob.
    holder: Option<Arc<RepositoryName>>,
}

/// All that is known: some 150 bytes of memory for each digest.
#[derive(Debug)]
pub(super) struct Known(Mutex<HashMap<Digest, Whereabouts>>);

impl Known {
    /// Lists what is at both places.
    pub(super) async fn read(from: &dyn Store, to: &dyn Store) -> Result<Self, CopyError> {
        let mut known: HashMap<Digest, Whereabouts> = HashMap::new();
        let mut contents = from.contents();
        while let Some((digest, size)) = contents.try_next().await.map_err(CopyError::Source)? {
            known.entry(digest).or_default().at_source = Some(size);
        }
        let mut contents = to.contents();
        while let Some((digest, size)) = contents.try_next().await.map_err(CopyError::Target)? {
            known.entry(digest).or_default().at_target = Some(size);
        }
        Ok(Self(Mutex::new(known)))
    }

    fn of<T>(&self, digest: &Digest, read: impl FnOnce(&Whereabouts) -> Option<T>) -> Option<T> {
        held(self.0.lock()).get(digest).and_then(read)
    }

    /// How many bytes both have, if they have as many.
    pub(super) fn same(&self, digest: &Digest) -> Option<u64> {
        self.of(digest, |known| known.at_source.filter(|_| known.at_source == known.at_target))
    }

    pub(super) fn is_at_source(&self, digest: &Digest) -> bool {
        self.of(digest, |known| known.at_source).is_some()
    }

    pub(super) fn at_target(&self, digest: &Digest) -> Option<u64> {
        self.of(digest, |known| known.at_target)
    }

    pub(super) fn holder(&self, digest: &Digest) -> Option<Arc<RepositoryName>> {
        self.of(digest, |known| known.holder.clone())
    }

    /// Notes that a repository of the target holds a blob.
    pub(super) fn note(&self, digest: &Digest, size: u64, holder: &Arc<RepositoryName>) {
        let mut known = held(self.0.lock());
        let known = known.entry(digest.clone()).or_default();
        (known.at_target, known.holder) = (Some(size), Some(Arc::clone(holder)));
    }
}
