//! What there is: files, programs, their options and settings.

use crate::markdown::Document;
use lockgate_e2e::{Finished, finish, fresh_dir, program};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where a clone has nothing yet: git ignores it, and the programs make it.
const MADE: [&str; 4] = ["certs/", "conf/htpasswd", "conf/token.key", "bench/results/"];

/// What ends the name of a file that is written here.
const ENDINGS: [&str; 9] = [".rs", ".py", ".sh", ".md", ".svg", ".yaml", ".toml", ".service", ".socket"];

/// A key that ends as a file does.
const KEY: &str = "auth.service";

/// The repository, and what its programs say of themselves.
#[derive(Debug)]
pub(crate) struct Repository {
    root: PathBuf,
    /// Every file and directory, from the root.
    files: BTreeSet<String>,
    pub(crate) documents: Vec<Document>,
    /// All of the Rust source.
    source: String,
    /// What it defines.
    items: BTreeSet<String>,
    /// The `--help` of each program and of each of its commands, as in `lockgate` and `lockgate check`.
    help: BTreeMap<String, String>,
    /// What `[...]` begins in the files of `conf/`.
    sections: BTreeSet<String>,
    /// What the shell may set for compose.
    compose: String,
    makefile: String,
}

impl Repository {
    pub(crate) fn open() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the root").to_path_buf();
        let mut files = BTreeSet::new();
        walk(&root, "", &mut files);
        let read = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let ending = |end: &'static str| files.iter().filter(move |file| file.ends_with(end));
        let documents = ending(".md").map(|file| Document::parse(file, &read(file))).collect();
        let source: String = ending(".rs").map(|file| read(file)).collect();
        let items = items(&source);
        let conf = read("conf/lockgate.toml") + &read("conf/backend.toml");
        let sections = conf.lines().filter_map(|line| section(line.trim_start_matches(['#', ' ']))).map(str::to_owned);
        let sections = sections.collect();
        let compose = ["compose.yaml", "compose.registry2.yaml", "compose.cluster.yaml"].map(read).concat();
        let makefile = read("Makefile");
        Self { files, documents, source, items, help: help(), sections, compose, makefile, root }
    }

    /// # Panics
    /// When there is none of this name.
    pub(crate) fn document(&self, path: &str) -> &Document {
        let found = self.documents.iter().find(|document| document.path == path);
        found.unwrap_or_else(|| panic!("{path} is not there"))
    }

    /// Every option of every command.
    pub(crate) fn options(&self) -> impl Iterator<Item = String> {
        let lines = self.help.values().flat_map(|help| help.lines());
        lines.filter_map(|line| long_options(line.split("  ").find(|part| part.contains("--"))?).next())
    }

    /// Why a link leads nowhere. Other sites are not asked.
    pub(crate) fn wrong_link(&self, document: &Document, link: &str) -> Option<String> {
        if link.contains("://") || link.starts_with("mailto:") {
            return None;
        }
        let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
        let directory = Path::new(&document.path).parent().unwrap_or(Path::new(""));
        let target = if file.is_empty() { Some(document.path.clone()) } else { plain(&directory.join(file)) };
        let is_there = |target: &String| file.is_empty() || target.is_empty() || self.files.contains(target);
        let Some(target) = target.filter(is_there) else {
            return Some(format!("{link} leads to no file of the repository"));
        };
        let heading = heading?;
        let page = if file.is_empty() { Some(document) } else { self.documents.iter().find(|d| d.path == target) };
        let is_there = page.is_some_and(|page| page.anchors.iter().any(|anchor| anchor == heading));
        (!is_there).then(|| format!("{link}: {target} has no such heading"))
    }

    /// Why a word that looks like a file of ours names none.
    pub(crate) fn wrong_file(&self, word: &str) -> Option<String> {
        let is_path = |c: char| c.is_ascii_alphanumeric() || "._-/<>*".contains(c);
        let word = word.trim_end_matches('/');
        let (first, _) = word.split_once('/').unwrap_or((word, ""));
        let is_ours = word.contains('/') && self.files.contains(first);
        let is_made = MADE.iter().any(|made| format!("{word}/").starts_with(made) || word.starts_with(made));
        if word.starts_with('/') || is_made || !word.chars().all(is_path) {
            return None;
        }
        if !is_ours && !is_file_name(word) {
            return None;
        }
        // Up to what stands for a name.
        let known: Vec<&str> = word.split('/').take_while(|part| !part.contains(['<', '*'])).collect();
        let known = known.join("/");
        let is_there = known.is_empty()
            || self.files.contains(&known)
            || !is_ours && self.files.iter().any(|file| file.ends_with(&format!("/{known}")));
        (!is_there).then(|| format!("there is no {word}"))
    }

    /// Why `A::b` names nothing of the source.
    pub(crate) fn wrong_item(&self, word: &str) -> Option<String> {
        let is_name = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let parts: Vec<&str> = word.split("::").collect();
        // Before the first `::` a crate may stand.
        let is_there = |part: &&str| self.items.contains(*part) || part.starts_with("lockgate_");
        let is_wrong = parts.len() > 1 && parts.iter().all(|part| is_name(part)) && !parts.iter().all(is_there);
        is_wrong.then(|| format!("nothing in the source is called {word}"))
    }

    /// Why a piece of source is not what the source says.
    pub(crate) fn wrong_quotation(&self, code: &str) -> Option<String> {
        (!self.source.contains(code)).then(|| "this stands in no file of the source".to_owned())
    }

    /// Why a command cannot be run as it stands.
    pub(crate) fn wrong_command(&self, words: &[String]) -> Option<String> {
        let (name, arguments) = words.split_first()?;
        match (name.rsplit('/').next().unwrap_or(name), arguments) {
            (program @ ("lockgate" | "lockgate-backend"), [first, ..]) => {
                let command = if first.starts_with('-') { program.to_owned() } else { format!("{program} {first}") };
                let Some(help) = self.help.get(&command) else { return Some(format!("there is no `{command}`")) };
                let known: BTreeSet<String> = long_options(help).collect();
                let mut named = arguments.iter().flat_map(|argument| long_options(argument));
                named.find(|option| !known.contains(option)).map(|option| format!("`{command}` has no {option}"))
            }
            ("python3", [script, options @ ..]) if !script.starts_with('-') => {
                let Ok(text) = fs::read_to_string(self.root.join(script)) else {
                    return Some(format!("there is no {script}"));
                };
                let mut named = options.iter().flat_map(|option| long_options(option));
                let unknown = named.find(|option| !text.contains(&format!("\"{option}\"")));
                unknown.map(|option| format!("{script} has no {option}"))
            }
            ("make", jobs) => {
                let is_rule = |line: &str, job: &str| {
                    line.split_once(':').is_some_and(|(jobs, _)| jobs.split(' ').any(|other| other == job))
                };
                let mut jobs = jobs.iter().filter(|job| !job.contains('=') && !job.starts_with('-'));
                let unknown = jobs.find(|job| !self.makefile.lines().any(|line| is_rule(line, job)));
                unknown.map(|job| format!("the Makefile has no {job}"))
            }
            _ => None,
        }
    }

    /// Why `section.key`, or `[section]`, is none.
    pub(crate) fn wrong_key(&self, word: &str) -> Option<String> {
        if let Some(section) = section(word) {
            return (!self.sections.contains(section)).then(|| format!("there is no section [{section}]"));
        }
        let (section, key) = word.split(" = ").next()?.split_once('.')?;
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !self.sections.contains(section) || is_file_name(word) || key.is_empty() || !key.chars().all(is_name) {
            return None;
        }
        let variable = format!("{section}_{key}").to_uppercase();
        let is_known =
            ["LOCKGATE", "LOCKGATE_BACKEND"].iter().any(|program| is_setting(&format!("{program}_{variable}")));
        (!is_known).then(|| format!("neither program knows {section}.{key}"))
    }

    /// Why a variable in the text is none.
    pub(crate) fn wrong_variable(&self, text: &str) -> Option<String> {
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let begun = text.match_indices("LOCKGATE_").map(|(at, _)| &text[at..]);
        let names = begun.map(|rest| &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())]);
        // What ends so goes on with what stands for a name.
        let mut names = names.filter(|name| !name.ends_with('_'));
        let unknown = names.find(|name| !self.compose.contains(&format!("${{{name}")) && !is_setting(name));
        unknown.map(|name| format!("nobody reads {name}"))
    }

    /// Why neither program takes a configuration, where the files are there that it names.
    pub(crate) fn wrong_configuration(&self, text: &str) -> Option<String> {
        let dir = fresh_dir();
        finish(program("lockgate").arg("init").arg("--dir").arg(dir.path())).success();
        for kind in ["crt", "key"] {
            let file = |name: &str| dir.path().join(format!("certs/{name}.{kind}"));
            fs::copy(file("domain"), file("other")).expect("init made it");
        }
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("the directory is ours");
        // Grants stand in a file of their own, which the configuration names.
        let is_grants = text.contains("[[grant]]");
        write("conf/groups", "team: alice bob\n");
        write("conf/access.toml", if is_grants { text } else { SOME_GRANT });
        write("this.toml", if is_grants { NAMES_GRANTS } else { text });
        let check = finish(program("lockgate").args(["check", "--config", "this.toml"]).current_dir(dir.path()));
        (!check.status.success()).then(|| check.stderr.trim().replace('\n', "; "))
    }
}

