//! `lockgate htpasswd FILE USER`: sets or deletes a password.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use lockgate_settings::{UTF16, is_utf16};
use zeroize::Zeroizing;

use super::output::say;
use crate::auth::{BCRYPT_MAX_PASSWORD, UserName, UserNameError, remove_user, replace_user};
use crate::files::{Notice, RewriteError, rewrite};

/// Set or delete a user's password in an htpasswd file
///
/// The password is asked for twice, or read with --stdin, and stored as a bcrypt hash that Apache and
/// nginx read as well. Comments, order and everything else in the file stay as they are. The file is
/// replaced at once, so that no reader sees half of it; a running Lockgate takes the change within two
/// seconds.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The htpasswd file; made, for your eyes only, if it does not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The user name
    #[arg(value_name = "USER")]
    user: String,

    /// Read the password from one line of standard input instead of asking for it
    #[arg(long, conflicts_with = "delete")]
    stdin: bool,

    /// Delete the user; refused from then on
    #[arg(long)]
    delete: bool,

    /// How much work one check of the password is: each step up doubles it
    ///
    /// 10 takes a twentieth of a second, which an attacker who stole the file pays for each guess and
    /// Lockgate pays once for each user. 14 is the most that Lockgate accepts unless it is configured
    /// otherwise; below 10 is for tests.
    #[arg(long, value_name = "4-14", default_value_t = DEFAULT_COST, conflicts_with = "delete",
          value_parser = clap::value_parser!(u32).range(4..=14))]
    cost: u32,
}

/// The bcrypt cost where nobody asks for another.
pub(super) const DEFAULT_COST: u32 = 10;

/// Why the file was not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The user name cannot stand in the file.
    #[error(transparent)]
    User(#[from] UserNameError),
    /// The password is empty.
    #[error("the password must not be empty")]
    EmptyPassword,
    /// The password is longer than bcrypt can see.
    #[error(
        "the password has {0} bytes; bcrypt looks at the first {BCRYPT_MAX_PASSWORD} only, so choose one that is not longer"
    )]
    LongPassword(usize),
    /// A client could not send the password.
    #[error("the password must not contain control characters")]
    ControlPassword,
    /// The second time was not the first.
    #[error("the two passwords differ; nothing was changed")]
    Mismatch,
    /// `--stdin` found no line.
    #[error("there is no password on standard input; nothing was changed")]
    NoInput,
    /// The password could not be read.
    #[error("the password cannot be read: {0} (without a terminal, use --stdin)")]
    Input(io::Error),
    /// The user to delete is not in the file.
    #[error("{} has no user {user}", path.display())]
    NoSuchUser {
        /// The file.
        path: PathBuf,
        /// The user.
        user: UserName,
    },
    /// The file was written on Windows, and a line in UTF-8 would not fit.
    #[error("{}: {UTF16}", .0.display())]
    Utf16(PathBuf),
    /// The password could not be hashed.
    #[error("the password cannot be hashed: {0}")]
    Hash(#[from] bcrypt::BcryptError),
    /// The file.
    #[error(transparent)]
    File(#[from] RewriteError),
}

/// Runs the command.
///
/// # Errors
/// Any [`Error`]; the file is then as it was.
pub(super) fn run(args: &Args) -> Result<(), Error> {
    let (done, notice) = if args.delete {
        ("deleted from", delete_user(&args.file, &args.user)?)
    } else {
        // A bad name should not cost the person two passwords.
        UserName::for_file(&args.user)?;
        let password = if args.stdin { read_password(io::stdin().lock())? } else { ask_password()? };
        ("set in", set_user(&args.file, &args.user, &password, args.cost)?)
    };
    say(format_args!("{}: {done} {}", args.user, args.file.display()));
    if let Some(notice) = notice {
        lockgate_settings::complain(format_args!("note: {notice}"));
    }
    Ok(())
}

/// Gives the user this password, making the file where there is none.
///
/// # Errors
/// Any [`Error`].
pub(super) fn set_user(path: &Path, user: &str, password: &str, cost: u32) -> Result<Option<Notice>, Error> {
    let user = UserName::for_file(user)?;
    check_password(password)?;
    let hash = bcrypt::hash_with_result(password, cost)?.format_for_version(bcrypt::Version::TwoY);
    rewrite(path, |old| Ok(replace_user(readable(path, old)?, &user, &hash)))
}

/// Takes the user out of the file.
///
/// # Errors
/// [`Error::NoSuchUser`] and those of the file.
pub(super) fn delete_user(path: &Path, user: &str) -> Result<Option<Notice>, Error> {
    let user: UserName = user.parse()?;
    let edit = |old: Option<&[u8]>| {
        let removed = remove_user(readable(path, old)?, &user);
        removed.ok_or_else(|| Error::NoSuchUser { path: path.to_owned(), user: user.clone() })
    };
    rewrite(path, edit)
}

/// The lines of a file, of which there are none where there is no file.
fn readable<'a>(path: &Path, file: Option<&'a [u8]>) -> Result<&'a [u8], Error> {
    match file.unwrap_or_default() {
        file if is_utf16(file) => Err(Error::Utf16(path.to_owned())),
        file => Ok(file),
    }
}

