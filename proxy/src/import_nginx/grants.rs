//! Who may do what, as `allow`, `deny`, `auth_basic`, `satisfy`, `limit_except` and the method in an `if` say it, written
//! as grants.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ipnet::IpNet;

use super::condition::METHODS;
use super::directive::Directive;
use super::networks::{Networks, Rule};
use super::site::{Level, effective};

/// The rights that each of [`METHODS`] needs.
const RIGHTS: [&str; 3] = ["pull", "push", "delete"];

/// Who is let in at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entrance {
    /// The file of those whose password is asked for, as it is written.
    users: Option<String>,
    /// An address that is allowed is enough.
    either: bool,
    /// `None` where there are too many.
    networks: Option<Networks>,
}

/// To whom something is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct To {
    /// Without a password, too.
    anyone: bool,
    /// From everywhere, where there are none.
    from: Option<Vec<IpNet>>,
}

/// Who may pull, push and delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grants {
    to: [Vec<To>; 3],
    /// nginx asked nobody at all for a password, and Lockgate asks everybody.
    pub(super) is_open: bool,
}

/// Why grants could not say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Inexpressible {
    #[error("these addresses come to more networks than a file of grants should have")]
    Networks,
    #[error("some methods of one right are let in otherwise than the others")]
    Methods,
    #[error("limit_except stands outside of the location of images")]
    Outside,
    #[error("readers and writers are users of two files")]
    Users,
    #[error("more is needed to read than to write, and who may push may pull")]
    Reading,
    #[error(
        "the address that counts is the balancer's to tell, and what it tells could not be carried over: Lockgate sees the balancer's own"
    )]
    Balancer,
}

impl Entrance {
    fn of(levels: &[Level<'_>]) -> Self {
        let value = |name: &str| effective(levels, name).last().map_or("", |directive| directive.arg(0));
        let rules = effective(levels, "allow");
        // An address of another form is a Unix socket's, and no client's of Lockgate.
        let rules: Vec<Rule> = rules.iter().filter_map(|d| Rule::parse(d.name == "allow", d.arg(0))).collect();
        let realm = value("auth_basic");
        Self {
            users: Some(value("auth_basic_user_file").to_owned())
                .filter(|users| !users.is_empty() && !matches!(realm, "" | "off")),
            either: value("satisfy") == "any",
            networks: Networks::of(&rules),
        }
    }

    fn to(&self, is_open: bool) -> Result<Vec<To>, Inexpressible> {
        let networks = self.networks.as_ref().ok_or(Inexpressible::Networks)?;
        let (asks, from) = (self.users.is_some() || is_open, networks.let_in());
        let mut to = vec![To { anyone: !asks, from }];
        if self.users.is_some() && self.either {
            to = vec![To { anyone: false, from: None }];
            if !networks.allowed.is_empty() {
                to.insert(0, To { anyone: true, from: Some(networks.allowed.clone()) });
            }
        }
        to.retain(|to| to.from.as_ref().is_none_or(|from| !from.is_empty()));
        Ok(to)
    }
}

impl To {
    /// Whether everybody of `other` is among these, in a way that is seen at a glance.
    fn holds(&self, other: &Self) -> bool {
        (self.anyone || !other.anyone) && (self.from.is_none() || self.from == other.from)
    }
}

impl Grants {
    /// Of the levels of a location, where requests of some methods are `refused`.
    pub(super) fn of<'a>(levels: &[Level<'a>], refused: [bool; 3], is_behind: bool) -> Result<Self, Inexpressible> {
        let outer = Entrance::of(levels);
        let mut entrances = [outer.clone(), outer.clone(), outer];
        let excepts = |level: &Level<'a>| level.iter().any(|directive| directive.name == "limit_except");
        if levels.iter().rev().skip(1).any(excepts) {
            return Err(Inexpressible::Outside);
        }
        for except in effective(levels, "limit_except") {
            let mut inner_levels = levels.to_vec();
            inner_levels.push(except.children().iter().collect());
            let inner = Entrance::of(&inner_levels);
            for (group, entrance) in METHODS.iter().zip(&mut entrances) {
                match group.iter().filter(|method| leaves_alone(except, method)).count() {
                    0 => *entrance = inner.clone(),
                    all if all == group.len() => {}
                    _ if *entrance == inner => {}
                    _ => return Err(Inexpressible::Methods),
                }
            }
        }
        let files: BTreeSet<&String> = entrances.iter().filter_map(|entrance| entrance.users.as_ref()).collect();
        if files.len() > 1 {
            return Err(Inexpressible::Users);
        }
        let is_open = files.is_empty();
        let mut to: [Vec<To>; 3] = Default::default();
        for (at, entrance) in entrances.iter().enumerate() {
            if !refused[at] {
                to[at] = entrance.to(is_open)?;
            }
        }
        let [pull, others @ ..] = &to;
        if !others.iter().flatten().all(|other| pull.iter().any(|pull| pull.holds(other))) {
            return Err(Inexpressible::Reading);
        }
        if is_behind && to.iter().flatten().any(|to| to.from.is_some()) {
            return Err(Inexpressible::Balancer);
        }
        Ok(Self { to, is_open })
    }

    /// Whether every user may do everything, and nobody else anything, which needs no file.
    pub(super) fn are_the_default(&self) -> bool {
        self.to.iter().all(|to| matches!(&to[..], [To { anyone: false, from: None }]))
    }

    /// Whether something is granted without a password.
    pub(super) fn need_tokens(&self) -> bool {
        self.to.iter().flatten().any(|to| to.anyone)
    }
}

/// As `auth.access` has them.
impl std::fmt::Display for Grants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut written: Vec<&To> = Vec::new();
        for to in self.to.iter().flatten() {
            if written.contains(&to) {
                continue;
            }
            written.push(to);
            let rights = RIGHTS.iter().zip(&self.to).filter(|(_, all)| all.contains(to));
            let rights: Vec<String> = rights.map(|(right, _)| format!("\"{right}\"")).collect();
            let who = if to.anyone { "anyone" } else { "authenticated" };
            writeln!(f, "[[grant]]\nrepositories = \"**\"\nto = \"{who}\"\nallow = [{}]", rights.join(", "))?;
            if let Some(from) = &to.from {
                let from: Vec<String> = from.iter().map(|network| format!("\"{network}\"")).collect();
                writeln!(f, "from = [{}]", from.join(", "))?;
            }
            f.write_char('\n')?;
        }
        Ok(())
    }
}

/// Whether a `limit_except` leaves a method alone. GET is HEAD, too.
fn leaves_alone(except: &Directive, method: &str) -> bool {
    except
        .args
        .iter()
        .any(|arg| arg.eq_ignore_ascii_case(method) || method == "HEAD" && arg.eq_ignore_ascii_case("GET"))
}
