//! `[shutdown]`: what SIGTERM and SIGINT begin, and a hand-over for the process that was there before.

use lockgate_settings::Period;
use serde::Deserialize;

/// The section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long transfers in flight may go on. `docker stop` waits 10 seconds unless it is told more.
    pub grace: Period,
    /// How long a connection without a request is kept meanwhile, so that one that is on its way is
    /// still answered. After a hand-over it is `limits.idle_timeout`.
    pub idle_timeout: Period,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace: Period::from_secs(30), idle_timeout: Period::from_secs(2) }
    }
}
