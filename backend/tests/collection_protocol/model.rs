//! The objects, and what each call on one of them does. Keys are bits, so that a set of them is a byte.
//!
//! What is left out, as it makes no difference: a `get` with the `swap` that follows it and succeeds is one step, and all
//! DELETEs of a run are sent at once and arrive in any order. A run lists bytes that are there when it publishes. Time is a
//! step of its own: a link grows old at any moment, unless a request relies on it that is not done (it lasts shorter than
//! half the grace); a DELETE arrives at any moment, or expires once nobody waits for its answer. How long a run takes is not
//! bounded.

use std::fmt;

use super::collector::Collector;
use super::processes::Process;

pub(crate) type Keys = u8;

/// The link of the layer D in two repositories, D's bytes, and the links and bytes of two manifests that name D.
pub(crate) const Y0: Keys = 1;
pub(crate) const Y1: Keys = 1 << 1;
pub(crate) const BD: Keys = 1 << 2;
pub(crate) const R1: Keys = 1 << 3;
pub(crate) const B1: Keys = 1 << 4;
pub(crate) const R2: Keys = 1 << 5;
pub(crate) const B2: Keys = 1 << 6;
pub(crate) const BYTES: Keys = BD | B1 | B2;

/// What a record or a tag names: the manifests are 1 and 2, so that these are also bits of a set of manifests.
pub(crate) const NOTHING: u8 = 0;
pub(crate) const LAYER: u8 = 3;
pub(crate) const REVISIONS: [Keys; 4] = [0, R1, R2, 0];
pub(crate) const MANIFESTS: [Keys; 4] = [0, B1, B2, 0];
/// A tag that is being deleted says by whom.
pub(crate) const DYING: u8 = 4;

/// What each part of the protocol is there for is seen by what is lost without it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mechanism {
    /// What goes was found unreferenced by two runs, of which the first has published it before the second looked.
    TwoRuns,
    /// Whoever writes a link looks at the list.
    Look,
    /// Whoever relies on a link that is young looks at the list too: somebody wrote it who may not have looked yet.
    LookWhenYoung,
    /// What was written or read is so again when the list is not any more the one that was known before: the DELETE may have
    /// come that was under way.
    SameVersion,
    /// That is the list as it was known before the link was written or read, and not since.
    SightFirst,
    /// The bytes are looked for after the link was read, not beside it.
    BytesAfterLink,
    /// An upload links first, and then writes the bytes.
    LinkBeforeBytes,
    /// A manifest's link is written when what it names has been looked at: who finds it relies on that.
    NamedLook,
    /// Who takes over waits until no DELETE can arrive any more.
    BoundedDelete,
    /// A run stops when the collector's object has another's nonce.
    Nonce,
    /// A push looks at last whether the manifest was deleted beside.
    RevisionAfterTag,
    /// A push is done again when a run has begun meanwhile: what it found at last may have been away.
    SameRun,
    /// A link is renewed only where there is one.
    RenewedIfThere,
    /// A tag is swapped to one that is dying before it is deleted, and whoever sets it waits.
    DyingTag,
    /// What a record in the trash names is kept.
    RecordsAreRoots,
    /// Who has written a record looks at the list, and then whether it is there what he deletes.
    RecordLooks,
    /// A run reads the trash after the repositories.
    TrashLast,
    /// A run reads the layers of a repository before the manifests: what grows old meanwhile is then held by these.
    LayersFirst,
    /// A restore looks at the list.
    RestoreLooks,
    /// A restore links the layers, and does not ask that they are linked.
    RestoreLinks,
    /// A restore of an index restores first what its manifests name.
    ChildrenRestored,
    /// A restore puts the manifest as a push does.
    RestorePuts,
    /// A manifest keeps what it names until it is gone itself, even when a rule condemns it.
    OneLevelAtOnce,
}

/// What a process does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A client pushes a manifest, with the tag or without, and uploads the layer whenever it is told that it is missing.
    Push(u8, Tagged, Layer),
    /// Deletes the tag, whatever it is, or if it is what a rule has judged.
    DeleteTag(Option<u8>),
    DeleteManifest(u8),
    DeleteBlob,
    /// Restores what the record says that another process has written.
    Restore(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tagged {
    Yes,
    No,
}

/// How a push begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    Uploaded,
    ReliedOn,
    Mounted,
}

/// Where the second manifest is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Second {
    Beside,
    InAnotherRepository,
    IndexOfTheFirst,
}

