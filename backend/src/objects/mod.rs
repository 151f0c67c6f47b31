//! Where bytes are: objects under keys, behind one trait.
//!
//! [`Objects`] knows keys, bytes, versions and times; it knows nothing of registries. What may change is changed by
//! [`create`](Objects::create) and [`swap`](Objects::swap), which at most one of many callers wins, whatever node it is
//! on; nothing else coordinates nodes. A key is a path without a leading `/`, of the characters that
//! every store takes as they are: letters, digits, and `!-_.*'()/`, `+` and `:` never.

pub(crate) mod bucket;
#[cfg(test)]
mod contract;
pub(crate) mod disk;
mod memory;
mod one_node;
pub(crate) mod probe;
mod read_only;
#[cfg(feature = "s3")]
mod s3;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use lockgate_oci::Digest;

#[cfg(test)]
pub(crate) use memory::Forgotten;
pub(crate) use memory::MemoryObjects;
pub(crate) use one_node::OneNode;
pub(crate) use read_only::ReadOnly;
#[cfg(feature = "s3")]
pub(crate) use s3::S3Objects;
#[cfg(all(test, feature = "s3"))]
pub(crate) use s3::tests::{counted, objects as in_a_bucket};

/// The result of an operation on objects.
pub(crate) type Result<T, E = ObjectsError> = std::result::Result<T, E>;

/// Why a store did not do as asked. What was to be written may or may not be there.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// It answered that it will not: wrong credentials, no such bucket. The message says what to do.
    #[error("{0}")]
    Refused(String),
    /// It was not reached, or failed, or did not answer in time, each time it was tried.
    #[error("{0}")]
    Unavailable(String),
    /// The file system did not do as asked; the message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Names one state of an object, as an ETag does: two states with the same bytes may have the same version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version(pub(crate) String);

/// What is known of an object without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    /// In bytes.
    pub(crate) size: u64,
    /// When it was last written, by the store's clock, which is compared with none but itself. Whole seconds, where the
    /// store has no finer.
    pub(crate) modified: SystemTime,
    pub(crate) version: Version,
    /// What was put beside the bytes (`x-amz-meta-lockgate`); who writes the object without knowing of it drops it.
    pub(crate) mark: Option<String>,
}

/// A small object, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    pub(crate) stat: Stat,
}

/// An object that was opened for reading: it can be read to its end even when it is removed meanwhile, where the store
/// can do so.
pub(crate) trait Opened: Send + Sync {
    /// In bytes.
    fn size(&self) -> u64;

    /// Whether it would not be found if its bytes had become fewer or more. A store that loses no bytes has nothing to
    /// record.
    fn is_recorded(&self) -> bool {
        true
    }

    /// The bytes from `range.start` up to `range.end`, which is at most its size.
    fn read(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>>;
}

/// What a conditional read found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Read {
    /// There is no such object.
    Absent,
    /// It is as the caller knows it.
    Unchanged,
    Changed(Object),
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) modified: SystemTime,
}

/// An upload in parts that was begun, by the store's name for it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Multipart(pub(crate) String);

/// A part of an upload, which has reached the store.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Part {
    /// From 1 to [`MAX_PARTS`]; numbers need not be consecutive.
    pub(crate) number: u16,
    /// What the store called it, an ETag.
    pub(crate) tag: String,
}

/// What became of an upload in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completed {
    Done,
    /// The store knows of no such upload: it was aborted, or it was completed and the answer was lost.
    Unknown,
}

/// The highest number of a part.
pub(crate) const MAX_PARTS: u16 = 10_000;

/// The largest object that [`Objects::get`] reads, in bytes. Links, sessions and manifests are far below it.
pub(crate) const MAX_SMALL: u64 = 64 << 20;

