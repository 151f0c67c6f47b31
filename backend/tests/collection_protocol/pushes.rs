//! Those who push and restore, one call at a time.

use super::model::{DYING, LAYER, MANIFESTS, Mechanism as M, NOTHING, Operation, REVISIONS, State, Tagged, World, Y0};
use super::processes::At::{self, *};
use super::processes::{By, Process};

impl State {
    /// What a push or a restore does next, and what after that, if it need not wait.
    pub(crate) fn push(&mut self, world: &World, p: usize, at: At) -> Option<(&'static str, At)> {
        let operation = world.operations[p];
        let Process { by, read, is_accepted, is_late, .. } = self.processes[p];
        let what = self.what(world, p);
        let is_restore = operation.is_restore();
        // Who restores an index begins with what its manifest names.
        let is_below = is_restore && world.is_index(what) && !is_accepted && world.has(M::ChildrenRestored);
        let (link, bytes) = world.named(if is_below { 1 } else { what });
        let (revision, manifest) = (REVISIONS[what as usize], MANIFESTS[what as usize]);
        let looks = world.has(M::Look) && (world.has(M::RestoreLooks) || !is_restore);
        let restored_by = if world.has(M::RestoreLinks) { By::Mounting } else { By::Relying };
        Some(match at {
            ReadRecord => {
                let Operation::Restore(of) = operation else { return None };
                self.processes[p].read = self.records[of];
                let then = if world.has(M::RestorePuts) { ReadManifest } else { Revision };
                ("reads the record", if self.records[of] == NOTHING { Done } else { then })
            }
            ReadManifest if !self.is_there(manifest) => ("finds no manifest", self.miss(world, p)),
            ReadManifest => ("reads the manifest", self.begin(world, p, restored_by)),
            ReadOtherLink if self.is_there(Y0) => ("reads the other link", self.begin(world, p, By::Mounting)),
            ReadOtherLink => ("finds no other link", self.miss(world, p)),
            BytesFirst if self.is_there(bytes) => ("finds the bytes", LinkRead),
            LinkRead if !self.is_there(link) => ("finds no link", self.miss(world, p)),
            LinkRead if self.young & link != 0 && world.has(M::LookWhenYoung) => ("finds a young link", Look),
            LinkRead if self.young & link != 0 && !world.has(M::BytesAfterLink) => ("finds a young link", Revision),
            LinkRead if self.young & link != 0 => ("finds a young link", Bytes),
            LinkRead if world.is_index(what) && !world.has(M::ChildrenRenewed) => ("finds an old link", Bytes),
            LinkRead => ("finds an old link", Link),
            Link if by == By::Relying && !self.is_there(link) && world.has(M::RenewedIfThere) => {
                ("finds the link gone", self.miss(world, p))
            }
            Link => {
                self.put(link);
                ("writes the link", Look)
            }
            Look => {
                self.look(link | bytes, looks)?;
                self.processes[p].is_late &= is_restore && is_accepted;
                let then = if world.has(M::LinkAfterLook) { LinkReadAgain } else { Bytes };
                let has_bytes = by == By::Uploading && !world.has(M::LinkBeforeBytes);
                ("looks", if has_bytes { self.accept(world, p) } else { then })
            }
            LinkReadAgain if !self.is_there(link) => {
                ("finds the link gone", if by == By::Relying { self.miss(world, p) } else { Link })
            }
            LinkReadAgain if by != By::Relying && !is_restore && is_late && world.has(M::SameRun) => {
                ("sees that a run began", Link)
            }
            LinkReadAgain => {
                let has_bytes = by == By::Relying && !world.has(M::BytesAfterLink);
                ("reads the link again", if has_bytes { Revision } else { Bytes })
            }
            Bytes if by == By::Uploading => {
                self.put(bytes);
                ("writes the bytes", if world.has(M::LinkBeforeBytes) { self.accept(world, p) } else { Link })
            }
            BytesFirst | Bytes if !self.is_there(bytes) => ("finds no bytes", self.miss(world, p)),
            Bytes if is_below => {
                self.processes[p].is_accepted = true;
                ("finds the bytes", Link)
            }
            Bytes if by == By::Mounting && !is_restore => ("finds the bytes", self.accept(world, p)),
            BytesFirst | Bytes => ("finds the bytes", if what == LAYER { RemoveRecord } else { Revision }),
            Revision => {
                self.put(revision);
                self.processes[p].disturbed &= 1;
                let is_put = world.has(M::RestorePuts) || !is_restore;
                ("writes the revision", if is_put { RevisionLook } else { TagRead })
            }
            RevisionLook => {
                self.look(revision | manifest, looks)?;
                ("looks", Manifest)
            }
            Manifest => {
                self.put(manifest);
                let is_tagged = !matches!(operation, Operation::Push(_, Tagged::No, _));
                ("writes the manifest", if is_tagged { TagRead } else { Sign })
            }
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
            SignWait => ("finds no sign any more", Revision),
            RevisionRead if !self.is_there(revision) => ("finds its revision gone", Revision),
            RevisionRead if world.has(M::SameRun) => ("finds its revision", LastLook),
            RevisionRead => ("finds its revision", self.succeed(world, p)),
            LastLook if is_late => {
                self.processes[p].is_accepted &= !is_restore;
                let by = if is_restore { restored_by } else { By::Relying };
                ("sees that a run began", self.begin(world, p, by))
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
