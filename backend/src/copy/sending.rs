//! One blob on its way.

use std::sync::Arc;

use futures_util::StreamExt as _;
use lockgate_oci::{Digest, RepositoryName};

use super::{CopyError, Progress};
use crate::store::{Blob, Store, StoreError};

/// Uploads a blob. The inner error is about this one alone.
pub(super) async fn send(
    to: Arc<dyn Store>,
    name: RepositoryName,
    digest: Digest,
    blob: Box<dyn Blob>,
    progress: Arc<Progress>,
) -> Result<Result<(), StoreError>, CopyError> {
    let id = to.begin_upload(&name, digest.algorithm()).await.map_err(CopyError::Target)?;
    let mut upload = to.resume_upload(&name, id).await.map_err(CopyError::Target)?;
    let mut pieces = blob.read(0..blob.size());
    while let Some(piece) = pieces.next().await {
        let appended = match piece {
            Ok(bytes) => {
                progress.count(|counts| counts.bytes += bytes.len() as u64);
                own(upload.append(bytes).await)?
            }
            Err(error) => Err(StoreError::Io(error)),
        };
        if appended.is_err() {
            // What stays of the session is swept with those of clients that went away.
            if upload.suspend().await.is_ok() {
                let _ = to.cancel_upload(&name, id).await;
            }
            return Ok(appended);
        }
    }
    own(upload.commit(&digest).await)
}

/// Tells what is wrong with one blob from what would be with every other.
fn own(written: Result<(), StoreError>) -> Result<Result<(), StoreError>, CopyError> {
    match written {
        Err(error) if !matches!(error, StoreError::DigestMismatch(_) | StoreError::TooLarge(_)) => {
            Err(CopyError::Target(error))
        }
        written => Ok(written),
    }
}
