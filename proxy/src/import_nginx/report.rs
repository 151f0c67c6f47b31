//! The report: each directive, what became of it, and why.

use std::fmt;

use super::directive::{Directive, on_one_line};
use super::draft::{Draft, Fate, Outcome};
use super::grants::{Grants, Inexpressible};
use super::read::Tree;
use super::site::{Site, title};

/// What is told of one directive, or of the whole.
#[derive(Debug)]
struct Line<'a> {
    /// `None`: of what is not there.
    directive: Option<&'a Directive>,
    outcome: Outcome,
}

/// What became of a configuration.
#[derive(Debug)]
pub(super) struct Report<'a> {
    files: Vec<String>,
    registry: String,
    /// What is told of no directive.
    notes: Vec<Line<'a>>,
    lines: Vec<Line<'a>>,
}

impl<'a> Report<'a> {
    pub(super) fn of(
        tree: &'a Tree,
        site: &Site<'a>,
        draft: &Draft<'a>,
        grants: &Result<Grants, Inexpressible>,
    ) -> Self {
        let mut report = Self {
            files: tree.files.iter().map(|file| file.display().to_string()).collect(),
            registry: format!(
                "{} ({}), {} ({})",
                title(site.server),
                site.server.place,
                site.location,
                site.location.place
            ),
            notes: notes(tree, draft, grants).into_iter().map(|outcome| Line { directive: None, outcome }).collect(),
            lines: Vec::new(),
        };
        let outside = Outcome::new(Fate::Elsewhere, "it is not the registry's");
        report.walk(&tree.directives, draft, &outside);
        report
    }

    /// One line for each, and for what stands in its block; what was not noted has the fate of what it stands in.
    fn walk(&mut self, directives: &'a [Directive], draft: &Draft<'a>, around: &Outcome) {
        for directive in directives {
            let outcome = draft.outcome(directive).unwrap_or(around).clone();
            let place = &directive.place;
            // What has to be read is told once.
            let fate = if outcome.fate >= Fate::Different { Fate::Elsewhere } else { outcome.fate };
            let inside = match directive.name.as_str() {
                "http" => around.clone(),
                name => Outcome::new(fate, format!("part of the {name} at {place}")),
            };
            self.lines.push(Line { directive: Some(directive), outcome });
            if !directive.is_data() {
                self.walk(directive.children(), draft, &inside);
            }
        }
    }

    /// The lines that a person has to read, the gravest first.
    pub(super) fn grave(&self) -> Vec<String> {
        let mut grave: Vec<&Line<'_>> =
            self.notes.iter().chain(&self.lines).filter(|line| line.outcome.fate >= Fate::Different).collect();
        grave.sort_by_key(|line| std::cmp::Reverse(line.outcome.fate));
        grave.iter().map(|line| line.told()).collect()
    }
}

impl Line<'_> {
    fn told(&self) -> String {
        format!("{}: {}", self.outcome.fate.word(), self)
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(directive) = self.directive {
            write!(f, "{}: {directive}: ", on_one_line(&directive.place.to_string()))?;
        }
        f.write_str(&on_one_line(&self.outcome.text))
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "What became of an nginx configuration, by lockgate import-nginx.\n")?;
        writeln!(f, "files     {}", self.files.join(", "))?;
        writeln!(f, "registry  {}\n", self.registry)?;
        let grave = self.grave();
        if grave.is_empty() {
            writeln!(f, "Nothing needs a decision of yours.\n")?;
        } else {
            writeln!(f, "To be read before it is started:\n")?;
            grave.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
            writeln!(f)?;
        }
        let notes = self.notes.iter().filter(|line| line.outcome.fate < Fate::Different);
        notes.map(|line| &line.outcome.text).try_for_each(|line| writeln!(f, "{line}\n"))?;
        writeln!(f, "Every directive:\n")?;
        self.lines.iter().try_for_each(|line| writeln!(f, "  {:<15} {line}", line.outcome.fate.word()))
    }
}

/// What is different by what nginx's configuration does not say.
fn notes(tree: &Tree, draft: &Draft<'_>, grants: &Result<Grants, Inexpressible>) -> Vec<Outcome> {
    let mut notes = Vec::new();
    match grants {
        Err(why) => notes.push(Outcome::new(Fate::Undecided, format!("allow, deny, satisfy, limit_except: {why}; access.toml grants nothing until you write what is meant"))),
        Ok(grants) if grants.is_open => notes.push(Outcome::new(Fate::Different, "nginx asked nobody for a password, and Lockgate asks everybody: lockgate htpasswd adds users to the file that auth.htpasswd names, conf/htpasswd by default")),
        Ok(grants) if grants.need_tokens() => notes.push(Outcome::new(Fate::Different, "some may do something without a password, as with nginx: access.toml says who and what")),
        Ok(_) => {}
    }
    if !tree.directives.iter().any(|directive| directive.name == "http") {
        let text = "no http block was read: where nginx.conf has rules around this file, as allow and deny, import that instead";
        notes.push(Outcome::new(Fate::Different, text));
    }
    if !draft.keys.contains_key("tls.certificate") {
        notes.push(Outcome::new(
            Fate::Different,
            "nginx had no certificate: lockgate certs makes one, in certs/ by default",
        ));
    }
    if !draft.keys.contains_key("tls.hsts") {
        notes.push(Outcome::new(Fate::Dropped, "Browsers are told to use https alone with this host name (Strict-Transport-Security), unless tls.hsts = \"0s\"."));
    }
    if !draft.keys.contains_key("upstream.forward_authorization") {
        notes.push(Outcome::new(Fate::Dropped, "nginx passed passwords on to the registry, and Lockgate does not: where the registry asks for the same ones, set\nupstream.forward_authorization = true."));
    }
    notes
}
