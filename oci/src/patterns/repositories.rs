//! Which repositories: names with wildcards.

use std::fmt;
use std::str::FromStr;

use super::glob::{Glob, USER};
use crate::repository::{RepositoryName, RepositoryNameError};

/// A pattern of repository names, segment by segment: `*` is anything within a segment, `**` is one segment or more,
/// and `${user}` the caller's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<str>,
    segments: Vec<Segment>,
    names_user: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Segment {
    One(Glob),
    OneOrMore,
}

/// Why a text is no pattern of repository names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// There is nothing.
    #[error("a pattern of repositories must not be empty; \"**\" is every repository")]
    Empty,
    /// It is longer than [`Pattern::MAX_LEN`].
    #[error("a pattern of repositories has at most {} bytes", Pattern::MAX_LEN)]
    Long,
    /// A segment is empty.
    #[error("a pattern of repositories has no / at its beginning or end, and no two in a row")]
    Slash,
    /// `**` within a segment.
    #[error("** is one segment or more, and stands alone between slashes; within a segment write *")]
    Stars,
    /// A `$` or a brace that is no `${{user}}`.
    #[error(
        "the one variable is ${{user}}, the caller's name, written in this way; there are no alternatives in braces"
    )]
    Variable,
    /// A wildcard of other programs.
    #[error("{0:?} is no wildcard here: write * for anything within a segment, ** for one segment or more")]
    Wildcard(char),
    /// It has a host or a tag.
    #[error("a pattern of repositories has neither a host nor a tag; tags of a grant are its key \"tags\"")]
    Colon,
    /// A capital letter.
    #[error("repository names are in lower case; write {0:?}")]
    Capital(String),
    /// No name has such a segment.
    #[error("no repository has a name with the segment {segment:?}: {error}")]
    Segment {
        /// As it is written.
        segment: String,
        /// What names are made of.
        error: RepositoryNameError,
    },
}

impl Pattern {
    /// Bytes: twice as many as those of a repository name.
    pub const MAX_LEN: usize = 2 * RepositoryName::MAX_LEN;

    /// The text of the pattern that matches every repository.
    const EVERYTHING: &str = "**";

    /// Whether a repository is meant. For who is not logged in, `user` is `None`.
    pub fn matches(&self, name: &RepositoryName, user: Option<&str>) -> bool {
        let user = if self.names_user { user.filter(|user| is_segment(user)) } else { Some("") };
        let Some(user) = user else { return false };
        let (mut segments, mut names) = (self.segments.iter(), name.as_str().split('/'));
        // What follows the last `**`, and what follows the segments that it has taken. Earlier ones need not take more.
        let mut last = None;
        loop {
            match (segments.next(), names.next()) {
                (None, None) => return true,
                (Some(_), None) => return false,
                (Some(Segment::OneOrMore), Some(_)) => last = Some((segments.clone(), names.clone())),
                (Some(Segment::One(glob)), Some(name)) if glob.matches(name, user) => {}
                (Some(Segment::One(_)) | None, Some(_)) => {
                    let Some((after, rest)) = &mut last else { return false };
                    if rest.next().is_none() {
                        return false;
                    }
                    (segments, names) = (after.clone(), rest.clone());
                }
            }
        }
    }

    /// Whether it matches any repository for this caller: `${user}` is nothing for who has no name, or one that can be no
    /// segment, as that of a mail address.
    pub fn concerns(&self, user: Option<&str>) -> bool {
        !self.names_user || user.is_some_and(is_segment)
    }

    /// Whether the caller's name is in it.
    pub fn names_user(&self) -> bool {
        self.names_user
    }

    /// Whether every repository matches.
    pub fn is_everything(&self) -> bool {
        &*self.text == Self::EVERYTHING
    }

    /// The segments at its beginning that are the same in each name that matches.
    pub fn literal_start(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map_while(|segment| match segment {
            Segment::One(glob) => glob.literal(),
            Segment::OneOrMore => None,
        })
    }
}

