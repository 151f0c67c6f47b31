//! Those who push, delete and restore: where they are, and what is promised to them.

use super::model::{
    BYTES, Broken, DYING, Keys, LAYER, Layer, Mechanism as M, NOTHING, Operation, REVISIONS, State, Tagged, World,
};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Process {
    pub(crate) at: At,
    pub(crate) by: By,
    /// What it has read: a tag's manifest, or what a record names.
    pub(crate) read: u8,
    /// Whether its layer was accepted, or was linked again.
    pub(crate) is_accepted: bool,
    /// Whether it restores first what the index names that it is about.
    pub(crate) is_below: bool,
    /// What its node knows of the list.
    pub(crate) sight: Sight,
    /// What the collector must not take, as far as it has found that.
    pub(crate) relied_on: Keys,
    /// What somebody has deleted meanwhile: 1, something that it relies on; 2, the manifest after it had looked for a sign.
    pub(crate) disturbed: u8,
}

/// What is known of the list, without asking.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Sight {
    /// How it was before a run began, which gives it another version.
    #[default]
    OfAnotherRun,
    /// How it was at some moment of this run.
    OfThisRun,
    /// What was condemned, was being deleted, and was seen untagged.
    Of(Keys, Keys, u8),
}

/// What comes of a look.
pub(crate) enum Looked {
    /// The list is the one that was known before.
    Same,
    Changed,
    /// Something was taken off it, so that there is another to look at.
    Lifted,
}

/// How somebody comes to what he links: it must be there and linked, or be there, or he brings it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum By {
    #[default]
    Relying,
    Mounting,
    Uploading,
}

/// What a process does next, in the order in which it does so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub(crate) enum At {
    #[default]
    Start,
    ReadRecord,
    ReadManifest,
    ReadOtherLink,
    // What a manifest names.
    BytesFirst,
    LinkRead,
    Link,
    Look,
    LinkReadAgain,
    Bytes,
    // A manifest.
    NamedLook,
    Revision,
    RevisionLook,
    Manifest,
    TagRead,
    TagRecord,
    TagSwap,
    Sign,
    SignWait,
    RevisionRead,
    LastLook,
    RemoveRecord,
    // What is deleted.
    DeleteTag,
    DeleteTagRecord,
    DeleteTagSwap,
    DeleteTagSent,
    Delete,
    DeleteRecord,
    DeleteLook,
    DeleteSign,
    DeleteRead,
    DeleteItsTag,
    DeleteItsTagSent,
    DeleteSent,
    Unsign,
    Done,
    Dead,
}

use At::*;

impl Operation {
    pub(crate) fn manifest(self) -> u8 {
        match self {
            Self::Push(m, ..) | Self::DeleteManifest(m) => m,
            Self::DeleteBlob => LAYER,
            Self::DeleteTag(_) | Self::Restore(_) => NOTHING,
        }
    }

    pub(crate) fn records(self) -> bool {
        !matches!(self, Self::Restore(_) | Self::Push(_, Tagged::No, _))
    }

    /// Whether it ever looks at the list.
    pub(crate) fn looks(self) -> bool {
        !matches!(self, Self::DeleteTag(_) | Self::DeleteManifest(_))
    }

    pub(crate) fn is_restore(self) -> bool {
        matches!(self, Self::Restore(_))
    }
}

impl State {
    pub(crate) fn what(&self, world: &World, p: usize) -> u8 {
        match world.operations[p].manifest() {
            NOTHING if self.processes[p].is_below => 1,
            NOTHING => self.processes[p].read,
            what => what,
        }
    }

    /// Links on which a request relies that is not done: it lasts shorter than they stay young.
    pub(crate) fn held(&self, world: &World, p: usize) -> Keys {
        let Process { at, is_accepted, .. } = self.processes[p];
        let what = self.what(world, p);
        let linked = world.named(what).0;
        match at {
            at if (Look..=Revision).contains(&at) || is_accepted && (BytesFirst..=Link).contains(&at) => linked,
            at if (RevisionLook..=RemoveRecord).contains(&at) => linked | REVISIONS[what as usize],
            _ => 0,
        }
    }

    /// Looks at the list, if nothing of this is just being deleted.
    pub(crate) fn look(&mut self, world: &World, p: usize, keys: Keys) -> Option<Looked> {
        if self.deleting & keys != 0 {
            return None;
        }
        if self.condemned & keys != 0 {
            self.condemned &= !keys;
            return Some(Looked::Lifted);
        }
        let is_same = self.processes[p].sight == self.sight() || !world.has(M::SameVersion);
        self.processes[p].sight = self.sight();
        Some(if is_same { Looked::Same } else { Looked::Changed })
    }

