//! Settings: a TOML file, overridden by the environment, read into a serde shape.
//!
//! The shape ([`Configuration`]) is the single reference of what may be written: one struct a section, with
//! `#[serde(default, deny_unknown_fields)]`, its fields' own `Deserialize` doing the checking. An example file, a page
//! of every key and a JSON Schema are made of it ([`Reference`]). What this crate adds is that every problem is found
//! in one reading, each with its place: a line and a column of the file, or the name of an environment variable.
//!
//! ```text
//! conf/lockgate.toml:3:1: listen.htps: no such key; did you mean https?
//! conf/lockgate.toml:12:16: upstream.read_timeout: a duration needs a unit, as in "900s"
//! LOCKGATE_LIMITS_HEADER_SIZE: 32X is no size: ...
//! ```
//!
//! # The environment
//!
//! `<PREFIX>_<SECTION>_<KEY>` overrides `key` in `[section]`, so the name of a section holds no
//! underscore; `LOCKGATE_UPSTREAM_READ_TIMEOUT` is `read_timeout` in `[upstream]`. The value is taken
//! as it stands where a text is wanted, and read as TOML where a number, a truth value, an array or a
//! table is.
//!
//! # What programs with settings have in common
//!
//! [`Admin`] is an `[admin]` section. [`Log`] is a `[log]` section, and starts the log that it describes; [`complain`], [`reachable`] and
//! [`raise_open_files`] are small things that each of them does.

mod admin;
mod byte_size;
mod combined;
mod content;
pub mod endpoint;
mod environment;
mod failure;
mod list;
mod log;
pub mod path;
mod period;
mod period_or_zero;
mod placed;
mod problem;
mod program;
mod reader;
mod reference;
mod share;
mod text;
mod tree;
mod within;

use std::io::ErrorKind;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use admin::Admin;
pub use byte_size::{ByteSize, ByteSizeError};
pub use content::{UTF16, is_utf16, read_bounded};
pub use endpoint::{Endpoint, EndpointError};
pub use environment::Prefix;
pub use failure::{listed, nearest};
pub use list::{List, One};
pub use log::{ACCESS, Log, LogFormat, LogLevel, flush_log};
pub use period::{Period, PeriodError};
pub use period_or_zero::PeriodOrZero;
pub use placed::{DateText, Placed};
pub use problem::{Origin, Problem, Problems};
pub use program::{complain, raise_open_files, reachable};
pub use reference::Reference;
pub use share::{Share, ShareError};
pub use within::{PeriodWithin, SizeWithin, Within};

use crate::problem::At;
use crate::reader::Reader;
use crate::tree::{Entry, Node, Step};

/// The shape of a configuration: one struct a section, and in each one field a key, whose doc comment is its text,
/// whose type is its bound, and whose default is what holds where nothing is written.
pub trait Configuration: Default + DeserializeOwned + Serialize + JsonSchema {
    /// The beginning of the variables that override it.
    const PREFIX: Prefix;
    /// Sections that exclude each other.
    const EITHER: &'static [Either] = &[];

    /// The defaults of every section, of those too that are not there unless they are written.
    fn example() -> Self {
        Self::default()
    }

    /// Reads `file` with the overrides of this process's environment. The files that it names are not looked at.
    ///
    /// # Errors
    /// Every [`Problem`] at once; a file that cannot be read is the only one.
    fn load(file: &Path) -> Result<Self, Problems> {
        all_or_problems(Self::survey(file))
    }

    /// Reads `file` as [`Configuration::load`] does, and makes the best of it: what is mistaken has its default.
    ///
    /// For a person who wants to hear of everything that is wrong, in what the settings name too. There
    /// is nothing to look at when the file cannot be read, or when something without a default is wrong.
    fn survey(file: &Path) -> (Option<Self>, Problems) {
        match read(file) {
            Ok(text) => survey_with_environment(&text, file, |_| true),
            Err(problem) => (None, problem.into()),
        }
    }

    /// The defaults with the overrides of this process's environment, as far as they are `heeded`: settings without a
    /// file.
    ///
    /// # Errors
    /// Every [`Problem`] at once.
    fn from_environment(heeded: impl Fn(&str) -> bool) -> Result<Self, Problems> {
        // An empty text has no place for a problem, but for a key that is missing in the whole.
        all_or_problems(survey_with_environment("", Path::new("the environment"), heeded))
    }

