//! What a registry keeps, behind one trait.
//!
//! A [`Store`] knows repositories, blobs, upload sessions, manifests, tags and referrers; it knows
//! nothing of HTTP, and nothing of what a manifest says. [`ObjectStore`](crate::ObjectStore) keeps it in objects, wherever
//! these are; `contract.rs` is the suite that it must pass over each of them.

mod error;
mod plan;
pub(crate) mod sessions;
mod space;
mod trash;
mod usage;

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use lockgate_oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use uuid::Uuid;

pub use self::error::{Result, StoreError};
pub use self::plan::{Candidate, CollectOptions, Collected, Damage, Explained, Hit, Item, ItemError, Plan, Thing};
pub use self::space::Space;
pub use self::trash::{Cause, Deleted, Kind, Trashed};
pub use self::usage::{Counts, Taken, Usage};

/// The content of a blob, piece by piece.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Where blobs, manifests, tags and running uploads are kept.
///
/// What returns `Ok` from a writing operation is durable: it survives a loss of power. What is not
/// yet whole is never visible. Every operation may run beside every other, and one that is dropped
/// before it ends has either happened or not.
#[async_trait]
pub trait Store: Space + Send + Sync + 'static {
    /// A blob of a repository, opened for reading; `None` when the repository does not hold it.
    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Box<dyn Blob>>>;

    /// The same for somebody who asks whether it is there, and mostly it is not: that costs less then.
    async fn blob_if_there(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Box<dyn Blob>>> {
        self.blob(repository, digest).await
    }

    /// Makes a blob that `from` holds a blob of `repository` too. False when `from` does not hold it.
    async fn mount_blob(&self, repository: &RepositoryName, from: &RepositoryName, digest: &Digest) -> Result<bool>;

    /// Takes a blob out of a repository; other repositories keep it. False when it was not in it.
    async fn delete_blob(&self, repository: &RepositoryName, digest: &Digest, cause: &Cause) -> Result<bool>;

    /// Whether bytes may become fewer or others without the store's doing, as those of a file.
    fn may_lose_bytes(&self) -> bool {
        false
    }

    /// Reads a blob, and forgets its bytes, in every repository, when they have not the digest that they are kept
    /// under. Once it reads, it goes on to the end, waited for or not. A store that loses no bytes has nothing to do.
    async fn forget_if_corrupt(&self, _repository: &RepositoryName, _digest: &Digest) -> Result<()> {
        Ok(())
    }

    /// Opens an upload session. `algorithm` is what its digest will likely be asked in; another one
    /// is right too and costs a second reading.
    async fn begin_upload(&self, repository: &RepositoryName, algorithm: Algorithm) -> Result<Uuid>;

    /// How many bytes a session holds. [`StoreError::UploadUnknown`] when the repository has no such.
    async fn upload_size(&self, repository: &RepositoryName, id: Uuid) -> Result<u64>;

    /// Takes a session to write to it, until the [`Upload`] is dropped. [`StoreError::UploadBusy`]
    /// when another has it.
    async fn resume_upload(&self, repository: &RepositoryName, id: Uuid) -> Result<Box<dyn Upload>>;

    /// The same for [`Upload::commit`] alone, before which nothing is appended: what this process knows of the session need
    /// not be asked for, and is looked at when it is committed.
    async fn take_upload_to_commit(&self, repository: &RepositoryName, id: Uuid) -> Result<Box<dyn Upload>> {
        self.resume_upload(repository, id).await
    }

    /// Ends a session and forgets its bytes. [`StoreError::UploadBusy`] when somebody writes to it.
    async fn cancel_upload(&self, repository: &RepositoryName, id: Uuid) -> Result<()>;

    /// Forgets the upload sessions that were last written to before `deadline`, and what else a crash
    /// may have left; a session that somebody has taken stays. Returns how many went.
    async fn remove_stale_uploads(&self, deadline: SystemTime) -> Result<usize>;

    /// A manifest by its digest, or the one that a tag points at; `None` when the repository does not
    /// hold it.
    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<StoredManifest>>;

    /// Keeps a manifest and points its tags at it, unless something that it requires is not in the
    /// repository ([`StoreError::Missing`]), or else its precondition does not hold
    /// ([`StoreError::PreconditionFailed`]).
    async fn put_manifest(&self, repository: &RepositoryName, manifest: NewManifest) -> Result<()>;

    /// Takes a manifest out of a repository, with every tag that points at it and its place among
    /// the referrers of `subject`. False when it was not in it.
    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        subject: Option<&Digest>,
        cause: &Cause,
    ) -> Result<bool>;

    /// Removes a tag; the manifest stays. False when there was none. [`StoreError::PreconditionFailed`] when the
    /// precondition does not hold of the manifest that it points at.
    async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        precondition: &Precondition,
        cause: &Cause,
    ) -> Result<bool>;

    /// The first `limit` tags that sort after `after`, in lexical order; `None` when the repository
    /// does not exist.
    async fn tags(&self, repository: &RepositoryName, after: &str, limit: usize) -> Result<Option<Vec<Tag>>>;

    /// The first `limit` repositories that sort after `after`, in lexical order.
    async fn repositories(&self, after: &str, limit: usize) -> Result<Vec<RepositoryName>>;

    /// Of the manifests in the repository that were put with this subject, the first `limit` that sort after
    /// `after`, in lexical order.
    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Digest>>;

    /// What a tag says, be it there or not.
    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>>;

    /// What a repository has links of, in no promised order, be it there or not.
    async fn linked(&self, repository: &RepositoryName, links: Links) -> Result<Vec<Digest>>;

    /// All bytes that are kept, whichever repository they are of: their digest by name, and how many they are. In no
    /// promised order.
    fn contents(&self) -> BoxStream<'static, Result<(Digest, u64)>>;

    /// Makes what listings are made of where another program wrote here. It is right without, and slower.
    async fn index(&self) -> Result<()> {
        Ok(())
    }
}

