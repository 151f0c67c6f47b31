//! Who has read a manifest of which repository of late. Who reads blobs without one did not pull as clients do.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Mutex;
use std::time::Duration;

use lockgate_oci::RepositoryName;
use tokio::time::Instant;

use crate::lock::lock;
use crate::network::Network;

/// How long a manifest may stand before its blobs.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// How many readings are remembered. Those beyond make lines of blobs, which is what is to be noticed.
const MOST: usize = 1 << 16;

/// How long the next look for readings to forget waits.
const PAUSE: Duration = Duration::from_secs(60);

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reader<'a> {
    /// Somebody whose credentials are good, and the id of the token for machines that they showed: whoever found a token
    /// has read nothing of what its owner reads.
    User(&'a str, Option<&'a str>),
    /// Anybody, from there.
    Stranger(Network),
}

/// The readings of the last hour, by a hash whose key nobody knows.
#[derive(Debug, Default)]
pub(super) struct ManifestsRead {
    keys: RandomState,
    readings: Mutex<Readings>,
}

#[derive(Debug, Default)]
struct Readings {
    at: HashMap<u64, Instant>,
    cleared: Option<Instant>,
}

impl ManifestsRead {
    pub(super) fn remember(&self, reader: &Reader<'_>, repository: &RepositoryName) {
        let now = Instant::now();
        let key = self.keys.hash_one((reader, repository));
        let mut readings = lock(&self.readings);
        if readings.at.len() >= MOST && readings.cleared.is_none_or(|cleared| now - cleared >= PAUSE) {
            readings.at.retain(|_, at| now - *at < HOUR);
            readings.cleared = Some(now);
        }
        if readings.at.len() < MOST || readings.at.contains_key(&key) {
            readings.at.insert(key, now);
        }
    }

    pub(super) fn knows(&self, reader: &Reader<'_>, repository: &RepositoryName) -> bool {
        let key = self.keys.hash_one((reader, repository));
        lock(&self.readings).at.get(&key).is_some_and(|at| at.elapsed() < HOUR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().expect("a name")
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_holds_an_hour_for_its_reader_and_its_repository() {
        let read = ManifestsRead::default();
        let [alice, bob] = ["alice", "bob"].map(|user| Reader::User(user, None));
        let [one, other] = ["0000aaaa", "0000bbbb"].map(|token| Reader::User("alice", Some(token)));
        read.remember(&alice, &name("a"));
        read.remember(&one, &name("b"));
        assert!(read.knows(&alice, &name("a")) && read.knows(&one, &name("b")));
        assert!(!read.knows(&alice, &name("b")) && !read.knows(&bob, &name("a")));
        assert!(!read.knows(&one, &name("a")) && !read.knows(&other, &name("b")));
        tokio::time::advance(HOUR - Duration::from_secs(1)).await;
        assert!(read.knows(&alice, &name("a")));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!read.knows(&alice, &name("a")));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_has_an_end_and_is_used_again() {
        let read = ManifestsRead::default();
        let alice = Reader::User("alice", None);
        for n in 0..MOST + 10 {
            read.remember(&alice, &name(&format!("r{n}")));
        }
        assert_eq!(lock(&read.readings).at.len(), MOST);
        assert!(!read.knows(&alice, &name(&format!("r{MOST}"))), "what does not fit is not remembered");
        tokio::time::advance(HOUR).await;
        read.remember(&alice, &name("later"));
        assert_eq!(lock(&read.readings).at.len(), 1);
        assert!(read.knows(&alice, &name("later")));
    }
}
