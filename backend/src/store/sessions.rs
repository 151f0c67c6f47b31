//! What a process knows of upload sessions beside what is stored of them: who writes to one, and of those that rest what
//! would be costly to find out again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use uuid::Uuid;

use crate::lock::held;

/// The sessions of one store. Of those that rest, what weighs `budget` together is kept: clients abandon sessions, and then
/// nobody asks for it again.
pub(crate) struct Sessions<R>(Arc<Mutex<Table<R>>>);

struct Table<R> {
    taken: HashSet<Uuid>,
    resting: HashMap<Uuid, Resting<R>>,
    budget: usize,
    weight: usize,
    rested: u64,
}

struct Resting<R> {
    what: R,
    weight: usize,
    /// Counts up: the lowest has rested longest.
    since: u64,
}

impl<R> Table<R> {
    fn wake(&mut self, id: Uuid) -> Option<R> {
        let resting = self.resting.remove(&id)?;
        self.weight -= resting.weight;
        Some(resting.what)
    }
}

impl<R> Clone for Sessions<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R> Sessions<R> {
    pub(crate) fn new(budget: usize) -> Self {
        let table = Table { taken: HashSet::new(), resting: HashMap::new(), budget, weight: 0, rested: 0 };
        Self(Arc::new(Mutex::new(table)))
    }

    /// Takes a session until the lease is dropped; `None` when it is taken.
    pub(crate) fn take(&self, id: Uuid) -> Option<Lease<R>> {
        self.table().taken.insert(id).then(|| Lease { sessions: self.clone(), id })
    }

    fn table(&self) -> MutexGuard<'_, Table<R>> {
        held(self.0.lock())
    }
}

/// A session that nobody else in this process can take.
pub(crate) struct Lease<R> {
    sessions: Sessions<R>,
    id: Uuid,
}

impl<R> Lease<R> {
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// What was kept of the session.
    pub(crate) fn wake(&self) -> Option<R> {
        self.sessions.table().wake(self.id)
    }

    /// What is kept of the session, which stays kept.
    pub(crate) fn known(&self) -> Option<R>
    where
        R: Clone,
    {
        self.sessions.table().resting.get(&self.id).map(|resting| resting.what.clone())
    }

    /// Keeps something of the session for whoever takes it next. What has rested longest makes room.
    pub(crate) fn rest(&self, what: R, weight: usize) {
        let mut table = self.sessions.table();
        table.wake(self.id);
        if weight > table.budget {
            return;
        }
        while table.weight + weight > table.budget {
            let oldest = table.resting.iter().min_by_key(|(_, resting)| resting.since).map(|(id, _)| *id);
            oldest.and_then(|id| table.wake(id));
        }
        table.rested += 1;
        table.weight += weight;
        let since = table.rested;
        table.resting.insert(self.id, Resting { what, weight, since });
    }
}

impl<R> Drop for Lease<R> {
    fn drop(&mut self) {
        self.sessions.table().taken.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_taken_by_one_at_a_time() {
        let (sessions, id) = (Sessions::<()>::new(1), Uuid::new_v4());
        let lease = sessions.take(id).unwrap();
        assert!(sessions.take(id).is_none());
        assert!(sessions.take(Uuid::new_v4()).is_some());
        drop(lease);
        assert!(sessions.take(id).is_some());
    }

    #[test]
    fn what_rests_is_kept_within_the_budget_and_the_oldest_makes_room() {
        let sessions = Sessions::new(10);
        let [a, b, c] = [0; 3].map(|_| sessions.take(Uuid::new_v4()).unwrap());
        a.rest("a", 4);
        b.rest("b", 4);
        a.rest("a again", 6);
        assert_eq!((b.known(), b.wake(), b.known()), (Some("b"), Some("b"), None));
        b.rest("b again", 4);
        c.rest("c", 5);
        assert_eq!((a.wake(), b.wake(), c.wake()), (None, Some("b again"), Some("c")));
        c.rest("c", 11);
        assert_eq!(c.wake(), None);
    }
}
