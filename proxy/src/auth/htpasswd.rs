//! The htpasswd file, as Apache's tool writes it and as nginx reads it.
//!
//! A line is `user:hash`, with anything after a second colon ignored. White space around a line
//! and CRLF are ignored, as are blank lines and lines that start with `#`.
//!
//! **Two kinds of trouble.** An entry whose hash is refused ([`HashError`]) closes the door to that
//! user and to nobody else: the rest of the file holds, with a [`Warning`]. A file that cannot be
//! what someone meant ([`Defect`]) is refused as a whole, so that a half-written file on disk leaves
//! the users in memory as they were. A file of nothing is such a file; one of comments only is not:
//! whoever comments out the last user wants everyone refused.
//!
//! **A user without a password.** Where `!` stands in the place of a hash there is a user whom no password lets in: an
//! owner of tokens for machines.
//!
//! **Duplicates.** Where a user has several lines the first one counts, even if it is refused, and
//! the later ones get a warning. Apache and nginx do the same. A file that served there opens to the
//! same passwords here, and no forgotten line further down comes to life.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str;

use lockgate_settings::{UTF16, is_utf16, read_bounded};

use crate::files::{Audience, Exposure};

use super::{HashError, Policy, StoredHash, UserName, UserNameError};

/// Some editors start a file with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Stands in the place of a hash that no password has.
const NO_PASSWORD: &str = "!";

/// The users of a file.
#[derive(Debug, Default)]
pub struct Users {
    hashes: HashMap<UserName, StoredHash>,
    without_password: BTreeSet<UserName>,
    warnings: Vec<Warning>,
}

/// Something in a file that otherwise holds. Lines are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// This user cannot log in. `lockgate check` reports it as a problem.
    #[error(
        "line {line}: user {user} cannot log in: {reason}; set the password again with `lockgate htpasswd FILE {user}`"
    )]
    Refused {
        /// The line of the entry.
        line: usize,
        /// The user.
        user: UserName,
        /// Why the hash is refused.
        reason: HashError,
    },
    /// The user has a line further up, which counts.
    #[error("line {line}: user {user} is already on line {first}, which counts; remove one of them")]
    Duplicate {
        /// The line that is ignored.
        line: usize,
        /// The user.
        user: UserName,
        /// The line that counts.
        first: usize,
    },
    /// Others on this machine may read the hashes, and try passwords on them at leisure.
    #[error("the file {0}")]
    Exposed(Exposure),
    /// Every line is a comment.
    #[error("there are only comments, so every login is refused")]
    Nobody,
}

/// Why a file gives no users at all.
#[derive(Debug, thiserror::Error)]
#[error("{}: {defect}", path.display())]
pub struct HtpasswdError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub defect: Defect,
}

/// Why a file as a whole is unusable.
#[derive(Debug, thiserror::Error)]
pub enum Defect {
    /// It is not there, or may not be read.
    #[error("the file cannot be read: {error}{}", cure(.0), error = .0)]
    Read(io::Error),
    /// It was written on Windows.
    #[error("{UTF16}")]
    Utf16,
    /// These lines are no entries, all that there are.
    #[error("{}", Joined(.0))]
    Lines(Vec<LineProblem>),
    /// There is nothing in it.
    #[error("the file is empty; add a user with `lockgate htpasswd FILE USER`")]
    Empty,
    /// Every entry is refused; the warnings say why.
    #[error("nobody can log in: {}", Joined(.0))]
    Nobody(Vec<Warning>),
}

/// A line that is no entry. Never quotes it: it may be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LineProblem {
    /// Counted from 1.
    pub line: usize,
    /// Why it is none.
    pub reason: LineError,
}

/// Why a line is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not UTF-8.
    #[error("the line is not UTF-8")]
    Utf8,
    /// Nothing separates a user from a hash.
    #[error("there is no colon; a line is USER:HASH")]
    Colon,
    /// No user name stands before the colon.
    #[error(transparent)]
    User(#[from] UserNameError),
}

