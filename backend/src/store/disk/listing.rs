//! Listings, in the order of the bytes of a name, read from directories. What is not named as the
//! layout names things is passed over: it is somebody else's.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use lockgate_oci::{Digest, RepositoryName, Tag};

use super::durable::{at, if_there};
use crate::store::paths::is_repository;

/// The names of the directories in a directory; `None` when there is no such directory.
fn directories(path: &Path) -> io::Result<Option<impl Iterator<Item = String>>> {
    let Some(entries) = if_there(fs::read_dir(path)).map_err(at(path))? else { return Ok(None) };
    let directories = entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(Some(directories.filter_map(|entry| entry.file_name().into_string().ok())))
}

/// The first `limit` names that sort after `after`, without holding the others in memory.
fn page<T: Ord + FromStr>(names: impl Iterator<Item = String>, after: &str, limit: usize) -> Vec<T> {
    let mut first = BTreeSet::new();
    for name in names.filter(|name| name.as_str() > after) {
        let Ok(name) = name.parse() else { continue };
        first.insert(name);
        if first.len() > limit {
            first.pop_last();
        }
    }
    first.into_iter().collect()
}

/// The tags in a directory of tags; `None` when there is no such directory. A tag that was being made
/// when the power went has a directory and no link: it is none.
pub(super) fn tags(path: &Path, after: &str, limit: usize) -> io::Result<Option<Vec<Tag>>> {
    let Some(names) = directories(path)? else { return Ok(None) };
    Ok(Some(page(names.filter(|name| path.join(name).join("current/link").is_file()), after, limit)))
}

/// The digests that have a link below a directory, as `<algorithm>/<hex>/link`.
pub(super) fn digests(path: &Path) -> io::Result<Vec<Digest>> {
    let mut digests = Vec::new();
    for algorithm in directories(path)?.into_iter().flatten() {
        let path = path.join(&algorithm);
        let linked = directories(&path)?.into_iter().flatten().filter(|hex| path.join(hex).join("link").is_file());
        digests.extend(linked.filter_map(|hex| format!("{algorithm}:{hex}").parse::<Digest>().ok()));
    }
    digests.sort_unstable();
    Ok(digests)
}

/// The first `limit` repositories below a directory that sort after `after`.
pub(super) fn repositories(root: &Path, after: &str, limit: usize) -> io::Result<Vec<RepositoryName>> {
    let mut walk = Walk { after, limit, found: Vec::new() };
    if limit > 0 {
        walk.visit(root, "")?;
    }
    Ok(walk.found)
}

struct Walk<'a> {
    after: &'a str,
    limit: usize,
    found: Vec<RepositoryName>,
}

impl Walk<'_> {
    /// Visits a directory whose repositories' names begin with `prefix`. True when the page is full.
    ///
    /// A directory `a` stands for the repository `a` and for those that begin with `a/`, and between
    /// the two sorts `a-b`. So both are put in order with those of its neighbours.
    fn visit(&mut self, directory: &Path, prefix: &str) -> io::Result<bool> {
        let names = directories(directory)?.into_iter().flatten().filter(|name| !name.starts_with('_'));
        let names = names.map(|name| format!("{prefix}{name}"));
        let mut items: Vec<String> = names.flat_map(|name| [format!("{name}/"), name]).collect();
        items.retain(|item| item.as_str() > self.after || (item.ends_with('/') && self.after.starts_with(item)));
        items.sort_unstable();
        for item in items {
            let path = directory.join(&item[prefix.len()..]);
            let full = if item.ends_with('/') { self.visit(&path, &item)? } else { self.consider(&path, &item) };
            if full {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn consider(&mut self, directory: &Path, name: &str) -> bool {
        if let Ok(name) = name.parse()
            && is_repository(directory)
        {
            self.found.push(name);
        }
        self.found.len() >= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree(names: &BTreeSet<String>) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            fs::create_dir_all(directory.path().join(name).join("_manifests")).unwrap();
        }
        directory
    }

    fn listed(root: &Path, after: &str, limit: usize) -> Vec<String> {
        let found = repositories(root, after, limit).unwrap();
        found.iter().map(|name| name.as_str().to_owned()).collect()
    }

    #[test]
    fn foreign_files_and_directories_are_no_repositories() {
        let directory = tree(&BTreeSet::from(["a".to_owned()]));
        fs::create_dir_all(directory.path().join("B/_layers")).unwrap();
        fs::create_dir_all(directory.path().join("empty/_uploads")).unwrap();
        fs::create_dir_all(directory.path().join("a/_layers/sha256/_layers")).unwrap();
        fs::write(directory.path().join("file"), "x").unwrap();
        assert_eq!(listed(directory.path(), "", 9), ["a"]);
    }

    #[test]
    fn a_tag_without_a_link_and_a_name_that_is_no_tag_are_not_listed() {
        let directory = tempfile::tempdir().unwrap();
        for tag in ["b", "a", ".hidden"] {
            fs::create_dir_all(directory.path().join(tag).join("current")).unwrap();
            fs::write(directory.path().join(tag).join("current/link"), "").unwrap();
        }
        fs::create_dir_all(directory.path().join("half/current")).unwrap();
        let listed = tags(directory.path(), "", 9).unwrap().unwrap();
        assert_eq!(listed.iter().map(Tag::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert!(tags(&directory.path().join("none"), "", 9).unwrap().is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn pages_of_any_size_make_up_the_sorted_whole(
            names in proptest::collection::btree_set("[ab]([-._]?[ab]){0,1}(/[ab]([-.]?[ab]){0,1}){0,2}", 0..12),
            limit in 1_usize..5,
        ) {
            let directory = tree(&names);
            let mut all: Vec<String> = Vec::new();
            loop {
                let page = listed(directory.path(), all.last().map_or("", String::as_str), limit);
                prop_assert!(page.len() <= limit);
                all.extend(page.iter().cloned());
                if page.len() < limit {
                    break;
                }
            }
            prop_assert_eq!(all, names.into_iter().collect::<Vec<_>>());
        }
    }
}