const SOME_GRANT: &str = "[[grant]]\nrepositories = '**'\nto = 'authenticated'\nallow = 'all'\n";
const NAMES_GRANTS: &str =
    "[auth]\naccess = 'conf/access.toml'\ngroups = 'conf/groups'\ntoken_key = 'conf/token.key'\n";

/// The names behind `fn`, `struct` and the like.
fn items(source: &str) -> BTreeSet<String> {
    const KEYWORDS: [&str; 7] = ["const", "enum", "fn", "mod", "struct", "trait", "type"];
    let words = source.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    words.windows(2).filter(|pair| KEYWORDS.contains(&pair[0])).map(|pair| pair[1].to_owned()).collect()
}

fn is_file_name(word: &str) -> bool {
    word != KEY && ENDINGS.iter().any(|ending| word.ends_with(ending) && word.len() > ending.len())
}

/// Whether the program that the variable is meant for has such a setting.
fn is_setting(variable: &str) -> bool {
    let dir = fresh_dir();
    let config = dir.path().join("empty.toml");
    fs::write(&config, "").expect("the directory is ours");
    let said: Finished = if variable.starts_with("LOCKGATE_BACKEND_") {
        // A mistake, so that it does not start to serve.
        let mistake = ("LOCKGATE_BACKEND_SHUTDOWN_GRACE", "?");
        finish(program("lockgate-backend").args(["serve", "--config"]).arg(&config).envs([(variable, "?"), mistake]))
    } else {
        finish(program("lockgate").args(["check", "--config"]).arg(&config).env(variable, "?"))
    };
    let said = said.failure().stderr;
    !said.lines().any(|line| line.contains(&format!("{variable}: no such setting")))
}

