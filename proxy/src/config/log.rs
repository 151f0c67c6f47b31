//! `[log]`: what is written to standard error.

pub use lockgate_settings::{LogFormat, LogLevel};
use serde::Deserialize;

/// The section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How the log on standard error is written: "text" for people, "json" for programs.
    pub format: LogFormat,
    /// What is written: "error", "warn", "info" (with a line for each request), "debug" or "trace".
    pub level: LogLevel,
}
