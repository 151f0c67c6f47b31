//! The vocabulary of rights: what may be done, with which repositories and tags, from where.
//!
//! Grants are made of it, and so is what a machine's token leaves of its owner's rights. Nothing here knows who asks,
//! but by a name in a pattern.

mod narrowing;
mod right;
mod wish;

pub use lockgate_oci::{Pattern, PatternError, TagPattern, TagPatternError};
pub use narrowing::Narrowing;
pub use right::{Right, RightError, Rights};
pub use wish::Wish;
