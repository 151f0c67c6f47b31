//! Lines of an htpasswd file, made by the tools that people make them with.

use crate::process::{finish, finish_with_input};
use crate::programs::tool;
use crate::secrets::{note_hash, note_password};

/// The schemes that `htpasswd` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `-B`, at its lowest cost: a test has many logins.
    Bcrypt,
    /// `-B -C 12`: what a careful site uses, and slow enough to be measured.
    BcryptOfCost12,
    /// `-m`, its default.
    Apr1,
    /// `-s`.
    Sha1,
    /// `-2`.
    Sha256Crypt,
    /// `-5`.
    Sha512Crypt,
    /// `-p`, refused.
    Plain,
    /// `-d`, refused.
    Des,
}

impl Scheme {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Bcrypt => &["-B", "-C", "4"],
            Self::BcryptOfCost12 => &["-B", "-C", "12"],
            Self::Apr1 => &["-m"],
            Self::Sha1 => &["-s"],
            Self::Sha256Crypt => &["-2"],
            Self::Sha512Crypt => &["-5"],
            Self::Plain => &["-p"],
            Self::Des => &["-d"],
        }
    }
}

/// `USER:HASH`, without a line end, by the real `htpasswd`.
///
/// # Panics
/// When it fails.
pub fn htpasswd_line(scheme: Scheme, user: &str, password: &str) -> String {
    let mut htpasswd = tool("htpasswd");
    let made = finish(htpasswd.arg("-nb").args(scheme.flags()).args([user, password])).success();
    noted(user, password, made.stdout.trim().to_owned())
}

/// `USER:HASH` by `openssl passwd`, which many a guide uses instead: `scheme` is `-apr1`, `-5` or `-6`.
///
/// # Panics
/// When it fails.
pub fn openssl_line(scheme: &str, user: &str, password: &str) -> String {
    let mut openssl = tool("openssl");
    let done = finish_with_input(openssl.args(["passwd", scheme, "-stdin"]), format!("{password}\n").as_bytes());
    noted(user, password, format!("{user}:{}", done.success().stdout.trim()))
}

fn noted(user: &str, password: &str, line: String) -> String {
    note_password(user, password);
    note_hash(&line);
    line
}
