//! `[clients]`: clients too old for the registry API, which get 404, by their `User-Agent`.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

/// `[clients]`: the rule that guides give nginx for clients too old for the registry API, as a pair of patterns.
/// Refused is what `refuse` matches and `except` does not.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema, SmartDefault)]
#[serde(default, deny_unknown_fields)]
pub struct ClientRule {
    /// Clients too old for the registry API get 404. This regular expression says which, by their User-Agent header:
    /// docker before 1.6, as in every guide's nginx configuration. Empty: none.
    #[serde(with = "pattern")]
    #[schemars(with = "String", extend("title" = "a regular expression"))]
    #[default(pattern::built_in(r"^(docker/1\.(3|4|5)|Go )"))]
    pub refuse: Option<Regex>,
    /// And this one which of them are let in all the same. Empty: none.
    #[serde(with = "pattern")]
    #[schemars(with = "String", extend("title" = "a regular expression"))]
    #[default(pattern::built_in(r"^docker/1\.5\.[0-9]-dev"))]
    pub except: Option<Regex>,
}

impl ClientRule {
    /// Whether a client that calls itself `user_agent` is refused.
    pub fn refuses(&self, user_agent: &str) -> bool {
        let matches = |pattern: &Option<Regex>| pattern.as_ref().is_some_and(|pattern| pattern.is_match(user_agent));
        matches(&self.refuse) && !matches(&self.except)
    }
}

impl PartialEq for ClientRule {
    fn eq(&self, other: &Self) -> bool {
        let texts = |rule: &Self| [&rule.refuse, &rule.except].map(|p| p.as_ref().map(|p| p.as_str().to_owned()));
        texts(self) == texts(other)
    }
}

/// A regular expression; none where the text is empty.
mod pattern {
    use regex::Regex;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Regex>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(None);
        }
        Regex::new(&text).map(Some).map_err(|error| D::Error::custom(explain(&error)))
    }

    pub(super) fn serialize<S: Serializer>(pattern: &Option<Regex>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(pattern.as_ref().map_or("", Regex::as_str))
    }

    /// One that is written in the program.
    pub(super) fn built_in(text: &str) -> Option<Regex> {
        Some(Regex::new(text).expect("the pattern is a constant"))
    }

    /// The last line of what the regex crate says; it draws the expression above it.
    fn explain(error: &regex::Error) -> String {
        let said = error.to_string();
        let reason = said.lines().next_back().unwrap_or_default().trim_start_matches("error: ");
        let hint =
            if reason.starts_with("look-around") { "; what it would spare goes into clients.except" } else { "" };
        format!("no regular expression: {reason}{hint}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use proptest::prelude::*;

    /// `^(docker\/1\.(3|4|5(?!\.[0-9]-dev))|Go ).*$`, by hand.
    fn nginx_refuses(user_agent: &str) -> bool {
        let spared = |rest: &str| {
            let rest = rest.as_bytes();
            matches!(rest, [b'.', digit, b'-', b'd', b'e', b'v', ..] if digit.is_ascii_digit())
        };
        match user_agent.strip_prefix("docker/1.") {
            Some(rest) if rest.starts_with(['3', '4']) => true,
            Some(rest) => rest.strip_prefix('5').is_some_and(|rest| !spared(rest)),
            None => user_agent.starts_with("Go "),
        }
    }

    #[test]
    fn clients_before_docker_1_6_are_refused() {
        let rule = Config::default().clients;
        for old in ["docker/1.3.3", "docker/1.4", "docker/1.5.0 go/go1.4", "Go 1.1 package http", "docker/1.5.10-dev"] {
            assert!(rule.refuses(old), "{old}");
        }
        for good in ["docker/1.5.0-dev", "docker/1.6.0", "docker/1.13.1", "docker/27.3.1", "Go-http-client/2.0", ""] {
            assert!(!rule.refuses(good), "{good}");
        }
    }

    #[test]
    fn no_pattern_refuses_nobody() {
        let rule = |refuse: Option<&str>, except: Option<&str>| {
            let pattern = |text: &str| Regex::new(text).expect("a pattern");
            ClientRule { refuse: refuse.map(pattern), except: except.map(pattern) }
        };
        assert!(!rule(None, None).refuses("docker/1.3"));
        assert!(!rule(None, Some("x")).refuses("docker/1.3"));
        assert!(rule(Some(""), None).refuses(""));
    }

    proptest! {
        #[test]
        fn the_default_is_the_rule_of_nginx(user_agent in "(docker/1\\.|Go|docker)?[0-9]?[ .]?[0-9]?(-dev| )?\\PC{0,3}") {
            prop_assert_eq!(Config::default().clients.refuses(&user_agent), nginx_refuses(&user_agent));
        }
    }
}
