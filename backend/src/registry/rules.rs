//! The rules of what is kept, and of how much, read again when they change.

use std::sync::Mutex;

use lockgate_settings::Problems;

use crate::config::{Blocks, told};
use crate::lock::held;

/// The rules of a registry.
pub struct Rules {
    last: Mutex<Last>,
    read: Option<Read>,
}

type Read = Box<dyn Fn() -> Result<Blocks, Problems> + Send + Sync>;

struct Last {
    blocks: Blocks,
    /// Why they cannot be read now, once that was said.
    problems: Option<String>,
}

impl Rules {
    /// Rules that do not change.
    pub fn fixed(blocks: Blocks) -> Self {
        Self { last: Mutex::new(Last { blocks, problems: None }), read: None }
    }

    /// Rules that are read again each time before they count. What cannot be read leaves those that were. `read` blocks.
    pub fn read_again(blocks: Blocks, read: impl Fn() -> Result<Blocks, Problems> + Send + Sync + 'static) -> Self {
        Self { read: Some(Box::new(read)), ..Self::fixed(blocks) }
    }

    /// The rules as they were last.
    pub(super) fn last(&self) -> Blocks {
        held(self.last.lock()).blocks.clone()
    }

    /// The rules as they are now. Blocks.
    pub(super) fn current(&self) -> Blocks {
        // Not under the lock: reading is slow, and may panic.
        let read = self.read.as_ref().map(|read| read());
        let mut last = held(self.last.lock());
        match read {
            Some(Ok(blocks)) => {
                last.problems = None;
                if blocks != last.blocks {
                    tracing::info!("the rules have changed: {} from now on", told(&blocks));
                    last.blocks = blocks;
                }
            }
            Some(Err(problems)) => {
                let problems = problems.to_string().replace('\n', "; ");
                if last.problems.as_ref() != Some(&problems) {
                    tracing::warn!(
                        problems,
                        "the configuration cannot be used; the rules of [[retention]] and [[quota]] are as before"
                    );
                    last.problems = Some(problems);
                }
            }
            None => {}
        }
        last.blocks.clone()
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
            move || Config::parse(&held(text.lock()), Path::new("backend.toml"), []).map(|config| config.blocks())
        };
        let rules = Rules::read_again(Blocks::default(), read);
        let with = |written: &str| {
            *held(text.lock()) = written.to_owned();
            let Blocks { retention, quota } = rules.current();
            (retention.len(), quota.len())
        };
        assert_eq!(with(""), (0, 0));
        assert_eq!(with("[[retention]]\nrepositories = 'a'\n[[quota]]\nrepositories = 'a'\nbytes = 1\n"), (1, 1));
        assert_eq!(with("[[retention]]\n"), (1, 1));
        assert_eq!(with("log.level = 'info'\n"), (0, 0));
    }
}
