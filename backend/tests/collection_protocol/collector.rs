//! The collector, one call at a time.

use super::model::{BYTES, Keys, LAYER, MANIFESTS, Mechanism as M, NOTHING, REVISIONS, State, World, Y0, Y1, replaced};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Collector {
    run: Run,
    marked: Keys,
    /// Manifests whose bytes are to be read, and were to be.
    unread: u8,
    found: u8,
    /// Manifests that a tag or an index names.
    named: u8,
}

/// What a run does next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
enum Run {
    #[default]
    Idle,
    Layer(Keys),
    Revision(u8),
    Tag,
    Record(u8),
    Decide,
    Removing,
    Publish,
    Leftover,
    RemovingAgain,
}

use Run::{Decide, Idle, Layer, Leftover, Publish, Record, Removing, RemovingAgain, Revision, Tag};

const REPOSITORIES: [Run; 5] = [Layer(Y0), Revision(1), Layer(Y1), Revision(2), Tag];
const LAYERS_LAST: [Run; 5] = [Tag, Revision(1), Revision(2), Layer(Y0), Layer(Y1)];
const TRASH: [Run; 3] = [Record(0), Record(1), Record(2)];

impl World {
    /// What a run reads after this.
    fn following(&self, run: Run) -> Run {
        let repositories: &[Run] = if self.has(M::LayersFirst) { &REPOSITORIES } else { &LAYERS_LAST };
        let order = if self.has(M::TrashLast) { [repositories, &TRASH] } else { [&TRASH, repositories] };
        let is_of_use = |run: &Run| match *run {
            Layer(link) => self.keys() & link != 0,
            Revision(m) => self.keys() & REVISIONS[m as usize] != 0,
            Tag => self.untagged,
            Record(p) => self.operations.get(p as usize).is_some_and(|operation| operation.records()),
            _ => true,
        };
        let order = order.into_iter().flatten().copied();
        let mut rest = order.skip_while(|step| run != Idle && *step != run).skip(usize::from(run != Idle));
        rest.find(is_of_use).unwrap_or(Decide)
    }
}

impl Collector {
    pub(crate) fn is_removing(&self) -> bool {
        matches!(self.run, Removing | RemovingAgain)
    }

    /// What is not there is not condemned.
    fn pass(&mut self, state: &State, key: Keys) {
        self.marked |= key & !state.there;
    }

    fn mark(&mut self, what: u8, but: Keys, world: &World) {
        if what == LAYER {
            self.marked |= world.whole(LAYER);
            return;
        }
        self.marked |= (REVISIONS[what as usize] | MANIFESTS[what as usize]) & !but;
        self.unread |= what & !self.found;
        self.found |= what;
    }

    fn read(&mut self, state: &State, world: &World) {
        let m = if self.unread & 1 != 0 { 1 } else { 2 };
        self.unread &= !m;
        // An absent one is counted, no more.
        if state.is_there(MANIFESTS[m as usize]) {
            let (link, bytes) = world.named(m);
            self.marked |= link | bytes;
            if world.is_index(m) {
                self.named |= 1;
                self.mark(1, 0, world);
            }
        }
    }
}

impl State {
    /// What a collector does next, if it need not wait.
    pub(crate) fn collected(&self, world: &World, c: usize) -> Option<(&'static str, Self)> {
        let (mut next, mut me) = (*self, self.collectors[c]);
        let is_mine = self.owner == c as u8 || !world.has(M::Nonce);
        let text = match me.run {
            Idle => {
                next.owner = c as u8;
                next.become_late();
                me.run =
                    if self.deleting != 0 && world.has(M::BoundedDelete) { Leftover } else { world.following(Idle) };
                if me.run != Leftover {
                    next.deleting = 0;
                }
                "begins"
            }
            _ if me.unread != 0 => {
                me.read(self, world);
                "reads a manifest"
            }
            Layer(link) => {
                me.pass(self, link);
                if self.young & link != 0 {
                    me.marked |= link | world.named(LAYER).1;
                }
                me.run = world.following(me.run);
                "reads a link"
            }
            Revision(m) => {
                let link = REVISIONS[m as usize];
                me.pass(self, link);
                let is_kept = !world.untagged || self.young & link != 0 || self.aged & m == 0;
                if self.is_there(link) && (is_kept || world.has(M::OneLevelAtOnce)) {
                    me.mark(m, if is_kept { 0 } else { link }, world);
                }
                me.run = world.following(me.run);
                "reads a revision"
            }
            Tag => {
                if matches!(self.tag, 1 | 2) {
                    me.named |= self.tag;
                    me.mark(self.tag, 0, world);
                }
                me.run = world.following(me.run);
                "reads the tag"
            }
            Record(p) => {
                let what = self.records[p as usize];
                if what != NOTHING && world.has(M::RecordsAreRoots) {
                    me.mark(what, 0, world);
                }
                me.run = world.following(me.run);
                "reads a record"
            }
            _ if !is_mine => {
                me = Collector::default();
                "stops"
            }
            Decide => {
                let candidates = if world.has(M::TwoRuns) { self.condemned } else { world.keys() };
                let doomed = candidates & !me.marked;
                (next.deleting, next.sent, next.condemned) = (doomed, self.sent | doomed, self.condemned & !doomed);
                // What it removes it does not condemn.
                me.marked |= doomed;
                me.run = if doomed == 0 { Publish } else { Removing };
                "says what it deletes"
            }
            Leftover if self.sent == 0 => {
                next.sent = self.deleting;
                me.run = RemovingAgain;
                "deletes again"
            }
            Removing | RemovingAgain if self.sent & self.deleting == 0 => {
                next.deleting = 0;
                me.run = if me.run == Removing { Publish } else { world.following(Idle) };
                "has deleted"
            }
            Publish => {
                next.condemned = world.keys() & !me.marked & (self.there | !BYTES);
                if world.untagged {
                    next.untagged = !me.named & 3;
                    next.aged &= next.untagged;
                }
                me = Collector::default();
                "publishes"
            }
            Leftover | Removing | RemovingAgain => return None,
        };
        next.collectors = replaced(self.collectors, c, me);
        Some((text, next))
    }
}
