//! `lockgate token-key FILE`: makes the keys that tokens are signed with, and changes them.

use std::io;
use std::path::{Path, PathBuf};

use super::output::say;
use crate::auth::{KeyFileDefect, add_key, new_key_file, promote_last_key};
use crate::files::{Notice, PRIVATE, RewriteError, create, rewrite};

/// Make the key that tokens are signed with, or change it
///
/// FILE is what auth.token_key names, on every gate that takes the tokens of the others. The first key in it signs, and
/// all of them verify. To change it without ending a token: --add a key and give the file to every gate; a few seconds
/// later --promote it and give the file to every gate again; after auth.token_lifetime remove the old key's line.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file of keys; made, for your eyes only. One that exists is never overwritten
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Append a new key, which verifies and does not sign yet
    #[arg(long, conflicts_with = "promote")]
    add: bool,

    /// Move the last key to the front, where it signs
    #[arg(long)]
    promote: bool,
}

/// Why the file was not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// There is a file.
    #[error("{} exists, and is kept: --add appends a key to it", .0.display())]
    Exists(PathBuf),
    /// There is no file to change.
    #[error("{file} is not there: make it with `lockgate token-key {file}`", file = .0.display())]
    Missing(PathBuf),
    /// There is something else in it.
    #[error("{}: {defect}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The reason.
        defect: KeyFileDefect,
    },
    /// The file could not be made.
    #[error("{} cannot be written: {source}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file could not be changed.
    #[error(transparent)]
    File(#[from] RewriteError),
}

/// Runs the command.
///
/// # Errors
/// Any [`Error`]; the file is then as it was.
pub(super) fn run(args: &Args) -> Result<(), Error> {
    let (done, notice) = if args.add {
        ("a key was added, which does not sign yet", edit(&args.file, add_key)?)
    } else if args.promote {
        ("the last key is the first now, and signs", edit(&args.file, promote_last_key)?)
    } else {
        make(&args.file)?;
        ("made, with one key", None)
    };
    say(format_args!("{}: {done}", args.file.display()));
    if let Some(notice) = notice {
        lockgate_settings::complain(format_args!("note: {notice}"));
    }
    Ok(())
}

/// Makes a file with one key.
///
/// # Errors
/// [`Error::Exists`] and [`Error::Create`].
pub(super) fn make(path: &Path) -> Result<(), Error> {
    create(path, &new_key_file(), PRIVATE).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(path.to_owned()),
        _ => Error::Create { path: path.to_owned(), source },
    })
}

fn edit(path: &Path, edit: impl FnOnce(&[u8]) -> Result<Vec<u8>, KeyFileDefect>) -> Result<Option<Notice>, Error> {
    rewrite(path, |old| {
        let old = old.ok_or_else(|| Error::Missing(path.to_owned()))?;
        edit(old).map_err(|defect| Error::Content { path: path.to_owned(), defect })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::TokenKeys;
    use clap::Parser as _;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn run_with(file: &Path, words: &[&str]) -> Result<(), Error> {
        let file = file.to_str().unwrap();
        run(&Command::try_parse_from([&["token-key", file], words].concat()).unwrap().args)
    }

    #[test]
    fn a_key_file_is_made_once_and_for_its_owner_s_eyes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token.key");
        run_with(&file, &[]).unwrap();
        let made = fs::read(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let error = run_with(&file, &[]).unwrap_err();
        assert!(error.to_string().ends_with("token.key exists, and is kept: --add appends a key to it"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), made);
        assert_eq!(TokenKeys::load(&file).unwrap().count(), 1);
    }

    #[test]
    fn a_key_is_added_behind_the_others_and_promoted_before_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token.key");
        assert!(matches!(run_with(&file, &["--add"]), Err(Error::Missing(_))));
        assert!(!file.exists());
        run_with(&file, &[]).unwrap();
        assert!(matches!(run_with(&file, &["--promote"]), Err(Error::Content { .. })), "there is one key only");
        let keys = || -> Vec<_> {
            let file = fs::read_to_string(&file).unwrap();
            file.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        };
        let first = keys();
        run_with(&file, &["--add"]).unwrap();
        let added = keys();
        assert_eq!((added.len(), &added[0]), (2, &first[0]));
        run_with(&file, &["--promote"]).unwrap();
        assert_eq!(keys(), [added[1].clone(), added[0].clone()]);
        assert!(Command::try_parse_from(["token-key", "file", "--add", "--promote"]).is_err());
    }

    #[test]
    fn a_file_of_something_else_is_left_alone_and_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("htpasswd");
        fs::write(&file, "alice:correct-horse\n").unwrap();
        let error = run_with(&file, &["--add"]).unwrap_err().to_string();
        assert!(error.contains("line 1 is no key") && !error.contains("horse"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "alice:correct-horse\n");
    }
}
