//! Those who delete, one call at a time.

use super::model::{Broken, DYING, LAYER, Mechanism as M, NOTHING, Operation, REVISIONS, State, World};
use super::processes::At::{self, *};
use super::processes::Looked;

impl State {
    /// What a deletion does next, and what after that, if it need not wait.
    pub(crate) fn delete(&mut self, world: &World, p: usize, at: At) -> Option<(&'static str, At)> {
        let (read, what) = (self.processes[p].read, self.what(world, p));
        let target = if what == LAYER { world.named(LAYER).0 } else { REVISIONS[what as usize] };
        if matches!(at, DeleteSign | DeleteRecord) {
            // Whoever deletes it does so from here on.
            self.owed &= !(1..=2).filter(|&m| world.whole(m) & target != 0).sum::<u8>();
        }
        Some(match at {
            DeleteTag => {
                let Operation::DeleteTag(judged) = world.operations[p] else { return None };
                self.processes[p].read = self.tag;
                let is_meant = matches!(self.tag, 1 | 2) && judged.is_none_or(|judged| judged == self.tag);
                ("reads the tag", if is_meant { DeleteTagRecord } else { Done })
            }
            DeleteTagRecord => {
                self.records[p] = read;
                ("records the tag", DeleteTagSwap)
            }
            DeleteTagSwap if self.tag != read && world.has(M::DyingTag) => {
                self.forget(p);
                ("finds another tag", Done)
            }
            DeleteTagSwap => {
                self.promise_record(world, p, self.owed & read != 0);
                if world.has(M::DyingTag) {
                    self.release(world);
                    self.tag = DYING + p as u8;
                }
                ("deletes the tag", DeleteTagSent)
            }
            DeleteTagSent | DeleteItsTagSent => {
                if matches!(self.tag, 1 | 2) && self.tag != read {
                    self.broken = Some(Broken::TagLost);
                }
                self.tag = NOTHING;
                ("has deleted the tag", if at == DeleteTagSent { Done } else { DeleteItsTag })
            }
            Delete if !self.is_there(target) => {
                self.forget(p);
                ("finds nothing", Done)
            }
            Delete => ("finds it", DeleteRecord),
            DeleteRecord => {
                self.records[p] = what;
                let layer_then = if world.has(M::RecordLooks) { DeleteLook } else { DeleteRead };
                ("records it", if what == LAYER { layer_then } else { DeleteSign })
            }
            DeleteLook => match self.look(world, p, world.whole(what))? {
                Looked::Lifted => ("takes it off the list", DeleteLook),
                Looked::Changed => ("finds another list", Delete),
                Looked::Same => {
                    self.promise_record(world, p, true);
                    ("finds the same list", DeleteSent)
                }
            },
            DeleteSign if self.is_signed(what) => return None,
            DeleteSign => {
                self.signs[what as usize - 1] = p as u8 + 1;
                ("says that it deletes", DeleteRead)
            }
            DeleteRead if !self.is_there(target) => {
                self.forget(p);
                ("finds it gone", if what == LAYER { Done } else { Unsign })
            }
            DeleteRead => {
                self.promise_record(world, p, true);
                ("finds it still there", if what == LAYER { DeleteSent } else { DeleteItsTag })
            }
            DeleteItsTag if self.tag == what => {
                self.release(world);
                self.tag = DYING + p as u8;
                ("deletes its tag", DeleteItsTagSent)
            }
            DeleteItsTag => ("finds no tag of it", DeleteSent),
            DeleteSent => {
                self.remove(target);
                self.disturb(world, target);
                ("has deleted it", if what == LAYER { Done } else { Unsign })
            }
            Unsign => {
                self.signs[what as usize - 1] = 0;
                ("says so no more", Done)
            }
            _ => return None,
        })
    }
}
