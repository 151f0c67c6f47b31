//! The file of machine tokens: a line each, its fields separated by tabs.
//!
//! ```text
//! id  sha256:...  owner  2027-02-27T12:00:00Z | never  pull,push  team/app,base/*  10.0.0.0/8 | -  note
//! ```
//!
//! The hash is that of the token's text, as `sha256sum` computes it: 160 random bits need no costly one. Blank lines and
//! lines that start with `#` are none. A file of nothing has no tokens: who empties it wants them gone at once.

use std::collections::HashMap;
use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str;
use std::sync::Arc;
use std::time::SystemTime;

use lockgate_oci::DigestError;
use lockgate_settings::{UTF16, is_utf16, read_bounded};

use super::{MachineSecret, TokenHash, TokenId, TokenIdError};
use crate::address_range::{AddressRange, AddressRangeError};
use crate::auth::{UserName, UserNameError};
use crate::files::{Audience, Exposure};
use crate::rights::{Narrowing, Pattern, PatternError, RightError, Rights};

/// The word for a token without an end.
pub(crate) const NEVER: &str = "never";
/// Stands where a token is good from everywhere.
const EVERYWHERE: &str = "-";
/// The first line of a new file.
const HEAD: &str =
    "# Tokens for machines: id, SHA-256, owner, end, allow, repositories, from, note. Made by `lockgate token`.\n";

/// A token that a machine shows as its owner's password. It narrows what the owner may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineToken {
    /// What names it.
    pub id: TokenId,
    /// Whose it is.
    pub owner: UserName,
    /// When it ends; `None` is never.
    pub expires: Option<SystemTime>,
    /// What it leaves of its owner's rights.
    pub narrowing: Narrowing,
    /// From where it may be used; from everywhere, where there is none.
    pub from: Vec<AddressRange>,
    /// What it is for.
    pub note: Box<str>,
    /// What is kept of its text.
    pub hash: TokenHash,
}

/// The tokens of a file.
#[derive(Debug, Default)]
pub struct MachineTokens {
    tokens: HashMap<TokenId, Arc<MachineToken>>,
    exposure: Option<Exposure>,
}

/// Why a file gives no tokens.
#[derive(Debug, thiserror::Error)]
#[error("{}: {defect}", path.display())]
pub struct MachineTokensError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub defect: MachineTokensDefect,
}

/// Why a file of tokens is unusable.
#[derive(Debug, thiserror::Error)]
pub enum MachineTokensDefect {
    /// It is not there, or may not be read.
    #[error("the file cannot be read: {error}{}", cure(.0), error = .0)]
    Read(io::Error),
    /// It was written on Windows.
    #[error("{UTF16}")]
    Utf16,
    /// A line is no token.
    #[error("line {line}: {reason}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// Why it is none.
        reason: TokenLineError,
    },
}

