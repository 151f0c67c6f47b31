//! `[shutdown]`: what SIGTERM and SIGINT begin, and a hand-over for the process that was there before.

use lockgate_settings::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

/// `[shutdown]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long transfers in flight may go on after SIGTERM, SIGINT or a hand-over. When none is left the program ends
    /// at once. `docker stop` kills after 10 seconds of its own: compose's stop_grace_period should be longer.
    #[default(Period::from_secs(30))]
    pub grace: Period,
    /// How long a connection without a request is kept after SIGTERM or SIGINT: a request that is on its way just then
    /// is still answered. (After a hand-over nobody waits for the old process, and limits.idle_timeout holds.)
    #[default(Period::from_secs(2))]
    pub idle_timeout: Period,
}
