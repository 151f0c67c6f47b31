//! The files of a configuration, each in the place of the `include` that names it.

use std::path::{Path, PathBuf};

use glob::MatchOptions;
use lockgate_settings::{Problem, UTF16, is_utf16, read_bounded};

use super::directive::{Directive, Place};
use super::parse::{MAX_DEPTH, parse};

/// The most files of one configuration.
const MAX_FILES: usize = 1000;
/// The most bytes in all of them.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A configuration with everything that it includes.
#[derive(Debug)]
pub(crate) struct Tree {
    /// What stands outside of every block.
    pub(crate) directives: Vec<Directive>,
    /// The files that were read, in that order.
    pub(crate) files: Vec<PathBuf>,
    /// What relative paths are relative to.
    pub(crate) prefix: PathBuf,
    bytes: usize,
}

impl Tree {
    /// Reads files, of which the first one says where relative paths begin: at the `nginx.conf` that is nearest above
    /// it, or else beside it.
    ///
    /// # Errors
    /// The first file that cannot be read, or place that cannot be understood.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self, Problem> {
        let first = files.first().map_or(Path::new(""), |file| file.as_path());
        let beside = first.parent().unwrap_or(Path::new(""));
        let prefix = beside.ancestors().take(4).find(|dir| dir.join("nginx.conf").is_file()).unwrap_or(beside);
        let mut tree = Self { directives: Vec::new(), files: Vec::new(), prefix: prefix.to_owned(), bytes: 0 };
        for file in files {
            let directives = tree.file(file, |message| Problem::in_file(file, message), 0)?;
            tree.directives.extend(directives);
        }
        Ok(tree)
    }

    /// What one text holds, whose includes stay unread.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of(directives: Vec<Directive>) -> Self {
        Self { directives, files: vec![PathBuf::from("nginx.conf")], prefix: PathBuf::new(), bytes: 0 }
    }

    fn file(
        &mut self,
        file: &Path,
        problem: impl Fn(String) -> Problem,
        depth: usize,
    ) -> Result<Vec<Directive>, Problem> {
        let content =
            read_bounded(file).map_err(|error| problem(format!("{} cannot be read: {error}", file.display())))?;
        self.bytes += content.len();
        if self.files.len() == MAX_FILES || self.bytes > MAX_BYTES {
            return Err(problem(format!("the configuration has more than {MAX_FILES} files, or {MAX_BYTES} bytes")));
        }
        if is_utf16(&content) {
            return Err(Problem::in_file(file, UTF16));
        }
        self.files.push(file.to_owned());
        // A comment may be in any encoding.
        let directives = parse(&String::from_utf8_lossy(&content), file)?;
        self.expand(directives, depth)
    }

    /// Puts behind each `include` what it stands for.
    fn expand(&mut self, directives: Vec<Directive>, depth: usize) -> Result<Vec<Directive>, Problem> {
        let mut expanded = Vec::with_capacity(directives.len());
        for mut directive in directives {
            if depth > MAX_DEPTH {
                let message = format!("blocks and includes stand in each other more than {MAX_DEPTH} deep");
                return Err(directive.place.problem(message));
            }
            directive.block = directive.block.map(|inner| self.expand(inner, depth + 1)).transpose()?;
            let mut included = Vec::new();
            if directive.name == "include" && directive.block.is_none() {
                for file in self.named(directive.arg(0), &directive.place)? {
                    included.extend(self.file(&file, |message| directive.place.problem(message), depth + 1)?);
                }
            }
            expanded.push(directive);
            expanded.extend(included);
        }
        Ok(expanded)
    }

    /// The files that a pattern names, in the order of their names. A name without `*`, `?` and `[` must be there.
    fn named(&self, pattern: &str, place: &Place) -> Result<Vec<PathBuf>, Problem> {
        if pattern.is_empty() {
            return Err(place.problem("include names no file"));
        }
        let path = self.path(pattern);
        if !pattern.contains(['*', '?', '[']) {
            return Ok(vec![path]);
        }
        let Some(text) = path.to_str() else { return Err(place.problem("the pattern is not UTF-8")) };
        // As glob(3) does it, which does not know `**`.
        let options =
            MatchOptions { require_literal_separator: true, require_literal_leading_dot: true, ..MatchOptions::new() };
        let found = glob::glob_with(&text.replace("**", "*"), options)
            .map_err(|error| place.problem(format!("{pattern} is no pattern of files: {error}")))?;
        let mut files = Vec::new();
        for file in found.take(MAX_FILES + 1) {
            files.push(file.map_err(|error| place.problem(error.to_string()))?);
        }
        Ok(files)
    }

    /// A path as nginx takes it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.prefix.join(path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::each;
    use super::*;

    #[test]
    fn includes_are_read_as_nginx_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("nginx.conf", "include conf.d/*.conf; include none/*; include last.inc;");
        write("conf.d/b.conf", "b; include snippets/x.inc;");
        write("conf.d/a.conf", "a { include snippets/x.inc; }");
        write("conf.d/.hidden.conf", "hidden;");
        write("snippets/x.inc", "x;");
        write("last.inc", "last;");
        let names = |tree: &Tree| {
            let mut names = Vec::new();
            each(&tree.directives, &mut |directive| names.push(directive.name.clone()));
            names.retain(|name| name != "include");
            names.join(" ")
        };
        let read = |file: &str| Tree::read(&[dir.path().join(file)]);
        assert_eq!(names(&read("nginx.conf").unwrap()), "a x b x last");
        // Beside the nearest nginx.conf.
        assert_eq!(names(&read("conf.d/b.conf").unwrap()), "b x");
        let problem =
            |file: &str| read(file).unwrap_err().to_string().replace(&format!("{}/", dir.path().display()), "");
        write("conf.d/c", "\n  include gone.inc;");
        assert!(problem("conf.d/c").starts_with("conf.d/c:2:3: gone.inc cannot be read: "), "{}", problem("conf.d/c"));
        write("conf.d/d", "include conf.d/d;");
        assert!(problem("conf.d/d").contains("more than 32 deep"), "{}", problem("conf.d/d"));
        write("conf.d/e", "include conf.d/f; include conf.d/f;");
        write("conf.d/f", &"include snippets/x.inc;".repeat(1000));
        assert!(problem("conf.d/e").contains("more than 1000 files"), "{}", problem("conf.d/e"));
        assert!(problem("gone.conf").starts_with("gone.conf: "), "{}", problem("gone.conf"));
    }
}
