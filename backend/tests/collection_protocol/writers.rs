//! Those who push, delete and restore, one call at a time.

use super::model::{
    BYTES, Broken, DYING, Keys, LAYER, Layer, MANIFESTS, Mechanism as M, NOTHING, Operation, REVISIONS, State, Tagged,
    World, Y0, replaced,
};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Process {
    at: At,
    /// What it has read: a tag's manifest, or what a record names.
    read: u8,
    /// Whether its layer was accepted.
    is_accepted: bool,
    /// Whether a run has begun since it looked whether it can rely on what it names.
    is_late: bool,
    /// What somebody has deleted meanwhile: 1, something that it relies on; 2, the manifest after it had looked for a sign.
    disturbed: u8,
}

/// What a process does next, in the order in which it does so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
enum At {
    #[default]
    Start,
    // A mount, and a restore that links the layer.
    ReadRecord,
    ReadManifest,
    ReadOtherLink,
    MountLink,
    MountLook,
    MountRead,
    MountBytes,
    // An upload.
    Link,
    LinkLook,
    LinkRead,
    Bytes,
    // A manifest's reference.
    BytesFirst,
    RelyRead,
    RelyLink,
    RelyLook,
    RelyReadAgain,
    RelyBytes,
    // A manifest.
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
    DeleteSign,
    DeleteRecord,
    DeleteLook,
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

    fn is_restore(self) -> bool {
        matches!(self, Self::Restore(_))
    }
}

impl World {
    fn first(&self, p: usize) -> At {
        match self.operations[p] {
            Operation::Push(_, _, Layer::Uploaded) => self.upload(),
            Operation::Push(_, _, Layer::Mounted) => ReadOtherLink,
            Operation::Push(_, _, Layer::ReliedOn) => self.rely(),
            Operation::DeleteTag(_) => DeleteTag,
            Operation::DeleteManifest(_) | Operation::DeleteBlob => Delete,
            Operation::Restore(_) => ReadRecord,
        }
    }

    fn upload(&self) -> At {
        if self.has(M::LinkBeforeBytes) { Link } else { Bytes }
    }

    fn rely(&self) -> At {
        if self.has(M::BytesAfterLink) { RelyRead } else { BytesFirst }
    }
}

impl State {
    fn what(&self, world: &World, p: usize) -> u8 {
        match world.operations[p].manifest() {
            NOTHING => self.processes[p].read,
            what => what,
        }
    }

    /// Links on which a request relies that is not done: it lasts shorter than they stay young.
    pub(crate) fn held(&self, world: &World, p: usize) -> Keys {
        let Process { at, is_accepted, .. } = self.processes[p];
        let what = self.what(world, p);
        let link = world.named(what).0;
        let is_linked =
            [MountLook, MountRead, MountBytes, LinkLook, LinkRead, Bytes, RelyLook, RelyReadAgain, RelyBytes, Revision];
        let is_accepted = is_accepted && [BytesFirst, RelyRead].contains(&at);
        match at {
            at if (RevisionLook..=RemoveRecord).contains(&at) => link | REVISIONS[what as usize],
            at if is_accepted || is_linked.contains(&at) => link,
            _ => 0,
        }
    }

    /// Takes keys off the list, if none is just being deleted.
    fn look(&mut self, keys: Keys, is_done: bool) -> Option<()> {
        if is_done {
            if self.deleting & keys != 0 {
                return None;
            }
            self.condemned &= !keys;
        }
        Some(())
    }

    /// Whether somebody may yet do something.
    fn is_under_way(&self, p: u8) -> bool {
        !matches!(self.processes[p as usize].at, Done | Dead)
    }

    pub(crate) fn is_begun(&self, p: usize) -> bool {
        !matches!(self.processes[p].at, Start | Done | Dead)
    }

    fn is_dying(&self) -> bool {
        self.tag >= DYING && self.is_under_way(self.tag - DYING)
    }

    /// What becomes of a push or a restore whose layer is missing.
    fn miss(&mut self, world: &World, p: usize) -> At {
        let operation = world.operations[p];
        if let Operation::Restore(of) = operation {
            if self.restorable & 1 << of != 0 {
                self.broken = Some(Broken::RestoreFailed);
            }
            return Done;
        }
        if self.processes[p].is_accepted && !world.operations.contains(&Operation::DeleteBlob) {
            self.broken = Some(Broken::UploadForgotten);
        }
        if world.is_index(operation.manifest()) { Done } else { world.upload() }
    }

