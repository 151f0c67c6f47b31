//! Room for the bytes that all uploads of a process have at hand: those that gather, and those of parts on their way. Where
//! none is left, the upload that has gathered most makes some, whatever its client does or does not do: what it has goes to
//! the store, as a piece of its tail. So nobody waits for a client, but for the store alone; and that upload reads back what
//! it has let go of when its part is full.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::piece::Piece;
use crate::lock::held;
use crate::objects::BucketObjects;
use crate::registry::keys;
use crate::store::Result;

/// Bytes that gather in a buffer which grows with them. For more there is one of a part's size.
const SMALL: usize = 1 << 20;

/// What has a buffer of more than this from glibc has it from the system for itself, whatever was freed before, and gives
/// it back at once. Of smaller ones it keeps up to twice as much, for each thread; and of a larger one only those bytes
/// take memory that were written.
const APART: usize = 32 << 20;

/// How much room there is, and who has it.
pub(super) struct Room {
    objects: Arc<dyn BucketObjects>,
    size: usize,
    /// A permit a byte. Who waits for them gets them in his turn, however many they are.
    free: Arc<Semaphore>,
    /// Held by whoever waits for as much as a part has: if many did, all the others would let go of every few bytes.
    for_a_part: AsyncMutex<()>,
    gathering: Mutex<Vec<Weak<Mutex<Gathered>>>>,
    /// How much is waited for, at most.
    wanted: AtomicUsize,
    /// How much becomes free without any client, at least.
    leaving: AtomicUsize,
}

impl Room {
    /// For so many bytes: those of a part at least, as whoever has let go of some reads them back together.
    pub(super) fn new(objects: Arc<dyn BucketObjects>, size: usize) -> Self {
        let (wanted, leaving) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (free, for_a_part) = (Arc::new(Semaphore::new(size)), AsyncMutex::default());
        Self { objects, size, free, for_a_part, gathering: Mutex::default(), wanted, leaving }
    }

    /// Waits for room for so many bytes; or all that there is, where a session has larger parts than this node's.
    pub(super) async fn take(self: &Arc<Self>, bytes: usize) -> OwnedSemaphorePermit {
        let bytes = u32::try_from(bytes.min(self.size)).expect("a part has 1 GiB at most");
        if let Ok(room) = Arc::clone(&self.free).try_acquire_many_owned(bytes) {
            return room;
        }
        let _wanted = Wanted::new(&self.wanted, bytes as usize);
        self.make();
        Arc::clone(&self.free).acquire_many_owned(bytes).await.expect("this semaphore is never closed")
    }

    /// Waits for room for a part that is read back.
    pub(super) async fn take_for_a_part(self: &Arc<Self>, part_size: usize) -> Leaving {
        let _first = self.for_a_part.lock().await;
        Leaving::new(self, self.take(part_size).await)
    }

    /// Has uploads let go of what they have gathered, the largest first, as long as more is waited for than becomes free by
    /// itself. This is looked at whenever there is more of either.
    fn make(self: &Arc<Self>) {
        if self.wanted.load(SeqCst) <= self.leaving.load(SeqCst) {
            return;
        }
        let gathering = held(self.gathering.lock());
        while self.wanted.load(SeqCst) > self.leaving.load(SeqCst) {
            let largest = gathering.iter().filter_map(Weak::upgrade).max_by_key(|it| held(it.lock()).bytes.len());
            if largest.is_none_or(|largest| !held(largest.lock()).let_go(self)) {
                return;
            }
        }
    }
}

/// That somebody waits for so many bytes.
struct Wanted<'a>(&'a AtomicUsize, usize);

impl<'a> Wanted<'a> {
    fn new(wanted: &'a AtomicUsize, bytes: usize) -> Self {
        wanted.fetch_add(bytes, SeqCst);
        Self(wanted, bytes)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, SeqCst);
    }
}

/// Room that becomes free once the store has the bytes.
pub(super) struct Leaving {
    of: Arc<Room>,
    room: OwnedSemaphorePermit,
}

impl Leaving {
    fn new(of: &Arc<Room>, room: OwnedSemaphorePermit) -> Self {
        of.leaving.fetch_add(room.num_permits(), SeqCst);
        Self { of: Arc::clone(of), room }
    }
}

impl Drop for Leaving {
    /// The room is free only afterwards, so that nobody counts on what others have by then.
    fn drop(&mut self) {
        self.of.leaving.fetch_sub(self.room.num_permits(), SeqCst);
    }
}

/// What an upload has at hand that is in no part and in no tail.
struct Gathered {
    id: Uuid,
    /// What it has let go of, which the bytes follow.
    pieces: Vec<JoinHandle<Result<Piece>>>,
    bytes: BytesMut,
    /// As much as there are bytes.
    room: OwnedSemaphorePermit,
    /// How many bytes all of this is.
    size: u64,
}

