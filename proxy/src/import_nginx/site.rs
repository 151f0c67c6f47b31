//! Which server and location of a configuration are the registry's.

use std::collections::HashSet;

use lockgate_settings::{Problem, Problems};

use super::directive::Directive;
use super::location::{PATHS, chain, may_concern_registry, spelling};
use super::read::Tree;

/// The directives that hold for the registry, and the levels at which they stand.
#[derive(Debug)]
pub(super) struct Site<'a> {
    /// What stands in `http`, or outside of every block: a file of conf.d has no `http`.
    pub(super) http: Vec<&'a Directive>,
    pub(super) server: &'a Directive,
    /// The location of images.
    pub(super) location: &'a Directive,
    /// The locations around it, from the outermost.
    pub(super) around: Vec<&'a Directive>,
}

/// A level of directives: those of a block.
pub(super) type Level<'a> = Vec<&'a Directive>;

impl<'a> Site<'a> {
    /// The only server that proxies images; of several the one that names `/v2/`, and of those the one with TLS.
    ///
    /// # Errors
    /// There is none, or several.
    pub(super) fn find(tree: &'a Tree) -> Result<Self, Problems> {
        let outside = tree.directives.iter().flat_map(|directive| match directive.name.as_str() {
            "http" => directive.children().iter().collect(),
            _ => vec![directive],
        });
        let http: Vec<&Directive> = outside.collect();
        let servers: Vec<&Directive> = http.iter().copied().filter(|directive| directive.name == "server").collect();
        let mut found: Vec<(u8, &Directive, Vec<&Directive>)> = Vec::new();
        for server in servers.iter().copied() {
            let locations = chain(server.children(), PATHS[0]);
            let returns = server.children().iter().any(|directive| directive.name == "return");
            let proxies = locations.last().is_some_and(|location| proxy_pass(location).is_some());
            if proxies && !returns {
                let names_registry = locations.iter().any(|location| spelling(location).1.contains("v2"));
                found.push((u8::from(names_registry) * 2 + u8::from(has_tls(server)), server, locations));
            }
        }
        let best = found.iter().map(|(rank, ..)| *rank).max().unwrap_or_default();
        found.retain(|(rank, ..)| *rank == best);
        match &found[..] {
            [(_, server, locations)] => {
                let (location, around) = locations.split_last().expect("its last one proxies");
                Ok(Self { http, server, location, around: around.to_vec() })
            }
            [] => Err(nothing_found(tree, &servers).into()),
            several => Err(several.iter().map(|(_, server, _)| ambiguous(server)).collect()),
        }
    }

    /// The levels from the outermost to the innermost.
    pub(super) fn levels(&self) -> Vec<Level<'a>> {
        self.levels_of(&self.locations())
    }

    fn locations(&self) -> Vec<&'a Directive> {
        [&self.around[..], &[self.location]].concat()
    }

    /// The levels of these locations, one in the other.
    pub(super) fn levels_of(&self, locations: &[&'a Directive]) -> Vec<Level<'a>> {
        let inner = std::iter::once(self.server).chain(locations.iter().copied());
        let mut levels = vec![self.http.clone()];
        levels.extend(inner.map(|block| block.children().iter().collect::<Level<'a>>()));
        levels
    }

    /// The other locations of the server that may answer for the registry, each with those around it before it.
    pub(super) fn others(&self) -> Vec<Vec<&'a Directive>> {
        let mut others: Vec<Vec<&Directive>> = PATHS.iter().map(|path| chain(self.server.children(), path)).collect();
        self.concerning(self.server.children(), &[], &mut others);
        let mut seen = HashSet::from([std::ptr::from_ref(self.location)]);
        others.retain(|locations| locations.last().is_some_and(|last| seen.insert(*last)));
        others
    }

    fn concerning(&self, level: &'a [Directive], around: &[&'a Directive], found: &mut Vec<Vec<&'a Directive>>) {
        for location in level.iter().filter(|directive| directive.name == "location") {
            let all = [around, &[location]].concat();
            // One around the location of images answers no path of a registry but those it was found for.
            let is_around = self.locations().iter().any(|chosen| std::ptr::eq(*chosen, location));
            if !is_around && may_concern_registry(location) {
                found.push(all.clone());
            }
            self.concerning(location.children(), &all, found);
        }
    }
}

/// Where a location passes requests to, unless it answers them all by itself.
pub(super) fn proxy_pass(location: &Directive) -> Option<&Directive> {
    let has = |name: &str| location.children().iter().find(|directive| directive.name == name);
    if has("return").is_some() || has("internal").is_some() { None } else { has("proxy_pass") }
}

/// Whether a server leads all of its clients, or those of one path, to https.
pub(super) fn redirects_to_https(server: &Directive) -> bool {
    let leads = |directive: &Directive| {
        ["return", "rewrite"].contains(&directive.name.as_str())
            && directive.args.iter().any(|arg| arg.starts_with("https://"))
    };
    let is_location = |directive: &&Directive| directive.name == "location";
    let in_locations = || server.children().iter().filter(is_location).flat_map(Directive::children);
    server.name == "server" && server.children().iter().chain(in_locations()).any(leads)
}

/// Whether a server speaks TLS.
pub(super) fn has_tls(server: &Directive) -> bool {
    server.children().iter().any(|directive| match directive.name.as_str() {
        "listen" => directive.args.iter().any(|word| word == "ssl"),
        "ssl" => directive.arg(0) == "on",
        _ => false,
    })
}

/// The name under which nginx inherits a directive: rules of `allow` and `deny` are one list.
pub(super) fn group(name: &str) -> &str {
    if name == "deny" { "allow" } else { name }
}

/// The directives of this group that hold at the innermost of these levels, as nginx inherits them.
pub(super) fn effective<'a>(levels: &[Level<'a>], name: &str) -> Level<'a> {
    let is_named = |directive: &&&Directive| group(&directive.name) == name;
    let innermost = levels.iter().rev().find(|level| level.iter().any(|directive| is_named(&directive)));
    innermost.map(|level| level.iter().filter(is_named).copied().collect()).unwrap_or_default()
}

/// `listen ... server_name ...` of a server, for a person who looks for it.
pub(super) fn title(server: &Directive) -> String {
    let names =
        server.children().iter().filter(|directive| matches!(directive.name.as_str(), "listen" | "server_name"));
    let names: Vec<String> = names.map(ToString::to_string).collect();
    if names.is_empty() { "server".to_owned() } else { format!("server with {}", names.join(", ")) }
}

fn ambiguous(server: &Directive) -> Problem {
    server.place.problem(format!(
        "this {} may be the registry's, and so may another: import a copy of the configuration with the registry's alone",
        title(server)
    ))
}

fn nothing_found(tree: &Tree, servers: &[&Directive]) -> Problem {
    let file = tree.files.first().map_or(std::path::Path::new("nginx.conf"), |file| file.as_path());
    let looked_at: Vec<String> = servers.iter().map(|server| format!("{}: {}", server.place, title(server))).collect();
    let looked_at = if looked_at.is_empty() { "no server at all".to_owned() } else { looked_at.join("; ") };
    Problem::in_file(file, format!("no server passes {} to a registry by proxy_pass: there is {looked_at}", PATHS[0]))
}