/// A password for someone who has none yet: 24 random characters, 120 bits, none of which looks like another.
pub(super) fn generate_password() -> String {
    /// 32, so that five bits choose one without bias. There is no i, l, o and u beside the digits.
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut random = Zeroizing::new([0; 24]);
    aws_lc_rs::rand::fill(random.as_mut_slice()).expect("the system's randomness does not fail once it is seeded");
    let characters: Vec<char> = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    characters.chunks(6).map(String::from_iter).collect::<Vec<_>>().join("-")
}

fn check_password(password: &str) -> Result<(), Error> {
    if password.is_empty() {
        return Err(Error::EmptyPassword);
    }
    if password.len() > BCRYPT_MAX_PASSWORD {
        return Err(Error::LongPassword(password.len()));
    }
    if password.contains(char::is_control) {
        return Err(Error::ControlPassword);
    }
    Ok(())
}

fn ask_password() -> Result<Zeroizing<String>, Error> {
    let ask = |prompt| rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(Error::Input);
    let password = ask("New password: ")?;
    // Not after the second time.
    check_password(&password)?;
    if *ask("The same again: ")? == *password { Ok(password) } else { Err(Error::Mismatch) }
}

/// One line, without its end.
///
/// # Errors
/// There is none, or it cannot be read.
pub(super) fn read_password(input: impl BufRead) -> Result<Zeroizing<String>, Error> {
    /// Enough to tell a password that is too long from one that is not.
    const MAX_LINE: u64 = 4096;
    let mut line = Zeroizing::new(String::with_capacity(MAX_LINE as usize));
    if input.take(MAX_LINE).read_line(&mut line).map_err(Error::Input)? == 0 {
        return Err(Error::NoInput);
    }
    let end = line.strip_suffix('\n').map_or(line.len(), |text| text.strip_suffix('\r').unwrap_or(text).len());
    line.truncate(end);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Credentials, Policy, Users, Verifier};
    use crate::config::Config;
    use clap::Parser as _;
    use std::fs;
    use std::net::Ipv4Addr;

    const CHEAP: u32 = 4;

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    async fn can_log_in(path: &Path, user: &str, password: &str) -> bool {
        let users = Users::load(path, &Policy::default()).unwrap();
        let verifier = Verifier::new(users, Config::default().auth.limits()).unwrap();
        let credentials = Credentials::new(user.parse().unwrap(), password).unwrap();
        verifier.verify(&credentials, Ipv4Addr::LOCALHOST.into()).await.is_ok()
    }

    #[tokio::test]
    async fn a_user_who_was_set_can_log_in_with_the_last_password_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users");
        set_user(&file, "alice", "first", CHEAP).unwrap();
        set_user(&file, "jürg", "été", CHEAP).unwrap();
        set_user(&file, "alice", "second", CHEAP).unwrap();
        assert!(can_log_in(&file, "alice", "second").await);
        assert!(!can_log_in(&file, "alice", "first").await);
        assert!(can_log_in(&file, "jürg", "été").await);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("alice:$2y$04$"), "Apache's spelling: {text}");
        assert_eq!(text.lines().count(), 2);
    }

    #[tokio::test]
    async fn a_user_who_was_deleted_cannot_log_in_even_as_the_last_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users");
        set_user(&file, "alice", "first", CHEAP).unwrap();
        delete_user(&file, "alice").unwrap();
        assert!(!can_log_in(&file, "alice", "first").await);
        let error = delete_user(&file, "alice").unwrap_err();
        assert!(error.to_string().ends_with("users has no user alice"), "{error}");
    }

    #[test]
    fn deleting_from_a_file_that_is_not_there_does_not_make_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users");
        assert!(matches!(delete_user(&file, "alice"), Err(Error::NoSuchUser { .. })));
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn a_password_of_72_bytes_is_taken_and_one_of_73_is_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users");
        let error = set_user(&file, "alice", &"x".repeat(73), CHEAP).unwrap_err();
        assert!(error.to_string().contains("bcrypt looks at the first 72 only"), "{error}");
        assert!(!file.exists());
        set_user(&file, "alice", &"x".repeat(72), CHEAP).unwrap();
        assert!(can_log_in(&file, "alice", &"x".repeat(72)).await);
    }

    #[test]
    fn what_no_client_could_send_or_no_file_could_hold_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users");
        assert!(matches!(set_user(&file, "alice", "", CHEAP), Err(Error::EmptyPassword)));
        assert!(matches!(set_user(&file, "alice", "a\tb", CHEAP), Err(Error::ControlPassword)));
        for name in ["", "a:b", "#alice", "a\nb", " alice", &"x".repeat(256)] {
            assert!(matches!(set_user(&file, name, "secret", CHEAP), Err(Error::User(_))), "{name:?}");
        }
        assert!(!file.exists());
    }

    #[test]
    fn a_password_on_standard_input_is_one_line_without_its_end() {
        let read = |input: &str| read_password(input.as_bytes()).map(|line| line.to_string());
        assert_eq!(read("secret\n").unwrap(), "secret");
        assert_eq!(read("secret\r\n").unwrap(), "secret");
        assert_eq!(read(" secret ").unwrap(), " secret ");
        assert_eq!(read("secret\nmore\n").unwrap(), "secret");
        assert_eq!(read("\n").unwrap(), "");
        assert!(matches!(read(""), Err(Error::NoInput)));
    }

    #[test]
    fn a_generated_password_is_long_unambiguous_and_never_the_same() {
        let passwords: std::collections::HashSet<_> = (0..100).map(|_| generate_password()).collect();
        assert_eq!(passwords.len(), 100);
        for password in passwords {
            let characters = password.replace('-', "");
            assert_eq!((characters.len(), password.len()), (24, 27));
            assert!(!characters.contains(['i', 'l', 'o', 'u']), "{password}");
            assert!(check_password(&password).is_ok());
        }
    }

    #[test]
    fn the_cost_is_bounded_and_a_deletion_takes_no_password() {
        let parse = |words: &[&str]| Command::try_parse_from([&["htpasswd", "users", "alice"], words].concat());
        assert_eq!(parse(&[]).unwrap().args.cost, DEFAULT_COST);
        assert_eq!(parse(&["--stdin", "--cost", "14"]).unwrap().args.cost, 14);
        for refused in [&["--cost", "15"][..], &["--cost", "3"], &["--delete", "--stdin"], &["--delete", "--cost", "9"]]
        {
            assert!(parse(refused).is_err(), "{refused:?}");
        }
    }
}
