//! Clients that are refused by what they call themselves.

use super::directive::Directive;
use super::draft::{Draft, Fate, Outcome};
use crate::config::ClientRule;

/// The patterns so far.
#[derive(Debug, Default)]
pub(super) struct Agents {
    refused: Vec<String>,
    let_in: Vec<String>,
    refuses_old_docker: bool,
}

impl Agents {
    /// The rule of all guides, which is the default of both keys.
    pub(super) fn refuse_old_docker(&mut self, directive: &Directive, draft: &mut Draft<'_>) -> Outcome {
        self.refuses_old_docker = true;
        if self.refused.is_empty() {
            Outcome::new(Fate::BuiltIn, "clients.refuse and clients.except have this rule by default")
        } else {
            self.set_refused(directive, draft)
        }
    }

    /// Refuses those whom a pattern matches, or all others.
    pub(super) fn refuse(
        &mut self,
        directive: &Directive,
        pattern: String,
        matches: bool,
        draft: &mut Draft<'_>,
    ) -> Outcome {
        let patterns = if matches { &mut self.refused } else { &mut self.let_in };
        patterns.push(pattern);
        match &self.let_in[..] {
            [] => self.set_refused(directive, draft),
            [alone] if self.refused.is_empty() => match draft.try_set(directive, "clients.except", alone.as_str()) {
                Ok(set) => {
                    draft.set(directive, "clients.refuse", "^");
                    Outcome { text: set.text + ", and all others get 404", ..set }
                }
                Err(why) => Outcome::new(Fate::Undecided, format!("clients.except cannot say whom it let in: {why}")),
            },
            _ => Outcome::new(Fate::Undecided, "clients.except cannot say whom it let in, beside the other rules"),
        }
    }

    /// `clients.refuse` with all patterns.
    fn set_refused(&self, directive: &Directive, draft: &mut Draft<'_>) -> Outcome {
        let old_docker = ClientRule::default().refuse.filter(|_| self.refuses_old_docker);
        let old_docker = old_docker.iter().map(|pattern| pattern.as_str());
        let patterns: Vec<String> =
            old_docker.chain(self.refused.iter().map(String::as_str)).map(|pattern| format!("(?:{pattern})")).collect();
        match draft.try_set(directive, "clients.refuse", patterns.join("|")) {
            Ok(set) => {
                // The default belongs to old docker.
                if self.refuses_old_docker {
                    draft.keys.remove("clients.except");
                } else {
                    draft.set(directive, "clients.except", "");
                }
                Outcome { text: set.text + ", with 404 as the answer", ..set }
            }
            Err(why) => Outcome::new(Fate::Weaker, format!("clients.refuse cannot be that: {why}")),
        }
    }
}
