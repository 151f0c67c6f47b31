//! What a session token may be used for: the `scope` of the distribution's token specification ([scope.md]).
//!
//! [scope.md]: https://distribution.github.io/distribution/spec/auth/scope/
//!
//! A scope is as coarse as that specification: `pull`, `push` (to create, or to push) and `delete`. It holds what was
//! asked for, and gives nothing: at each use the grants decide, and the scope narrows them.

use std::collections::BTreeMap;
use std::fmt;

use lockgate_oci::RepositoryName;

use crate::rights::Right;

/// What a token was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// None of them with no right at all.
    repositories: BTreeMap<RepositoryName, ScopeRights>,
    catalog: bool,
    everything: bool,
}

/// What a scope leaves within one repository. It climbs the ladder that grants climb: who may push or delete may pull.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScopeRights {
    /// Read.
    pub pull: bool,
    /// Add, and move tags.
    pub push: bool,
    /// Remove.
    pub delete: bool,
}

/// Why a scope is refused as a whole. What is not known in it is ignored instead, as it gives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// More than [`Scope::MOST`] resources.
    #[error("a token is for at most {} scopes", Scope::MOST)]
    TooMany,
    /// The names of its repositories are too long together: the token would not fit into a header.
    #[error("the names of a token's repositories have at most {} bytes together", Scope::MOST_NAME_BYTES)]
    TooLong,
}

/// The bits of an encoded entry, and of what is no repository.
const PULL: u8 = 1;
const PUSH: u8 = 2;
const DELETE: u8 = 4;
const CATALOG: u8 = 1;
const EVERYTHING: u8 = 2;

impl Scope {
    /// How many resources may be asked for.
    pub const MOST: usize = 32;
    /// How long the names of its repositories may be together.
    pub const MOST_NAME_BYTES: usize = 4096;

    /// Reads `scope` parameters, each of which may hold several scopes, separated by spaces.
    ///
    /// # Errors
    /// Any [`ScopeError`].
    pub fn parse<'a>(parameters: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let mut scope = Self::default();
        let asked = parameters.into_iter().flat_map(|parameter| parameter.split(' ')).filter(|asked| !asked.is_empty());
        for (count, asked) in asked.enumerate() {
            if count == Self::MOST {
                return Err(ScopeError::TooMany);
            }
            match Resource::parse(asked) {
                Some(Resource::Repository(name, rights)) => scope.add(name, rights),
                Some(Resource::Catalog) => scope.catalog = true,
                None => {}
            }
        }
        let bytes: usize = scope.repositories.keys().map(|name| name.as_str().len()).sum();
        if bytes > Self::MOST_NAME_BYTES { Err(ScopeError::TooLong) } else { Ok(scope) }
    }

    /// The scope that these rights need: what a challenge asks the client to ask for.
    pub fn needed<'a>(rights: impl IntoIterator<Item = (Right, &'a RepositoryName)>) -> Self {
        let mut scope = Self::default();
        for (right, name) in rights {
            scope.add(name.clone(), ScopeRights::needed(right));
        }
        scope
    }

    /// The scope of the catalog.
    pub fn of_the_catalog() -> Self {
        Self { catalog: true, ..Self::default() }
    }

    /// The scope of a page, on which a person does whatever the person may.
    pub fn everything() -> Self {
        Self { catalog: true, everything: true, ..Self::default() }
    }

    /// Whether it leaves this right within this repository.
    pub fn holds(&self, right: Right, repository: &RepositoryName) -> bool {
        self.everything || self.repositories.get(repository).is_some_and(|rights| rights.holds(right))
    }

    /// Whether the list of repositories was asked for.
    pub fn catalog(&self) -> bool {
        self.catalog
    }

    /// Whether it was asked for nothing: a token to log in with.
    pub fn is_empty(&self) -> bool {
        !self.catalog && self.repositories.is_empty()
    }

    /// Each repository and what is left within it, sorted by name.
    pub fn repositories(&self) -> impl Iterator<Item = (&RepositoryName, ScopeRights)> {
        self.repositories.iter().map(|(name, rights)| (name, *rights))
    }

    fn add(&mut self, name: RepositoryName, more: ScopeRights) {
        let rights = self.repositories.entry(name).or_default();
        *rights = ScopeRights::from_bits(rights.bits() | more.bits());
    }

    /// For a token: the catalog, then each repository as its rights, the length of its name, and the name.
    pub(super) fn encode(&self, to: &mut Vec<u8>) {
        let bit = |holds, bit| if holds { bit } else { 0 };
        to.push(bit(self.catalog, CATALOG) | bit(self.everything, EVERYTHING));
        for (name, rights) in &self.repositories {
            to.push(rights.bits());
            to.push(u8::try_from(name.as_str().len()).expect("a repository name has at most 255 bytes"));
            to.extend_from_slice(name.as_str().as_bytes());
        }
    }

    /// Reads what [`Scope::encode`] wrote, and nothing else.
    pub(super) fn decode(encoded: &[u8]) -> Option<Self> {
        let (others, mut entries) = encoded.split_first()?;
        let (catalog, everything) = (others & CATALOG != 0, others & EVERYTHING != 0);
        let mut scope = Self { catalog, everything, ..Self::default() };
        while let [bits, length, rest @ ..] = entries {
            let (name, rest) = rest.split_at_checked((*length).into())?;
            let name: RepositoryName = str::from_utf8(name).ok()?.parse().ok()?;
            let rights = ScopeRights::from_bits(*bits);
            let follows = scope.repositories.last_key_value().is_none_or(|(last, _)| *last < name);
            if !follows || rights.bits() != *bits {
                return None;
            }
            scope.repositories.insert(name, rights);
            entries = rest;
        }
        (entries.is_empty() && others & !(CATALOG | EVERYTHING) == 0).then_some(scope)
    }
}