    /// A manifest is in its place, and stays there, unless somebody has deleted something of it meanwhile, or just does.
    fn succeed(&mut self, world: &World, p: usize) -> At {
        let what = self.what(world, p);
        let deletes = |p: usize| self.is_begun(p) && world.operations[p].deletes(world) & world.whole(what) != 0;
        let is_kept_by_rule = !world.untagged || self.tag == what;
        if is_kept_by_rule && self.processes[p].disturbed == 0 && !(0..world.operations.len()).any(deletes) {
            self.owed |= what;
        }
        if world.operations[p].is_restore() { RemoveRecord } else { Done }
    }

    /// A tag is about to point elsewhere.
    fn release(&mut self, world: &World) {
        if world.untagged && self.tag < DYING {
            self.owed &= !self.tag;
        }
    }

    /// From here on it must be possible to restore what a process has recorded, if it is whole.
    fn promise_record(&mut self, world: &World, p: usize) {
        let what = self.records[p];
        if self.is_there(REVISIONS[what as usize] | world.whole(what) & BYTES) {
            self.restorable |= 1 << p;
        }
    }

    /// What a process does next, if it need not wait.
    pub(crate) fn advanced(&self, world: &World, p: usize) -> Option<(&'static str, Self)> {
        let mut next = *self;
        let operation = world.operations[p];
        let Process { at, mut read, mut is_accepted, mut is_late, mut disturbed } = self.processes[p];
        let is_free = |&(of, after): &(usize, usize)| of != p || self.processes[after].at == Done;
        let at = match at {
            Start if !world.after.iter().all(is_free) => return None,
            Start => world.first(p),
            at => at,
        };
        let what = self.what(world, p);
        let ((link, bytes), whole) = (world.named(what), world.whole(what));
        let (revision, manifest) = (REVISIONS[what as usize], MANIFESTS[what as usize]);
        let looks = world.has(M::Look) && (world.has(M::RestoreLooks) || !operation.is_restore());
        let (text, then) = match at {
            ReadRecord => {
                let Operation::Restore(of) = operation else { return None };
                read = self.records[of];
                (
                    "reads the record",
                    match read {
                        NOTHING => Done,
                        _ if !world.has(M::RestorePuts) => Revision,
                        _ => ReadManifest,
                    },
                )
            }
            ReadManifest if !self.is_there(manifest) => ("finds no manifest", next.miss(world, p)),
            ReadManifest if world.has(M::RestoreLinks) => ("reads the manifest", MountLink),
            ReadManifest => ("reads the manifest", world.rely()),
            ReadOtherLink if self.is_there(Y0) => ("reads the link to mount from", MountLink),
            ReadOtherLink => ("finds no link to mount from", next.miss(world, p)),
            MountLink => {
                next.put(link);
                ("writes its link", MountLook)
            }
            MountLook => {
                next.look(link | bytes, looks)?;
                ("looks", MountRead)
            }
            MountRead if self.is_there(link) => ("reads its link", MountBytes),
            MountRead => ("finds its link gone", MountLink),
            MountBytes if !self.is_there(bytes) => ("finds no bytes", next.miss(world, p)),
            MountBytes if !operation.is_restore() => {
                is_accepted = true;
                ("has mounted", world.rely())
            }
            MountBytes => ("finds the bytes", if what == LAYER { RemoveRecord } else { Revision }),
            Link => {
                next.put(link);
                ("writes the link", LinkLook)
            }
            LinkLook => {
                next.look(link | bytes, looks)?;
                is_accepted = !world.has(M::LinkBeforeBytes);
                (
                    "looks",
                    match is_accepted {
                        true => world.rely(),
                        false if world.has(M::LinkAfterLook) => LinkRead,
                        false => Bytes,
                    },
                )
            }
            LinkRead if self.is_there(link) => ("reads the link", Bytes),
            LinkRead => ("finds the link gone", Link),
            Bytes => {
                next.put(bytes);
                is_accepted = world.has(M::LinkBeforeBytes);
                ("writes the bytes", if is_accepted { world.rely() } else { Link })
            }
            BytesFirst if self.is_there(bytes) => ("finds the bytes", RelyRead),
            RelyRead | RelyReadAgain if !self.is_there(link) => ("finds no link", next.miss(world, p)),
            RelyRead if self.young & link != 0 => (
                "finds a young link",
                match world.has(M::LookWhenYoung) {
                    true => RelyLook,
                    false if world.has(M::BytesAfterLink) => RelyBytes,
                    false => Revision,
                },
            ),
            RelyRead if world.is_index(what) && !world.has(M::ChildrenRenewed) => ("finds an old link", RelyBytes),
            RelyRead => ("finds an old link", RelyLink),
            RelyLink if !self.is_there(link) && world.has(M::RenewedIfThere) => {
                ("finds the link gone", next.miss(world, p))
            }
            RelyLink => {
                next.put(link);
                ("renews the link", RelyLook)
            }
            RelyLook => {
                next.look(link | bytes, looks)?;
                ("looks", if world.has(M::LinkAfterLook) { RelyReadAgain } else { RelyBytes })
            }
            RelyReadAgain => {
                let is_next = world.has(M::BytesAfterLink);
                ("reads the link again", if is_next { RelyBytes } else { Revision })
            }
            RelyBytes if self.is_there(bytes) => ("finds the bytes", Revision),
            BytesFirst | RelyBytes => ("finds no bytes", next.miss(world, p)),
            Revision => {
                next.put(revision);
                let is_put = world.has(M::RestorePuts) || !operation.is_restore();
                ("writes the revision", if is_put { RevisionLook } else { TagRead })
            }
            RevisionLook => {
                next.look(revision | manifest, looks)?;
                ("looks", Manifest)
            }
            Manifest => {
                next.put(manifest);
                let is_tagged = !matches!(operation, Operation::Push(_, Tagged::No, _));
                ("writes the manifest", if is_tagged { TagRead } else { Sign })
            }
            TagRead if self.is_dying() && world.has(M::DyingTag) => return None,
            TagRead if self.tag == NOTHING || self.tag >= DYING => {
                next.tag = what;
                ("sets the tag", Sign)
            }
            TagRead if self.tag == what || operation.is_restore() => ("leaves the tag", Sign),
            TagRead => {
                read = self.tag;
                ("reads the tag", TagRecord)
            }
            TagRecord => {
                next.records[p] = read;
                ("records the tag", TagSwap)
            }
            TagSwap if self.tag == read => {
                if self.owed & read != 0 {
                    next.promise_record(world, p);
                }
                next.release(world);
                next.tag = what;
                ("moves the tag", Sign)
            }
            TagSwap => {
                next.forget(p);
                ("finds another tag", TagRead)
            }
            Sign if !world.has(M::RevisionAfterTag) || !world.has(M::RestorePuts) && operation.is_restore() => {
                ("looks no more", next.succeed(world, p))
            }
            Sign if self.signs[what as usize - 1] != 0 && self.is_under_way(self.signs[what as usize - 1] - 1) => {
                ("finds a sign", SignWait)
            }
            Sign => ("finds no sign", RevisionRead),
            SignWait if self.signs[what as usize - 1] != 0 && self.is_under_way(self.signs[what as usize - 1] - 1) => {
                return None;
            }
            SignWait => ("finds no sign any more", Revision),
            RevisionRead if !self.is_there(revision) => ("finds its revision gone", Revision),
            RevisionRead if world.has(M::SameRun) => ("finds its revision", LastLook),
            RevisionRead => ("finds its revision", next.succeed(world, p)),
            LastLook if is_late && operation.is_restore() => ("sees that a run began", MountLink),
            LastLook if is_late => ("sees that a run began", world.rely()),
            LastLook => ("sees that no run began", next.succeed(world, p)),
            RemoveRecord => {
                let Operation::Restore(of) = operation else { return None };
                next.forget(of);
                ("removes the record: 201", Done)
            }
            DeleteTag => {
                let Operation::DeleteTag(judged) = operation else { return None };
                read = self.tag;
                let is_meant = matches!(read, 1 | 2) && judged.is_none_or(|judged| judged == read);
                ("reads the tag", if is_meant { DeleteTagRecord } else { Done })
            }
            DeleteTagRecord => {
                next.records[p] = read;
                ("records the tag", DeleteTagSwap)
            }
            DeleteTagSwap if self.tag != read && world.has(M::DyingTag) => {
                next.forget(p);
                ("finds another tag", Done)
            }
            DeleteTagSwap => {
                if self.owed & read != 0 {
                    next.promise_record(world, p);
                }
                if world.has(M::DyingTag) {
                    next.release(world);
                    next.tag = DYING + p as u8;
                }
                ("deletes the tag", DeleteTagSent)
            }
            DeleteTagSent | DeleteItsTagSent => {
                if matches!(self.tag, 1 | 2) && self.tag != read {
                    next.broken = Some(Broken::TagLost);
                }
                next.tag = NOTHING;
                ("has deleted the tag", if at == DeleteTagSent { Done } else { DeleteItsTag })
            }
            Delete if what == LAYER && self.is_there(link) => ("finds the link", DeleteRecord),
            Delete if what != LAYER && self.is_there(revision) => ("finds the revision", DeleteSign),
            Delete => ("finds nothing", Done),
            DeleteSign => {
                let sign = &mut next.signs[what as usize - 1];
                if *sign != 0 && self.is_under_way(*sign - 1) {
                    return None;
                }
                *sign = p as u8 + 1;
                ("says that it deletes", DeleteRecord)
            }
            DeleteRecord => {
                next.records[p] = what;
                ("records it", if world.has(M::RecordLooks) { DeleteLook } else { DeleteRead })
            }
            DeleteLook => {
                next.look(whole, looks)?;
                ("looks", DeleteRead)
            }
            DeleteRead if !self.is_there(if what == LAYER { link } else { revision }) => {
                next.forget(p);
                ("finds it gone", if what == LAYER { Done } else { Unsign })
            }
            DeleteRead => {
                next.promise_record(world, p);
                ("finds it still there", if what == LAYER { DeleteSent } else { DeleteItsTag })
            }
            DeleteItsTag if self.tag == what => {
                next.release(world);
                next.tag = DYING + p as u8;
                ("deletes its tag", DeleteItsTagSent)
            }
            DeleteItsTag => ("finds no tag of it", DeleteSent),
            DeleteSent => {
                let key = if what == LAYER { link } else { revision };
                next.remove(key);
                for other in (0..world.operations.len()).filter(|&other| self.is_begun(other)) {
                    let whole = world.whole(self.what(world, other)) & key != 0;
                    let is_own = REVISIONS[self.what(world, other) as usize] == key;
                    let is_last = [RevisionRead, LastLook].contains(&self.processes[other].at);
                    next.processes[other].disturbed |= u8::from(whole && !is_own) | u8::from(is_own && is_last) << 1;
                }
                ("has deleted it", if what == LAYER { Done } else { Unsign })
            }
            Unsign => {
                next.signs[what as usize - 1] = 0;
                ("says so no more", Done)
            }
            Start | Done | Dead => return None,
        };
        if matches!(at, DeleteSign | DeleteRecord) {
            // Whoever deletes it does so from here on.
            for m in (1..=2).filter(|&m| world.whole(m) & operation.deletes(world) != 0) {
                next.owed &= !m;
            }
        }
        if [MountLook, RelyLook].contains(&at) {
            is_late = false;
        }
        if then == Revision {
            disturbed &= 1;
        }
        let then = if self.left & 1 << p != 0 { Dead } else { then };
        next.left &= !(1 << p);
        let process = Process { at: then, read, is_accepted, is_late, disturbed };
        next.become_process(p, process);
        Some((text, next))
    }

    fn become_process(&mut self, p: usize, process: Process) {
        let is_over = matches!(process.at, Done | Dead);
        let rest = if is_over { Process { at: process.at, ..Process::default() } } else { process };
        self.processes = replaced(self.processes, p, rest);
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
            next.become_process(p, Process { at: Dead, ..process });
        }
        Some(("ends", next))
    }

    /// A run begins.
    pub(crate) fn become_late(&mut self) {
        for p in 0..self.processes.len() {
            self.processes[p].is_late |= self.is_begun(p) && self.processes[p].at <= LastLook;
        }
    }

    /// What a process has sent that is gone does not arrive any more.
    pub(crate) fn expired(&self, p: usize) -> Option<(&'static str, Self)> {
        let mut next = *self;
        next.left &= !(1 << p);
        next.become_process(p, Process { at: Dead, ..Process::default() });
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
