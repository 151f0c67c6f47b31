//! Paths of files as a person writes them in a configuration: relative to the directory in which the program runs,
//! unless they begin with `/`.

use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// For `#[serde(deserialize_with)]`: a path.
///
/// # Errors
/// It is empty, begins with `~`, which no shell expands here, or holds a NUL.
pub(crate) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    path_if_any(deserializer)?.ok_or_else(|| D::Error::custom("the path of a file is missing"))
}

/// The same, or nothing where the text is empty.
///
/// # Errors
/// As [`path`].
pub(crate) fn path_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "~" || text.starts_with("~/") {
        Err(D::Error::custom("~ is not expanded here; write the whole path"))
    } else if text.contains('\0') {
        Err(D::Error::custom("a path holds no NUL"))
    } else {
        Ok((!text.is_empty()).then(|| text.into()))
    }
}