impl ScopeRights {
    fn needed(right: Right) -> Self {
        Self::from_bits(match right {
            Right::Pull => PULL,
            Right::Create | Right::Push => PUSH,
            Right::Delete => DELETE,
        })
    }

    fn holds(self, right: Right) -> bool {
        match right {
            Right::Pull => self.pull,
            Right::Create | Right::Push => self.push,
            Right::Delete => self.delete,
        }
    }

    fn from_bits(bits: u8) -> Self {
        let (push, delete) = (bits & PUSH != 0, bits & DELETE != 0);
        Self { pull: bits & PULL != 0 || push || delete, push, delete }
    }

    fn bits(self) -> u8 {
        [(self.pull, PULL), (self.push, PUSH), (self.delete, DELETE)]
            .into_iter()
            .filter_map(|(holds, bit)| holds.then_some(bit))
            .sum()
    }

    /// The actions of one scope, separated by commas; those that nobody knows are left out.
    fn parse(actions: &str) -> Self {
        let bit = |action| match action {
            "pull" => PULL,
            "push" => PUSH,
            "delete" => DELETE,
            "*" => PULL | PUSH | DELETE,
            _ => 0,
        };
        Self::from_bits(actions.split(',').map(bit).fold(0, |all, bit| all | bit))
    }
}

/// What one scope is for.
enum Resource {
    Repository(RepositoryName, ScopeRights),
    Catalog,
}

impl Resource {
    /// `TYPE:NAME:ACTIONS`, of which a name may hold colons.
    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        if kind == "registry" {
            return (name == "catalog" && actions.split(',').any(|action| action == "*")).then_some(Self::Catalog);
        }
        // A class, as in `repository(plugin)`, says what is in it, and not what may be done with it.
        let class = kind.strip_prefix("repository")?;
        let rights = ScopeRights::parse(actions);
        let is_one = class.is_empty() || class.starts_with('(') && class.ends_with(')');
        (is_one && rights.pull).then_some(Self::Repository(name.parse().ok()?, rights))
    }
}

/// As it stands in a `scope` parameter.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, rights) in &self.repositories {
            write!(f, "{separator}repository:{name}:{rights}")?;
            separator = " ";
        }
        if self.catalog { write!(f, "{separator}registry:catalog:*") } else { Ok(()) }
    }
}

