//! Links, what they point at, and the locks for adding and removing them.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use lockgate_oci::{Digest, RepositoryName};

use super::Inner;
use super::blob::FileBlob;
use super::errors::{at, if_there};
use crate::hasher::digest_of;
use crate::store::lock::held;
use crate::store::{Requirement, Result, StoreError};

/// Locks for repositories: one is chosen by the hash of where they are.
const LOCKS: usize = 64;

/// Shared by those who add links, held alone by those who remove some or look before they write: so no manifest is
/// accepted whose blob is being deleted, and no directory vanishes under a link. Links and manifests are written and
/// synced under it; a blob's bytes are received, hashed, synced and sent without.
pub(super) struct Locks([RwLock<()>; LOCKS]);

impl Default for Locks {
    fn default() -> Self {
        Self(std::array::from_fn(|_| RwLock::new(())))
    }
}

impl Locks {
    fn of(&self, repository: &Path) -> &RwLock<()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(resolved(repository));
        &self.0[(hash % LOCKS as u64) as usize]
    }
}

/// Where a path leads, as far as it exists: a repository that links lead to has several names, and one lock.
fn resolved(path: &Path) -> PathBuf {
    let resolved = |above: &Path| Some(fs::canonicalize(above).ok()?.join(path.strip_prefix(above).ok()?));
    path.ancestors().find_map(resolved).unwrap_or_else(|| path.to_owned())
}

impl Inner {
    /// While links of a repository are added.
    pub(super) fn adding<T>(&self, repository: &RepositoryName, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _shared = held(self.locks.of(&self.layout.repository(repository)).read());
        work()
    }

    /// While links of a repository are removed, or replaced if they are as they should be.
    pub(super) fn alone<T>(&self, repository: &RepositoryName, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let _alone = held(self.locks.of(&self.layout.repository(repository)).write());
        work()
    }

    pub(super) fn write_link(&self, path: &Path, digest: &Digest) -> Result<()> {
        Ok(self.durable.write(path, digest.as_str().as_bytes())?)
    }

    pub(super) fn link_layer(&self, repository: &RepositoryName, digest: &Digest) -> Result<()> {
        self.adding(repository, || self.write_link(&self.layout.layer_link(repository, digest), digest))
    }

    /// What a link points at. One that holds no digest is as good as none: distribution does not sync
    /// what it writes, so that a crash leaves empty links, and what is not there is pushed again.
    pub(super) fn link(&self, path: &Path) -> Result<Option<Digest>> {
        let Some(text) = if_there(fs::read(path)).map_err(at(path))? else { return Ok(None) };
        let digest = std::str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse().ok());
        if digest.is_none() {
            tracing::warn!(path = %path.display(), "this link holds no digest: what it is for counts as missing");
        }
        Ok(digest)
    }

    /// Opens what has a digest; `None` when it is not there, or is empty and should not be.
    fn open_content(&self, digest: &Digest) -> Result<Option<FileBlob>> {
        let path = self.layout.blob_data(digest);
        let Some(file) = if_there(File::open(&path)).map_err(at(&path))? else { return Ok(None) };
        let metadata = file.metadata().map_err(at(&path))?;
        if !metadata.is_file() {
            return Err(StoreError::Corrupt(format!("{} is no file", path.display())));
        }
        let size = metadata.len();
        let lost = size == 0 && digest_of(digest.algorithm(), b"") != *digest;
        if lost {
            tracing::warn!(path = %path.display(), "this file is empty and should not be: it counts as missing");
        }
        Ok((!lost).then(|| FileBlob { file: Arc::new(file), size, is_recorded: false }))
    }

    /// `None` also where its file is known to be damaged. Distribution's link of a sha512 points at what it keeps under the
    /// sha256.
    pub(super) fn open_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<FileBlob>> {
        let Some(target) = self.link(&self.layout.layer_link(repository, digest))? else { return Ok(None) };
        let Some(mut blob) = self.open_content(&target)? else { return Ok(None) };
        let is_whole = self.is_whole(&blob.file, &target, blob.size);
        blob.is_recorded = is_whole.is_some();
        Ok((is_whole != Some(false)).then_some(blob))
    }

    pub(super) fn open_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<FileBlob>> {
        match self.link(&self.layout.revision_link(repository, digest))? {
            Some(target) => self.open_content(&target),
            None => Ok(None),
        }
    }

    pub(super) fn holds_blob(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        matches!(self.open_blob(repository, digest), Ok(Some(_)))
    }

    pub(super) fn holds_manifest(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        matches!(self.open_manifest(repository, digest), Ok(Some(_)))
    }

    pub(super) fn holds(&self, repository: &RepositoryName, requirement: &Requirement) -> bool {
        match requirement {
            Requirement::Blob(digest) => self.holds_blob(repository, digest),
            Requirement::Manifest(digest) => {
                self.holds_manifest(repository, digest) || self.holds_blob(repository, digest)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_name_of_a_repository_has_its_lock_before_and_after_it_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let (locks, path) = (Locks::default(), |name: &str| root.join(name));
        fs::create_dir(path("team")).unwrap();
        symlink("team", path("alias")).unwrap();
        symlink("team/app", path("app")).unwrap();
        let before = resolved(&path("alias/app"));
        fs::create_dir(path("team/app")).unwrap();
        for name in ["team/app", "alias/app", "app"] {
            assert_eq!(resolved(&path(name)), path("team/app"), "{name}");
            assert!(std::ptr::eq(locks.of(&path(name)), locks.of(&before)));
        }
        assert_eq!(before, path("team/app"));
    }
}
