//! The rules of what is kept, read again when they change.

use std::sync::Mutex;

use lockgate_settings::Problems;

use crate::config::{Retention, told};
use crate::lock::held;

/// The rules of a registry.
pub struct Rules {
    last: Mutex<Vec<Retention>>,
    read: Option<Read>,
}

type Read = Box<dyn Fn() -> Result<Vec<Retention>, Problems> + Send + Sync>;

impl Rules {
    /// Rules that do not change.
    pub fn fixed(rules: Vec<Retention>) -> Self {
        Self { last: Mutex::new(rules), read: None }
    }

    /// Rules that are read again each time before they count. What cannot be read leaves those that were. `read` blocks.
    pub fn read_again(
        rules: Vec<Retention>,
        read: impl Fn() -> Result<Vec<Retention>, Problems> + Send + Sync + 'static,
    ) -> Self {
        Self { last: Mutex::new(rules), read: Some(Box::new(read)) }
    }

    /// The rules as they are now. Blocks.
    pub(super) fn current(&self) -> Vec<Retention> {
        // Not under the lock: reading is slow, and may panic.
        let read = self.read.as_ref().map(|read| read());
        let mut last = held(self.last.lock());
        match read {
            Some(Ok(rules)) if rules != *last => {
                tracing::info!(blocks = rules.len(), "[[retention]] has changed: {} from now on", told(&rules));
                *last = rules;
            }
            Some(Err(problems)) => {
                let problems = problems.to_string().replace('\n', "; ");
                tracing::warn!(problems, "the configuration cannot be used; the rules of [[retention]] are as before");
            }
            _ => {}
        }
        last.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use lockgate_settings::Configuration as _;

    use super::*;
    use crate::config::Config;

    #[test]
    fn rules_change_with_what_they_are_read_from_and_a_mistake_leaves_them() {
        let text = Arc::new(Mutex::new(String::new()));
        let read = {
            let text = Arc::clone(&text);
            move || Config::parse(&held(text.lock()), Path::new("backend.toml"), []).map(|config| config.retention)
        };
        let rules = Rules::read_again(Vec::new(), read);
        let with = |written: &str| {
            *held(text.lock()) = written.to_owned();
            rules.current().len()
        };
        assert_eq!(with(""), 0);
        assert_eq!(with("[[retention]]\nrepositories = 'a'\n"), 1);
        assert_eq!(with("[[retention]]\n"), 1);
        assert_eq!(with("log.level = 'info'\n"), 0);
    }
}