/// An entry as it stands in the file.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) user: UserName,
    pub(super) hash: &'a str,
    /// The fields after a second colon, which Apache ignores and an edit keeps.
    pub(super) rest: Option<&'a str>,
}

impl Users {
    /// Reads a file.
    ///
    /// # Errors
    /// [`HtpasswdError`]: at start there is nothing to serve with; on a reload the users stay as they are.
    pub fn load(path: &Path, policy: &Policy) -> Result<Self, HtpasswdError> {
        let users = read_bounded(path).map_err(Defect::Read).and_then(|file| Self::parse(&file, policy));
        let mut users = users.map_err(|defect| HtpasswdError { path: path.to_owned(), defect })?;
        users.warnings.extend(Exposure::of(path, Audience::Group).map(Warning::Exposed));
        Ok(users)
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// Any [`Defect`] but [`Defect::Read`].
    pub fn parse(file: &[u8], policy: &Policy) -> Result<Self, Defect> {
        if is_utf16(file) {
            return Err(Defect::Utf16);
        }
        let (_, body) = split_byte_order_mark(file);
        if body.trim_ascii().is_empty() {
            return Err(Defect::Empty);
        }
        let mut reading = Reading::default();
        for (line, number) in body.split(|b| *b == b'\n').zip(1..) {
            reading.line(number, line, policy);
        }
        reading.finish()
    }

    /// Each user who can log in, in no order.
    pub(super) fn into_hashes(self) -> HashMap<UserName, StoredHash> {
        self.hashes
    }

    /// Each user who can log in or has no password, sorted.
    pub fn names(&self) -> Vec<UserName> {
        let mut names: Vec<_> = self.hashes.keys().chain(&self.without_password).cloned().collect();
        names.sort();
        names
    }

    /// Each user whom no password lets in, on purpose.
    pub fn without_password(&self) -> &BTreeSet<UserName> {
        &self.without_password
    }

    /// How many users can log in with a password.
    pub fn count(&self) -> usize {
        self.hashes.len()
    }

    /// Entries and states of the file that somebody should look at, in the order of the file.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

/// A file of which some lines are read.
#[derive(Default)]
struct Reading {
    users: Users,
    first_lines: HashMap<UserName, usize>,
    problems: Vec<LineProblem>,
}

impl Reading {
    fn line(&mut self, line: usize, text: &[u8], policy: &Policy) {
        match Entry::parse(text) {
            Ok(Some(entry)) => self.entry(line, &entry, policy),
            Ok(None) => {}
            Err(reason) => self.problems.push(LineProblem { line, reason }),
        }
    }

    fn entry(&mut self, line: usize, entry: &Entry<'_>, policy: &Policy) {
        let user = entry.user.clone();
        if let Some(&first) = self.first_lines.get(&user) {
            self.users.warnings.push(Warning::Duplicate { line, user, first });
            return;
        }
        self.first_lines.insert(user.clone(), line);
        if entry.hash == NO_PASSWORD {
            self.users.without_password.insert(user);
            return;
        }
        match StoredHash::parse(entry.hash, policy) {
            Ok(hash) => {
                self.users.hashes.insert(user, hash);
            }
            Err(reason) => self.users.warnings.push(Warning::Refused { line, user, reason }),
        }
    }

    fn finish(mut self) -> Result<Users, Defect> {
        if !self.problems.is_empty() {
            return Err(Defect::Lines(self.problems));
        }
        if self.first_lines.is_empty() {
            self.users.warnings.push(Warning::Nobody);
        } else if self.users.hashes.is_empty() && self.users.without_password.is_empty() {
            return Err(Defect::Nobody(self.users.warnings));
        }
        Ok(self.users)
    }
}

impl<'a> Entry<'a> {
    /// Reads a line, with or without its end. `None` is a blank line or a comment, which need not be UTF-8.
    pub(super) fn parse(line: &'a [u8]) -> Result<Option<Self>, LineError> {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(None);
        }
        let line = str::from_utf8(line).map_err(|_| LineError::Utf8)?;
        let (user, fields) = line.split_once(':').ok_or(LineError::Colon)?;
        let (hash, rest) = match fields.split_once(':') {
            Some((hash, rest)) => (hash, Some(rest)),
            None => (fields, None),
        };
        Ok(Some(Self { user: user.parse()?, hash, rest }))
    }
}

/// The byte order mark, or nothing, and the lines after it.
pub(super) fn split_byte_order_mark(file: &[u8]) -> (&[u8], &[u8]) {
    let body = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
    file.split_at(file.len() - body.len())
}

/// What to do about a file that cannot be read.
fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; a user is added with `lockgate htpasswd FILE USER`",
        io::ErrorKind::PermissionDenied => "; let the user that Lockgate runs as read it",
        _ => "",
    }
}

