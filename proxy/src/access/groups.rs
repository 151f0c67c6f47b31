//! The groups of users: a file as Apache's `AuthGroupFile`.
//!
//! A line is `GROUP: USER USER ...`, as Apache reads it: names with spaces stand in single or double quotes, in which
//! a backslash keeps a quote; a backslash at a line's end continues it, a comment too; a group that has several lines
//! has the users of all. Two things are refused that Apache takes: a quote without its end, and names with commas
//! between them, of which it makes names that end with one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lockgate_settings::{UTF16, is_utf16, read_bounded};

use crate::auth::{UserName, UserNameError};

/// A name that can stand before the colon of a line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(Box<str>);

/// Why a text is no name of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a group's name must not be empty, nor have a colon, a control character, or spaces around it")]
pub struct GroupNameError;

/// Who is in which group.
#[derive(Debug, Default)]
pub struct Groups(BTreeMap<GroupName, BTreeSet<UserName>>);

/// Why a file gives no groups.
#[derive(Debug, thiserror::Error)]
#[error("{}: {defect}", path.display())]
pub struct GroupsError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub defect: GroupsDefect,
}

/// Why a file as a whole is unusable.
#[derive(Debug, thiserror::Error)]
pub enum GroupsDefect {
    /// It is not there, or may not be read.
    #[error("the file of groups cannot be read: {0}")]
    Read(io::Error),
    /// It was written on Windows.
    #[error("{UTF16}")]
    Utf16,
    /// There is nothing in it. Who wants no group writes a comment.
    #[error("the file of groups is empty; a line of it is GROUP: USER USER")]
    Empty,
    /// These lines are none, all that there are.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Lines(Vec<GroupsLineProblem>),
}

/// A line that is none of a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct GroupsLineProblem {
    /// Counted from 1; where several are one by backslashes, the first.
    pub line: usize,
    /// Why it is none.
    pub reason: GroupsLineError,
}

/// Why a line is none of a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupsLineError {
    /// Not UTF-8.
    #[error("the line is not UTF-8")]
    Utf8,
    /// Nothing separates a group from its users.
    #[error("there is no colon; a line is GROUP: USER USER")]
    Colon,
    /// No name of a group stands before the colon.
    #[error(transparent)]
    Group(#[from] GroupNameError),
    /// A quote is opened only.
    #[error("a quote has no end")]
    Quote,
    /// Names are separated in another way.
    #[error("{0:?} ends with a comma: names are separated by spaces")]
    Comma(String),
    /// One of the users is none.
    #[error("{0:?}: {1}")]
    User(String, UserNameError),
}

impl Groups {
    /// Reads a file.
    ///
    /// # Errors
    /// [`GroupsError`]: at the start there is nothing to serve with; later the groups stay as they are.
    pub fn load(path: &Path) -> Result<Self, GroupsError> {
        let groups = read_bounded(path).map_err(GroupsDefect::Read).and_then(|file| Self::parse(&file));
        groups.map_err(|defect| GroupsError { path: path.to_owned(), defect })
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// Any [`GroupsDefect`] but [`GroupsDefect::Read`].
    pub fn parse(file: &[u8]) -> Result<Self, GroupsDefect> {
        if is_utf16(file) {
            return Err(GroupsDefect::Utf16);
        }
        let body = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        if body.trim_ascii().is_empty() {
            return Err(GroupsDefect::Empty);
        }
        let (mut groups, mut problems) = (Self::default(), Vec::new());
        for (line, text) in continued_lines(body) {
            if let Err(reason) = groups.line(text.trim_ascii()) {
                problems.push(GroupsLineProblem { line, reason });
            }
        }
        if problems.is_empty() { Ok(groups) } else { Err(GroupsDefect::Lines(problems)) }
    }

    /// Each group with its users, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&GroupName, &BTreeSet<UserName>)> {
        self.0.iter()
    }

    /// The users of a group, where there is such a group.
    pub fn members(&self, group: &GroupName) -> Option<&BTreeSet<UserName>> {
        self.0.get(group)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), GroupsLineError> {
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(());
        }
        let line = str::from_utf8(line).map_err(|_| GroupsLineError::Utf8)?;
        let (group, users) = line.split_once(':').ok_or(GroupsLineError::Colon)?;
        let group = group.trim_ascii_end().parse()?;
        let users: Vec<UserName> = Words(users.trim_start_matches(':')).collect::<Result<_, _>>()?;
        self.0.entry(group).or_default().extend(users);
        Ok(())
    }
}

/// Each line with the lines that continue it, and the number of its first.
fn continued_lines(body: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut goes_on = false;
    for (text, number) in body.split(|byte| *byte == b'\n').zip(1..) {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let (text, is_continued) = text.strip_suffix(b"\\").map_or((text, false), |text| (text, true));
        match lines.last_mut() {
            Some((_, line)) if goes_on => line.extend_from_slice(text),
            _ => lines.push((number, text.to_vec())),
        }
        goes_on = is_continued;
    }
    lines
}

/// The users of a line.
struct Words<'a>(&'a str);

