//! Those who push and restore, one call at a time.

use super::model::{
    DYING, LAYER, MANIFESTS, Mechanism as M, NOTHING, Operation, R1, REVISIONS, State, Tagged, World, Y0,
};
use super::processes::At::{self, *};
use super::processes::{By, Looked, Process, Sight};

impl State {
    /// What a push or a restore does next, and what after that, if it need not wait.
    pub(crate) fn push(&mut self, world: &World, p: usize, at: At) -> Option<(&'static str, At)> {
        let operation = world.operations[p];
        let Process { by, read, is_below, sight, relied_on, .. } = self.processes[p];
        let what = self.what(world, p);
        let is_restore = operation.is_restore();
        let (link, bytes) = world.named(what);
        let (revision, manifest) = (REVISIONS[what as usize], MANIFESTS[what as usize]);
        let looks = world.has(M::Look) && (world.has(M::RestoreLooks) || !is_restore);
        // Of an index nothing is linked again.
        let links = world.has(M::RestoreLinks) && !world.is_index(what);
        let restored_by = if links { By::Mounting } else { By::Relying };
        let then_links = if looks && world.has(M::NamedLook) { NamedLook } else { Revision };
        let found = if world.has(M::BytesAfterLink) { Bytes } else { then_links };
        let linked = if by == By::Mounting && !is_restore { LinkReadAgain } else { Bytes };
        Some(match at {
            ReadRecord => {
                let Operation::Restore(of) = operation else { return None };
                self.processes[p].read = self.records[of];
                let then = if world.has(M::RestorePuts) { ReadManifest } else { Revision };
                ("reads the record", if self.records[of] == NOTHING { Done } else { then })
            }
            ReadManifest if !self.is_there(manifest) => ("finds no manifest", self.miss(world, p)),
            ReadManifest if world.is_index(what) && !self.is_there(R1) && world.has(M::ChildrenRestored) => {
                self.processes[p].is_below = true;
                ("finds that what it names is gone", ReadManifest)
            }
            ReadManifest => ("reads the manifest", self.begin(world, p, restored_by)),
            ReadOtherLink if self.is_there(Y0) => ("reads the other link", self.begin(world, p, By::Mounting)),
            ReadOtherLink => ("finds no other link", self.miss(world, p)),
            BytesFirst if self.is_there(bytes) => ("finds the bytes", LinkRead),
            LinkRead if !self.is_there(link) => ("finds no link", self.miss(world, p)),
            LinkRead => {
                let is_young = self.young & link != 0;
                self.processes[p].relied_on = if is_young && !world.has(M::LookWhenYoung) { 0 } else { link | bytes };
                (if is_young { "finds a young link" } else { "finds an old link" }, if is_young { found } else { Link })
            }
            Link if by == By::Relying => {
                if !self.is_there(link) && world.has(M::RenewedIfThere) {
                    return Some(("finds the link gone", self.miss(world, p)));
                }
                self.put(link);
                ("renews the link", found)
            }
            Link => {
                self.put(link);
                self.see_late(world, p);
                ("writes the link", if looks { Look } else { linked })
            }
            Look => match self.look(world, p, link | bytes)? {
                Looked::Lifted => ("takes it off the list", Look),
                Looked::Changed => ("finds another list", Link),
                Looked::Same if by == By::Uploading && !world.has(M::LinkBeforeBytes) => {
                    ("finds the same list", self.accept(world, p))
                }
                Looked::Same => ("finds the same list", linked),
            },
            LinkReadAgain if !self.is_there(link) => ("finds the link gone", self.miss(world, p)),
            LinkReadAgain => ("reads the link again", Bytes),
            Bytes if by == By::Uploading => {
                self.put(bytes);
                ("writes the bytes", if world.has(M::LinkBeforeBytes) { self.accept(world, p) } else { Link })
            }
            BytesFirst | Bytes if !self.is_there(bytes) => ("finds no bytes", self.miss(world, p)),
            Bytes if what == LAYER => ("finds the bytes", RemoveRecord),
            Bytes if by == By::Mounting => ("finds the bytes", self.accept(world, p)),
            BytesFirst | Bytes => {
                self.see_late(world, p);
                ("finds the bytes", then_links)
            }
            NamedLook => match self.look(world, p, relied_on)? {
                Looked::Lifted => ("takes it off the list", NamedLook),
                Looked::Changed => ("finds another list", self.begin(world, p, By::Relying)),
                Looked::Same => ("finds the same list", Revision),
            },
            Revision => {
                self.put(revision);
                self.processes[p].disturbed &= 1;
                let is_put = world.has(M::RestorePuts) || !is_restore;
                let then = if looks { RevisionLook } else { Manifest };
                ("writes the revision", if is_put { then } else { TagRead })
            }
            RevisionLook => match self.look(world, p, relied_on | revision | manifest)? {
                Looked::Lifted => ("takes it off the list", RevisionLook),
                Looked::Changed => ("finds another list", self.begin(world, p, By::Relying)),
                Looked::Same => ("finds the same list", Manifest),
            },
            Manifest => {
                self.put(manifest);
                let is_tagged = !matches!(operation, Operation::Push(_, Tagged::No, _));
                ("writes the manifest", if is_tagged { TagRead } else { Sign })
            }
            TagRead if is_below => ("needs no tag", Sign),
            TagRead if self.is_dying() && world.has(M::DyingTag) => return None,
            TagRead if self.tag == NOTHING || self.tag >= DYING => {
                self.tag = what;
                ("sets the tag", Sign)
            }
            TagRead if self.tag == what || is_restore => ("leaves the tag", Sign),
            TagRead => {
                self.processes[p].read = self.tag;
                ("reads the tag", TagRecord)
            }
            TagRecord => {
                self.records[p] = read;
                ("records the tag", TagSwap)
            }
            TagSwap if self.tag == read => {
                self.promise_record(world, p, self.owed & read != 0);
                self.release(world);
                self.tag = what;
                ("moves the tag", Sign)
            }
            TagSwap => {
                self.forget(p);
                ("finds another tag", TagRead)
            }
            Sign if !world.has(M::RevisionAfterTag) || !world.has(M::RestorePuts) && is_restore => {
                ("looks no more", self.succeed(world, p))
            }
            Sign if self.is_signed(what) => ("finds a sign", SignWait),
            Sign => ("finds no sign", RevisionRead),
            SignWait if self.is_signed(what) => return None,
            SignWait => ("finds no sign any more", self.begin(world, p, By::Relying)),
            RevisionRead if !self.is_there(revision) => ("finds its revision gone", self.begin(world, p, By::Relying)),
            RevisionRead if world.has(M::SameRun) => ("finds its revision", LastLook),
            RevisionRead => ("finds its revision", self.succeed(world, p)),
            LastLook if sight == Sight::OfAnotherRun => {
                self.processes[p].sight = self.sight();
                ("sees that a run began", self.begin(world, p, By::Relying))
            }
            LastLook => ("sees that no run began", self.succeed(world, p)),
            RemoveRecord => {
                let Operation::Restore(of) = operation else { return None };
                self.forget(of);
                ("removes the record: 201", Done)
            }
            _ => return None,
        })
    }
}