/// Objects under keys. Every operation is durable when it returns `Ok`, may run beside every other, and is seen by every
/// read that begins after it has returned.
///
/// Each retries what it safely can, for a bounded time. `Err` of what writes means that nobody knows whether it has
/// happened.
#[async_trait]
pub(crate) trait Objects: Send + Sync + 'static {
    /// A whole object of at most [`MAX_SMALL`] bytes.
    async fn get(&self, key: &str) -> Result<Option<Object>>;

    /// The same, unless it is still what the caller has.
    async fn get_unless(&self, key: &str, known: &Version) -> Result<Read>;

    /// What is known of an object.
    async fn stat(&self, key: &str) -> Result<Option<Stat>>;

    /// Opens an object for reading. One that is known to be damaged is not there.
    async fn open(self: Arc<Self>, key: &str) -> Result<Option<Box<dyn Opened>>>;

    /// Writes an object, whatever was there.
    async fn put(&self, key: &str, bytes: Bytes, mark: Option<&str>) -> Result<()>;

    /// Makes an object that was read one that was written just now, and is else as it was. False when it is gone, or is
    /// another: one that was removed meanwhile is not brought back.
    async fn renew(&self, key: &str, known: &Object) -> Result<bool>;

    /// Writes an object that is not there yet. `None` when there is one. What was lost on the way (a put that succeeded
    /// behind an error) is found out by reading back, so that `bytes` must be such as only this caller writes, or such
    /// that it is all the same whose they are.
    async fn create(&self, key: &str, bytes: Bytes) -> Result<Option<Version>>;

    /// Writes an object that is still as it was when it was read. `None` when it is not, or is gone. Lost answers as with
    /// [`create`](Objects::create).
    async fn swap(&self, key: &str, known: &Version, bytes: Bytes) -> Result<Option<Version>>;

    /// Keeps the bytes of an object under another key, where they can be looked at. Afterwards it is still there, or is not.
    async fn keep_aside(&self, key: &str, to: &str) -> Result<()>;

    /// Removes an object, or nothing where there is none. After `Ok` it is gone; after an error it may go within
    /// [`REMOVAL`], and not later.
    async fn remove(&self, key: &str) -> Result<()>;

    /// Everything whose key begins with `prefix`, in no promised order.
    fn scan(&self, prefix: &str) -> BoxStream<'static, Result<Entry>>;

    /// What it is to a process to be the only one that writes these objects, where it is.
    fn alone(&self) -> Option<&dyn Alone> {
        None
    }

    /// Reads an object to its end, and removes it when its bytes have not this digest. Once it reads it goes on, waited
    /// for or not. A store that loses no bytes has nothing to do.
    async fn forget_if_corrupt(self: Arc<Self>, _key: &str, _digest: &Digest) -> Result<()> {
        Ok(())
    }
}

/// Objects that no other process writes, and whose operations block: nothing comes between those that are made under one
/// lock of this process.
pub(crate) trait Alone {
    /// Removes everything below a directory (a key that ends with `/`) at once for every reader. Whether there was any.
    fn remove_all(&self, directory: &str) -> Result<bool>;

    /// How many bytes of the file system that they are on are free for this process.
    fn free(&self) -> Result<u64>;

    /// What a key leads to, which may have several.
    fn resolved(&self, key: &str) -> String;
}

/// Objects in a bucket, which many processes write.
#[async_trait]
pub(crate) trait BucketObjects: Objects {
    /// The bytes of an object from `range.start` up to `range.end`, which is at most its size. A stream that cannot go
    /// on where it was cut ends with an error.
    fn read(&self, key: &str, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>>;

    /// The first `limit` names directly below `directory` (which ends with `/`) that sort after `after`, by their bytes.
    /// Directories below it are passed over.
    async fn names(&self, directory: &str, after: &str, limit: usize) -> Result<Vec<String>>;

    /// Begins an upload in parts.
    async fn begin(&self, key: &str) -> Result<Multipart>;

    /// Sends a part of an upload; all but the last have at least 5 MiB.
    async fn put_part(&self, key: &str, upload: &Multipart, number: u16, bytes: Bytes) -> Result<Part>;

    /// Makes a part of bytes of another object, within the store.
    async fn copy_part(
        &self,
        key: &str,
        upload: &Multipart,
        number: u16,
        from: &str,
        range: Range<u64>,
    ) -> Result<Part>;

    /// Makes an object of parts, in their order.
    async fn complete(&self, key: &str, upload: &Multipart, parts: &[Part]) -> Result<Completed>;

    /// Ends an upload, its parts go. One that is not there is none.
    async fn abort(&self, key: &str, upload: &Multipart) -> Result<()>;

    /// Writes an object with bytes of another, within the store: a range that ends at most at its size.
    async fn copy(&self, from: &str, range: Range<u64>, to: &str) -> Result<()>;

    /// Where an object can be read without this program, for so long; `None` where it cannot.
    async fn url(&self, key: &str, lifetime: Duration) -> Result<Option<String>>;
}

/// An object of a bucket that was found, and is looked for again when it is read.
pub(crate) struct Found<O: ?Sized> {
    bucket: Arc<O>,
    key: String,
    size: u64,
}

/// Opens an object of a bucket.
pub(crate) async fn find<O: BucketObjects + ?Sized>(bucket: Arc<O>, key: &str) -> Result<Option<Box<dyn Opened>>> {
    let Some(stat) = bucket.stat(key).await? else { return Ok(None) };
    Ok(Some(Box::new(Found { bucket, key: key.to_owned(), size: stat.size })))
}

/// Copies an object of a bucket, if it is there.
pub(crate) async fn keep_aside<O: BucketObjects + ?Sized>(bucket: &O, key: &str, to: &str) -> Result<()> {
    match bucket.stat(key).await? {
        Some(stat) => bucket.copy(key, 0..stat.size, to).await,
        None => Ok(()),
    }
}

impl<O: BucketObjects + ?Sized> Opened for Found<O> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        self.bucket.read(&self.key, range)
    }
}

/// How long a DELETE is good for. A store refuses it afterwards, so that one that was held up on its way cannot remove
/// what was written since.
pub(crate) const REMOVAL: Duration = Duration::from_secs(30);