/// Why a line is no token. Never quotes a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenLineError {
    /// Not UTF-8.
    #[error("the line is not UTF-8")]
    Utf8,
    /// Other than eight fields.
    #[error(
        "a token is eight fields separated by tabs: id, SHA-256, owner, end, allow, repositories, from, note; make tokens \
         with `lockgate token create`"
    )]
    Fields,
    /// The first field.
    #[error(transparent)]
    Id(#[from] TokenIdError),
    /// Two lines name one token.
    #[error("the id {0} is that of a line above; remove one of them")]
    Duplicate(TokenId),
    /// The second field.
    #[error(transparent)]
    Hash(#[from] DigestError),
    /// The third field.
    #[error(transparent)]
    Owner(#[from] UserNameError),
    /// The fourth field.
    #[error("{0:?} is no end: write it in UTC as in 2027-02-27T12:00:00Z, or never")]
    Expires(String),
    /// The fifth field.
    #[error(transparent)]
    Allow(#[from] RightError),
    /// The sixth field.
    #[error(transparent)]
    Repositories(#[from] PatternError),
    /// The seventh field.
    #[error("{0:?}: {1}")]
    From(String, AddressRangeError),
}

impl MachineTokens {
    /// Reads a file.
    ///
    /// # Errors
    /// [`MachineTokensError`]: the tokens stay as they are.
    pub fn load(path: &Path) -> Result<Self, MachineTokensError> {
        let tokens = read_bounded(path).map_err(MachineTokensDefect::Read).and_then(|file| Self::parse(&file));
        let tokens = tokens.map_err(|defect| MachineTokensError { path: path.to_owned(), defect })?;
        Ok(Self { exposure: Exposure::of(path, Audience::Group), ..tokens })
    }

    /// Reads the content of a file.
    ///
    /// # Errors
    /// Any [`MachineTokensDefect`] but [`MachineTokensDefect::Read`].
    pub fn parse(file: &[u8]) -> Result<Self, MachineTokensDefect> {
        if is_utf16(file) {
            return Err(MachineTokensDefect::Utf16);
        }
        let mut tokens = HashMap::new();
        for (line, text) in (1..).zip(file.split(|byte| *byte == b'\n')) {
            let problem = |reason| MachineTokensDefect::Line { line, reason };
            if let Some(token) = MachineToken::parse(text).map_err(problem)? {
                let id = token.id;
                if tokens.insert(id, Arc::new(token)).is_some() {
                    return Err(problem(TokenLineError::Duplicate(id)));
                }
            }
        }
        Ok(Self { tokens, exposure: None })
    }

    /// The token that was shown, if it is this user's and may be used from this address now. What is wrong about
    /// it, nobody is told.
    pub fn find(
        &self,
        secret: &MachineSecret,
        user: &UserName,
        address: IpAddr,
        now: SystemTime,
    ) -> Option<Arc<MachineToken>> {
        let token = self.tokens.get(&secret.id())?;
        let found = secret.is_kept_as(&token.hash) && token.owner == *user && token.admits(address, now);
        found.then(|| Arc::clone(token))
    }

    /// The token of this name, however long ago it ended.
    pub fn by_id(&self, id: &str) -> Option<&Arc<MachineToken>> {
        self.tokens.get(&id.parse::<TokenId>().ok()?)
    }

    /// Each of them, sorted by owner, and then by end.
    pub fn sorted(&self) -> Vec<&Arc<MachineToken>> {
        let mut tokens: Vec<_> = self.tokens.values().collect();
        tokens.sort_by_key(|token| (&token.owner, token.expires.is_none(), token.expires, token.id));
        tokens
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.tokens.len()
    }

    /// That others on this machine may read who has which token.
    pub fn exposure(&self) -> Option<&Exposure> {
        self.exposure.as_ref()
    }
}

impl MachineTokensError {
    /// Whether there is no such file, as before the first token is made.
    pub fn is_missing(&self) -> bool {
        matches!(&self.defect, MachineTokensDefect::Read(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl MachineToken {
    /// Whether it may be used from this address now. A session that was made of it asks again at each use.
    pub fn admits(&self, address: IpAddr, now: SystemTime) -> bool {
        let from = self.from.is_empty() || self.from.iter().any(|range| range.holds(address));
        from && !self.has_ended(now)
    }

    /// Whether its end is past.
    pub fn has_ended(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// What the sessions that are made of it depend on.
    pub fn credential(&self) -> &[u8] {
        self.hash.as_bytes()
    }

    /// Its end, as it is written.
    pub fn end(&self) -> String {
        self.expires.map_or(NEVER.to_owned(), |end| humantime::format_rfc3339_seconds(end).to_string())
    }

    /// Its line, without the line's end.
    fn line(&self) -> String {
        let from = if self.from.is_empty() { EVERYWHERE.to_owned() } else { joined(&self.from) };
        [
            self.id.to_string(),
            self.hash.written().to_string(),
            self.owner.to_string(),
            self.end(),
            self.narrowing.rights.to_string(),
            joined(&self.narrowing.repositories),
            from,
            self.note.to_string(),
        ]
        .join("\t")
    }

    /// Reads a line. `None` is a blank line or a comment, which need not be UTF-8.
    fn parse(line: &[u8]) -> Result<Option<Self>, TokenLineError> {
        // A tab at the end is an empty note.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() || line.starts_with(b"#") {
            return Ok(None);
        }
        let line = str::from_utf8(line).map_err(|_| TokenLineError::Utf8)?;
        let fields: Vec<_> = line.split('\t').collect();
        let [id, hash, owner, expires, allow, repositories, from, note] = fields[..] else {
            return Err(TokenLineError::Fields);
        };
        let list = |text: &str| text.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>();
        let rights = list(allow).iter().map(|word| word.parse::<Rights>()).collect::<Result<_, _>>()?;
        let repositories = list(repositories).iter().map(|text| text.parse::<Pattern>()).collect::<Result<_, _>>()?;
        let range = |text: &String| text.parse().map_err(|error| TokenLineError::From(text.clone(), error));
        let from =
            if from == EVERYWHERE { Vec::new() } else { list(from).iter().map(range).collect::<Result<_, _>>()? };
        Ok(Some(Self {
            id: id.parse()?,
            owner: owner.parse()?,
            expires: end_of(expires).ok_or_else(|| TokenLineError::Expires(expires.to_owned()))?,
            narrowing: Narrowing { repositories, rights },
            from,
            note: note.into(),
            hash: hash.parse()?,
        }))
    }
}

/// `Some(None)` is never.
fn end_of(text: &str) -> Option<Option<SystemTime>> {
    if text == NEVER { Some(None) } else { humantime::parse_rfc3339(text).ok().map(Some) }
}

fn joined(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// What to do about a file that cannot be read.
fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; `lockgate token create` makes it, and an empty file has none: that revokes all",
        io::ErrorKind::PermissionDenied => "; let the user that Lockgate runs as read it",
        _ => "",
    }
}

/// The file with one more token.
pub(crate) fn add_token(file: &[u8], token: &MachineToken) -> Vec<u8> {
    let head = if file.trim_ascii().is_empty() { HEAD } else { "" };
    let separator = if file.is_empty() || file.ends_with(b"\n") { "" } else { "\n" };
    [file, separator.as_bytes(), head.as_bytes(), token.line().as_bytes(), b"\n"].concat()
}

/// The file without this token, or `None` where it is not in it. A file without a token has a comment left.
pub(crate) fn remove_token(file: &[u8], id: TokenId) -> Option<Vec<u8>> {
    let field = format!("{id}\t");
    let (gone, kept): (Vec<_>, Vec<_>) =
        file.split_inclusive(|byte| *byte == b'\n').partition(|line| line.starts_with(field.as_bytes()));
    let kept = kept.concat();
    let head = if kept.trim_ascii().is_empty() { HEAD } else { "" };
    (!gone.is_empty()).then(|| [kept.as_slice(), head.as_bytes()].concat())
}

#[cfg(test)]
mod tests;
