//! Settings out of the environment: `<PREFIX>_<SECTION>_<KEY>`.

use crate::problem::{At, Origin, Problem, Problems};
use crate::tree::{Content, Entry, Node, Step};

/// The beginning of the names of a program's variables, before an underscore.
#[derive(Debug, Clone, Copy)]
pub struct Prefix {
    own: &'static str,
    others: &'static [&'static str],
}

/// The variables of this process that are heeded, and a problem for each with the prefix that is not UTF-8.
pub(crate) fn of_this_process(prefix: Prefix, heeded: impl Fn(&str) -> bool) -> (Vec<(String, String)>, Problems) {
    let mut problems = Problems::default();
    let mut readable = Vec::new();
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if !heeded(&name) {
            continue;
        }
        match value.into_string() {
            Ok(value) => readable.push((name, value)),
            Err(_) if !prefix.owns(&name) => {}
            Err(_) => problems.push(problem(&name, "the value is not UTF-8")),
        }
    }
    (readable, problems)
}

fn problem(variable: &str, message: impl Into<String>) -> Problem {
    Problem { origin: Origin::Variable(variable.to_owned()), key: String::new(), message: message.into() }
}

impl Prefix {
    /// Every variable that begins so is the program's, and an unknown one is a mistake.
    pub const fn new(own: &'static str) -> Self {
        Self { own, others: &[] }
    }

    /// But for those that begin with one of the longer prefixes `others`: they are other programs'.
    pub const fn except(self, others: &'static [&'static str]) -> Self {
        Self { others, ..self }
    }

    /// The variable of a key.
    pub(crate) fn variable(self, section: &str, key: &str) -> String {
        format!("{}_{section}_{key}", self.own).to_ascii_uppercase()
    }

    /// Puts every variable of the program into the document, over what the file says.
    ///
    /// Whether a section or key exists is not known here: the shape refuses what it does not know.
    pub(crate) fn override_in(self, root: &mut Node, env: impl IntoIterator<Item = (String, String)>) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (variable, value) in env {
            if !self.owns(&variable) || is_service_link(self.after_prefix(&variable), &value) {
                continue;
            }
            match self.after_prefix(&variable).to_ascii_lowercase().split_once('_') {
                Some((section, key)) if !section.is_empty() && !key.is_empty() => {
                    set(root, section, key, &variable, value);
                }
                _ => {
                    let message = format!("no such setting; a setting's variable is {}_<SECTION>_<KEY>", self.own);
                    problems.push(problem(&variable, message));
                }
            }
        }
        problems
    }

    /// What stands before and after the mistaken name, the last of `path`, in `variable`.
    ///
    /// `None` for a name within the value of the variable.
    pub(crate) fn around<'v>(self, variable: &'v str, path: &[Step]) -> Option<(&'v str, &'v str)> {
        let section_at = variable.len() - self.after_prefix(variable).len();
        match path {
            [Step::Name(section)] => Some((&variable[..section_at], &variable[section_at + section.len()..])),
            [Step::Name(section), Step::Name(_)] => Some((&variable[..section_at + section.len() + 1], "")),
            _ => None,
        }
    }

    /// Whether a variable of this name is meant for the program.
    fn owns(self, variable: &str) -> bool {
        let begins = |prefix: &str| variable.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_'));
        begins(self.own) && !self.others.iter().any(|other| begins(other))
    }

    fn after_prefix(self, variable: &str) -> &str {
        variable.strip_prefix(self.own).and_then(|rest| rest.strip_prefix('_')).unwrap_or_default()
    }
}

/// Kubernetes, and `docker run --link`, put variables like `LOCKGATE_SERVICE_HOST` and
/// `LOCKGATE_PORT=tcp://10.0.0.1:443` into every container beside a service called `lockgate`. Nobody
/// wrote those by mistake.
fn is_service_link(name: &str, value: &str) -> bool {
    match name.split_once('_') {
        None => name == "PORT" && value.contains("://"),
        Some(("SERVICE", rest)) => rest == "HOST" || rest == "PORT" || rest.starts_with("PORT_"),
        Some(("PORT", rest)) => rest.starts_with(|c: char| c.is_ascii_digit()),
        Some(_) => false,
    }
}

/// Sets `key` in `[section]`. Where the file has no table under that name the variable has no place,
/// and the file's mistake is what is reported.
fn set(root: &mut Node, section: &str, key: &str, variable: &str, value: String) {
    let at = At::Variable(variable.to_owned());
    let empty = || {
        let node = Node { at: at.clone(), content: Content::Table(Vec::new()), passed_over: false };
        Entry { at: at.clone(), name: section.to_owned(), node }
    };
    let Some(section) = root.entry_or(section, empty) else { return };
    let node = || Node::variable(variable, value.clone());
    let new = || Entry { at: at.clone(), name: key.to_owned(), node: node() };
    if let Some(entry) = section.node.entry_or(key, new) {
        entry.at = at.clone();
        entry.node = node();
    }
}
