//! May they? A caller and an action make a `Permit`, and only a permit opens what is behind the gate.

mod answer;
mod authorizer;
mod expectation;
mod file;
mod grant;
mod grants;
mod groups;
mod needs;
mod permit;
mod review;

pub use answer::{Answer, Holder};
pub use expectation::{Expectation, Place, PlaceError};
pub use file::{Access, AccessError};
pub use grant::{Grant, Subject, SubjectError, Until, UntilError};
pub use grants::{Asker, Grants, Question, TooMany};
pub use groups::{GroupName, GroupNameError, Groups, GroupsDefect, GroupsError, GroupsLineError, GroupsLineProblem};
pub use review::Warning;

pub(crate) use authorizer::{Authorizer, Denial};
pub(crate) use permit::{Look, Permit};
