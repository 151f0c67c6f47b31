//! What the rules share within one process, which is a node among others.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lockgate_oci::RepositoryName;
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, RwLock, mpsc};

use super::keys::{self, Layout};
use super::names::Names;
use super::published::LastLook;
use super::pulls::RecentPulls;
use super::pushes::{LastCount, RecentPushes};
use crate::lock::held;
use crate::objects::disk::blocking;
use crate::objects::{self, Objects, ObjectsError};
use crate::store::Result;

/// Requests to the objects that one request makes at once.
const AT_ONCE: usize = 16;

/// Names that are listed at a time.
pub(super) const BATCH: usize = 1000;

/// Locks for repositories: one is chosen by the hash of a name.
const LOCKS: usize = 64;

/// Asks several things at once, and gives the answers in the order of the questions.
pub(super) async fn all<T, E>(questions: Vec<BoxFuture<'_, Result<T, E>>>) -> Result<Vec<T>, E> {
    stream::iter(questions).buffered(AT_ONCE).try_collect().await
}

/// What an age means. It is the same at every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ages {
    /// How long a link keeps what it points at, for whoever relied on it: the collector spares what is younger. A link
    /// that is older than half of it is renewed by whoever relies on it.
    pub grace: Duration,
    /// How long what was deleted can be restored. Nothing can where it is zero.
    pub trash: Duration,
}

impl Default for Ages {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self { grace: DAY, trash: 7 * DAY }
    }
}

/// One process over the objects.
pub(super) struct Node {
    pub(super) objects: Arc<dyn Objects>,
    pub(super) names: Box<dyn Names>,
    pub(super) layout: Layout,
    /// Whether what is read is read for somebody who relies on it from here on. Who copies it elsewhere does not.
    pub(super) is_relied_on: bool,
    /// What was read last of the collector's list, if it was: there may be none.
    pub(super) last_look: AsyncMutex<Option<Option<LastLook>>>,
    pub(super) pulls: RecentPulls,
    pub(super) pushes: RecentPushes,
    /// How much repositories take, as it was read last.
    pub(super) counted: AsyncMutex<Option<LastCount>>,
    /// Shared by those in this process who remove what the collector found.
    pub(super) removing: RwLock<()>,
    ages: Mutex<Ages>,
    locks: [RwLock<()>; LOCKS],
}

impl Node {
    pub(super) fn new(objects: Arc<dyn Objects>, names: Box<dyn Names>, layout: Layout, is_relied_on: bool) -> Self {
        let locks = std::array::from_fn(|_| RwLock::new(()));
        let (last_look, counted, removing) = (AsyncMutex::default(), AsyncMutex::default(), RwLock::default());
        let (pulls, pushes, ages) = (RecentPulls::default(), RecentPushes::default(), Mutex::default());
        Self { objects, names, layout, is_relied_on, last_look, pulls, pushes, counted, removing, ages, locks }
    }

    pub(super) fn ages(&self) -> Ages {
        *held(self.ages.lock())
    }

    pub(super) fn set_ages(&self, ages: Ages) {
        *held(self.ages.lock()) = ages;
    }

    /// Learns for how long the collector of another node spares what is relied on.
    pub(super) fn shorten_grace(&self, other: Duration) {
        let mut ages = held(self.ages.lock());
        if !other.is_zero() && other < ages.grace {
            tracing::warn!(mine = ?ages.grace, ?other, "another node has a shorter collect.grace, which counts from now on");
            ages.grace = other;
        }
    }

    /// What time it is by the store's clock, with which alone the times of objects are compared.
    pub(super) async fn now(&self) -> objects::Result<SystemTime> {
        if self.objects.alone().is_some() {
            return Ok(SystemTime::now());
        }
        self.objects.put(keys::CLOCK, Bytes::new(), None).await?;
        let gone = || ObjectsError::Unavailable(format!("{} was written, and is not there", keys::CLOCK));
        Ok(self.objects.stat(keys::CLOCK).await?.ok_or_else(gone)?.modified)
    }

    /// Shared by those who add links, held alone by those who remove some or look before they write: within this process,
    /// what is accepted has an order that everybody sees. Between processes each key has one.
    pub(super) fn lock(&self, repository: &RepositoryName) -> &RwLock<()> {
        let key = keys::of_repository(repository);
        // A repository that links lead to has several names, and one lock.
        let key = self.objects.alone().map_or(key.clone(), |alone| alone.resolved(&key));
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        &self.locks[(hash % LOCKS as u64) as usize]
    }

    /// Follows rules, off the async threads where the objects block.
    pub(super) async fn run<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
        self: &Arc<Self>,
        rules: impl FnOnce(Arc<Self>) -> F + Send + 'static,
    ) -> Result<T> {
        let node = Arc::clone(self);
        if self.objects.alone().is_none() {
            return rules(node).await;
        }
        blocking(move || {
            // It is made where it stays: futures are large, and each move of one is a copy.
            let mut rules = pin!(rules(node));
            // Mostly nothing is to be waited for, and a runtime need not be entered.
            if let Poll::Ready(done) = rules.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return done;
            }
            // Within, nothing waits for another of these threads: they are bounded, and all of them may wait here for a lock.
            Handle::current().block_on(rules)
        })
        .await
    }

    /// A stream of what the objects have, read ahead off the async threads where they block.
    pub(super) fn stream<T: Send + 'static>(
        &self,
        mut ahead: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        if self.objects.alone().is_none() {
            return ahead;
        }
        let (sender, mut receiver) = mpsc::channel(BATCH);
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                while let Some(item) = ahead.next().await
                    && sender.send(item).await.is_ok()
                {}
            });
        });
        stream::poll_fn(move |context| receiver.poll_recv(context)).boxed()
    }
}
