//! Settings: a TOML file, overridden by the environment, read into a serde shape.
//!
//! The shape is the single reference of what may be written: one struct a section, with
//! `#[serde(default, deny_unknown_fields)]`, its fields' own `Deserialize` doing the checking. What
//! this crate adds is that every problem is found in one reading, each with its place: a line and a
//! column of the file, or the name of an environment variable.
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
//! [`Log`] is a `[log]` section, and starts the log that it describes; [`complain`] and [`reachable`] are small things
//! that each of them does.

mod byte_size;
mod endpoint;
mod environment;
mod failure;
mod log;
mod period;
mod problem;
mod program;
mod reader;
mod tree;

use std::io::ErrorKind;
use std::path::Path;

use serde::de::DeserializeOwned;

pub use byte_size::{ByteSize, ByteSizeError};
pub use endpoint::{Endpoint, EndpointError};
pub use environment::Prefix;
pub use log::{ACCESS, Log, LogFormat, LogLevel, flush_log};
pub use period::{Period, PeriodError};
pub use problem::{Origin, Problem, Problems};
pub use program::{complain, reachable};

use crate::problem::At;
use crate::reader::Reader;

/// Reads `file` with the overrides of this process's environment.
///
/// # Errors
///
/// Every [`Problem`] at once; a file that cannot be read is the only one.
pub fn load<T: DeserializeOwned>(file: &Path, env_prefix: Prefix) -> Result<T, Problems> {
    all_or_problems(survey(file, env_prefix))
}

/// Reads `file` as [`load`] does, and makes the best of it: what is mistaken has its default.
///
/// For a person who wants to hear of everything that is wrong, in what the settings name too. There
/// is nothing to look at when the file cannot be read, or when something without a default is wrong.
pub fn survey<T: DeserializeOwned>(file: &Path, env_prefix: Prefix) -> (Option<T>, Problems) {
    let text = match read(file) {
        Ok(text) => text,
        Err(problem) => return (None, problem.into()),
    };
    survey_with_environment(&text, file, env_prefix)
}

/// The shape's defaults with the overrides of this process's environment: settings without a file.
///
/// # Errors
///
/// Every [`Problem`] at once.
pub fn from_environment<T: DeserializeOwned>(env_prefix: Prefix) -> Result<T, Problems> {
    // An empty text has no place for a problem, but for a key that is missing in the whole.
    all_or_problems(survey_with_environment("", Path::new("the environment"), env_prefix))
}

/// Reads `text` with the overrides among `env`; `file_name` only names the text in problems.
///
/// # Errors
///
/// Every [`Problem`] at once: those of the file from its top to its bottom, then those of the
/// environment.
pub fn parse<T: DeserializeOwned>(
    text: &str,
    file_name: &Path,
    env_prefix: Prefix,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<T, Problems> {
    all_or_problems(survey_text(text, file_name, env_prefix, env))
}

fn all_or_problems<T>(survey: (Option<T>, Problems)) -> Result<T, Problems> {
    match survey {
        (Some(value), problems) if problems.is_empty() => Ok(value),
        (_, problems) => Err(problems),
    }
}

fn survey_with_environment<T: DeserializeOwned>(text: &str, file: &Path, env_prefix: Prefix) -> (Option<T>, Problems) {
    let (env, unreadable) = environment::of_this_process(env_prefix);
    let (value, mut problems) = survey_text(text, file, env_prefix, env);
    problems.extend(unreadable);
    (value, problems)
}

fn survey_text<T: DeserializeOwned>(
    text: &str,
    file_name: &Path,
    env_prefix: Prefix,
    env: impl IntoIterator<Item = (String, String)>,
) -> (Option<T>, Problems) {
    let (mut root, mut problems) = tree::parse(text, file_name);
    let unparsed: Vec<usize> = problems.iter().filter_map(Problem::line).collect();
    problems.extend(env_prefix.override_in(&mut root, env));

    // A serde shape stops at its first mistake. So that all are found, what is mistaken is marked,
    // passed over as if it were not written, and the shape is read again.
    let value = loop {
        let failure = match T::deserialize(Reader(&root)) {
            Ok(value) => break Some(value),
            Err(failure) => failure,
        };
        if !failure.follows_from_another(&root) {
            // What could not be parsed was reported as that; its remains are no problem of their own.
            let found = failure.problems(&root, file_name, env_prefix);
            problems.extend(found.into_iter().filter(|p| p.line().is_none_or(|line| !unparsed.contains(&line))));
        }
        if !root.pass_over(&failure.path) {
            break None;
        }
    };
    problems.sort();
    (value, problems)
}

/// For `#[serde(deserialize_with = "lockgate_settings::parsed")]`: a text that its type parses.
///
/// # Errors
///
/// What `FromStr` says, or that a text is wanted.
pub fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text: String = serde::Deserialize::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn read(file: &Path) -> Result<String, Problem> {
    let bytes = std::fs::read(file).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Problem::in_file(file, "there is no such file; name another with --config"),
        _ => Problem::in_file(file, format!("cannot be read: {error}")),
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let at = At::offset(&String::from_utf8_lossy(&error.as_bytes()[..good]), good);
        Problem::at(&at, file, String::new(), "not UTF-8; save the file in that encoding".to_owned())
    })
}

#[cfg(test)]
mod tests;
