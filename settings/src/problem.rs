//! What is wrong with settings, and where it is written.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a problem is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// In a file.
    File {
        /// Its name, as it was given.
        path: PathBuf,
        /// Line and column, counted from 1, the column in characters; `None` for the file as a whole.
        at: Option<(usize, usize)>,
    },
    /// In the environment variable of this name.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, at: None } => path.display().fmt(f),
            Self::File { path, at: Some((line, column)) } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// Where a name or a value is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum At {
    /// In the file, counted from 1; the column in characters.
    Place { line: usize, column: usize },
    /// In the environment variable of this name.
    Variable(String),
}

impl At {
    /// The line, from 1; 0 in a variable.
    pub(crate) fn line(&self) -> usize {
        match self {
            Self::Place { line, .. } => *line,
            Self::Variable(_) => 0,
        }
    }

    /// The place of a byte offset of `text`.
    pub(crate) fn offset(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].trim_start_matches('\u{feff}').chars().count() + 1;
        Self::Place { line, column }
    }
}

/// One mistake, displayed as `file:line:column: section.key: what to do`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is written.
    pub origin: Origin,
    /// The key, as in `upstream.url` or `tls.additional[0].key`; empty where no key is concerned.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl Problem {
    /// A problem of a file as a whole.
    pub fn in_file(path: &Path, message: impl Into<String>) -> Self {
        let origin = Origin::File { path: path.to_owned(), at: None };
        Self { origin, key: String::new(), message: message.into() }
    }

    pub(crate) fn at(at: &At, file: &Path, key: String, message: String) -> Self {
        let origin = match at {
            At::Place { line, column } => Origin::File { path: file.to_owned(), at: Some((*line, *column)) },
            At::Variable(name) => Origin::Variable(name.clone()),
        };
        Self { origin, key, message }
    }

    /// The line in the file, from 1.
    pub fn line(&self) -> Option<usize> {
        match &self.origin {
            Origin::File { at, .. } => at.map(|(line, _)| line),
            Origin::Variable(_) => None,
        }
    }

    /// The column in the line, from 1, in characters.
    pub fn column(&self) -> Option<usize> {
        match &self.origin {
            Origin::File { at, .. } => at.map(|(_, column)| column),
            Origin::Variable(_) => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        // The name of a variable is its key already.
        if !self.key.is_empty() && !matches!(self.origin, Origin::Variable(_)) {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Every problem of one reading; displayed one a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Each of them, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    pub(crate) fn sort(&mut self) {
        self.0.sort();
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl Extend<Problem> for Problems {
    fn extend<I: IntoIterator<Item = Problem>>(&mut self, more: I) {
        self.0.extend(more);
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<I: IntoIterator<Item = Problem>>(problems: I) -> Self {
        Self(problems.into_iter().collect())
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
