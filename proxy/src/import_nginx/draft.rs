//! What a translation gathers: keys of `lockgate.toml`, and what became of each directive.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use lockgate_settings::Configuration as _;
use toml::Value;

use super::directive::{Directive, Place};
use crate::config::Config;

/// How much a person has to care, the gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// It is about something else.
    Elsewhere,
    /// It has no counterpart, and needs none.
    Dropped,
    /// Lockgate does so anyway.
    BuiltIn,
    /// It is in what is written.
    Kept,
    /// Lockgate does it otherwise, and somebody may notice.
    Different,
    /// It kept something away that Lockgate does not; nobody gets in by that.
    Weaker,
    /// It may have kept people out, by what Lockgate cannot do, or what is not known.
    Undecided,
}

impl Fate {
    /// The word in the report. Those that need a person are in capitals.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Elsewhere => "elsewhere",
            Self::Dropped => "not needed",
            Self::BuiltIn => "built in",
            Self::Kept => "kept",
            Self::Different => "DIFFERENT",
            Self::Weaker => "LESS PROTECTED",
            Self::Undecided => "UNDECIDED",
        }
    }
}

/// What became of a directive, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) fate: Fate,
    pub(super) text: String,
}

impl Outcome {
    pub(super) fn new(fate: Fate, text: impl Into<String>) -> Self {
        Self { fate, text: text.into() }
    }
}

/// A key with its value, and the place that says so.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) value: Value,
    pub(super) from: Option<Place>,
}

/// What has been translated so far.
#[derive(Debug, Default)]
pub(super) struct Draft<'a> {
    /// By their dotted names.
    pub(super) keys: BTreeMap<&'static str, Key>,
    /// By the directive's address: it stays where it is, and may be written twice in the same words.
    outcomes: HashMap<*const Directive, (&'a Directive, Outcome)>,
}

impl<'a> Draft<'a> {
    /// Sets a key, if the configuration takes the value; else the default holds.
    pub(super) fn set(&mut self, directive: &Directive, key: &'static str, value: impl Into<Value>) -> Outcome {
        self.try_set(directive, key, value)
            .unwrap_or_else(|why| Outcome::new(Fate::Different, format!("{key} keeps its default: {why}")))
    }

    /// Sets a key.
    ///
    /// # Errors
    /// Why the configuration does not take the value.
    pub(super) fn try_set(
        &mut self,
        directive: &Directive,
        key: &'static str,
        value: impl Into<Value>,
    ) -> Result<Outcome, String> {
        let value = value.into();
        let line = format!("{key} = {value}");
        match Config::parse(&line, Path::new("lockgate.toml"), []) {
            Ok(_) => {
                self.keys.insert(key, Key { value, from: Some(directive.place.clone()) });
                Ok(Outcome::new(Fate::Kept, line))
            }
            Err(problems) => Err(problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ")),
        }
    }

    /// Notes what became of a directive.
    pub(super) fn note(&mut self, directive: &'a Directive, outcome: Outcome) {
        self.outcomes.insert(directive, (directive, outcome));
    }

    /// What was noted of a directive.
    pub(super) fn outcome(&self, directive: &Directive) -> Option<&Outcome> {
        self.outcomes.get(&std::ptr::from_ref(directive)).map(|(_, outcome)| outcome)
    }

    /// Whether something may have kept people out that is not in what is written.
    pub(super) fn is_undecided(&self) -> bool {
        self.outcomes.values().any(|(_, outcome)| outcome.fate == Fate::Undecided)
    }

    /// Takes a key back that cannot hold beside others.
    pub(super) fn take_back(&mut self, key: &str, why: &str) {
        if self.keys.remove(key).is_some() {
            for (_, outcome) in self.outcomes.values_mut().filter(|(_, outcome)| outcome.text.starts_with(key)) {
                *outcome = Outcome::new(Fate::Different, why);
            }
        }
    }
}
