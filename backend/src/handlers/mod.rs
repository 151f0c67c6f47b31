//! One module an end-point. A handler reads its request, asks the store, and writes the answer.

pub(crate) mod blob;
pub(crate) mod catalog;
mod conditional;
pub(crate) mod manifest;
pub(crate) mod referrer;
mod room;
pub(crate) mod tag;
pub(crate) mod trash;
pub(crate) mod upload;
pub(crate) mod usage;
