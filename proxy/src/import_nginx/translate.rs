//! Each directive that holds for the registry, and what becomes of it.

use std::collections::HashMap;

use lockgate_settings::Problem;
use toml::Value;

use super::agents::Agents;
use super::condition::{Condition, ends_request};
use super::directive::Directive;
use super::draft::{Draft, Fate, Outcome};
use super::headers;
use super::known::known;
use super::location::{PATHS, pattern};
use super::networks::Rule;
use super::origin;
use super::read::Tree;
use super::site::{Level, group};
use super::units::{period, size};

/// Directives of which an inner one does not put an outer one away.
const CUMULATIVE: &[&str] = &[
    "break",
    "geo",
    "if",
    "include",
    "limit_req_zone",
    "limit_conn_zone",
    "listen",
    "location",
    "log_format",
    "map",
    "return",
    "rewrite",
    "server",
    "set",
    "upstream",
];

/// What the levels of one location come to.
#[derive(Debug)]
pub(super) struct Translation<'a> {
    pub(super) draft: Draft<'a>,
    /// Methods that an `if` refuses, as in `METHODS`.
    pub(super) refused: [bool; 3],
    agents: Agents,
    /// The zones of `limit_conn` whose connections are counted by the client's address.
    zones: Vec<&'a str>,
}

/// Translates what holds for `location`, whose levels these are.
///
/// # Errors
/// What nothing can be made of.
pub(super) fn translate<'a>(
    tree: &Tree,
    location: &'a Directive,
    levels: &[Level<'a>],
) -> Result<Translation<'a>, Problem> {
    let zones =
        levels[0].iter().filter(|directive| directive.name == "limit_conn_zone").filter_map(|d| zone_by_address(d));
    let mut all =
        Translation { draft: Draft::default(), refused: [false; 3], agents: Agents::default(), zones: zones.collect() };
    for (depth, level) in levels.iter().enumerate() {
        // Of several levels the innermost stays.
        let inner: HashMap<&str, &Directive> =
            levels[depth + 1..].iter().flatten().map(|d| (group(&d.name), *d)).collect();
        for directive in level.iter().copied() {
            let name = directive.name.as_str();
            let outcome = match inner.get(group(name)) {
                Some(inner) if !CUMULATIVE.contains(&name) => {
                    Outcome::new(Fate::Dropped, format!("{} says otherwise for the registry", inner.place))
                }
                _ if all.draft.outcome(directive).is_some() => continue,
                _ if name == "proxy_pass" => origin::proxy_pass(directive, location, levels, &mut all.draft)?,
                _ => all.directive(tree, directive),
            };
            all.draft.note(directive, outcome);
        }
    }
    Ok(all)
}

/// A protection that cannot be carried over.
fn undecided(text: &str) -> Outcome {
    Outcome::new(Fate::Undecided, text)
}

impl<'a> Translation<'a> {
    fn directive(&mut self, tree: &Tree, directive: &'a Directive) -> Outcome {
        let arg = directive.arg(0);
        match directive.name.as_str() {
            "ssl_certificate" => self.file(tree, directive, "tls.certificate"),
            "ssl_certificate_key" => self.file(tree, directive, "tls.key"),
            "ssl_password_file" => {
                Outcome::new(Fate::Different, "tls.key has to be without a passphrase: openssl pkey removes it")
            }
            "ssl_protocols" => self.versions(directive),
            "ssl_verify_client" if arg == "off" => Outcome::new(Fate::BuiltIn, "no certificate is asked for"),
            "ssl_verify_client" => undecided("clients had to show a certificate, which Lockgate does not ask for"),
            "auth_basic" if arg == "off" => Outcome::new(
                Fate::Different,
                "Lockgate asks for a password itself, which nginx did not here: where the registry asks by itself, name its users' file in auth.htpasswd and set upstream.forward_authorization = true",
            ),
            "auth_basic" if arg.contains('$') => {
                Outcome::new(Fate::Different, "everybody is asked for a password, whatever the variable says")
            }
            "auth_basic" => self.draft.set(directive, "auth.realm", arg),
            "auth_basic_user_file" => self.file(tree, directive, "auth.htpasswd"),
            "allow" | "deny" if directive.arg(0).starts_with("unix:") => {
                Outcome::new(Fate::Dropped, "clients come by TCP alone")
            }
            "allow" | "deny" if Rule::parse(true, arg).is_none() => undecided("it is neither an address nor a network"),
            "limit_except" => {
                for inner in directive.children() {
                    let outcome = self.directive(tree, inner);
                    self.draft.note(inner, outcome);
                }
                Outcome::new(Fate::Kept, "in the grants of auth.access")
            }
            "allow" | "deny" | "satisfy" => {
                Outcome::new(Fate::Kept, "in the grants of auth.access, or what Lockgate does without them")
            }
            "if" => self.condition(directive),
            "proxy_pass" => undecided("requests of some methods went to another place"),
            "rewrite" => rewrite(directive),
            "return" => undecided("it answers requests of the registry by itself"),
            "proxy_read_timeout" => self.time(directive, "upstream.read_timeout"),
            "proxy_send_timeout" => self.time(directive, "upstream.write_timeout"),
            "proxy_connect_timeout" => self.time(directive, "upstream.connect_timeout"),
            "keepalive_timeout" => self.time(directive, "limits.idle_timeout"),
            "client_body_timeout" => self.time(directive, "limits.body_timeout"),
            "client_header_timeout" => self.time(directive, "limits.header_timeout"),
            "ssl_handshake_timeout" => self.time(directive, "limits.handshake_timeout"),
            "send_timeout" => self.time(directive, "limits.send_timeout"),
            "large_client_header_buffers" => self.header_size(directive),
            "limit_conn" => self.connections(directive),
            "access_log" if arg == "off" => self.draft.set(directive, "log.access", false),
            "resolver" => match directive.args.iter().find_map(|arg| arg.strip_prefix("valid=")).and_then(period) {
                Some(period) => self.draft.set(directive, "upstream.resolve_interval", period),
                None => Outcome::new(Fate::BuiltIn, "names are resolved by the system, again and again"),
            },
            "proxy_set_header" => headers::of_requests(directive, &mut self.draft),
            "add_header" | "more_set_headers" => headers::of_answers(directive, &mut self.draft),
            "client_max_body_size" if size(arg) != Some(0) => {
                Outcome::new(Fate::Weaker, "a body has no limit: who may push may push what is larger")
            }
            name if name.ends_with("_by_lua") || name.ends_with("_by_lua_file") => undecided("it is a program"),
            name if name.starts_with("auth_") && known(name).is_none() => {
                if arg == "off" {
                    Outcome::new(Fate::BuiltIn, "it is off")
                } else {
                    undecided("something else than users and addresses said who may come in")
                }
            }
            name => known(name)
                .unwrap_or_else(|| undecided("this directive is not understood, and may have protected something")),
        }
    }

