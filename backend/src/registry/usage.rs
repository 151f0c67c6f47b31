//! How much each repository takes: what a collection has counted, and what was pushed since.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{FutureExt as _, TryStreamExt as _};
use lockgate_oci::RepositoryName;
use serde::{Deserialize, Serialize};
use tokio::sync::MutexGuard;
use uuid::Uuid;

use super::keys;
use super::node::{Node, all};
use super::pushes::{Batch, LastCount, Written};
use crate::objects::{self, Entry, Object, Read};
use crate::store::{Counts, Result, Taken, Usage};

/// What was counted.
#[derive(Default, Deserialize, Serialize)]
struct Counted {
    /// When that began, by the store's clock, in seconds since 1970.
    time: u64,
    repositories: HashMap<RepositoryName, Taken>,
    #[serde(default)]
    counts: Counts,
}

/// How much each repository takes, as far as this node can know.
pub(super) async fn known(node: &Node) -> Result<Usage> {
    // What is noted is neither missed nor met twice while it is written.
    let _written = node.pushes.written.lock().await;
    let mut usage = Usage::default();
    if let Some(LastCount { when, counts, taken, .. }) = &*last_count(node).await? {
        (usage.counted, usage.counts, usage.taken) = (Some(*when), Some(*counts), Arc::clone(taken));
    }
    (usage.pushed, usage.look) = node.pushes.look();
    let batches: Vec<Entry> = node.objects.scan(keys::PUSHES).try_collect().await?;
    let batches = all(batches.iter().map(|entry| node.objects.get(&entry.key).boxed()).collect()).await?;
    for batch in batches.iter().flatten().filter_map(|object| read::<Batch>(keys::PUSHES, object)) {
        for (repository, bytes) in batch.pushed {
            let pushed = usage.pushed.entry(repository).or_default();
            *pushed = pushed.saturating_add(bytes);
        }
    }
    Ok(usage)
}

async fn last_count(node: &Node) -> Result<MutexGuard<'_, Option<LastCount>>> {
    let mut last = node.counted.lock().await;
    let now = match &*last {
        Some(LastCount { version, .. }) => node.objects.get_unless(keys::USAGE, version).await?,
        None => node.objects.get(keys::USAGE).await?.map_or(Read::Absent, Read::Changed),
    };
    match now {
        Read::Unchanged => {}
        Read::Absent => *last = None,
        Read::Changed(object) => {
            *last = read::<Counted>(keys::USAGE, &object).map(|Counted { time, repositories, counts }| {
                let when = UNIX_EPOCH + Duration::from_secs(time);
                LastCount { version: object.stat.version, when, counts, taken: Arc::new(repositories) }
            });
        }
    }
    Ok(last)
}

/// What cannot be read is as good as not there: the next collection counts anew.
fn read<'a, T: Deserialize<'a>>(key: &str, object: &'a Object) -> Option<T> {
    let read = serde_json::from_slice(&object.bytes);
    read.inspect_err(
        |error| tracing::warn!(key, %error, "how much repositories take cannot be read; it is counted anew"),
    )
    .ok()
}

/// Writes how much was pushed at this node, if anything was.
pub(super) async fn write(node: &Node) -> objects::Result<()> {
    let mut written = node.pushes.written.lock().await;
    let noted = node.pushes.take();
    if noted.is_empty() {
        return Ok(());
    }
    let done = add(node, written.take(), &noted).await;
    match done {
        Ok(now) => {
            *written = now;
            Ok(())
        }
        Err(error) => {
            for (repository, bytes) in &noted {
                node.pushes.note(repository, *bytes);
            }
            Err(error)
        }
    }
}

/// Adds to the object that is written to, or begins another, where a collection has closed it.
async fn add(
    node: &Node,
    written: Option<Written>,
    noted: &HashMap<RepositoryName, u64>,
) -> objects::Result<Option<Written>> {
    if let Some(Written { key, version, mut batch }) = written {
        batch.add(noted);
        if let Some(version) = node.objects.swap(&key, &version, batch.bytes()).await? {
            return Ok(Some(Written { key, version, batch }));
        }
    }
    let (key, mut batch) = (keys::batch_of_pushes(Uuid::new_v4()), Batch::default());
    batch.add(noted);
    let created = node.objects.create(&key, batch.bytes()).await?;
    Ok(created.map(|version| Written { key, version, batch }))
}

/// While it is counted how much repositories take.
pub(super) struct Counting {
    /// When that began: what was pushed before is counted, and what is pushed later is noted.
    pub(super) began: SystemTime,
    /// Where it is written what was pushed before.
    batches: Vec<String>,
}

impl Counting {
    /// Closes what was written of pushes, so that nobody adds to it.
    pub(super) async fn begin(node: &Node) -> objects::Result<Self> {
        write(node).await?;
        let batches: Vec<Entry> = node.objects.scan(keys::PUSHES).try_collect().await?;
        all(batches.iter().map(|entry| close(node, &entry.key).boxed()).collect()).await?;
        Ok(Self { began: node.now().await?, batches: batches.into_iter().map(|entry| entry.key).collect() })
    }

