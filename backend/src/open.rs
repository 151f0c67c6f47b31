//! From the configuration to a store.

use std::io;
use std::sync::Arc;

use crate::config::{Data, S3, Storage};
use crate::registry::ObjectStore;
use crate::store::{DiskStore, Store};

/// Opens what `storage.data` names: a directory, of which this process is the only user until it ends, or a bucket, which
/// is asked nothing yet. Blocks.
///
/// # Errors
/// The directory cannot be used, or the settings of the bucket cannot; the message says which and why.
pub fn open(storage: &Storage, s3: &S3) -> io::Result<Arc<dyn Store>> {
    match &storage.data {
        Data::Directory(path) => Ok(Arc::new(DiskStore::open(path)?)),
        Data::Bucket(bucket) => Ok(Arc::new(ObjectStore::in_bucket(bucket, s3)?)),
    }
}
