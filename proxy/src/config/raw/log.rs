//! `[log]`: what is written to standard error.

use serde::Deserialize;

/// The section.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Log {
    /// `text` for people, `json` for programs; both a line an event.
    pub(in crate::config) format: LogFormat,
    /// `error`, `warn`, `info` (with a line a request), `debug` or `trace`.
    pub(in crate::config) level: Level,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object a line, for programs.
    Json,
}

/// How important something is.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: Level::Info }
    }
}

impl From<Level> for tracing::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Trace => Self::TRACE,
        }
    }
}