/// Everything that is wrong, on one line of a log.
struct Joined<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Joined<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{item}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Scheme;
    use proptest::prelude::*;

    const SHA: &str = "{SHA}NstYn3QVe0WBGmkMWLQ0CV9I6fo=";
    const APR1: &str = "$apr1$8Tr6mJg2$IOypGP1rjT6bRuXo1Xdg8.";
    const COST_31: &str = "$2y$31$UMwEmLIncZ2ZMtJ7MV2Y2O0SUm0eGwKAhlV54TaBIn5mH.Oudc6Ou";

    fn parse(file: &str) -> Result<Users, Defect> {
        Users::parse(file.as_bytes(), &Policy::default())
    }

    fn names(users: &Users) -> Vec<&str> {
        let mut names: Vec<_> = users.hashes.keys().map(UserName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn comments_blank_lines_crlf_and_a_third_field_are_read_as_apache_reads_them() {
        let file = format!(
            "\u{feff}alice:{SHA}\r\n\r\n# a comment: of mine\r\n#carol:{SHA}\r\n  bob:{APR1}:Bob Smith:x \t\r\njürg:{SHA}"
        );
        let users = parse(&file).unwrap();
        assert_eq!(names(&users), ["alice", "bob", "jürg"]);
        assert_eq!(users.warnings(), []);
        assert!(users.hashes["bob"].matches("correct-horse"));
    }

    #[test]
    fn a_comment_in_another_encoding_is_a_comment() {
        let file = [b"# f\xfcr alle\nalice:", SHA.as_bytes()].concat();
        assert!(Users::parse(&file, &Policy::default()).unwrap().hashes.contains_key("alice"));
    }

    #[test]
    fn a_refused_entry_is_named_with_its_line_and_leaves_the_others_alone() {
        let file = format!("nohash:\nalice:{SHA}\nplain:plain\ncost31:{COST_31}\nold:vNZvldonfPv4I\n");
        let users = parse(&file).unwrap();
        assert_eq!(names(&users), ["alice"]);
        let refused: Vec<_> = users
            .warnings()
            .iter()
            .map(|warning| match warning {
                Warning::Refused { line, user, reason } => (*line, user.as_str(), *reason),
                other => panic!("{other}"),
            })
            .collect();
        let expected = [
            (1, "nohash", HashError::Empty),
            (3, "plain", HashError::PlainText),
            (4, "cost31", HashError::BcryptCost { cost: 31, limit: 14 }),
            (5, "old", HashError::Des),
        ];
        assert_eq!(refused, expected);
    }

    #[test]
    fn a_user_without_a_password_is_one_whom_no_password_lets_in() {
        let users = parse(&format!("ci:!\r\nalice:{SHA}\nbot:!:Robot\nlocked:!{SHA}\nnight: !\n")).unwrap();
        assert_eq!(names(&users), ["alice"]);
        assert_eq!(users.without_password().iter().map(UserName::as_str).collect::<Vec<_>>(), ["bot", "ci"]);
        assert_eq!(users.names().iter().map(UserName::as_str).collect::<Vec<_>>(), ["alice", "bot", "ci"]);
        assert_eq!(users.warnings().len(), 2, "something else than ! is no way to write it");
        let users = parse("ci:!\n").unwrap();
        assert_eq!((users.count(), users.warnings()), (0, &[][..]), "tokens let in here, and nobody is missing");
    }

    #[test]
    fn the_first_of_two_lines_of_a_user_counts_and_the_second_is_named() {
        let users = parse(&format!("alice:{APR1}\nbob:{SHA}\nalice:{SHA}\n")).unwrap();
        assert_eq!(users.hashes["alice"].scheme(), Scheme::Apr1);
        let expected = Warning::Duplicate { line: 3, user: "alice".parse().unwrap(), first: 1 };
        assert_eq!(users.warnings(), [expected]);
    }

    #[test]
    fn a_refused_first_line_is_not_replaced_by_a_forgotten_one_further_down() {
        let users = parse(&format!("alice:plain\nbob:{SHA}\nalice:{SHA}\n")).unwrap();
        assert_eq!(names(&users), ["bob"]);
        assert_eq!(users.warnings().len(), 2);
    }

    #[test]
    fn every_line_that_is_no_entry_is_reported_at_once() {
        let file = [format!("alice:{SHA}\nno colon here\n:").as_bytes(), b"x\nj\xfcrg:x\na\x00b:x\n"].concat();
        let Err(Defect::Lines(problems)) = Users::parse(&file, &Policy::default()) else {
            panic!("the file was accepted")
        };
        let expected = [
            LineProblem { line: 2, reason: LineError::Colon },
            LineProblem { line: 3, reason: LineError::User(UserNameError::Empty) },
            LineProblem { line: 4, reason: LineError::Utf8 },
            LineProblem { line: 5, reason: LineError::User(UserNameError::Control) },
        ];
        assert_eq!(problems, expected);
        let text = Defect::Lines(problems).to_string();
        assert!(text.starts_with("line 2: there is no colon; a line is USER:HASH; line 3:"), "{text}");
        assert!(!text.contains('\n'));
    }

    #[test]
    fn a_file_of_nothing_or_of_refused_entries_only_gives_no_users() {
        for empty in ["", "\n\r\n", " \t", "\u{feff}"] {
            assert!(matches!(parse(empty), Err(Defect::Empty)), "{empty:?}");
        }
        let Err(Defect::Nobody(warnings)) = parse("alice:plain\n# bob\n") else { panic!("the file was accepted") };
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn a_file_of_comments_refuses_everyone_on_purpose() {
        let users = parse(&format!("#alice:{SHA}\n")).unwrap();
        assert!(users.hashes.is_empty());
        assert_eq!(users.warnings(), [Warning::Nobody]);
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let error = Users::load(&dir.path().join("users"), &Policy::default()).unwrap_err();
        assert!(matches!(error.defect, Defect::Read(_)));
        assert!(error.to_string().contains("users: the file cannot be read"), "{error}");
    }

    #[test]
    fn no_message_holds_what_may_be_a_password() {
        let error = parse("alice correct-horse\n").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("horse"));
        let users = parse(&format!("alice:correct-horse\nbob:{SHA}\n")).unwrap();
        assert!(!format!("{users:?} {}", users.warnings()[0]).contains("horse"));
        assert!(!format!("{users:?}").contains("NstYn3"));
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(file in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Users::parse(&file, &Policy::default());
        }

        #[test]
        fn users_that_are_written_are_read(
            users in proptest::collection::hash_set("[a-z][a-z0-9@._ -]{0,20}[a-z]", 1..20),
            ending in "(\r)?\n([ \t]*\r?\n|#[a-z:]*\n)?",
        ) {
            let file: String = users.iter().map(|user| format!("{user}:{SHA}{ending}")).collect();
            let read = parse(&file).unwrap();
            prop_assert_eq!(read.count(), users.len());
            prop_assert!(users.iter().all(|user| read.hashes.contains_key(user.as_str())));
        }
    }
}