/// What may happen, and what must hold.
#[derive(Clone, Copy)]
pub(crate) struct World {
    pub(crate) operations: &'static [Operation],
    /// Which process begins when which one has done its work.
    pub(crate) after: &'static [(usize, usize)],
    pub(crate) second: Second,
    /// Whether there is a rule for what has no tag.
    pub(crate) untagged: bool,
    /// Whether records expire, or the trash is emptied.
    pub(crate) expiry: bool,
    pub(crate) collectors: usize,
    /// Whether the version of the list is that of its content, so that it might come back; else each is a new one.
    pub(crate) by_content: bool,
    pub(crate) without: &'static [Mechanism],
}

impl World {
    pub(crate) fn has(&self, mechanism: Mechanism) -> bool {
        !self.without.contains(&mechanism)
    }

    /// The link and the bytes that something names.
    pub(crate) fn named(&self, what: u8) -> (Keys, Keys) {
        match (what, self.second) {
            (NOTHING, _) => (0, 0),
            (2, Second::InAnotherRepository) => (Y1, BD),
            (2, Second::IndexOfTheFirst) => (R1, B1),
            _ => (Y0, BD),
        }
    }

    pub(crate) fn is_index(&self, what: u8) -> bool {
        what == 2 && self.second == Second::IndexOfTheFirst
    }

    /// All keys that there can be.
    pub(crate) fn keys(&self) -> Keys {
        let has_second = self.is_index(2) || self.operations.iter().any(|operation| operation.manifest() == 2);
        self.whole(1) | if has_second { self.whole(2) } else { 0 }
    }

    /// The links whose age matters: those of manifests where there is a rule, or an index relies on one.
    fn aging(&self) -> Keys {
        if self.untagged || self.is_index(2) { Keys::MAX } else { !(R1 | R2) }
    }

    /// Everything that something needs to be whole.
    pub(crate) fn whole(&self, what: u8) -> Keys {
        let (link, bytes) = self.named(what);
        let child = if self.is_index(what) { self.whole(1) } else { 0 };
        REVISIONS[what as usize] | MANIFESTS[what as usize] | link | bytes | child
    }
}

/// Everything at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct State {
    pub(crate) there: Keys,
    /// Links that are younger than the grace.
    pub(crate) young: Keys,
    /// A manifest, or [`DYING`] and who deletes it.
    pub(crate) tag: u8,
    /// What each process has recorded in the trash.
    pub(crate) records: [u8; 3],
    /// The collector's object: what was published, what is being deleted, whose nonce it has, and which manifests were seen
    /// untagged, and which long ago.
    pub(crate) condemned: Keys,
    pub(crate) deleting: Keys,
    pub(crate) owner: u8,
    pub(crate) untagged: u8,
    pub(crate) aged: u8,
    /// DELETEs of a collector that may yet arrive.
    pub(crate) sent: Keys,
    /// Who says that he is deleting the first manifest or the second.
    pub(crate) signs: [u8; 2],
    pub(crate) collectors: [Collector; 2],
    pub(crate) processes: [Process; 3],
    /// Processes that are gone whose DELETE may yet arrive.
    pub(crate) left: u8,
    /// What is promised: manifests that were acknowledged, and processes whose record can be restored whole.
    pub(crate) owed: u8,
    pub(crate) restorable: u8,
    /// A promise that was broken by what was answered.
    pub(crate) broken: Option<Broken>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Broken {
    UploadForgotten,
    RestoreFailed,
    TagLost,
}

impl State {
    pub(crate) fn is_there(&self, keys: Keys) -> bool {
        self.there & keys == keys
    }

    pub(crate) fn put(&mut self, keys: Keys) {
        self.there |= keys;
        self.young |= keys & !BYTES;
    }

    pub(crate) fn remove(&mut self, keys: Keys) {
        self.there &= !keys;
        self.young &= !keys;
    }

    /// What is promised and not so.
    pub(crate) fn loss(&self, world: &World) -> Option<String> {
        let broken = self.broken.map(|broken| match broken {
            Broken::UploadForgotten => "a layer that was just accepted is missing".to_owned(),
            Broken::RestoreFailed => "what a record names cannot be restored".to_owned(),
            Broken::TagLost => "a tag was deleted that somebody else had set".to_owned(),
        });
        let lost = (1..=2).find(|&m| self.owed & m != 0 && !self.is_there(world.whole(m)));
        let lost = lost.map(|m| format!("manifest {m} was acknowledged and is not whole"));
        let bytes = |p: &usize| world.whole(self.records[*p]) & BYTES;
        let unrestorable = (0..3).find(|p| self.restorable & 1 << p != 0 && !self.is_there(bytes(p)));
        broken.or(lost).or(unrestorable.map(|p| format!("the record of {p} names bytes that are gone")))
    }

