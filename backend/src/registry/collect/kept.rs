//! Who keeps what, by the million: of each repository what it keeps, and of each blob how many repositories keep it.

use std::collections::HashMap;
use std::ops::Range;

use lockgate_oci::RepositoryName;

use super::compact::Compact;
use crate::store::Taken;

/// What is kept. Digests stand in it by their beginning: of two with the same one both are kept.
///
/// What there is of each digest is in large pieces of memory, which the system has back once they are let go.
#[derive(Default)]
pub(super) struct Kept {
    blobs: HashMap<u64, Held>,
    /// What each repository keeps, one after the other.
    uses: Vec<u64>,
    /// Which of them are whose.
    repositories: Vec<(RepositoryName, Range<usize>)>,
    turn: u32,
}

/// Who keeps something.
#[derive(Default)]
struct Held {
    repositories: u32,
    /// The last of them, by its turn.
    last: u32,
    /// In bytes, once they were found.
    size: u64,
}

fn short(digest: &Compact) -> u64 {
    let bytes = match digest {
        Compact::Sha256(bytes) => &bytes[..8],
        Compact::Sha512(bytes) => &bytes[..8],
    };
    u64::from_be_bytes(bytes.try_into().expect("these are eight"))
}

impl Kept {
    /// Keeps all that a repository needs; it takes what that is, where anybody can ask for it by this name.
    pub(super) fn keep<'a>(&mut self, name: Option<RepositoryName>, digests: impl IntoIterator<Item = &'a Compact>) {
        self.turn += 1;
        let first = self.uses.len();
        for digest in digests {
            let short = short(digest);
            let held = self.blobs.entry(short).or_default();
            if held.last == self.turn {
                continue;
            }
            (held.repositories, held.last) = (held.repositories + 1, self.turn);
            if name.is_some() {
                self.uses.push(short);
            }
        }
        self.repositories.extend(name.map(|name| (name, first..self.uses.len())));
    }

    /// Whether anybody keeps this, which has so many bytes.
    pub(super) fn has(&mut self, digest: &Compact, size: u64) -> bool {
        let held = self.blobs.get_mut(&short(digest));
        held.map(|held| held.size = size).is_some()
    }

    /// How much each repository takes of what was found.
    pub(super) fn taken(self) -> HashMap<RepositoryName, Taken> {
        let Self { blobs, uses, repositories, .. } = self;
        let taken = |uses: &[u64]| {
            let mut taken = Taken::default();
            for held in uses.iter().filter_map(|short| blobs.get(short)) {
                *(if held.repositories == 1 { &mut taken.own } else { &mut taken.shared }) += held.size;
            }
            taken
        };
        repositories.into_iter().map(|(name, range)| (name, taken(&uses[range]))).collect()
    }
}
