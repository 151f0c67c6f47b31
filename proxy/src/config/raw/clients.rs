//! `[clients]`: clients too old for the registry API, which get 404, by their `User-Agent`.

use regex::Regex;
use serde::Deserialize;

use crate::config::client_rule;

/// The section.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Clients {
    /// A regular expression of the clients that are refused; empty for none.
    #[serde(deserialize_with = "client_rule::pattern")]
    pub(in crate::config) refuse: Option<Regex>,
    /// A regular expression of those that are not refused in spite of it; empty for none.
    #[serde(deserialize_with = "client_rule::pattern")]
    pub(in crate::config) except: Option<Regex>,
}

impl Default for Clients {
    /// What every guide's nginx configuration says, in which one look-ahead does the work of `except`.
    fn default() -> Self {
        let pattern = |text| Some(Regex::new(text).expect("the pattern is a constant"));
        Self { refuse: pattern(r"^(docker/1\.(3|4|5)|Go )"), except: pattern(r"^docker/1\.5\.[0-9]-dev") }
    }
}