    /// The list as it is.
    pub(crate) fn sight(&self) -> Sight {
        Sight::Of(self.condemned, self.deleting, self.untagged)
    }

    /// Takes the list for known that is known too late.
    pub(crate) fn see_late(&mut self, world: &World, p: usize) {
        if !world.has(M::SightFirst) {
            self.processes[p].sight = self.sight();
        }
    }

    /// Before it begins with something, its node may have learned of the list by another request.
    pub(crate) fn learned(&self, world: &World, p: usize) -> Option<(&'static str, Self)> {
        let (Process { at, by, sight, .. }, mut next) = (self.processes[p], *self);
        let begins = match at {
            Start | BytesFirst | LinkRead | Delete => true,
            Link => by != By::Relying,
            _ => false,
        };
        if !begins || !world.operations[p].looks() || sight == self.sight() {
            return None;
        }
        next.processes[p].sight = self.sight();
        if at == Start {
            next = next.advanced(world, p)?.1;
        }
        Some(("begins, and knows the list", next))
    }

    /// Whether somebody may yet do something.
    fn is_under_way(&self, p: u8) -> bool {
        !matches!(self.processes[p as usize].at, Done | Dead)
    }

    pub(crate) fn is_begun(&self, p: usize) -> bool {
        !matches!(self.processes[p].at, Start | Done | Dead)
    }

    /// Whether somebody is deleting a manifest.
    pub(crate) fn is_signed(&self, m: u8) -> bool {
        self.signs[m as usize - 1].checked_sub(1).is_some_and(|by| self.is_under_way(by))
    }

    pub(crate) fn is_dying(&self) -> bool {
        self.tag >= DYING && self.is_under_way(self.tag - DYING)
    }

    /// Begins with what a manifest names.
    pub(crate) fn begin(&mut self, world: &World, p: usize, by: By) -> At {
        self.processes[p].by = by;
        match by {
            By::Relying if !world.has(M::BytesAfterLink) => BytesFirst,
            By::Relying => LinkRead,
            By::Uploading if !world.has(M::LinkBeforeBytes) => Bytes,
            By::Mounting | By::Uploading => Link,
        }
    }

    /// What was to be there is not.
    pub(crate) fn miss(&mut self, world: &World, p: usize) -> At {
        let operation = world.operations[p];
        if let Operation::Restore(of) = operation {
            // Somebody may be deleting a blob of it.
            if self.restorable & 1 << of != 0 && self.processes[p].disturbed == 0 {
                self.broken = Some(Broken::RestoreFailed);
            }
            return Done;
        }
        if self.processes[p].is_accepted && !world.operations.contains(&Operation::DeleteBlob) {
            self.broken = Some(Broken::UploadForgotten);
        }
        if world.is_index(operation.manifest()) { Done } else { self.begin(world, p, By::Uploading) }
    }

    /// A layer is accepted, or linked again: the manifest can come.
    pub(crate) fn accept(&mut self, world: &World, p: usize) -> At {
        self.processes[p].is_accepted = true;
        self.begin(world, p, By::Relying)
    }

    /// A manifest is in its place, and stays there, unless somebody has deleted something of it meanwhile, or just does.
    pub(crate) fn succeed(&mut self, world: &World, p: usize) -> At {
        if self.processes[p].is_below {
            let process = &mut self.processes[p];
            (process.is_below, process.is_accepted) = (false, false);
            return self.begin(world, p, By::Relying);
        }
        let what = self.what(world, p);
        let deletes = |p: usize| self.is_begun(p) && world.operations[p].deletes(world) & world.whole(what) != 0;
        let is_kept_by_rule = !world.untagged || self.tag == what;
        if is_kept_by_rule && self.processes[p].disturbed == 0 && !(0..world.operations.len()).any(deletes) {
            self.owed |= what;
        }
        if world.operations[p].is_restore() { RemoveRecord } else { Done }
    }

    /// Somebody has deleted this: those who rely on it, or were about to end, are promised nothing.
    pub(crate) fn disturb(&mut self, world: &World, key: Keys) {
        for p in 0..world.operations.len() {
            if !self.is_begun(p) {
                continue;
            }
            let what = self.what(world, p);
            let is_own = REVISIONS[what as usize] == key;
            let is_last = is_own && [RevisionRead, LastLook].contains(&self.processes[p].at);
            let relies = world.whole(what) & key != 0 && !is_own;
            self.processes[p].disturbed |= u8::from(relies) | u8::from(is_last) << 1;
        }
    }

