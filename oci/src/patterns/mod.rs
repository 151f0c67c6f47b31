//! Patterns of names: which repositories, and which tags.
//!
//! Grants are made of them, and rules of what is kept.

mod glob;
mod repositories;
mod tags;

pub use repositories::{Pattern, PatternError};
pub use tags::{TagPattern, TagPatternError};