    /// Reads `text` with the overrides among `env`; `file_name` only names the text in problems.
    ///
    /// # Errors
    /// Every [`Problem`] at once: those of the file from its top to its bottom, then those of the
    /// environment.
    fn parse(text: &str, file_name: &Path, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, Problems> {
        all_or_problems(survey_text(text, file_name, env))
    }
}

/// Two sections of which at most one may be written.
#[derive(Debug, Clone, Copy)]
pub struct Either {
    /// The name of one.
    pub one: &'static str,
    /// The name of the other.
    pub other: &'static str,
    /// What to do where there are both. It is told at the second of them.
    pub advice: &'static str,
}

/// Who has as many to read has enough; and each costs one more reading of what stands above it.
const MAX_PROBLEMS: usize = 100;

fn all_or_problems<T>(survey: (Option<T>, Problems)) -> Result<T, Problems> {
    match survey {
        (Some(value), problems) if problems.is_empty() => Ok(value),
        (_, problems) => Err(problems),
    }
}

fn survey_with_environment<T: Configuration>(
    text: &str,
    file: &Path,
    heeded: impl Fn(&str) -> bool,
) -> (Option<T>, Problems) {
    let (env, unreadable) = environment::of_this_process(T::PREFIX, heeded);
    let (value, mut problems) = survey_text(text, file, env);
    problems.extend(unreadable);
    (value, problems)
}

/// Reads another TOML file than a configuration; `file_name` only names it in problems.
///
/// # Errors
/// Every [`Problem`] at once, from the top of the file to its bottom.
pub fn parse<T: DeserializeOwned>(text: &str, file_name: &Path) -> Result<T, Problems> {
    let (mut root, problems) = tree::parse(text, file_name);
    // No variable is in the tree.
    all_or_problems(survey_tree(&mut root, problems, file_name, Prefix::new("")))
}

fn survey_text<T: Configuration>(
    text: &str,
    file_name: &Path,
    env: impl IntoIterator<Item = (String, String)>,
) -> (Option<T>, Problems) {
    let (mut root, problems) = tree::parse(text, file_name);
    let mut of_both = T::PREFIX.override_in(&mut root, env);
    of_both.extend(T::EITHER.iter().filter_map(|either| either.mistake_in(&mut root, file_name)));
    let (value, mut problems) = survey_tree(&mut root, problems, file_name, T::PREFIX);
    problems.extend(of_both);
    problems.sort();
    (value, problems)
}

/// Reads a document as a shape, where `problems` are what could not be parsed of it.
fn survey_tree<T: DeserializeOwned>(
    root: &mut Node,
    mut problems: Problems,
    file_name: &Path,
    prefix: Prefix,
) -> (Option<T>, Problems) {
    let unparsed: Vec<usize> = problems.iter().filter_map(Problem::line).collect();
    // A serde shape stops at its first mistake. So that all are found, what is mistaken is marked,
    // passed over as if it were not written, and the shape is read again.
    let value = loop {
        let failure = match T::deserialize(Reader(root)) {
            _ if problems.len() >= MAX_PROBLEMS => break None,
            Ok(value) => break Some(value),
            Err(failure) => failure,
        };
        if !failure.follows_from_another(root) {
            // What could not be parsed was reported as that; its remains are no problem of their own.
            let found = failure.problems(root, file_name, prefix);
            problems.extend(found.into_iter().filter(|p| p.line().is_none_or(|line| !unparsed.contains(&line))));
        }
        if !root.pass_over(&failure.path) {
            break None;
        }
    };
    problems.sort();
    (value, problems)
}

impl Either {
    /// The mistake that both are there, of which the second one is read no more.
    fn mistake_in(self, root: &mut Node, file: &Path) -> Option<Problem> {
        let message = format!("there are both [{}] and [{}]: {}", self.one, self.other, self.advice);
        let mistake = |Entry { at, name, .. }: &Entry| Problem::at(at, file, name.clone(), message.clone());
        let second = mistake(root.entry(self.one)?).max(mistake(root.entry(self.other)?));
        root.pass_over(&[Step::Name(second.key.clone())]);
        Some(second)
    }
}

fn read(file: &Path) -> Result<String, Problem> {
    let bytes = read_bounded(file).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Problem::in_file(file, "there is no such file; name another with --config"),
        _ => Problem::in_file(file, format!("cannot be read: {error}")),
    })?;
    if is_utf16(&bytes) {
        return Err(Problem::in_file(file, UTF16));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let at = At::offset(&String::from_utf8_lossy(&error.as_bytes()[..good]), good);
        Problem::at(&at, file, String::new(), "not UTF-8; save the file in that encoding".to_owned())
    })
}

#[cfg(test)]
mod tests;
