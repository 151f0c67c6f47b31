//! What is written down of an upload session.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_oci::{Algorithm, Digest, RepositoryName};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::hash::Hash;
use super::piece::Piece;
use crate::objects::{Multipart, Part};

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
    /// What follows the parts, fewer bytes than one has: an object each. One at most when the session becomes a blob.
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
    /// How many bytes all parts have, and the piece that follows them.
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

    pub(super) fn to_bytes(&self) -> bytes::Bytes {
        serde_json::to_vec(self).expect("a session is written as JSON").into()
    }
}
