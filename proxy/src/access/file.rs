//! The file of grants: TOML, one `[[grant]]` after the other, and what is expected of them.

use std::fmt;
use std::io::ErrorKind;
use std::marker::PhantomData;
use std::path::Path;
use std::str::FromStr;

use lockgate_settings::{DateText, List, One, Origin, Placed, Problem, Problems, UTF16, is_utf16, read_bounded};
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};

use super::expectation::{Expectation, Place, Who};
use super::grant::{Grant, Subject, Until};
use super::grants::{Grants, TooMany};
use super::groups::{Groups, GroupsDefect, GroupsError};
use crate::address_range::AddressRange;
use crate::rights::{Pattern, Right, Rights, TagPattern};

/// What the files of grants and groups say.
#[derive(Debug, Default)]
pub struct Access {
    /// The grants.
    pub grants: Grants,
    /// Who is in which group; nobody in any, where there is no file.
    pub groups: Groups,
    /// What is expected of the grants.
    pub expectations: Vec<Expectation>,
}

/// Why files of grants and groups are not usable. The text is one line, for a log.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.problems().join("; "))]
pub enum AccessError {
    /// The file of grants.
    Grants(#[from] Problems),
    /// The file of groups.
    Groups(#[from] GroupsError),
}

impl AccessError {
    /// Each thing that is wrong, with its place.
    pub fn problems(&self) -> Vec<String> {
        match self {
            Self::Grants(problems) => problems.iter().map(ToString::to_string).collect(),
            Self::Groups(GroupsError { path, defect: GroupsDefect::Lines(lines) }) => {
                lines.iter().map(|line| format!("{}: {line}", path.display())).collect()
            }
            Self::Groups(error) => vec![error.to_string()],
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    grant: Tables<GrantTable>,
    #[serde(default)]
    expect: Tables<ExpectTable>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantTable {
    repositories: List<Pattern>,
    to: List<Subject>,
    allow: List<Rights>,
    tags: Option<List<TagPattern>>,
    from: Option<List<AddressRange>>,
    until: Option<UntilText>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectTable {
    user: One<Who>,
    may: Option<List<Actions>>,
    may_not: Option<List<Actions>>,
    repository: One<Place>,
    address: Option<One<Address>>,
}

impl Access {
    /// Reads both files.
    ///
    /// # Errors
    /// [`AccessError`]: at the start there is nothing to serve with; later the grants stay as they are.
    pub fn load(access: &Path, groups: Option<&Path>) -> Result<Self, AccessError> {
        let groups = groups.map(Groups::load).transpose()?.unwrap_or_default();
        let text = read(access).map_err(|message| Problems::from(Problem::in_file(access, message)))?;
        Ok(Self::parse(&text, access, groups)?)
    }

    /// Reads the text of a file of grants, which `file` only names in problems.
    ///
    /// # Errors
    /// Every [`Problem`] at once.
    pub fn parse(text: &str, file: &Path, groups: Groups) -> Result<Self, Problems> {
        if text.trim().is_empty() {
            return Err(
                Problem::in_file(file, "the file is empty; who wants everybody refused writes a comment").into()
            );
        }
        let read: File = lockgate_settings::parse(text, file)?;
        let grants = read.grant.0.into_iter().zip(1..).map(|(table, number)| table.value.grant(number, table.line));
        let grants = Grants::new(grants.collect(), &groups)
            .map_err(|error: TooMany| Problems::from(Problem::in_file(file, error.to_string())))?;
        let mut problems = Problems::default();
        let mut expectations = Vec::new();
        for Placed { line, value } in read.expect.0 {
            match value.expectation(line) {
                Ok(expectation) => expectations.push(expectation),
                Err(message) => {
                    let origin = Origin::File { path: file.to_owned(), at: Some((line, 1)) };
                    problems.push(Problem { origin, key: "expect".to_owned(), message: message.to_owned() });
                }
            }
        }
        if problems.is_empty() { Ok(Self { grants, groups, expectations }) } else { Err(problems) }
    }
}

fn read(file: &Path) -> Result<String, String> {
    let bytes = read_bounded(file).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            "there is no such file of grants; make it, or leave auth.access empty: then every user may do everything"
                .to_owned()
        }
        _ => format!("the file of grants cannot be read: {error}"),
    })?;
    if is_utf16(&bytes) {
        return Err(UTF16.to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "not UTF-8; save the file in that encoding".to_owned())
}

impl GrantTable {
    fn grant(self, number: usize, line: usize) -> Grant {
        Grant {
            number,
            line,
            repositories: self.repositories.0,
            to: self.to.0,
            rights: self.allow.0.into_iter().collect(),
            tags: self.tags.map_or_else(Vec::new, |tags| tags.0),
            from: self.from.map_or_else(Vec::new, |from| from.0),
            until: self.until.map(|until| until.0),
        }
    }
}

impl ExpectTable {
    fn expectation(self, line: usize) -> Result<Expectation, &'static str> {
        let rights = |list: Option<List<Actions>>| -> Vec<Right> {
            list.into_iter().flat_map(|list| list.0).flat_map(|actions| actions.0).collect()
        };
        let (may, may_not) = (rights(self.may), rights(self.may_not));
        if may.is_empty() && may_not.is_empty() {
            return Err("say what they may or may not: may = \"pull\", may_not = \"delete\"");
        }
        let Place { repository, tag } = self.repository.0;
        Ok(Expectation { line, who: self.user.0, may, may_not, repository, tag, address: self.address.map(|a| a.0.0) })
    }
}

/// The actions of one word. Here `push` is push alone: who expects that somebody may not push says nothing about pull.
struct Actions(Vec<Right>);

impl FromStr for Actions {
    type Err = <Rights as FromStr>::Err;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let rights: Rights = word.parse()?;
        let named = Right::ALL.into_iter().find(|right| right.to_string() == word);
        Ok(Self(named.map_or_else(|| rights.iter().collect(), |right| vec![right])))
    }
}

/// An address of `[[expect]]`.
struct Address(std::net::IpAddr);

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| "it is no address, as in \"192.0.2.7\" or \"2001:db8::1\"")
    }
}

/// When a grant ends.
struct UntilText(Until);

/// Tables below lines of two brackets.
struct Tables<T>(Vec<Placed<T>>);

impl<T> Default for Tables<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de> Deserialize<'de> for UntilText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let DateText(text) = DateText::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Tables<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TablesVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for TablesVisitor<T> {
            type Value = Tables<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a line with two pairs of brackets, as in [[grant]], above each of them")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tables<T>, A::Error> {
                let mut tables = Vec::new();
                while let Some(table) = seq.next_element()? {
                    tables.push(table);
                }
                Ok(Tables(tables))
            }
        }

        deserializer.deserialize_seq(TablesVisitor(PhantomData))
    }
}
