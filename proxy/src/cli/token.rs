//! `lockgate token`: makes, lists and revokes tokens for machines.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use clap::Subcommand;
use lockgate_settings::Configuration as _;
use zeroize::Zeroizing;

use super::Error as CommandError;
use super::output::{say, show};
use crate::address_range::AddressRange;
use crate::auth::{
    HtpasswdError, MachineSecret, MachineToken, MachineTokens, MachineTokensError, NEVER, TokenId, UserName, Users,
    add_token, remove_token,
};
use crate::config::Config;
use crate::files::{Notice, RewriteError, rewrite};
use crate::rights::{Narrowing, Pattern, Rights};

/// Make, list and revoke tokens for machines
///
/// A token is a password for its owner, for a job that should not have the owner's own: it is good for some
/// repositories and actions, from some networks, until its end. It takes from its owner's rights and adds none.
/// A running Lockgate takes each change within two seconds.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make a token, and print it on standard output, once
///
/// The file that auth.tokens names keeps a hash of it. The token is given to a client as the owner's password.
#[derive(Debug, clap::Args)]
struct Create {
    #[command(flatten)]
    config: ConfigFile,

    /// The owner, a user of the htpasswd file; one without a password is the line `NAME:!`
    #[arg(long = "for", value_name = "USER")]
    owner: UserName,

    /// The repositories it is good for, as in team/app or team/**; several are separated by commas
    #[arg(long, value_name = "PATTERN", value_delimiter = ',', required = true)]
    repositories: Vec<Pattern>,

    /// What it may do there: pull, create, push, delete, all; several are separated by commas
    #[arg(long, value_name = "ACTION", value_delimiter = ',', required = true)]
    allow: Vec<Rights>,

    /// How long it is good, as in 90d or 12h, or never
    #[arg(long, value_name = "TIME")]
    expires: Lifetime,

    /// The networks or addresses it is good from, as in 10.0.0.0/8; from everywhere by default
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    from: Vec<AddressRange>,

    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = note)]
    note: String,
}

/// List the tokens, without what only their holders know
#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    config: ConfigFile,
}

/// Revoke a token; it is refused from then on, and so are the sessions that were made of it
#[derive(Debug, clap::Args)]
struct Revoke {
    #[command(flatten)]
    config: ConfigFile,

    /// The token's id: the part between the underscores of lkg_ID_...
    #[arg(value_name = "ID")]
    id: TokenId,
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(long = "config", value_name = "FILE", default_value = "conf/lockgate.toml")]
    path: PathBuf,
}

/// How long a token is good; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lifetime(Option<Duration>);

/// A text is no [`Lifetime`].
#[derive(Debug, thiserror::Error)]
#[error("write how long as in 90d or 12h, at most ten years; or {NEVER}")]
struct LifetimeError;

/// Why the tokens were not changed or shown.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{} names no file of tokens: set `tokens = \"conf/tokens\"` below [auth]", .0.display())]
    NoFile(PathBuf),
    #[error(transparent)]
    Users(#[from] HtpasswdError),
    #[error(
        "{} has no user {owner}; a user without a password is the line `{owner}:!`", htpasswd.display()
    )]
    NoSuchUser { htpasswd: PathBuf, owner: UserName },
    #[error("{0}: write the owner's name out, where ${{user}} stands")]
    Variable(Pattern),
    #[error(transparent)]
    Tokens(#[from] MachineTokensError),
    #[error("{} has no token {id}", path.display())]
    NoSuchToken { path: PathBuf, id: TokenId },
    #[error("cannot show the token on standard output ({0}); no token is made")]
    Unshown(io::Error),
    #[error(transparent)]
    File(#[from] RewriteError),
}

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let ConfigFile { path } = match &args.command {
        Command::Create(Create { config, .. })
        | Command::List(List { config })
        | Command::Revoke(Revoke { config, .. }) => config,
    };
    let config = Config::load(path)?;
    let done = match &config.auth.tokens {
        None => Err(Error::NoFile(path.clone())),
        Some(tokens) => match &args.command {
            Command::Create(create) => make(create, &config, tokens),
            Command::List(_) => list(tokens),
            Command::Revoke(revoke) => remove(tokens, revoke.id).map(|notice| {
                say(format_args!("{}: revoked", revoke.id));
                complain_of(notice);
            }),
        },
    };
    done.map_err(|error| CommandError::Command(Box::new(error)))
}