impl Gathered {
    fn take_bytes(&mut self) -> (Bytes, OwnedSemaphorePermit) {
        let all = self.room.num_permits();
        let room = self.room.split(all).expect("it has as much as it has");
        (std::mem::take(&mut self.bytes).freeze(), room)
    }

    /// Saves the bytes as a piece, if there are any.
    fn let_go(&mut self, of: &Arc<Room>) -> bool {
        if self.bytes.is_empty() {
            return false;
        }
        let (bytes, room) = self.take_bytes();
        let (leaving, objects) = (Leaving::new(of, room), Arc::clone(&of.objects));
        let (id, piece) = (self.id, Piece { name: Uuid::new_v4(), size: bytes.len() as u64 });
        self.pieces.push(tokio::spawn(async move {
            let _leaving = leaving;
            objects.put(&keys::piece(id, piece.name), bytes, None).await?;
            Ok(piece)
        }));
        true
    }
}

/// What an upload gathers, of which others may have it let go.
pub(super) struct Gathering {
    of: Arc<Room>,
    gathered: Arc<Mutex<Gathered>>,
}

impl Gathering {
    pub(super) fn new(of: Arc<Room>, id: Uuid) -> Self {
        let room = Arc::clone(&of.free).try_acquire_many_owned(0).expect("there is always room for nothing");
        let gathered = Gathered { id, pieces: Vec::new(), bytes: BytesMut::new(), room, size: 0 };
        let gathered = Arc::new(Mutex::new(gathered));
        let mut gathering = held(of.gathering.lock());
        gathering.retain(|it| it.strong_count() > 0);
        gathering.push(Arc::downgrade(&gathered));
        drop(gathering);
        Self { of, gathered }
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        held(self.gathered.lock())
    }

    /// How many bytes have gathered, and in how many pieces some of them are.
    pub(super) fn size(&self) -> (u64, usize) {
        let gathered = self.gathered();
        (gathered.size, gathered.pieces.len())
    }

    /// Adds bytes for which there is this room.
    pub(super) fn add(&self, bytes: &[u8], room: OwnedSemaphorePermit, part_size: usize) {
        let mut gathered = self.gathered();
        if gathered.bytes.len() + bytes.len() > SMALL && gathered.bytes.capacity() < part_size {
            // Growing step by step would take twice as much.
            let missing = part_size.max(APART + 1) - gathered.bytes.len();
            gathered.bytes.reserve(missing);
        }
        gathered.bytes.extend_from_slice(bytes);
        gathered.room.merge(room);
        gathered.size += bytes.len() as u64;
        drop(gathered);
        self.of.make();
    }

    /// What has gathered, where all of it is at hand, out of the reach of others.
    pub(super) fn take_whole(&self) -> Option<(Bytes, Leaving)> {
        let (bytes, room) = {
            let mut gathered = self.gathered();
            if !gathered.pieces.is_empty() {
                return None;
            }
            gathered.size = 0;
            gathered.take_bytes()
        };
        Some((bytes, Leaving::new(&self.of, room)))
    }

