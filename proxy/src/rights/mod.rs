//! The vocabulary of rights: what may be done, with which repositories and tags, from where.
//!
//! Grants are made of it, and so is what a machine's token leaves of its owner's rights. Nothing here knows who asks,
//! but by a name in a pattern.

mod address;
mod glob;
mod narrowing;
mod pattern;
mod right;
mod tag;
mod wish;

pub use address::{AddressRange, AddressRangeError};
pub use narrowing::Narrowing;
pub use pattern::{Pattern, PatternError};
pub use right::{Right, RightError, Rights};
pub use tag::{TagPattern, TagPatternError};
pub use wish::Wish;