    /// A path; one that depends on variables, or that nginx takes for something else, is none.
    fn file(&mut self, tree: &Tree, directive: &'a Directive, key: &'static str) -> Outcome {
        let path = directive.arg(0);
        if path.contains('$') || path.starts_with("data:") || path.starts_with("engine:") || path.starts_with("store:")
        {
            return Outcome::new(Fate::Different, format!("{key} has to be the path of a file: write it yourself"));
        }
        match self.draft.keys.get(key) {
            // Two pairs at one level are for two kinds of keys; two files of users are not carried over.
            Some(first) => Outcome::new(Fate::Dropped, format!("{key} is {}, and one is enough", first.value)),
            None => self.draft.set(directive, key, tree.path(path).display().to_string()),
        }
    }

    fn versions(&mut self, directive: &Directive) -> Outcome {
        let versions = [("TLSv1.2", "1.2"), ("TLSv1.3", "1.3")];
        let versions = versions.iter().filter(|(theirs, _)| directive.args.iter().any(|arg| arg == theirs));
        let versions: Vec<Value> = versions.map(|(_, ours)| Value::from(*ours)).collect();
        self.draft.set(directive, "tls.versions", versions)
    }

    fn time(&mut self, directive: &Directive, key: &'static str) -> Outcome {
        match period(directive.arg(0)) {
            Some(period) => self.draft.set(directive, key, period),
            None => {
                Outcome::new(Fate::Different, format!("{key} keeps its default: this is no time from 1ms to a year"))
            }
        }
    }

    fn header_size(&mut self, directive: &Directive) -> Outcome {
        let all = directive
            .arg(0)
            .parse()
            .ok()
            .zip(size(directive.arg(1)))
            .and_then(|(n, each): (u64, u64)| n.checked_mul(each));
        match all {
            Some(all) if all % 1024 == 0 => {
                self.draft.set(directive, "limits.header_size", format!("{}KiB", all / 1024))
            }
            Some(all) => self.draft.set(directive, "limits.header_size", format!("{all}B")),
            None => Outcome::new(Fate::Different, "limits.header_size keeps its default: this is no size"),
        }
    }

    /// The same by address, where idle connections count as well. A zone with another key counts something else.
    fn connections(&mut self, directive: &Directive) -> Outcome {
        match directive.arg(1).parse::<i64>() {
            Ok(most) if most > 0 && self.zones.contains(&directive.arg(0)) => {
                let outcome = self.draft.set(directive, "limits.connections_per_address", most);
                Outcome { text: outcome.text + ", in which idle connections count as well", ..outcome }
            }
            _ => Outcome::new(
                Fate::Weaker,
                "connections are counted by the client's address alone (limits.connections_per_address)",
            ),
        }
    }

    fn condition(&mut self, directive: &'a Directive) -> Outcome {
        if !ends_request(directive) {
            return Outcome::new(Fate::Dropped, "it sets something, which counts where it is used");
        }
        match Condition::of(directive) {
            Condition::BuiltIn(why) => Outcome::new(Fate::BuiltIn, why),
            Condition::OldDocker => self.agents.refuse_old_docker(directive, &mut self.draft),
            Condition::Methods(refused) => {
                (0..3).for_each(|at| self.refused[at] |= refused[at]);
                Outcome::new(Fate::Kept, "in the grants of auth.access")
            }
            Condition::Agents { pattern, matches } => self.agents.refuse(directive, pattern, matches, &mut self.draft),
            Condition::Options => Outcome::new(Fate::Different, "a preflight of a browser's is answered with 405"),
            Condition::Host => {
                Outcome::new(Fate::Weaker, "any Host is answered; who knew the name came in before, too")
            }
            Condition::Unknown => undecided("it ended requests by what Lockgate does not look at"),
        }
    }
}

/// The name of a zone whose key is the client's address.
fn zone_by_address(directive: &Directive) -> Option<&str> {
    let is_address = matches!(directive.arg(0), "$binary_remote_addr" | "$remote_addr");
    let zone = directive.arg(1).strip_prefix("zone=")?;
    is_address.then_some(zone.split(':').next().unwrap_or(zone))
}

/// Whether another path is asked for where a client asks for one of a registry.
fn rewrite(directive: &Directive) -> Outcome {
    match pattern(directive.arg(0), false) {
        Some(pattern) if !PATHS.iter().any(|path| pattern.is_match(path)) => {
            Outcome::new(Fate::Dropped, "it concerns no path of a registry")
        }
        _ => undecided("it may have led requests elsewhere; Lockgate keeps every path as it is"),
    }
}
