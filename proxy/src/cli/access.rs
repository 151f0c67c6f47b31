//! `lockgate access`: who may do what.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use lockgate_oci::RepositoryName;
use lockgate_settings::{Configuration as _, Problem, Problems, complain};

use super::Error;
use super::output::say;
use crate::access::{Access, Holder, Place, Question};
use crate::auth::{UserName, UserNameError, Users};
use crate::config::{Auth, Config};
use crate::rights::Right;

/// Tell whether the grants of auth.access let somebody do something, by which grant, or why not.
///
/// The first word is yes or no, and the exit code 0 or 1. What is left open, the tag or the client's address, is meant
/// as every one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "conf/lockgate.toml")]
    config: PathBuf,
    /// Who: a user's name, or `anyone` or `-` for who has not logged in.
    #[arg(value_name = "USER", required_unless_present = "who", conflicts_with = "who")]
    user: Option<Caller>,
    /// What: pull, create, push or delete.
    #[arg(value_name = "ACTION", required_unless_present = "who", conflicts_with = "who")]
    action: Option<Right>,
    /// Where.
    #[arg(value_name = "REPOSITORY[:TAG]", required_unless_present = "who", conflicts_with = "who")]
    place: Option<Place>,
    /// The client's address, where grants say `from`.
    #[arg(long, value_name = "IP", conflicts_with = "who")]
    address: Option<IpAddr>,
    /// Instead, list everybody who may do something in this repository, with the grant.
    #[arg(long, value_name = "REPOSITORY")]
    who: Option<RepositoryName>,
}

/// Who would ask.
#[derive(Debug, Clone)]
struct Caller(Option<UserName>);

impl FromStr for Caller {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<Self, UserNameError> {
        Ok(Self(if matches!(text, "-" | "anyone") { None } else { Some(text.parse()?) }))
    }
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let config = Config::load(&args.config)?;
    let auth = &config.auth;
    let access = load(&args.config, auth)?;
    let now = SystemTime::now();
    match (&args.who, &args.user, args.action, &args.place) {
        (Some(repository), ..) => {
            who(access.as_ref(), repository, &users(auth), now);
            Ok(())
        }
        (None, Some(Caller(user)), Some(right), Some(Place { repository, tag })) => {
            let question =
                Question { user: user.as_ref(), right, repository, tag: tag.as_ref(), address: args.address, now };
            if let Some(user) = user.as_ref().filter(|user| !users(auth).contains(*user)) {
                complain(format_args!("warning: there is no user {user}, or one who cannot log in"));
            }
            answer(access.as_ref(), question)
        }
        _ => unreachable!("clap asks for all three, or for --who"),
    }
}

fn answer(access: Option<&Access>, asked: Question<'_>) -> Result<(), Error> {
    let Question { user, right, repository, tag, .. } = asked;
    let who = user.map_or("anyone", UserName::as_str);
    let place = tag.map_or_else(|| repository.to_string(), |tag| format!("{repository}:{tag}"));
    let what = format!("{who} {right} {place}");
    let Some(access) = access else {
        if user.is_some() {
            say(format_args!("yes: without auth.access every user may do everything"));
            return Ok(());
        }
        say(format_args!("no: without auth.access nobody may do anything without a password"));
        return Err(Error::No);
    };
    let answer = access.grants.answer(asked);
    if let Some(grant) = answer.gives() {
        say(format_args!("yes: {grant} lets {what}"));
        return Ok(());
    }
    say(format_args!("no: no grant lets {what}"));
    answer.reasons().for_each(|reason| say(format_args!("    {reason}")));
    Err(Error::No)
}

fn who(access: Option<&Access>, repository: &RepositoryName, users: &BTreeSet<UserName>, now: SystemTime) {
    let Some(access) = access else {
        say(format_args!("authenticated  all  without auth.access every user may do everything"));
        return;
    };
    let named = users.iter().chain(access.grants.users()).cloned().collect();
    let holders = access.grants.holders(repository, &named, now);
    let row = |holder: &Holder<'_>| {
        let Holder { who, user, grant } = holder;
        let unknown = if user.is_some_and(|user| !users.contains(user)) { " (no such user)" } else { "" };
        [format!("{who}{unknown}"), grant.rights.to_string(), grant.to_string(), holder.bounds()]
    };
    let rows: Vec<_> = holders.iter().map(row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2)];
    for [who, rights, grant, bounds] in &rows {
        let [a, b, c] = widths;
        say(format!("{who:a$}  {rights:b$}  {grant:c$}  {bounds}").trim_end());
    }
    if rows.is_empty() {
        say(format_args!("nobody may do anything in {repository}"));
    }
}

fn load(file: &Path, auth: &Auth) -> Result<Option<Access>, Error> {
    let Some(access) = &auth.access else { return Ok(None) };
    let problem = |message: &dyn Display| Problem {
        key: "auth.access".to_owned(),
        ..Problem::in_file(file, message.to_string())
    };
    match Access::load(access, auth.groups.as_deref()) {
        Ok(access) => Ok(Some(access)),
        Err(error) => Err(Error::Config(error.problems().iter().map(|message| problem(message)).collect::<Problems>())),
    }
}

/// The users who can log in; nobody, where their file is not usable: `lockgate check` says why.
fn users(auth: &Auth) -> BTreeSet<UserName> {
    Users::load(&auth.htpasswd, &auth.policy()).map(|users| users.names().into_iter().collect()).unwrap_or_default()
}
