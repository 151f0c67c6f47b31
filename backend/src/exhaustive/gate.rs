//! A store of which every call of every node waits until it is let through, and may be answered otherwise than it went.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::pending;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::names::Names;
use crate::lock::held;
use crate::objects::{MemoryObjects, ObjectsError, REMOVAL, Result};

/// What a call may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    Remove,
}

/// What becomes of a call that waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done, and answered.
    Done,
    /// Nobody knows whether it is done; it is, or is not.
    Lost(bool),
    /// Nobody waits for its answer any more; it is done, or is not.
    Left(bool),
}

/// What is written with the same bytes by all and removed by none, and what none writes without a collector, its list: when
/// these calls are let through makes no difference.
pub(super) const ASIDE: &[&str] = &[".lockgate/names/repositories/", ".lockgate/collect"];

/// A call that waits.
pub(super) struct Call {
    pub(super) node: usize,
    pub(super) label: String,
    pub(super) kind: Kind,
    key: String,
    sent: Instant,
    waits: oneshot::Sender<Verdict>,
}

/// A DELETE that nobody waits for, and that may yet arrive.
struct Late {
    key: String,
    label: String,
    sent: Instant,
}

pub(super) struct Gate {
    pub(super) objects: Arc<MemoryObjects>,
    began: Instant,
    /// The beginnings of keys in whose calls it makes no difference when they are let through.
    aside: &'static [&'static str],
    inner: Mutex<Inner>,
}

struct Inner {
    waiting: Vec<Call>,
    late: Vec<Late>,
    dead: BTreeSet<usize>,
    buried: Vec<oneshot::Sender<Verdict>>,
    /// Everything passes at once.
    is_open: bool,
    /// Counts whatever happens.
    events: u64,
    /// What each node was told, of which everything that it does is a function.
    told: BTreeMap<usize, u64>,
    /// When what was written, since the beginning.
    written: HashMap<String, Duration>,
    names: Names,
}

fn lost() -> ObjectsError {
    ObjectsError::Unavailable("the answer was lost".to_owned())
}

