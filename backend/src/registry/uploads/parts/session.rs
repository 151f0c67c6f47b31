//! An upload session: one object, which changes by comparing and swapping alone, so that any node may go on with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_oci::{Algorithm, Digest, RepositoryName};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::hash::Hash;
use super::piece::Piece;
use super::store::PartStore;
use crate::objects::{Multipart, Part, Version};
use crate::registry::keys;
use crate::store::{Result, StoreError};

/// What a session is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) repository: String,
    /// Of the writer that claimed it last, so that no two claims have the same bytes.
    pub(super) nonce: Uuid,
    pub(super) state: State,
    /// How many bytes it holds.
    pub(super) offset: u64,
    /// Of all of them.
    pub(super) hash: Hash,
    /// How many bytes each of its parts has.
    pub(super) part_size: u64,
    /// Where its parts are, once there is one.
    pub(super) multipart: Option<Multipart>,
    pub(super) parts: Vec<Part>,
    /// Numbers up to here may have been used for a part, by somebody who was cut off perhaps.
    pub(super) last_number: u16,
    /// What follows the parts, fewer bytes than one has: an object each.
    pub(super) pieces: Vec<Piece>,
    /// What follows the pieces, a few bytes.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub(super) rest: Vec<u8>,
}

/// How far a session is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// It takes bytes.
    Open,
    /// It becomes this blob: its list of parts does not change any more.
    Completing(Completion),
    /// It has become this blob.
    Done(Digest),
    /// It was ended: its bytes go.
    Ended,
}

/// What a session becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Completion {
    pub(super) digest: Digest,
    /// The blob begins behind so many bytes; `None` until they were read again, in an algorithm that the session was not
    /// begun with.
    pub(super) from: Option<u64>,
    /// How many bytes the session had when its last writer took it: the blob may be what came since.
    pub(super) taken_at: u64,
    /// How many bytes all parts have.
    pub(super) size: u64,
}

fn to_base64<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}

impl Session {
    pub(super) fn new(repository: &RepositoryName, algorithm: Algorithm, part_size: u64) -> Self {
        Self {
            repository: repository.to_string(),
            nonce: Uuid::new_v4(),
            state: State::Open,
            offset: 0,
            hash: Hash::new(algorithm),
            part_size,
            multipart: None,
            parts: Vec::new(),
            last_number: 0,
            pieces: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// How many bytes follow the parts.
    pub(super) fn tail(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.size).sum::<u64>() + self.rest.len() as u64
    }

    /// How many bytes of memory it takes, about.
    pub(super) fn weight(&self) -> usize {
        let parts = self.parts.iter().map(|part| size_of::<Part>() + part.tag.len()).sum::<usize>();
        size_of::<Self>() + self.rest.len() + parts + size_of_val(&self.pieces[..])
    }

    fn to_bytes(&self) -> bytes::Bytes {
        serde_json::to_vec(self).expect("a session is written as JSON").into()
    }
}

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