/// Links of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Links {
    /// Those of its blobs.
    Blobs,
    /// Those of its manifests.
    Manifests,
}

/// A blob opened for reading. It can be read to its end even when it is deleted meanwhile.
#[async_trait]
pub trait Blob: Send + Sync {
    /// How long it is, in bytes.
    fn size(&self) -> u64;

    /// Whether it would not be found if its bytes had become fewer or more. A store that loses no bytes has nothing to
    /// record.
    fn is_recorded(&self) -> bool {
        true
    }

    /// Where a client can read it by itself for so long, without any header of its own; `None` where it is to come here.
    async fn url(&self, _lifetime: Duration) -> Result<Option<String>> {
        Ok(None)
    }

    /// Its bytes from `range.start` up to `range.end`, which is at most [`Blob::size`].
    fn read(&self, range: Range<u64>) -> ByteStream;
}

/// An upload session that was taken to write to it.
///
/// Dropping it gives the session back with what has reached the store by then.
#[async_trait]
pub trait Upload: Send {
    /// How many bytes the session holds, those just appended included.
    fn size(&self) -> u64;

    /// Whether it takes no more bytes, since they are on their way to a blob or have become one. Committing it again is
    /// right then, with the same digest.
    fn is_finished(&self) -> bool {
        false
    }

    /// Adds bytes to its end.
    async fn append(&mut self, bytes: Bytes) -> Result<()>;

    /// Gives the session back, everything appended kept. Returns how many bytes it holds.
    async fn suspend(self: Box<Self>) -> Result<u64>;

    /// Ends the session: its bytes become a blob of the repository, durably. When they have another
    /// digest ([`StoreError::DigestMismatch`]), they are forgotten; but if those appended since the session was
    /// taken have it, these become the blob: a client that was cut off has sent all of it again.
    async fn commit(self: Box<Self>, digest: &Digest) -> Result<()>;
}

/// A manifest that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    /// The digest of `content`.
    pub digest: Digest,
    /// The bytes as they were put.
    pub content: Bytes,
}

/// A manifest to be kept.
#[derive(Debug, Clone)]
pub struct NewManifest {
    /// The digest of `content`.
    pub digest: Digest,
    /// Its exact bytes.
    pub content: Bytes,
    /// The tags that shall point at it.
    pub tags: Vec<Tag>,
    /// The manifest that it refers to, which need not exist.
    pub subject: Option<Digest>,
    /// Content that must be in the repository before it.
    pub requires: Vec<Requirement>,
    /// What must hold of the manifest that is found by this name, at the moment of the write.
    pub precondition: Option<(Reference, Precondition)>,
    /// Who puts it, where that is known.
    pub by: Option<String>,
}

/// What must hold of a manifest that may be there. By default, nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// It is there, and one of these.
    pub one_of: Option<Expected>,
    /// It is not there, or none of these.
    pub none_of: Option<Expected>,
}

/// Manifests or blobs, by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Whichever.
    Any,
    /// These.
    These(Vec<Digest>),
}

impl Expected {
    fn has(&self, digest: &Digest) -> bool {
        match self {
            Self::Any => true,
            Self::These(digests) => digests.contains(digest),
        }
    }
}

impl Precondition {
    /// Whether it holds of what is there.
    pub fn holds(&self, current: Option<&Digest>) -> bool {
        let is_in = |expected: &Expected| current.is_some_and(|digest| expected.has(digest));
        self.one_of.as_ref().is_none_or(is_in) && !self.none_of.as_ref().is_some_and(is_in)
    }
}

/// Something that a manifest names and that must be there before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Requirement {
    /// A blob.
    Blob(Digest),
    /// A child of an index. A blob will do: build caches are pushed as indexes of layers, and
    /// distribution takes them.
    Manifest(Digest),
}

impl Requirement {
    /// The digest under which it is there.
    pub fn digest(&self) -> &Digest {
        match self {
            Self::Blob(digest) | Self::Manifest(digest) => digest,
        }
    }
}
