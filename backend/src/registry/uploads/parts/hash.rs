//! A digest in the making that can be written down, for another node to go on with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_oci::{Algorithm, Digest};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256, Sha512};

use crate::hasher::digest_of;

/// aws-lc's digest is faster where a processor has no instructions for it, and keeps its state to itself.
#[derive(Debug, Clone)]
pub(super) enum Hash {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hash {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        let value = match self {
            Self::Sha256(hash) => hash.finalize().to_vec(),
            Self::Sha512(hash) => hash.finalize().to_vec(),
        };
        Digest::from_bytes(algorithm, &value).expect("an algorithm's output has its own length")
    }
}

/// As `<algorithm>:<state in base64>`.
impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let state = match self {
            Self::Sha256(hash) => STANDARD.encode(hash.serialize()),
            Self::Sha512(hash) => STANDARD.encode(hash.serialize()),
        };
        to.serialize_str(&format!("{}:{state}", self.algorithm().as_str()))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let (algorithm, state) = text.split_once(':').ok_or_else(|| D::Error::custom("no algorithm"))?;
        let state = STANDARD.decode(state).map_err(D::Error::custom)?;
        match algorithm {
            "sha256" => restored(&state).map(Self::Sha256),
            "sha512" => restored(&state).map(Self::Sha512),
            _ => None,
        }
        .ok_or_else(|| D::Error::custom("this is no state of a hash"))
    }
}

fn restored<H: SerializableState>(state: &[u8]) -> Option<H> {
    let state: SerializedState<H> = state.try_into().ok()?;
    H::deserialize(&state).ok()
}

/// Behind how many bytes that begins which has the digest.
pub(super) fn beginning(all: &Hash, since: Option<&Hash>, taken_at: u64, digest: &Digest) -> Result<u64, Digest> {
    let found = all.clone().finish();
    let is_since = || since.is_some_and(|since| !is_empty(since) && since.clone().finish() == *digest);
    if found == *digest {
        Ok(0)
    } else if is_since() {
        Ok(taken_at)
    } else {
        Err(found)
    }
}

/// Whether nothing was hashed.
fn is_empty(hash: &Hash) -> bool {
    hash.clone().finish() == digest_of(hash.algorithm(), b"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hasher::digest_of;

    #[test]
    fn a_hash_goes_on_where_it_was_written_down() {
        let content: Vec<u8> = (0..1000_u32).map(|i| (i % 251) as u8).collect();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for cut in [0, 1, 63, 64, 65, 127, 128, 500, 1000] {
                let mut hash = Hash::new(algorithm);
                hash.update(&content[..cut]);
                let written = serde_json::to_string(&hash).unwrap();
                let mut hash: Hash = serde_json::from_str(&written).unwrap();
                hash.update(&content[cut..]);
                assert_eq!(hash.finish(), digest_of(algorithm, &content), "{algorithm:?}, {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for text in ["", "sha256", "sha256:", "sha1:AAAA", "sha256:AAAA", "sha512:!"] {
            assert!(serde_json::from_value::<Hash>(text.into()).is_err(), "{text}");
        }
    }
}
