//! What an nginx configuration is made of.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use lockgate_settings::{Origin, Problem};

/// Where a directive is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// As it was opened.
    pub(crate) file: Arc<Path>,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
}

impl Place {
    /// What is wrong here.
    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        let origin = Origin::File { path: self.file.to_path_buf(), at: Some((self.line, self.column)) };
        Problem { origin, key: String::new(), message: message.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// `name argument...;` or `name argument... { ... }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directive {
    /// The first word.
    pub(crate) name: String,
    /// The other words, without their quotes.
    pub(crate) args: Vec<String>,
    /// Where its name is.
    pub(crate) place: Place,
    /// What stands between its braces, if it has any.
    pub(crate) block: Option<Vec<Directive>>,
}

/// Blocks of data: what stands in them are pairs and no directives.
const DATA: &[&str] = &["charset_map", "geo", "map", "match", "split_clients", "types"];

/// Headers and variables whose values are secrets, or may be.
const SECRET: &[&str] = &["authorization", "cookie", "key", "password", "secret", "token"];

/// Directives that give something a value, and begin with its name.
const NAMED: &[&str] = &["add_header", "if", "proxy_set_header", "set"];

/// As much of a directive as a line has room for, in characters.
const SHOWN: usize = 100;

impl Directive {
    /// An argument; nothing where there are fewer.
    pub(super) fn arg(&self, at: usize) -> &str {
        self.args.get(at).map_or("", String::as_str)
    }

    /// The directives in its block.
    pub(super) fn children(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }

    /// Whether its block holds pairs and no directives.
    pub(super) fn is_data(&self) -> bool {
        DATA.contains(&self.name.as_str())
    }

    /// The arguments between the parentheses of an `if`.
    pub(super) fn condition(&self) -> Vec<&str> {
        let mut words: Vec<&str> = self.args.iter().map(String::as_str).collect();
        if let Some(first) = words.first_mut() {
            *first = first.strip_prefix('(').unwrap_or(first);
        }
        if let Some(last) = words.last_mut() {
            *last = last.strip_suffix(')').unwrap_or(last);
        }
        // A quoted pattern may be empty, but neither the first nor the last word of what is between parentheses.
        if words.first() == Some(&"") {
            words.remove(0);
        }
        if words.last() == Some(&"") {
            words.pop();
        }
        words
    }

    /// Whether its arguments may hold a password, which no report repeats.
    fn is_secret(&self) -> bool {
        let words = || self.args.iter().map(|word| word.to_ascii_lowercase());
        let is_login = |word: &str| word.contains("basic ") || word.contains("bearer ") || word.contains('@');
        // What a client has to send is a secret, unless every client does.
        let is_sent = |word: &str| ["$http_", "$cookie_", "$arg_"].iter().any(|kind| word.contains(kind));
        let is_common = |word: &str| word.contains("$http_user_agent") || word.contains("$http_host");
        words().any(|word| is_login(&word) && !word.starts_with('@'))
            || self.name == "if" && words().any(|word| is_sent(&word) && !is_common(&word))
            || self.name == "more_set_headers"
            || self.name.starts_with("secure_link")
            || NAMED.contains(&self.name.as_str())
                && !self.arg(1).starts_with('$')
                && words().any(|word| SECRET.iter().any(|secret| word.contains(secret)))
    }
}

/// A text of a stranger's, which ends neither a line of a report nor a comment.
pub(super) fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// As it is written, on one line, without secrets and without its block.
impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.name.clone();
        if self.is_secret() {
            let name = if NAMED.contains(&self.name.as_str()) { self.arg(0) } else { "" };
            text = format!("{text} {name}").trim_end().to_owned() + " ... (maybe a secret)";
        } else {
            for arg in &self.args {
                let is_bare = !arg.is_empty() && !arg.contains(char::is_whitespace);
                text += &if is_bare { format!(" {arg}") } else { format!(" '{arg}'") };
            }
        }
        let text = on_one_line(&text);
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{}...", &text[..end]),
            None => f.write_str(&text),
        }
    }
}

/// Directives as nginx reads them, each word in quotes.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn written(directives: &[Directive]) -> String {
    let quoted = |word: &String| format!("\"{}\" ", word.replace('\\', r"\\").replace('"', "\\\""));
    let one = |directive: &Directive| {
        let words: String = std::iter::once(&directive.name).chain(&directive.args).map(quoted).collect();
        let end =
            directive.block.as_deref().map_or_else(|| ";".to_owned(), |inner| format!("{{ {} }}", written(inner)));
        words + &end
    };
    directives.iter().map(one).collect()
}