impl Gate {
    pub(super) fn before(objects: Arc<MemoryObjects>, names: Names, aside: &'static [&'static str]) -> Arc<Self> {
        let inner = Inner {
            waiting: Vec::new(),
            late: Vec::new(),
            dead: BTreeSet::new(),
            buried: Vec::new(),
            is_open: false,
            events: 0,
            told: BTreeMap::new(),
            written: HashMap::new(),
            names,
        };
        Arc::new(Self { objects, began: Instant::now(), aside, inner: Mutex::new(inner) })
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        held(self.inner.lock())
    }

    /// Waits for its turn, does something, and tells what is answered; `seen` writes down what is learnt from it.
    pub(super) async fn call<T>(
        &self,
        node: usize,
        (what, key, kind): (&str, &str, Kind),
        writes: &[u8],
        run: impl Future<Output = Result<T>>,
        seen: impl FnOnce(&T) -> Vec<u8>,
    ) -> Result<T> {
        let Some(waits) = self.arrive(node, (what, key, kind), writes) else { return run.await };
        let verdict = waits.await.unwrap_or(Verdict::Left(false));
        let result = match verdict {
            Verdict::Done => run.await,
            Verdict::Lost(true) | Verdict::Left(true) => run.await.and(Err(lost())),
            Verdict::Lost(false) | Verdict::Left(false) => Err(lost()),
        };
        if kind == Kind::Write && matches!(verdict, Verdict::Done | Verdict::Lost(true) | Verdict::Left(true)) {
            self.inner().written.insert(key.to_owned(), self.began.elapsed());
        }
        if matches!(verdict, Verdict::Left(_)) {
            self.inner().events += 1;
            return pending().await;
        }
        let seen = result.as_ref().map_or(b"lost".to_vec(), seen);
        let (mut inner, mut hasher) = (self.inner(), DefaultHasher::new());
        let inner = &mut *inner;
        let told = inner.told.entry(node).or_default();
        (*told, what, inner.names.of(node, key.as_bytes()), inner.names.of(node, &seen)).hash(&mut hasher);
        self.began.elapsed().hash(&mut hasher);
        *told = hasher.finish();
        inner.events += 1;
        result
    }

    fn arrive(
        &self,
        node: usize,
        (what, key, kind): (&str, &str, Kind),
        writes: &[u8],
    ) -> Option<oneshot::Receiver<Verdict>> {
        let mut inner = self.inner();
        if inner.is_open {
            return None;
        }
        inner.events += 1;
        let (verdict, waits) = oneshot::channel();
        if inner.dead.contains(&node) {
            // Nobody is there to go on.
            inner.buried.push(verdict);
            return Some(waits);
        }
        // What is drawn at random gets its name before anybody else sees it.
        inner.names.of(node, writes);
        let label = format!("node {node}: {what} {}", String::from_utf8_lossy(&inner.names.of(node, key.as_bytes())));
        inner.waiting.push(Call { node, label, kind, key: key.to_owned(), sent: Instant::now(), waits: verdict });
        Some(waits)
    }

    /// How much younger an object is by the clock of this store, which stands still while nothing sleeps.
    pub(super) fn age(&self, key: &str) -> Duration {
        let written = self.inner().written.get(key).copied().unwrap_or_default();
        self.began.elapsed() - written
    }

    pub(super) fn open(&self, is_open: bool) {
        self.inner().is_open = is_open;
    }

    /// Lets everybody go on until all wait.
    pub(super) async fn settle(&self) {
        let (mut quiet, mut last) = (0, self.inner().events);
        while quiet < 12 {
            tokio::task::yield_now().await;
            let now = self.inner().events;
            quiet = if now == last { quiet + 1 } else { 0 };
            last = now;
        }
        let mut inner = self.inner();
        inner.waiting.retain(|call| !call.waits.is_closed());
        // By node, in the order in which they came.
        inner.waiting.sort_by_key(|call| call.node);
    }

    /// The first call that waits whose turn makes no difference.
    pub(super) fn aside(&self) -> Option<usize> {
        self.inner().waiting.iter().position(|call| self.aside.iter().any(|key| call.key.starts_with(key)))
    }

    /// The calls that wait, and the DELETEs that nobody waits for.
    pub(super) fn waiting(&self) -> (Vec<(usize, String, Kind)>, Vec<String>) {
        let inner = self.inner();
        let calls = inner.waiting.iter().map(|call| (call.node, call.label.clone(), call.kind)).collect();
        (calls, inner.late.iter().map(|late| late.label.clone()).collect())
    }

    pub(super) fn decide(&self, at: usize, verdict: Verdict, is_late: bool) {
        let mut inner = self.inner();
        let call = inner.waiting.remove(at);
        if is_late {
            inner.late.push(Late { key: call.key, label: format!("late: {}", call.label), sent: call.sent });
        }
        let _ = call.waits.send(verdict);
    }

    /// A DELETE that nobody waits for arrives.
    pub(super) fn land(&self, at: usize) -> impl Future<Output = ()> {
        let (key, objects) = (self.inner().late.remove(at).key, Arc::clone(&self.objects));
        async move {
            let _ = crate::objects::Objects::remove(objects.as_ref(), &key).await;
        }
    }

    /// A node is no more.
    pub(super) fn kill(&self, node: usize) {
        let mut inner = self.inner();
        inner.dead.insert(node);
        for call in inner.waiting.extract_if(.., |call| call.node == node).collect::<Vec<_>>() {
            let _ = call.waits.send(Verdict::Left(false));
        }
    }

    /// Time has passed: no DELETE arrives that was sent too long ago.
    pub(super) fn expire(&self) {
        let mut inner = self.inner();
        inner.late.retain(|late| late.sent.elapsed() <= REMOVAL);
        let is_over = |call: &mut Call| call.kind == Kind::Remove && call.sent.elapsed() > REMOVAL;
        for call in inner.waiting.extract_if(.., is_over).collect::<Vec<_>>() {
            let _ = call.waits.send(Verdict::Lost(false));
        }
    }

    /// What there is, and what everybody knows: two that are equal go on alike.
    pub(super) fn state(&self) -> u64 {
        let mut inner = self.inner();
        let inner = &mut *inner;
        let mut hasher = DefaultHasher::new();
        let named =
            |(key, bytes): (String, bytes::Bytes)| (inner.names.known(key.as_bytes()), inner.names.known(&bytes));
        let mut content: Vec<_> = self.objects.everything().into_iter().map(named).collect();
        content.sort_unstable();
        content.hash(&mut hasher);
        (&inner.told, &inner.dead, self.began.elapsed()).hash(&mut hasher);
        for call in &inner.waiting {
            (&call.label, call.sent.elapsed()).hash(&mut hasher);
        }
        for late in &inner.late {
            (&late.label, late.sent.elapsed()).hash(&mut hasher);
        }
        hasher.finish()
    }
}
