//! What an operator does about space: the commands, wherever they run, and what runs by itself.
//!
//! ```text
//! socket        commands for a process that has the directory
//! background    collecting from time to time
//!   operation     a command, from what it asks for to what it says
//!     report        how things are told to a person
//!     restore       from the trash back into a repository
//!     verify        reading everything again
//! ```

mod background;
mod operation;
mod outcome;
mod report;
mod restore;
mod socket;
mod verify;

pub(crate) use background::collect_sometimes;
pub use operation::{Operation, Restorable};
pub use outcome::{OperationError, Say};
pub(crate) use restore::{RestoreError, Restored, restore};
pub(crate) use socket::answer_commands;
pub use socket::{ask, ask_node};