    /// A tag is about to point elsewhere.
    pub(crate) fn release(&mut self, world: &World) {
        if world.untagged && self.tag < DYING {
            self.owed &= !self.tag;
        }
    }

    /// From here on it must be possible to restore what a process has recorded, if it is whole.
    pub(crate) fn promise_record(&mut self, world: &World, p: usize, is_meant: bool) {
        let what = self.records[p];
        if is_meant && self.is_there(REVISIONS[what as usize] | world.whole(what) & BYTES) {
            self.restorable |= 1 << p;
        }
    }

    /// What a process does next, if it need not wait.
    pub(crate) fn advanced(&self, world: &World, p: usize) -> Option<(&'static str, Self)> {
        let mut next = *self;
        let is_free = |&(of, after): &(usize, usize)| of != p || self.processes[after].at == Done;
        let at = match (self.processes[p].at, world.operations[p]) {
            (Start, _) if !world.after.iter().all(is_free) => return None,
            (Start, Operation::Push(_, _, Layer::Uploaded)) => next.begin(world, p, By::Uploading),
            (Start, Operation::Push(_, _, Layer::Mounted)) => ReadOtherLink,
            (Start, Operation::Push(_, _, Layer::ReliedOn)) => next.begin(world, p, By::Relying),
            (Start, Operation::DeleteTag(_)) => DeleteTag,
            (Start, Operation::DeleteManifest(_) | Operation::DeleteBlob) => Delete,
            (Start, Operation::Restore(_)) => ReadRecord,
            (at, _) => at,
        };
        let (text, then) = if at <= RemoveRecord { next.push(world, p, at)? } else { next.delete(world, p, at)? };
        next.go(p, if self.left & 1 << p != 0 { Dead } else { then });
        next.left &= !(1 << p);
        Some((text, next))
    }

    fn go(&mut self, p: usize, at: At) {
        let mut process = if matches!(at, Done | Dead) { Process::default() } else { self.processes[p] };
        // What is of no use any more is forgotten.
        if process.sight != Sight::OfAnotherRun && (Manifest..=LastLook).contains(&at) {
            process.sight = Sight::OfThisRun;
        }
        if !(BytesFirst..=RevisionLook).contains(&at) {
            process.relied_on = 0;
        }
        self.processes[p] = Process { at, ..process };
    }

    /// A process ends in the middle. What it has sent may yet arrive.
    pub(crate) fn ended(&self, p: usize) -> Option<(&'static str, Self)> {
        let (process, mut next) = (self.processes[p], *self);
        if matches!(process.at, Start | Done | Dead) || self.left & 1 << p != 0 {
            return None;
        }
        if matches!(process.at, DeleteTagSent | DeleteItsTagSent | DeleteSent) {
            next.left |= 1 << p;
        } else {
            next.go(p, Dead);
        }
        Some(("ends", next))
    }

    /// A run begins.
    pub(crate) fn become_late(&mut self) {
        for process in &mut self.processes {
            process.sight = Sight::OfAnotherRun;
        }
    }

    /// Forgets what was known of the list where it has changed: it never becomes again what it was in the same run.
    pub(crate) fn forget_changed(&mut self) {
        let now = self.sight();
        for process in &mut self.processes {
            // Of which run it was matters only for whoever has looked.
            if !(Manifest..=LastLook).contains(&process.at) && process.sight != now {
                process.sight = Sight::OfAnotherRun;
            }
        }
    }

    /// What a process has sent that is gone does not arrive any more.
    pub(crate) fn expired(&self, p: usize) -> Option<(&'static str, Self)> {
        let mut next = *self;
        next.left &= !(1 << p);
        next.go(p, Dead);
        (self.left != next.left).then_some(("sent a DELETE that expires", next))
    }

    /// Whether nobody does anything.
    pub(crate) fn is_quiet(&self) -> bool {
        self.left == 0
            && self.sent == 0
            && self.collectors == Self::default().collectors
            && self.processes.iter().all(|process| matches!(process.at, Start | Done | Dead))
    }
}

impl Operation {
    fn deletes(self, world: &World) -> Keys {
        match self {
            Self::DeleteManifest(m) => REVISIONS[m as usize],
            Self::DeleteBlob => world.named(LAYER).0,
            _ => 0,
        }
    }
}
