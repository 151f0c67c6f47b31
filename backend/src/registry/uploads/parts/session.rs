//! An upload session: one object, which changes by comparing and swapping alone, so that any node may go on with it.

use lockgate_oci::{Algorithm, RepositoryName};
use uuid::Uuid;

use super::piece::Piece;
use super::state::{Session, State};
use super::store::PartStore;
use crate::objects::Version;
use crate::registry::keys;
use crate::store::{Result, StoreError};

/// Makes a new session.
pub(super) async fn begin(store: &PartStore, repository: &RepositoryName, algorithm: Algorithm) -> Result<Uuid> {
    let id = Uuid::new_v4();
    let session = Session::new(repository, algorithm, store.part_size);
    match store.objects.create(&keys::session(id), session.to_bytes()).await? {
        Some(_) => Ok(id),
        None => Err(StoreError::UploadBusy),
    }
}

/// Reads a session of a repository, in whatever state.
pub(super) async fn read(store: &PartStore, repository: &RepositoryName, id: Uuid) -> Result<(Session, Version)> {
    let key = keys::session(id);
    let object = store.objects.get(&key).await?.ok_or(StoreError::UploadUnknown)?;
    let session: Session =
        serde_json::from_slice(&object.bytes).map_err(|error| StoreError::Corrupt(format!("{key}: {error}")))?;
    if session.repository != repository.as_str() {
        return Err(StoreError::UploadUnknown);
    }
    Ok((session, object.stat.version))
}

/// Writes a session that is as this writer knows it. Busy: another one has claimed it.
pub(super) async fn write(store: &PartStore, id: Uuid, session: &Session, known: &Version) -> Result<Version> {
    store.objects.swap(&keys::session(id), known, session.to_bytes()).await?.ok_or(StoreError::UploadBusy)
}

/// How many bytes an open session holds.
pub(super) async fn size(store: &PartStore, repository: &RepositoryName, id: Uuid) -> Result<u64> {
    let (session, _) = read(store, repository, id).await?;
    match session.state {
        State::Open | State::Completing(_) => Ok(session.offset),
        State::Done(_) | State::Ended => Err(StoreError::UploadUnknown),
    }
}

/// Ends a session that is as this writer knows it, and forgets its bytes. Who writes to it elsewhere loses it. Busy:
/// another one has gone on with it.
pub(super) async fn end(store: &PartStore, id: Uuid, session: &Session, known: &Version) -> Result<()> {
    // First nobody goes on with it, so that none is found whose bytes are gone.
    write(store, id, &Session { state: State::Ended, ..session.clone() }, known).await?;
    if let Some(multipart) = &session.multipart {
        store.objects.abort(&keys::upload_data(id), multipart).await?;
    }
    forget_pieces(store, id, &session.pieces).await;
    Ok(store.objects.remove(&keys::session(id)).await?)
}

/// Forgets pieces that no session names any more. What stays is swept with the session.
pub(super) async fn forget_pieces(store: &PartStore, id: Uuid, pieces: &[Piece]) {
    for piece in pieces {
        if let Err(error) = store.objects.remove(&keys::piece(id, piece.name)).await {
            tracing::debug!(%error, "a piece of an upload stays until its session is swept");
        }
    }
}

/// Ends a session that nobody here writes to.
pub(super) async fn cancel(store: &PartStore, repository: &RepositoryName, id: Uuid) -> Result<()> {
    let lease = store.sessions.take(id).ok_or(StoreError::UploadBusy)?;
    let (session, version) = read(store, repository, id).await?;
    if matches!(session.state, State::Done(_) | State::Ended) {
        return Err(StoreError::UploadUnknown);
    }
    lease.wake();
    end(store, id, &session, &version).await
}
