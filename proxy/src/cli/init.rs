//! `lockgate init`: makes what a registry needs and is not there yet: certificate, first user, and key of tokens.

use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use super::certs::{self, SubjectName};
use super::htpasswd as users;
use super::output::{say, show};
use super::token_key;
use crate::tls::KeyPairFiles;

/// The first user's name.
const FIRST_USER: &str = "admin";

/// Make the certificate, the first user and the key of tokens that are missing, and nothing else.
///
/// What exists is never touched. The first user's password is printed once and kept nowhere but as a
/// hash.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where certs/, conf/htpasswd and conf/token.key are, or are made.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// A further host name or IP address for the certificate; localhost is always in it. Repeatable.
    #[arg(long = "name", value_name = "HOST|IP", value_delimiter = ',')]
    names: Vec<SubjectName>,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    make_missing(plain(&args.dir), &args.names)
}

/// A directory as its files are named below it: without a leading `./`.
pub(super) fn plain(dir: &Path) -> &Path {
    dir.strip_prefix(".").unwrap_or(dir)
}

/// The certificate and key below `dir`.
pub(super) fn key_pair(dir: &Path) -> KeyPairFiles {
    let certs = dir.join("certs");
    KeyPairFiles { certificate: certs.join("domain.crt"), key: certs.join("domain.key") }
}

/// The users' file below `dir`.
pub(super) fn htpasswd(dir: &Path) -> PathBuf {
    dir.join("conf").join("htpasswd")
}

/// The file of keys below `dir` that tokens are signed with.
pub(super) fn token_key(dir: &Path) -> PathBuf {
    dir.join("conf").join("token.key")
}

/// Makes certificate, first user and key of tokens below `dir`, and says on standard output what was made.
pub(super) fn make_missing(dir: &Path, names: &[SubjectName]) -> Result<(), Error> {
    make_certificate(&dir.join("certs"), names)?;
    make_first_user(&htpasswd(dir))?;
    make_token_key(&token_key(dir))
}

fn make_certificate(dir: &Path, names: &[SubjectName]) -> Result<(), Error> {
    let mut all = certs::local_names();
    for name in names {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    say(certs::make(dir, &all, certs::DEFAULT_DAYS).map_err(boxed)?);
    Ok(())
}

fn make_first_user(file: &Path) -> Result<(), Error> {
    if file.exists() {
        say(format_args!("users        {} (kept)", file.display()));
        return Ok(());
    }
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).map_err(|error| unwritable(parent, &error))?;
    }
    let password = users::generate_password();
    // First: a password that nobody has read must not be in the file, where it would never be made again.
    show(format_args!(
        "\nThe first user; this password is shown once and kept nowhere:\n  user:     {FIRST_USER}\n  password: {password}\n"
    ))
    .map_err(unshown)?;
    users::set_user(file, FIRST_USER, &password, users::DEFAULT_COST).map_err(boxed)?;
    say(format_args!("users        {} (made now)", file.display()));
    Ok(())
}

fn make_token_key(file: &Path) -> Result<(), Error> {
    let made = match token_key::make(file) {
        Ok(()) => "made now",
        Err(token_key::Error::Exists(_)) => "kept",
        Err(error) => return Err(boxed(error)),
    };
    say(format_args!("token key    {} ({made})", file.display()));
    Ok(())
}

fn unshown(error: io::Error) -> Error {
    Error::Command(
        format!("cannot show the first user's password on standard output ({error}); no user is made").into(),
    )
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::Command(format!("cannot make {}: {error}", path.display()).into())
}

fn boxed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Command(Box::new(error))
}
