//! A TOML document in which every name and value knows where it is written.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{At, Problem, Problems};

/// A value.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) content: Content,
    /// A mistake was found here, and it is read no more.
    pub(crate) passed_over: bool,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// The text of an environment variable, whose type is the one that is asked for.
    Variable(String),
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// As it is written.
    Date(String),
    /// What no setting is made of; it says what it is.
    Unsupported(&'static str),
    Array(Vec<Node>),
    Table(Vec<Entry>),
}

/// A name in a table, and its value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: At,
    pub(crate) name: String,
    pub(crate) node: Node,
}

/// One step from a node to a node in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Name(String),
    Index(usize),
}

/// As much of a document as can be read, and what is wrong with the rest.
pub(crate) fn parse(text: &str, file: &Path) -> (Node, Problems) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let problems = errors.iter().map(|error| {
        let offset = error.span().map_or(text.len(), |span| span.start);
        Problem::at(&At::offset(text, offset), file, String::new(), format!("not TOML: {}", error.message()))
    });
    let root = Node::new(DeValue::Table(table.into_inner()), At::offset(text, 0), &|span| At::offset(text, span));
    (root, problems.collect())
}

impl Node {
    fn new(value: DeValue<'_>, at: At, place: &impl Fn(usize) -> At) -> Self {
        let within = |value: Spanned<DeValue<'_>>| {
            let at = place(value.span().start);
            Self::new(value.into_inner(), at, place)
        };
        let content = match value {
            DeValue::String(text) => Content::String(text.into_owned()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Content::Unsupported("an integer out of range"), Content::Integer),
            DeValue::Float(number) => {
                number.as_str().parse().map_or(Content::Unsupported("a number out of range"), Content::Float)
            }
            DeValue::Boolean(value) => Content::Boolean(value),
            DeValue::Datetime(date) => Content::Date(date.to_string()),
            DeValue::Array(items) => Content::Array(items.into_iter().map(within).collect()),
            DeValue::Table(entries) => {
                let entry = |(name, value): (Spanned<_>, _)| Entry {
                    at: place(name.span().start),
                    name: String::from(AsRef::<str>::as_ref(name.get_ref())),
                    node: within(value),
                };
                Content::Table(entries.into_iter().map(entry).collect())
            }
        };
        Self { at, content, passed_over: false }
    }

    /// The value of an environment variable.
    pub(crate) fn variable(name: &str, text: String) -> Self {
        Self { at: At::Variable(name.to_owned()), content: Content::Variable(text), passed_over: false }
    }

    /// The text of an environment variable, read as the TOML value it may be.
    pub(crate) fn typed(text: &str, at: &At) -> Option<Self> {
        let value = DeValue::parse(text).ok()?.into_inner();
        Some(Self::new(value, at.clone(), &|_| at.clone()))
    }

    /// The entries of a table; nothing else has any.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The entry of this name.
    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.name == name)
    }

    /// The entry of this name, made by `new` where there is none; `None` where this is no table.
    pub(crate) fn entry_or(&mut self, name: &str, new: impl FnOnce() -> Entry) -> Option<&mut Entry> {
        let Content::Table(entries) = &mut self.content else { return None };
        let index = entries.iter().position(|entry| entry.name == name).unwrap_or_else(|| {
            entries.push(new());
            entries.len() - 1
        });
        entries.get_mut(index)
    }

    fn child(&self, step: &Step) -> Option<&Self> {
        match (step, &self.content) {
            (Step::Name(name), _) => Some(&self.entry(name)?.node),
            (Step::Index(index), Content::Array(items)) => items.get(*index),
            (Step::Index(_), _) => None,
        }
    }

    /// The node at the end of `path`, or the last before the path leaves the tree, as it does within
    /// the value of an environment variable.
    pub(crate) fn nearest(&self, path: &[Step]) -> &Self {
        match path.split_first().and_then(|(step, rest)| Some((self.child(step)?, rest))) {
            Some((child, rest)) => child.nearest(rest),
            None => self,
        }
    }

    /// Marks what is nearest to the end of `path`; false where that is the root, which cannot be
    /// passed over.
    pub(crate) fn pass_over(&mut self, path: &[Step]) -> bool {
        let child = path.split_first().and_then(|(step, rest)| {
            let child = match (step, &mut self.content) {
                (Step::Name(name), Content::Table(entries)) => {
                    &mut entries.iter_mut().find(|entry| entry.name == *name)?.node
                }
                (Step::Index(index), Content::Array(items)) => items.get_mut(*index)?,
                _ => return None,
            };
            Some((child, rest))
        });
        let Some((child, rest)) = child else { return false };
        if !child.pass_over(rest) {
            child.passed_over = true;
        }
        true
    }
}
