//! What is shared by all upload sessions of a directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lockgate_oci::RepositoryName;
use uuid::Uuid;

use super::buffer_pool::BufferPool;
use crate::hasher::Hasher;
use crate::objects::disk::DirectoryObjects;
use crate::registry::keys;
#[cfg(test)]
use crate::registry::keys::Layout;
#[cfg(test)]
use crate::registry::names::tree::Tree;
use crate::registry::node::Node;
use crate::store::sessions::{self, Sessions};

/// Resting hashes that are kept, at most.
pub(super) const MAX_RESTING: usize = 4096;

/// The hash of a session's first `size` bytes.
pub(super) struct Hashed {
    pub(super) hasher: Hasher,
    pub(super) size: u64,
}

pub(super) type Lease = sessions::Lease<Hashed>;

/// The upload sessions of a directory.
pub(in crate::registry) struct FileStore {
    pub(super) rules: Arc<Node>,
    pub(super) directory: Arc<DirectoryObjects>,
    pub(super) sessions: Sessions<Hashed>,
    pub(super) buffers: BufferPool,
}

impl FileStore {
    pub(in crate::registry) fn new(rules: Arc<Node>, directory: Arc<DirectoryObjects>) -> Self {
        Self { rules, directory, sessions: Sessions::new(MAX_RESTING), buffers: BufferPool::new() }
    }

    #[cfg(test)]
    pub(super) fn open(directory: &Path) -> Arc<Self> {
        let directory = Arc::new(DirectoryObjects::open(directory).expect("a directory of the test's own"));
        let names = Box::new(Tree(Arc::clone(&directory)));
        let rules = Node::new(Arc::clone(&directory) as _, names, Layout::Directory, true);
        Arc::new(Self::new(Arc::new(rules), directory))
    }

    /// Where the sessions of a repository are.
    pub(super) fn uploads(&self, repository: &RepositoryName) -> PathBuf {
        self.directory.path(&keys::uploads(repository))
    }

    /// Where a session is.
    pub(super) fn upload(&self, repository: &RepositoryName, id: Uuid) -> PathBuf {
        self.uploads(repository).join(id.hyphenated().to_string())
    }
}

/// The bytes of a session, in its directory.
pub(super) fn upload_data(session: &Path) -> PathBuf {
    session.join("data")
}

/// When a session began, in its directory, by RFC 3339.
pub(super) fn upload_started_at(session: &Path) -> PathBuf {
    session.join("startedat")
}