impl Iterator for Words<'_> {
    type Item = Result<UserName, GroupsLineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0.trim_ascii_start();
        let quote = text.chars().next()?;
        let is_quoted = matches!(quote, '"' | '\'');
        let ends = |found: char| if is_quoted { found == quote } else { found.is_ascii_whitespace() };
        let mut word = String::new();
        let mut chars = text.char_indices().skip(usize::from(is_quoted)).peekable();
        let end = loop {
            match chars.next() {
                None if is_quoted => {
                    self.0 = "";
                    return Some(Err(GroupsLineError::Quote));
                }
                None => break text.len(),
                Some((at, found)) if ends(found) => break at + found.len_utf8(),
                Some((_, '\\')) => {
                    let kept = chars.next_if(|(_, next)| *next == '\\' || is_quoted && *next == quote);
                    word.push(kept.map_or('\\', |(_, kept)| kept));
                }
                Some((_, found)) => word.push(found),
            }
        };
        self.0 = &text[end..];
        if !is_quoted && word.ends_with(',') {
            return Some(Err(GroupsLineError::Comma(word)));
        }
        Some(word.parse().map_err(|error| GroupsLineError::User(word, error)))
    }
}

impl FromStr for GroupName {
    type Err = GroupNameError;

    fn from_str(text: &str) -> Result<Self, GroupNameError> {
        let is_forbidden = |c: char| matches!(c, ':' | '\u{feff}') || c.is_control();
        let is_name = !text.is_empty() && text.trim() == text && !text.contains(is_forbidden);
        if is_name { Ok(Self(text.into())) } else { Err(GroupNameError) }
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each group as `name: user|user`.
    fn groups(file: &str) -> Vec<String> {
        let groups = Groups::parse(file.as_bytes()).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let users = |users: &BTreeSet<UserName>| users.iter().map(UserName::to_string).collect::<Vec<_>>().join("|");
        groups.iter().map(|(name, members)| format!("{name}: {}", users(members))).collect()
    }

    #[test]
    fn a_line_is_a_group_and_its_users() {
        assert_eq!(groups("team: alice bob\nops:carol\n"), ["ops: carol", "team: alice|bob"]);
        assert_eq!(groups("\u{feff}  team :\talice  bob \r\n\r\n# ops: eve\r\n"), ["team: alice|bob"]);
        assert_eq!(groups("empty:\nthe team: alice"), ["empty: ", "the team: alice"]);
        assert_eq!(groups("# only a comment"), Vec::<String>::new());
        assert_eq!(groups("team:: alice"), ["team: alice"], "Apache passes over further colons");
    }

    #[test]
    fn a_group_with_several_lines_has_the_users_of_all() {
        assert_eq!(groups("team: alice\nteam: bob alice\n"), ["team: alice|bob"]);
    }

    #[test]
    fn quotes_are_those_of_apache() {
        for (words, users) in [
            (r#""carol x" bob"#, "bob|carol x"),
            (r"'carol x'", "carol x"),
            (r#""a"b"#, "a|b"),
            (r#"a"b c"#, "a\"b|c"),
            (r#""a\"b\\c\d""#, r#"a"b\c\d"#),
            (r#"'a"b\'c'"#, r#"a"b'c"#),
            (r#"a\\b c\"d"#, r#"a\b|c\"d"#),
            (r#""alice,""#, "alice,"),
        ] {
            assert_eq!(groups(&format!("team: {words}")), [format!("team: {users}")], "{words}");
        }
    }

    #[test]
    fn a_backslash_continues_a_line_and_a_comment() {
        assert_eq!(groups("team: alice \\\n  bob \\\r\n carol\nops: dave\n"), ["ops: dave", "team: alice|bob|carol"]);
        assert_eq!(groups("team: ali\\\nce"), ["team: alice"]);
        assert_eq!(groups("# no \\\nteam: alice\nops: dave"), ["ops: dave"]);
        assert_eq!(groups("team: alice \\"), ["team: alice"]);
    }

    #[test]
    fn lines_that_are_none_are_all_told() {
        let told = |file: &[u8]| Groups::parse(file).expect_err("a defect").to_string();
        assert_eq!(
            told(b"team alice\nteam: alice, bob\n: x\nok: \\\n 'x\nteam: a:b\n\xff: y\n"),
            "line 1: there is no colon; a line is GROUP: USER USER; \
             line 2: \"alice,\" ends with a comma: names are separated by spaces; \
             line 3: a group's name must not be empty, nor have a colon, a control character, or spaces around it; \
             line 4: a quote has no end; \
             line 6: \"a:b\": a user name must not contain a colon; \
             line 7: the line is not UTF-8"
        );
        assert_eq!(told(b" \n"), "the file of groups is empty; a line of it is GROUP: USER USER");
        assert!(told(b"\xff\xfet\0").contains("UTF-16"));
        let missing = Groups::load(Path::new("no/such/groups")).expect_err("no file").to_string();
        assert!(missing.starts_with("no/such/groups: the file of groups cannot be read: "), "{missing}");
    }
}
