//! Why a shape did not fit, and how that is told to a person.

use std::fmt;
use std::path::Path;

use serde::de::{Expected, Unexpected};

use crate::environment::Prefix;
use crate::problem::{At, Problem};
use crate::tree::{Entry, Node, Step};

/// The first mistake that a shape met.
#[derive(Debug, thiserror::Error)]
#[error("{fault:?}")]
pub(crate) struct Failure {
    /// The steps to it from the root.
    pub(crate) path: Vec<Step>,
    at: Option<At>,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    /// The name at the end of the path is none of these.
    UnknownName(&'static [&'static str]),
    /// The table at the end of the path lacks this.
    MissingName(&'static str),
    /// The value at the end of the path is wrong.
    Value(String),
}

impl Failure {
    fn new(fault: Fault) -> Self {
        Self { path: Vec::new(), at: None, fault }
    }

    /// The same failure, at this place unless a place within it is known.
    pub(crate) fn at(mut self, at: &At) -> Self {
        self.at.get_or_insert_with(|| at.clone());
        self
    }

    /// The same failure, seen from one step nearer to the root.
    pub(crate) fn within(mut self, step: Step) -> Self {
        self.path.insert(0, step);
        self
    }

    /// Whether it is there only because something mistaken was passed over.
    pub(crate) fn follows_from_another(&self, root: &Node) -> bool {
        let table = root.nearest(&self.path);
        matches!(&self.fault, Fault::MissingName(name) if table.entry(name).is_some_and(|e| e.node.passed_over))
    }

    /// The failure as problems: one, except that an unknown section has one for each variable that
    /// names it.
    pub(crate) fn problems(&self, root: &Node, file: &Path, prefix: Prefix) -> Vec<Problem> {
        let at = self.at.clone().unwrap_or_else(|| root.nearest(&self.path).at.clone());
        let mut places = vec![at];
        if let Fault::UnknownName(_) = self.fault {
            let entries = root.nearest(&self.path).entries();
            places.extend(
                entries.iter().map(|entry: &Entry| entry.at.clone()).filter(|at| matches!(at, At::Variable(_))),
            );
            places.dedup();
        }
        let problem = |at: &At| {
            let message = match at {
                At::Place { .. } => self.message(),
                At::Variable(name) => self.message_of_variable(name, prefix),
            };
            Problem::at(at, file, key(&self.path), message)
        };
        places.iter().map(problem).collect()
    }

    fn message(&self) -> String {
        match &self.fault {
            Fault::Value(message) => message.clone(),
            Fault::MissingName(name) => format!("{name} is missing and has no default"),
            Fault::UnknownName(known) => {
                let (written, sections) = (self.name(), self.path.len() == 1);
                let show = |name: &str| if sections { format!("[{name}]") } else { name.to_owned() };
                let what = if sections { "section" } else { "key" };
                match nearest(written, known) {
                    Some(near) => format!("no such {what}; did you mean {}?", show(near)),
                    None => format!("no such {what}; there are {}", listed(known.iter().map(|name| show(name)))),
                }
            }
        }
    }

    fn message_of_variable(&self, variable: &str, prefix: Prefix) -> String {
        let Fault::UnknownName(known) = self.fault else { return self.message() };
        let Some((start, rest)) = prefix.around(variable, &self.path) else { return self.message() };
        let upper = |name: &str| name.to_ascii_uppercase();
        match nearest(self.name(), known) {
            Some(near) => format!("no such setting; did you mean {start}{}{rest}?", upper(near)),
            None => format!("no such setting; after {start} comes one of {}", listed(known.iter().map(|n| upper(n)))),
        }
    }

    /// The name at the end of the path.
    fn name(&self) -> &str {
        match self.path.last() {
            Some(Step::Name(name)) => name,
            _ => "",
        }
    }
}

impl serde::de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Fault::Value(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("expected {}, found {}", plain(expected), kind(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("expected {}, found {}", plain(expected), kind(found)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let known = listed(expected.iter().map(|name| format!("{name:?}")));
        Self::custom(format_args!("expected one of {known}, found {variant:?}"))
    }

    fn unknown_field(_field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Fault::UnknownName(expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Fault::MissingName(field))
    }
}

/// What was found, without a text's content: it may be anything, a password too.
fn kind(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Float(number) => number.to_string(),
        Unexpected::Str(_) => "a text".to_owned(),
        Unexpected::Seq => "an array".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        Unexpected::Other(what) => what.to_owned(),
        other => other.to_string(),
    }
}

/// What serde's own visitors expect, in the words of TOML.
fn plain(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "a boolean" => "true or false".to_owned(),
        "a string" | "path string" => "a text in quotes".to_owned(),
        "a sequence" => "an array, [...]".to_owned(),
        "u8" => format!("a whole number from 0 to {}", u8::MAX),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "usize" => "a whole number, not negative".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        _ if text.starts_with("struct ") => "a table".to_owned(),
        _ => text,
    }
}

/// `section.key[0].key`.
fn key(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Name(name) if text.is_empty() => text.push_str(name),
            Step::Name(name) => text.extend([".", name]),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// The known name that was most likely meant.
pub fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    const ALIKE: f64 = 0.85;
    known
        .iter()
        .map(|name| (strsim::jaro_winkler(&written.to_lowercase(), name), *name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// `a, b and c`.
pub fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "none".to_owned(),
    }
}