    /// Writes what was counted since then.
    pub(super) async fn end(
        self,
        node: &Node,
        repositories: HashMap<RepositoryName, Taken>,
        counts: Counts,
    ) -> objects::Result<()> {
        let time = self.began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let bytes =
            serde_json::to_vec(&Counted { time, repositories, counts }).expect("names and numbers are written as JSON");
        node.objects.put(keys::USAGE, bytes.into(), None).await?;
        all(self.batches.iter().map(|key| node.objects.remove(key).boxed()).collect()).await.map(drop)
    }
}

/// Closes a batch.
async fn close(node: &Node, key: &str) -> objects::Result<()> {
    // Its node may add to it at this moment, which it does once in some seconds.
    while let Some(object) = node.objects.get(key).await? {
        // One that cannot be read goes.
        let Some(mut batch) = read::<Batch>(key, &object).filter(|batch| !batch.is_closed) else { break };
        batch.is_closed = true;
        if node.objects.swap(key, &object.stat.version, batch.bytes()).await?.is_some() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use lockgate_oci::Algorithm;

    use super::*;
    use crate::hasher::digest_of;
    use crate::objects::MemoryObjects;
    use crate::registry::{Ages, ObjectStore, collect};
    use crate::store::{CollectOptions, Space as _, Store as _};

    const OPTIONS: CollectOptions = CollectOptions { max_delete: 1.0, rate: 1.0, retention: Vec::new() };

    fn name(text: &str) -> RepositoryName {
        text.parse().expect("a name")
    }

    async fn push(store: &ObjectStore, repository: &str, content: &'static str) {
        let (repository, digest) = (name(repository), digest_of(Algorithm::Sha256, content.as_bytes()));
        let id = store.begin_upload(&repository, Algorithm::Sha256).await.expect("it is begun");
        let mut upload = store.resume_upload(&repository, id).await.expect("it is taken");
        upload.append(Bytes::from_static(content.as_bytes())).await.expect("it is sent");
        upload.commit(&digest).await.expect("it is kept");
        store.note_push(&repository, content.len() as u64);
    }

    /// What each repository takes: alone, with others, and since it was counted.
    async fn seen_by(store: &ObjectStore, repository: &str) -> (u64, u64, u64) {
        let (usage, repository) = (store.usage().await.expect("it is known"), name(repository));
        let taken = usage.taken.get(&repository).copied().unwrap_or_default();
        (taken.own, taken.shared, usage.pushed.get(&repository).copied().unwrap_or_default())
    }

    #[tokio::test]
    async fn a_node_knows_what_others_have_written_and_a_collection_counts_all_of_it_once() {
        let objects = Arc::new(MemoryObjects::default());
        let [one, other] = [(); 2].map(|()| ObjectStore::over(Arc::clone(&objects) as _, 16 << 20, 2));
        push(&one, "a", "twelve bytes").await;
        assert_eq!((seen_by(&one, "a").await, seen_by(&other, "a").await), ((0, 0, 12), (0, 0, 0)));
        for _ in 0..2 {
            one.write_pushes().await.expect("they are written");
            assert_eq!((seen_by(&one, "a").await, seen_by(&other, "a").await), ((0, 0, 12), (0, 0, 12)));
        }
        push(&other, "b", "twelve bytes").await;
        push(&other, "b", "six...").await;
        other.collect(&OPTIONS, None).await.expect("it runs");
        for store in [&one, &other] {
            assert_eq!((seen_by(store, "a").await, seen_by(store, "b").await), ((0, 12, 0), (6, 12, 0)));
        }
        // The first node had written to an object that was taken in.
        push(&one, "a", "four").await;
        one.write_pushes().await.expect("they are written");
        assert_eq!(seen_by(&other, "a").await, (0, 12, 4));
    }

    #[tokio::test]
    async fn what_is_pushed_while_it_is_counted_is_not_forgotten() {
        let directory = tempfile::tempdir().expect("a directory");
        let in_directory = ObjectStore::in_directory(directory.path()).expect("it is opened");
        for store in [in_directory.keeping(Ages::default()), ObjectStore::in_memory()] {
            push(&store, "a", "one").await;
            let counting = Counting::begin(&store.node).await.expect("it begins");
            push(&store, "a", "three").await;
            store.write_pushes().await.expect("they are written");
            counting.end(&store.node, HashMap::new(), Counts::default()).await.expect("it is written");
            assert_eq!(seen_by(&store, "a").await, (0, 0, 5));
            store.count(&OPTIONS).await.expect("it is counted");
            assert_eq!(seen_by(&store, "a").await, (8, 0, 0));
        }
    }

    #[tokio::test]
    async fn what_came_after_it_was_begun_to_count_counts_once() {
        let store = ObjectStore::in_memory();
        push(&store, "a", "one").await;
        store.write_pushes().await.expect("they are written");
        let counting = Counting::begin(&store.node).await.expect("it begins");
        push(&store, "a", "three").await;
        collect::count(&store.node, &OPTIONS, counting).await.expect("it is counted");
        assert_eq!(seen_by(&store, "a").await, (3, 0, 5));
    }
}