    /// Every step that can be the next.
    pub(crate) fn steps(&self, world: &World, steps: &mut Vec<(Step, Self)>) {
        let mut held = 0;
        for (p, who) in PROCESSES.into_iter().enumerate().take(world.operations.len()) {
            held |= self.held(world, p);
            let moves = [self.advanced(world, p), self.learned(world, p), self.ended(p), self.expired(p)];
            steps.extend(moves.into_iter().flatten().map(|(text, next)| (Step { who, text, keys: 0 }, next)));
        }
        let mut is_awaited = false;
        for (c, who) in COLLECTORS.into_iter().enumerate().take(world.collectors) {
            is_awaited |= self.owner == c as u8 && self.collectors[c].is_removing();
            let gone = Self { collectors: replaced(self.collectors, c, Collector::default()), ..*self };
            let moves = [self.collected(world, c), (gone != *self).then_some(("ends", gone))];
            steps.extend(moves.into_iter().flatten().map(|(text, next)| (Step { who, text, keys: 0 }, next)));
        }
        let mut other = |text, keys, change: &dyn Fn(&mut Self)| {
            let mut next = *self;
            change(&mut next);
            if next != *self {
                steps.push((Step { who: "", text, keys }, next));
            }
        };
        for key in (0..7).map(|bit| 1 << bit) {
            if self.sent & key != 0 {
                other("arrived: DELETE of", key, &|next| {
                    next.sent &= !key;
                    next.remove(key);
                });
                if !is_awaited {
                    other("expired: DELETE of", key, &|next| next.sent &= !key);
                }
            }
            if held & key == 0 {
                other("grown old:", key, &|next| next.young &= !key);
            }
        }
        for p in (0..3).filter(|_| world.expiry) {
            other("expired: a record", 0, &|next| next.forget(p));
        }
        other("passed: the rule's time", 0, &|next| next.aged |= next.untagged);
        for (_, next) in steps {
            next.young &= world.aging();
            if !world.by_content {
                next.forget_changed();
            }
        }
    }

    /// How it is after runs that nobody disturbs, when everything has grown old.
    pub(crate) fn after_runs(&self, world: &World, runs: usize) -> Self {
        let mut state = Self { young: 0, untagged: 3, aged: 3, ..*self };
        for _ in 0..runs {
            loop {
                state.remove(state.sent);
                state.sent = 0;
                state = state.collected(world, 0).expect("it waits for nobody").1;
                state.aged |= state.untagged;
                if state.collectors == Self::default().collectors {
                    break;
                }
            }
        }
        state
    }

    /// What is there, though nothing leads to it, when it should be gone.
    pub(crate) fn left_over(&self, world: &World) -> Option<String> {
        // With a rule, each level is seen to be untagged, condemned, and removed.
        let runs = match (world.untagged, world.second) {
            (false, _) => 2,
            (true, Second::IndexOfTheFirst) => 9,
            (true, _) => 6,
        };
        let revisions = (1..=2).filter(|&m| !world.untagged && self.is_there(REVISIONS[m as usize]));
        let tag = Some(self.tag).filter(|&tag| tag < DYING);
        let led_to = revisions.chain(self.records).chain(tag).fold(0, |keys, what| keys | world.whole(what));
        let left = self.after_runs(world, runs).there & !led_to;
        (left != 0).then(|| format!("{} stays that nothing leads to", names(left)))
    }

    pub(crate) fn forget(&mut self, p: usize) {
        self.records[p] = NOTHING;
        self.restorable &= !(1 << p);
    }
}

const PROCESSES: [&str; 3] = ["P", "Q", "S"];
const COLLECTORS: [&str; 2] = ["C", "E"];

pub(crate) fn replaced<T, const N: usize>(mut all: [T; N], index: usize, one: T) -> [T; N] {
    all[index] = one;
    all
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}; tag {}]", names(self.there), self.tag)
    }
}

/// Who does what.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    who: &'static str,
    text: &'static str,
    keys: Keys,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str([self.who, self.text, &names(self.keys)].join(" ").trim())
    }
}

fn names(keys: Keys) -> String {
    let names = ["Y0", "Y1", "D", "R1", "B1", "R2", "B2"].into_iter().enumerate();
    names.filter(|(bit, _)| keys & 1 << bit != 0).map(|(_, name)| name).collect::<Vec<_>>().join(" ")
}