impl fmt::Display for ScopeRights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (holds, word) in [(self.pull, "pull"), (self.push, "push"), (self.delete, "delete")] {
            if holds {
                write!(f, "{separator}{word}")?;
                separator = ",";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scope(text: &str) -> Scope {
        Scope::parse([text]).unwrap()
    }

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[test]
    fn what_clients_ask_for_is_read() {
        for (asked, expected) in [
            ("repository:team/app:pull", "repository:team/app:pull"),
            ("repository:team/app:push,pull", "repository:team/app:pull,push"),
            ("repository:team/app:push", "repository:team/app:pull,push"),
            ("repository:team/app:delete", "repository:team/app:pull,delete"),
            ("repository:team/app:*", "repository:team/app:pull,push,delete"),
            ("repository(plugin):team/app:pull,,x", "repository:team/app:pull"),
            ("registry:catalog:*", "registry:catalog:*"),
            ("repository:b:pull  repository:a:pull repository:b:delete", "repository:a:pull repository:b:pull,delete"),
        ] {
            assert_eq!(scope(asked).to_string(), expected, "{asked}");
        }
        let two = Scope::parse(["repository:a:pull", "repository:b:pull registry:catalog:*"]).unwrap();
        assert_eq!(two.to_string(), "repository:a:pull repository:b:pull registry:catalog:*");
    }

    #[test]
    fn what_is_not_known_is_ignored_and_gives_nothing() {
        for asked in [
            "",
            " ",
            "repository",
            "repository:a",
            "repository::pull",
            "repository:a:",
            "repository:a:tag",
            "repository:A:pull",
            "repository:localhost:5000/a:pull",
            "repositoryx:a:pull",
            "repository(plugin:a:pull",
            "repo:a:pull",
            "registry:catalog:pull",
            "registry:other:*",
            "repository:../a:pull",
            "repository:a\t:pull",
        ] {
            assert!(scope(asked).is_empty(), "{asked}");
        }
    }

    #[test]
    fn it_holds_what_was_asked_for_and_the_lesser_in_that_repository_alone() {
        use Right::{Create, Delete, Pull, Push};
        for (asked, holds) in [
            ("pull", &[Pull][..]),
            ("push", &[Pull, Create, Push]),
            ("delete", &[Pull, Delete]),
            ("*", &[Pull, Create, Push, Delete]),
        ] {
            let scope = scope(&format!("repository:team/app:{asked}"));
            for right in [Pull, Create, Push, Delete] {
                assert_eq!(scope.holds(right, &name("team/app")), holds.contains(&right), "{asked} {right:?}");
                assert!(!scope.holds(right, &name("team/app2")) && !scope.holds(right, &name("team")));
            }
            assert!(!scope.catalog());
        }
        let catalog = Scope::of_the_catalog();
        assert!(catalog.catalog() && !catalog.holds(Pull, &name("catalog")));
    }

    #[test]
    fn a_challenge_asks_for_what_is_needed() {
        let (app, base) = (name("team/app"), name("base"));
        assert_eq!(Scope::needed([(Right::Pull, &app)]).to_string(), "repository:team/app:pull");
        assert_eq!(
            Scope::needed([(Right::Create, &app), (Right::Pull, &base)]).to_string(),
            "repository:base:pull repository:team/app:pull,push"
        );
    }

    #[test]
    fn there_is_an_end_to_what_is_asked_for() {
        let many = |count: usize| (0..count).map(|i| format!("repository:a{i}:pull ")).collect::<String>();
        assert_eq!(scope(&many(32)).repositories().count(), 32);
        assert_eq!(Scope::parse([many(33).as_str()]), Err(ScopeError::TooMany));
        let long: Vec<_> = (10..27).map(|i| format!("repository:{i}{}:pull", "a".repeat(253))).collect();
        assert_eq!(Scope::parse(long.iter().map(String::as_str)), Err(ScopeError::TooLong));
        assert!(Scope::parse(long[1..].iter().map(String::as_str)).is_ok());
    }

    proptest! {
        #[test]
        fn a_scope_is_the_same_after_it_was_written(
            asked in "((repository|registry|x)(\\(p\\))?:[a-c/:]{0,4}(catalog)?:(pull|push|delete|\\*|,){0,3} ?){0,4}",
        ) {
            let scope = scope(&asked);
            prop_assert_eq!(&Scope::parse([scope.to_string().as_str()]).unwrap(), &scope);
            let mut encoded = Vec::new();
            scope.encode(&mut encoded);
            prop_assert_eq!(Scope::decode(&encoded), Some(scope));
        }

        #[test]
        fn an_encoded_scope_has_one_spelling(encoded in proptest::collection::vec(0_u8..8, 0..8), text in "[ab/]{0,7}") {
            for encoded in [encoded.clone(), [&encoded[..], &[text.len() as u8], text.as_bytes()].concat()] {
                if let Some(scope) = Scope::decode(&encoded) {
                    let mut again = Vec::new();
                    scope.encode(&mut again);
                    prop_assert_eq!(again, encoded);
                }
            }
        }
    }
}