fn make(args: &Create, config: &Config, tokens: &Path) -> Result<(), Error> {
    let htpasswd = &config.auth.htpasswd;
    if !Users::load(htpasswd, &config.auth.policy())?.names().contains(&args.owner) {
        return Err(Error::NoSuchUser { htpasswd: htpasswd.clone(), owner: args.owner.clone() });
    }
    let (token, text, notice) = create(args, tokens, SystemTime::now())?;
    if let Err(error) = show(&*text) {
        // One that nobody has read would stay in the file for nothing.
        remove(tokens, token.id)?;
        return Err(Error::Unshown(error));
    }
    lockgate_settings::complain(format_args!(
        "token {}: a password for {}, until {}; it is shown this once",
        token.id,
        token.owner,
        token.end(),
    ));
    complain_of(notice);
    Ok(())
}

/// Adds a token to the file, made where there is none, and gives its text.
fn create(
    args: &Create,
    path: &Path,
    now: SystemTime,
) -> Result<(MachineToken, Zeroizing<String>, Option<Notice>), Error> {
    if let Some(pattern) = args.repositories.iter().find(|pattern| pattern.names_user()) {
        return Err(Error::Variable(pattern.clone()));
    }
    let (secret, text) = MachineSecret::generate();
    let token = MachineToken {
        id: secret.id(),
        owner: args.owner.clone(),
        expires: args.expires.0.map(|lifetime| now + lifetime),
        narrowing: Narrowing { repositories: args.repositories.clone(), rights: args.allow.iter().copied().collect() },
        from: args.from.clone(),
        note: args.note.as_str().into(),
        hash: secret.hash(),
    };
    let notice = rewrite(path, |old| {
        let added = add_token(old.unwrap_or_default(), &token);
        // A file in which something is wrong already would be refused by whoever runs with it.
        let problem = |defect| Error::Tokens(MachineTokensError { path: path.to_owned(), defect });
        MachineTokens::parse(&added).map(|_| added).map_err(problem)
    })?;
    Ok((token, text, notice))
}

fn list(path: &Path) -> Result<(), Error> {
    let tokens = match MachineTokens::load(path) {
        Err(error) if error.is_missing() => MachineTokens::default(),
        tokens => tokens?,
    };
    for line in table(&tokens, SystemTime::now()) {
        say(line);
    }
    Ok(())
}

/// A line a token, in columns.
fn table(tokens: &MachineTokens, now: SystemTime) -> Vec<String> {
    const HEAD: [&str; 7] = ["ID", "OWNER", "END", "ALLOW", "REPOSITORIES", "FROM", "NOTE"];
    let row = |token: &MachineToken| {
        let ended = if token.has_ended(now) { " (ended)" } else { "" };
        let words = |items: Vec<String>| if items.is_empty() { "-".to_owned() } else { items.join(",") };
        [
            token.id.to_string(),
            token.owner.to_string(),
            token.end() + ended,
            token.narrowing.rights.to_string(),
            words(token.narrowing.repositories.iter().map(ToString::to_string).collect()),
            words(token.from.iter().map(ToString::to_string).collect()),
            token.note.to_string(),
        ]
    };
    let rows: Vec<_> =
        [HEAD.map(str::to_owned)].into_iter().chain(tokens.sorted().iter().map(|token| row(token))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 7] = std::array::from_fn(width);
    let line = |row: &[String; 7]| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn remove(path: &Path, id: TokenId) -> Result<Option<Notice>, Error> {
    rewrite(path, |old| {
        let removed = remove_token(old.unwrap_or_default(), id);
        removed.ok_or_else(|| Error::NoSuchToken { path: path.to_owned(), id })
    })
}

fn complain_of(notice: Option<Notice>) {
    if let Some(notice) = notice {
        lockgate_settings::complain(format_args!("note: {notice}"));
    }
}

/// A line of the file holds it, and so does a terminal.
fn note(text: &str) -> Result<String, &'static str> {
    const MOST: usize = 200;
    if text.contains(char::is_control) {
        Err("a note has no control characters")
    } else if text.len() > MOST {
        Err("a note has at most 200 bytes")
    } else {
        Ok(text.to_owned())
    }
}

impl FromStr for Lifetime {
    type Err = LifetimeError;

    fn from_str(text: &str) -> Result<Self, LifetimeError> {
        /// Ten years: any clock can be added to it.
        const MOST: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
        if text == NEVER {
            return Ok(Self(None));
        }
        let lifetime = humantime::parse_duration(text).map_err(|_| LifetimeError)?;
        let fits = (Duration::from_secs(1)..=MOST).contains(&lifetime);
        if fits { Ok(Self(Some(lifetime))) } else { Err(LifetimeError) }
    }
}

#[cfg(test)]
mod tests;
