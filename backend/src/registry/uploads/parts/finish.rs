//! The end of a session whose list of parts is settled, wherever it was begun.

use std::sync::Arc;

use futures_util::StreamExt as _;
use lockgate_oci::{Digest, RepositoryName};
use uuid::Uuid;

use super::hash::{Hash, beginning};
use super::piece::Piece;
use super::session;
use super::state::{Completion, Session, State};
use super::store::PartStore;
use crate::objects::{Completed, ObjectsError, Version};
use crate::registry::keys;
use crate::store::{Result, StoreError};

/// Brings a session to its end whose list of parts is settled, wherever it was begun.
pub(super) async fn bring_to_its_end(
    store: &Arc<PartStore>,
    repository: &RepositoryName,
    id: Uuid,
    session: Session,
    version: Version,
    completion: Completion,
) -> Result<()> {
    let (data, Completion { digest, from, taken_at, size }) = (keys::upload_data(id), completion);
    let Some(multipart) = &session.multipart else { return Err(StoreError::UploadUnknown) };
    let (pieces, in_parts) = (session.pieces.clone(), size - session.tail());
    store.rules.link_layer(repository, &digest).await?;
    if store.objects.complete(&data, multipart, &session.parts).await? == Completed::Unknown {
        // It was completed, perhaps, by somebody whose answer was lost.
        match store.objects.stat(&data).await? {
            Some(stat) if stat.size == in_parts => {}
            _ => return Err(StoreError::UploadUnknown),
        }
    }
    let from = match from {
        Some(from) => from,
        None => match look_again(store, &data, size, taken_at, &digest).await? {
            Ok(from) => from,
            Err(found) => {
                store.objects.remove(&data).await?;
                return match session::end(store, id, &session, &version).await {
                    // Busy: somebody else has found the same.
                    Ok(()) | Err(StoreError::UploadBusy) => Err(StoreError::DigestMismatch(found)),
                    Err(error) => Err(error),
                };
            }
        },
    };
    match pieces[..] {
        [tail] if from == 0 => join(store, id, in_parts, tail, &digest).await?,
        _ => store.objects.copy(&data, from..size, &keys::blob(&digest)).await?,
    }
    // Where it is done already, the blob is there all the same.
    done(store, id, session, &version, &digest).await?;
    if let Err(error) = store.objects.remove(&data).await {
        tracing::debug!(%error, "an upload's bytes stay until its session is swept");
    }
    session::forget_pieces(store, id, &pieces).await;
    Ok(())
}

/// Makes a blob of what an upload has in parts and of the tail that follows them, each copied once.
async fn join(store: &PartStore, id: Uuid, in_parts: u64, tail: Piece, digest: &Digest) -> Result<()> {
    let (to, data, piece) = (keys::blob(digest), keys::upload_data(id), keys::piece(id, tail.name));
    let (objects, upload) = (&store.objects, store.objects.begin(&to).await?);
    let copied = futures_util::try_join!(
        objects.copy_part(&to, &upload, 1, &data, 0..in_parts),
        objects.copy_part(&to, &upload, 2, &piece, 0..tail.size),
    );
    let joined = match copied {
        Ok((first, last)) => objects.complete(&to, &upload, &[first, last]).await,
        Err(error) => Err(error),
    };
    match joined {
        Ok(Completed::Done) => Ok(()),
        // Its answer was lost, perhaps.
        Ok(Completed::Unknown) => match objects.stat(&to).await? {
            Some(stat) if stat.size == in_parts + tail.size => Ok(()),
            _ => Err(ObjectsError::Unavailable(format!("{to} was joined, and is not there")).into()),
        },
        Err(error) => {
            // What cannot be ended is removed by the bucket's rule for abandoned uploads.
            let _ = objects.abort(&to, &upload).await;
            Err(error.into())
        }
    }
}

/// Reads what was uploaded, in another algorithm than the session's.
async fn look_again(
    store: &PartStore,
    data: &str,
    size: u64,
    taken_at: u64,
    digest: &Digest,
) -> Result<Result<u64, Digest>> {
    let (mut all, mut since, mut read) = (Hash::new(digest.algorithm()), Hash::new(digest.algorithm()), 0_u64);
    let mut pieces = store.objects.read(data, 0..size);
    while let Some(bytes) = pieces.next().await {
        let bytes = bytes?;
        all.update(&bytes);
        let skipped = taken_at.saturating_sub(read).min(bytes.len() as u64);
        since.update(&bytes[usize::try_from(skipped).expect("it is no more than there are bytes")..]);
        read += bytes.len() as u64;
    }
    Ok(beginning(&all, (taken_at > 0).then_some(&since), taken_at, digest))
}

/// Writes down what a session has become, so that who asks for it again is told the same. False: it has gone on
/// elsewhere, with the bytes that it had.
pub(super) async fn done(
    store: &PartStore,
    id: Uuid,
    session: Session,
    version: &Version,
    digest: &Digest,
) -> Result<bool> {
    let session = Session {
        state: State::Done(digest.clone()),
        multipart: None,
        parts: Vec::new(),
        pieces: Vec::new(),
        rest: Vec::new(),
        ..session
    };
    match session::write(store, id, &session, version).await {
        Ok(_) => Ok(true),
        Err(StoreError::UploadBusy) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What became of a session. Another node may have been at it, too: whose steps then had no effect is told what it is
/// by now.
pub(super) async fn unless_done(
    store: &PartStore,
    repository: &RepositoryName,
    id: Uuid,
    digest: &Digest,
    made: Result<()>,
) -> Result<()> {
    match made {
        Err(StoreError::UploadUnknown | StoreError::UploadBusy | StoreError::Objects(_) | StoreError::Io(_)) => {
            match session::read(store, repository, id).await {
                Ok((Session { state: State::Done(blob), .. }, _)) if blob == *digest => Ok(()),
                // Somebody has ended it, and its tail is gone.
                Ok((Session { state: State::Ended, .. }, _)) | Err(StoreError::UploadUnknown) => {
                    Err(StoreError::UploadUnknown)
                }
                _ => made,
            }
        }
        made => made,
    }
}
