//! For `#[serde(with = "lockgate_settings::path")]`: the path of a file, as a person writes it in a configuration. It is
//! relative to the directory in which the program runs, unless it begins with `/`.

use std::path::{Path, PathBuf};

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserializer, Serializer};

/// Reads it.
///
/// # Errors
/// It is empty, or holds what would stay as it stands: `~` and `${...}`, which a shell would replace. Or a NUL.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    if_any::deserialize(deserializer)?.ok_or_else(|| D::Error::custom("a path is missing"))
}

/// Writes it.
///
/// # Errors
/// Only those of the serializer.
pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// What it is, for `#[schemars(schema_with = "lockgate_settings::path::schema")]`.
pub fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "title": "a path" })
}

/// For `#[serde(with = "lockgate_settings::path::if_any")]`: the same, or nothing where the text is empty.
pub mod if_any {
    use std::path::{Path, PathBuf};

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Reads it.
    ///
    /// # Errors
    /// As [`super::deserialize`], but for the empty text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "~" || text.starts_with("~/") {
            Err(D::Error::custom("~ is not expanded here; write the whole path"))
        } else if text.contains("${") {
            Err(D::Error::custom("${...} is not replaced here; write the whole path"))
        } else if text.contains('\0') {
            Err(D::Error::custom("a path holds no NUL"))
        } else {
            Ok((!text.is_empty()).then(|| text.into()))
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        super::serialize(path.as_deref().unwrap_or(Path::new("")), serializer)
    }
}
