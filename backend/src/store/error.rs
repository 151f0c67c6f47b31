//! Why a store did not do as asked.

use std::io;

use lockgate_oci::Digest;

use crate::objects::ObjectsError;

/// The result of a store's operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why a store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The repository has no such upload session.
    #[error("no such upload session")]
    UploadUnknown,
    /// Another request has taken the session.
    #[error("another request writes to this upload session")]
    UploadBusy,
    /// The bytes have this digest, not the one asked for.
    #[error("the content has the digest {0}")]
    DigestMismatch(Digest),
    /// These are not in the repository.
    #[error("{} of the manifest's references are not in the repository", .0.len())]
    Missing(Vec<Digest>),
    /// What is there is not what was to be replaced or removed.
    #[error("the precondition does not hold")]
    PreconditionFailed,
    /// A blob has at most so many bytes.
    #[error("a blob has at most {0} bytes")]
    TooLarge(u64),
    /// Something in the store is not what its name says.
    #[error("{0}")]
    Corrupt(String),
    /// The storage failed; the message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The store of objects did not do as asked; the message says what to do.
    #[error(transparent)]
    Objects(ObjectsError),
}

impl From<ObjectsError> for StoreError {
    fn from(error: ObjectsError) -> Self {
        match error {
            ObjectsError::Io(error) => Self::Io(error),
            error => Self::Objects(error),
        }
    }
}