/// Whether a text can be a segment of a repository's name.
fn is_segment(text: &str) -> bool {
    !text.contains('/') && text.parse::<RepositoryName>().is_ok()
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > Self::MAX_LEN {
            return Err(PatternError::Long);
        }
        let without_user = text.replace(USER, "");
        for found in without_user.chars() {
            match found {
                ':' => return Err(PatternError::Colon),
                '$' | '{' | '}' => return Err(PatternError::Variable),
                '?' | '[' | ']' | '!' | '%' | '^' | '+' | '\\' => return Err(PatternError::Wildcard(found)),
                'A'..='Z' => return Err(PatternError::Capital(text.to_ascii_lowercase())),
                _ => {}
            }
        }
        let segments = text.split('/').map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: text.into(), segments, names_user: without_user.len() < text.len() })
    }
}

impl FromStr for Segment {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        match text {
            "" => return Err(PatternError::Slash),
            "**" => return Ok(Self::OneOrMore),
            _ if text.contains("**") => return Err(PatternError::Stars),
            _ => {}
        }
        // If any text in the place of a wildcard makes a segment, then a letter does.
        let shortest = text.replace(USER, "a").replace('*', "a");
        match shortest.parse::<RepositoryName>() {
            Ok(_) => Ok(Self::One(Glob::new(text))),
            Err(error) => Err(PatternError::Segment { segment: text.to_owned(), error }),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_star_stays_within_its_segment_and_two_are_one_segment_or_more() {
        for (text, yes, no) in [
            ("team/app", &["team/app"][..], &["team", "team/app/x", "team/apps", "x/team/app"][..]),
            ("**", &["a", "a/b", "a/b/c"], &[]),
            ("*", &["a", "abc"], &["a/b"]),
            ("team/**", &["team/a", "team/a/b"], &["team", "teams/a", "x/team/a"]),
            ("public/*", &["public/a"], &["public", "public/a/b"]),
            ("**/app", &["a/app", "a/b/app", "app/app", "app/x/app"], &["app", "a/app/b"]),
            ("a/**/z", &["a/b/z", "a/z/z", "a/b/z/c/z"], &["a/z", "a/b/z/c", "b/a/b/z"]),
            ("**/m/**", &["a/m/b", "m/m/m", "a/b/m/c/d"], &["m/a", "a/m", "m", "a/b/c"]),
            ("**/**", &["a/b", "a/b/c"], &["a"]),
            ("**/*-dev/**/x*", &["a/b-dev/c/x", "a/x/b-dev/x/x1"], &["b-dev/c/x", "a/b-dev/x"]),
            ("dev-*/app", &["dev-1/app"], &["dev/app", "dev-1/x/app", "adev-1/app"]),
        ] {
            for yes in yes {
                assert!(pattern(text).matches(&name(yes), None), "{text} {yes}");
            }
            for no in no {
                assert!(!pattern(text).matches(&name(no), None), "{text} {no}");
            }
        }
    }

    #[test]
    fn the_caller_s_name_is_one_literal_segment() {
        let home = pattern("home/${user}/**");
        assert!(home.matches(&name("home/alice/app"), Some("alice")));
        for (user, repository) in [
            (Some("bob"), "home/alice/app"),
            (None, "home/alice/app"),
            (Some("*"), "home/alice/app"),
            (Some("**"), "home/alice/app"),
            (Some("alice/app"), "home/alice/app/x"),
            (Some(""), "home/alice/app"),
        ] {
            assert!(!home.matches(&name(repository), user), "{user:?} {repository}");
        }
        assert!(pattern("ci-${user}").matches(&name("ci-alice"), Some("alice")));
    }

    #[test]
    fn a_name_that_can_be_no_segment_matches_nothing() {
        for (text, repository) in
            [("ci${user}", "ci-x"), ("${user}x", "a-x"), ("home/${user}", "home/a/b"), ("a${user}c", "a/c")]
        {
            for user in ["-x", "a-", "a/b", "/", "Alice", "alice@example.com", "..", "${user}", "a b", "é"] {
                assert!(!pattern(text).matches(&name(repository), Some(user)), "{text} {user}");
                assert!(!pattern(text).concerns(Some(user)));
            }
        }
        assert!(pattern("${user}").concerns(Some("alice")) && !pattern("${user}").concerns(None));
        assert!(pattern("**").concerns(None));
    }

    #[test]
    fn what_is_no_pattern_is_told_with_what_to_write() {
        for (text, part) in [
            ("", "must not be empty"),
            ("/team", "no / at its beginning"),
            ("team/", "no / at its beginning"),
            ("a//b", "no two in a row"),
            ("team**", "stands alone between slashes"),
            ("a/***", "stands alone between slashes"),
            ("home/$user", "the one variable is ${user}, the caller's name"),
            ("home/${USER}", "the one variable is ${user}"),
            ("{a,b}/**", "alternatives"),
            ("team/?", "'?' is no wildcard here"),
            ("[ab]/c", "'[' is no wildcard here"),
            ("!team", "'!' is no wildcard here"),
            ("localhost:5000/a", "neither a host nor a tag"),
            ("team/app:v1", "neither a host nor a tag"),
            ("Team/**", "in lower case; write \"team/**\""),
            ("team/-a", "with the segment \"-a\""),
            ("_catalog", "with the segment \"_catalog\""),
            ("a b", "with the segment \"a b\""),
            ("a/..", "with the segment \"..\""),
            (".*", "with the segment \".*\""),
            ("é", "with the segment \"é\""),
            (&"a".repeat(256), "at most 255 bytes"),
            (&"a/".repeat(300), "at most 510 bytes"),
        ] {
            let error = text.parse::<Pattern>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn no_pattern_and_name_take_long() {
        let pattern = pattern(&format!("{}a", "**/*a*a*a*/".repeat(40)));
        let name = name(&format!("{}b", "aaaaaa/".repeat(36)));
        let started = Instant::now();
        for _ in 0..100 {
            assert!(!pattern.matches(&name, None));
        }
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }

    #[test]
    fn the_literal_start_ends_at_the_first_wildcard() {
        for (text, start) in
            [("a/b", &["a", "b"][..]), ("a/**", &["a"]), ("a/b*/c", &["a"]), ("**", &[]), ("${user}/a", &[])]
        {
            assert!(pattern(text).literal_start().eq(start.iter().copied()), "{text}");
        }
    }

    /// The same, by going back wherever something does not fit.
    fn matches_by_trying(pattern: &[&str], name: &[&str]) -> bool {
        fn within(glob: &[u8], text: &[u8]) -> bool {
            match (glob, text) {
                ([], []) => true,
                ([b'*', rest @ ..], _) => (0..=text.len()).any(|taken| within(rest, &text[taken..])),
                ([a, glob @ ..], [b, text @ ..]) => a == b && within(glob, text),
                _ => false,
            }
        }
        match (pattern, name) {
            ([], []) => true,
            (["**", rest @ ..], _) => (1..=name.len()).any(|taken| matches_by_trying(rest, &name[taken..])),
            ([glob, pattern @ ..], [segment, name @ ..]) => {
                within(glob.as_bytes(), segment.as_bytes()) && matches_by_trying(pattern, name)
            }
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn a_pattern_matches_what_trying_every_way_matches(
            text in "(\\*\\*|[ab*]{1,4})(/(\\*\\*|[ab*]{1,4})){0,4}",
            repository in "[ab]{1,4}(/[ab]{1,4}){0,5}",
        ) {
            if let Ok(pattern) = text.parse::<Pattern>() {
                let (segments, names) = (text.split('/').collect::<Vec<_>>(), repository.split('/').collect::<Vec<_>>());
                prop_assert_eq!(pattern.matches(&name(&repository), None), matches_by_trying(&segments, &names));
            }
        }

        #[test]
        fn every_name_is_a_pattern_of_itself_alone(repository in "[ab]{1,3}(/[ab]{1,3}){0,3}", other in "[ab]{1,3}(/[ab]{1,3}){0,3}") {
            let pattern = pattern(&repository);
            prop_assert!(pattern.matches(&name(&repository), None));
            prop_assert_eq!(pattern.matches(&name(&other), None), repository == other);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-zA*/$\\{\\}user. -]{0,20}|.{0,20}") {
            if let Ok(pattern) = text.parse::<Pattern>() {
                prop_assert_eq!(pattern.to_string(), text);
            }
        }
    }
}