    /// What has gathered: pieces, and the bytes that follow them. Who has these and waits for more room may wait for ever.
    pub(super) async fn take(&self) -> Result<(Vec<Piece>, Bytes, Leaving)> {
        let (saving, (bytes, room)) = {
            let mut gathered = self.gathered();
            gathered.size = 0;
            (std::mem::take(&mut gathered.pieces), gathered.take_bytes())
        };
        let (mut pieces, leaving) = (Vec::with_capacity(saving.len()), Leaving::new(&self.of, room));
        for saved in saving {
            pieces.push(saved.await.map_err(io::Error::other)??);
        }
        Ok((pieces, bytes, leaving))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lockgate_oci::{Algorithm, RepositoryName};

    use crate::contract::{AnyStore, read};
    use crate::hasher::digest_of;
    use crate::objects::MemoryObjects;
    use crate::registry::ObjectStore;
    use crate::registry::keys::Layout;
    use crate::registry::names::markers::Markers;
    use crate::registry::node::Node;
    use crate::registry::uploads::Uploads as _;
    use crate::registry::uploads::parts::{PartStore, Tails};
    use crate::store::Upload;

    use super::*;

    const PART: usize = 100_000;

    /// As much as a node has that sends two parts at once.
    const ROOM: usize = 3 * PART;

    /// Longer than any of this takes where nobody waits for ever.
    const LONG: Duration = Duration::from_secs(60);

    fn a() -> RepositoryName {
        "a".parse().unwrap()
    }

    /// Sessions over objects, and these.
    fn store() -> (Arc<PartStore>, Arc<MemoryObjects>) {
        let objects = Arc::new(MemoryObjects::default());
        let names = Box::new(Markers::new(objects.clone()));
        let node = Arc::new(Node::new(objects.clone(), names, Layout::Bucket, true));
        (Arc::new(PartStore::new(node, objects.clone(), PART as u64, 2, Tails::default())), objects)
    }

    /// Another one for each number.
    fn content(number: usize, size: usize) -> Bytes {
        (0..size).map(|at| (at * (number + 1) / 7 % 251) as u8).collect()
    }

    async fn begin(store: &Arc<PartStore>) -> Box<dyn Upload> {
        let id = store.begin(&a(), Algorithm::Sha256).await.unwrap();
        store.resume(&a(), id).await.unwrap()
    }

    async fn append(upload: &mut dyn Upload, bytes: Bytes) {
        tokio::time::timeout(LONG, upload.append(bytes)).await.expect("nobody waits for a client").unwrap();
    }

    async fn commit(store: &Arc<PartStore>, upload: Box<dyn Upload>, content: &Bytes) {
        let digest = digest_of(Algorithm::Sha256, content);
        tokio::time::timeout(LONG, upload.commit(&digest)).await.expect("nobody waits for a client").unwrap();
        let store: AnyStore = Arc::new(ObjectStore::over(Arc::clone(&store.objects), PART as u64, 2));
        assert!(read(&store, "a", &digest).await.unwrap() == *content, "the blob has other bytes");
    }

    #[tokio::test]
    async fn many_slow_uploads_have_no_more_at_hand_than_there_is_room_for() {
        let (store, objects) = store();
        let contents: Vec<Bytes> = (0..100).map(|number| content(number, PART - 1)).collect();
        let mut uploads = Vec::new();
        for _ in &contents {
            uploads.push(begin(&store).await);
        }
        // None of them is a part, so that what is not in a piece is at hand.
        let (mut sent, mut most) = (0, 0);
        for from in (0..PART).step_by(7_001) {
            for (upload, content) in uploads.iter_mut().zip(&contents) {
                let next = content.slice(from..content.len().min(from + 7_001));
                sent += next.len();
                append(upload.as_mut(), next).await;
                let pieces = objects.everything().into_iter().filter(|(key, _)| key.starts_with(keys::UPLOADS));
                let saved: usize = pieces.filter(|(key, _)| !key.ends_with("/session")).map(|(_, it)| it.len()).sum();
                most = most.max(sent - saved);
            }
        }
        assert!((ROOM / 2..=ROOM).contains(&most), "{most} of {sent} bytes were at hand");
        for (upload, content) in uploads.into_iter().zip(&contents) {
            commit(&store, upload, content).await;
        }
    }

    #[tokio::test]
    async fn clients_that_say_nothing_any_more_hold_up_nobody() {
        let (store, _) = store();
        let contents: Vec<Bytes> = (0..4).map(|number| content(number, 5 * PART / 2)).collect();
        let mut silent = Vec::new();
        // The last of them has the rest of the room.
        for (content, most) in contents.iter().zip([PART - 1, PART - 1, PART - 1, 3]) {
            let mut upload = begin(&store).await;
            append(upload.as_mut(), content.slice(..most)).await;
            silent.push((upload, most));
        }
        assert_eq!(store.room.free.available_permits(), 0);
        let (whole, mut upload) = (content(9, 5 * PART / 2), begin(&store).await);
        for next in 0..5 {
            append(upload.as_mut(), whole.slice(next * PART / 2..(next + 1) * PART / 2)).await;
        }
        commit(&store, upload, &whole).await;
        for ((mut upload, most), content) in silent.into_iter().zip(&contents) {
            append(upload.as_mut(), content.slice(most..)).await;
            commit(&store, upload, content).await;
        }
        assert_eq!(store.room.free.available_permits(), ROOM, "room was lost");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn uploads_that_let_go_of_what_they_had_end_right() {
        let (store, _) = store();
        let uploads: Vec<_> = (0..40)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move {
                    let content = content(number, 7 * PART / 2 + number * 1_001);
                    let id = store.begin(&a(), Algorithm::Sha256).await.unwrap();
                    // In four requests, of many pieces each.
                    for request in content.chunks(content.len() / 3) {
                        let mut upload = store.resume(&a(), id).await.unwrap();
                        for at in (0..request.len()).step_by(9_001) {
                            append(
                                upload.as_mut(),
                                Bytes::copy_from_slice(&request[at..request.len().min(at + 9_001)]),
                            )
                            .await;
                            tokio::task::yield_now().await;
                        }
                        upload.suspend().await.unwrap();
                    }
                    commit(&store, store.resume(&a(), id).await.unwrap(), &content).await;
                })
            })
            .collect();
        for upload in uploads {
            upload.await.unwrap();
        }
        assert_eq!(store.room.free.available_permits(), ROOM, "room was lost");
    }
}