/// What the programs and each of their commands say of themselves. A command's own commands are said with it.
fn help() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for name in ["lockgate", "lockgate-backend"] {
        let said = |words: &[&str]| finish(program(name).args(words).arg("--help")).success().stdout;
        let own = said(&[]);
        for command in commands(&own) {
            let help = said(&[command]);
            let below: String = commands(&help).map(|below| said(&[command, below])).collect();
            all.insert(format!("{name} {command}"), help + &below);
        }
        all.insert(name.to_owned(), own);
    }
    all
}

/// The commands that a help names.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help")
}

/// `--name` of every `--name` in a text.
fn long_options(text: &str) -> impl Iterator<Item = String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let words = text.split(move |c: char| !is_name(c));
    words.filter(|word| word.len() > 2 && word.starts_with("--")).map(str::to_owned)
}

/// The name in `[name]`.
fn section(line: &str) -> Option<&str> {
    let name = line.strip_prefix('[')?.strip_suffix(']')?;
    (!name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')).then_some(name)
}

/// The path without `.` and `..`; `None` where it leads out of the repository.
fn plain(path: &Path) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// Every file and directory below, but what git and cargo keep and what the programs make.
fn walk(root: &Path, directory: &str, files: &mut BTreeSet<String>) {
    for entry in fs::read_dir(root.join(directory)).expect("the repository can be read") {
        let entry = entry.expect("the repository can be read");
        let name = entry.file_name().into_string().expect("our names are UTF-8");
        let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
        if [".git", "target", "data"].contains(&name.as_str()) {
            continue;
        }
        if entry.file_type().expect("the repository can be read").is_dir() {
            walk(root, &path, files);
        }
        files.insert(path);
    }
}
