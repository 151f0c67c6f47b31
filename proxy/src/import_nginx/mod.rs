//! `lockgate import-nginx`: the configuration of an nginx in front of a registry, written as Lockgate's.
//!
//! ```text
//! files  ── read, parse ──▶  Tree  ── site ──▶  the registry's server and location, and their levels
//!                                                   │ translate: each directive has an outcome
//!                                                   ▼
//!            lockgate.toml, access.toml, report  ◀── Draft, Grants
//! ```
//!
//! What may have kept people out and cannot be carried over makes `access.toml` a file without grants, with which
//! nobody gets in until a person has decided.

mod agents;
mod balancers;
mod condition;
mod directive;
mod draft;
mod grants;
mod headers;
mod known;
mod listening;
mod location;
mod networks;
mod origin;
mod parse;
mod read;
mod report;
mod site;
mod translate;
mod units;
mod written;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use lockgate_settings::Problems;

use draft::{Draft, Fate, Outcome};
use grants::Grants;
#[cfg(not(any(test, feature = "fuzzing")))]
use read::Tree;
use report::Report;
use site::{Level, Site, proxy_pass, redirects_to_https};
use translate::{Translation, translate};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use {directive::written, parse::parse, read::Tree};

/// What was made of a configuration of nginx's.
#[derive(Debug)]
pub(crate) struct Imported {
    /// `lockgate.toml`.
    pub(crate) config: String,
    /// `access.toml`, which the configuration names where there is one.
    pub(crate) access: Option<String>,
    /// Whether the configuration names `token.key`, which has to be made.
    pub(crate) needs_token_key: bool,
    /// Each directive, and what became of it.
    pub(crate) report: String,
    /// The lines of the report that a person has to read.
    pub(crate) grave: Vec<String>,
}

/// The file of grants beside `lockgate.toml`.
pub(crate) const ACCESS: &str = "access.toml";
/// The file of keys beside it.
pub(crate) const TOKEN_KEY: &str = "token.key";

/// More locations than these are not looked into.
const MAX_OTHERS: usize = 100;

/// Reads a configuration and writes it as Lockgate's, whose own files are to be in `dir`.
///
/// # Errors
/// The places where it is no configuration, or not one of a registry.
pub(crate) fn import(files: &[PathBuf], dir: &Path) -> Result<Imported, Problems> {
    import_tree(&Tree::read(files)?, dir)
}

/// The same of a configuration that is read already.
///
/// # Errors
/// As [`import`] has them.
pub(crate) fn import_tree(tree: &Tree, dir: &Path) -> Result<Imported, Problems> {
    let site = Site::find(tree)?;
    let levels = site.levels();
    let Translation { mut draft, refused, .. } = translate(tree, site.location, &levels)?;
    let speaks_proxy = listening::speaks_proxy(site.server);
    let is_behind = balancers::balancers(&levels, speaks_proxy, &mut draft);
    listening::listen(site.server, &mut draft);
    let grants = Grants::of(&levels, refused, is_behind);
    note_others(tree, &site, &mut draft, |levels, refused| Grants::of(levels, refused, is_behind) == grants);
    for server in site.http.iter().copied().filter(|server| redirects_to_https(server)) {
        let outcome = listening::redirect(server, &mut draft);
        draft.note(server, outcome);
    }
    let named = Outcome::new(Fate::Kept, "it is the registry's");
    site.around.iter().chain([&site.location, &site.server]).for_each(|block| draft.note(block, named.clone()));
    if is_behind {
        draft.take_back("limits.connections_per_address", "the balancer's own address would be all that is counted");
    }
    let is_closed = draft.is_undecided() || grants.is_err();
    let access = written::access(&mut draft, &grants, is_closed, dir);
    let report = Report::of(tree, &site, &draft, &grants);
    Ok(Imported {
        config: written::config(&draft, &report),
        needs_token_key: draft.keys.contains_key("auth.token_key"),
        access,
        grave: report.grave(),
        report: report.to_string(),
    })
}

/// Notes the other locations that answer for the registry: what they come to is the same, or cannot be carried over.
fn note_others<'a>(
    tree: &Tree,
    site: &Site<'a>,
    draft: &mut Draft<'a>,
    has_same_grants: impl Fn(&[Level<'a>], [bool; 3]) -> bool,
) {
    for (at, locations) in site.others().iter().enumerate() {
        let Some(location) = locations.last().copied() else { continue };
        let is_same = || {
            let levels = site.levels_of(locations);
            let is_same = |other: Translation<'a>| {
                let values = |draft: &Draft<'_>| {
                    ["upstream.url", "auth.htpasswd"].map(|key| draft.keys.get(key).map(|key| key.value.clone()))
                };
                !other.draft.is_undecided()
                    && values(&other.draft) == values(draft)
                    && has_same_grants(&levels, other.refused)
            };
            translate(tree, location, &levels).is_ok_and(is_same)
        };
        let outcome = if at < MAX_OTHERS && proxy_pass(location).is_some() && is_same() {
            Outcome::new(Fate::BuiltIn, "the same holds for it as for the location of images")
        } else {
            Outcome::new(
                Fate::Undecided,
                "it answered some paths of the registry in another way; Lockgate has one way for all",
            )
        };
        draft.note(location, outcome);
    }
}
