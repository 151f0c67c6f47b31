//! Lists in a directory. What is not named as the layout names things is passed over: it is somebody else's.
//!
//! A page costs as the page: [`Directories`] has the names in order, and what is asked of the disk for
//! each (has it a link, is it a repository) is asked only for those that are shown.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use lockgate_oci::{Digest, RepositoryName, Tag};

use super::Names;
use crate::objects::disk::{Directories, DirectoryObjects, at, if_there};
use crate::registry::keys::{self, Layout};
use crate::store::{Result, StoreError};

/// Names taken out of a directory's at once.
pub(in crate::registry) const BATCH: usize = 1024;

/// The lists of a directory.
pub(in crate::registry) struct Tree(pub(in crate::registry) Arc<DirectoryObjects>);

#[async_trait]
impl Names for Tree {
    async fn repositories(&self, after: &str, limit: usize) -> Result<Vec<RepositoryName>> {
        Ok(repositories(self.0.directories(), &self.0.path(keys::REPOSITORIES), after, limit)?)
    }

    async fn tags(&self, repository: &RepositoryName, after: &str, limit: usize) -> Result<Option<Vec<Tag>>> {
        match tags(self.0.directories(), &self.0.path(&keys::tags(repository)), after, limit)? {
            None if is_repository(&self.0.path(&keys::of_repository(repository))) => Ok(Some(Vec::new())),
            tags => Ok(tags),
        }
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Digest>> {
        let links = self.0.path(&Layout::Directory.referrers(repository, subject));
        Ok(digests(self.0.directories(), &links, after, limit)?)
    }

    /// In the memory of a page.
    fn linked_tags(&self, repository: &RepositoryName) -> BoxStream<'static, Result<Tag>> {
        let (objects, directory) = (Arc::clone(&self.0), keys::tags(repository));
        let pages = stream::try_unfold(Some(String::new()), move |after| {
            let (objects, directory) = (Arc::clone(&objects), directory.clone());
            async move {
                let Some(after) = after else { return Ok::<_, StoreError>(None) };
                let page = names(objects.directories(), &objects.path(&directory), &after, BATCH)?.unwrap_or_default();
                let next = page.last().filter(|_| page.len() == BATCH).cloned();
                Ok(Some((page, next)))
            }
        });
        let tags = pages.map_ok(|page| stream::iter(page.into_iter().filter_map(|name| name.parse().ok()).map(Ok)));
        tags.try_flatten().boxed()
    }

    async fn are_few(&self, repository: &RepositoryName) -> Result<bool> {
        let names = names(self.0.directories(), &self.0.path(&keys::tags(repository)), "", BATCH)?;
        Ok(names.is_none_or(|names| names.len() < BATCH))
    }
}

/// Whether a directory is a repository: it has held a blob or a manifest.
fn is_repository(directory: &Path) -> bool {
    directory.join("_layers").is_dir() || directory.join("_manifests").is_dir()
}

/// Whether a link is there, and not only a file that a crash left empty.
fn is_link(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
}

/// The first `limit` names after `after` in a directory; `None` when there is no such directory.
fn names(directories: &Directories, path: &Path, after: &str, limit: usize) -> io::Result<Option<Vec<String>>> {
    directories.look(path, |names| names.after(after).take(limit).map(str::to_owned).collect())
}

/// The first `limit` tags after `after` in a directory of tags; `None` when there is no such directory.
/// A tag that was being made when the power went has a directory and no link: it is none.
fn tags(directories: &Directories, path: &Path, after: &str, limit: usize) -> io::Result<Option<Vec<Tag>>> {
    first(directories, path, after, limit, |name| {
        name.parse().ok().filter(|_| is_link(&path.join(name).join("current/link")))
    })
}

/// The first `limit` digests after `after` that have a link below a directory, as `<algorithm>/<hex>/link`.
fn digests(directories: &Directories, path: &Path, after: &str, limit: usize) -> io::Result<Vec<Digest>> {
    let mut digests = Vec::new();
    for algorithm in names(directories, path, "", usize::MAX)?.unwrap_or_default() {
        let prefix = format!("{algorithm}:");
        let after = match after.strip_prefix(&prefix) {
            Some(hex) => hex,
            None if *prefix > *after => "",
            None => continue,
        };
        let path = path.join(&algorithm);
        let found = first(directories, &path, after, limit - digests.len(), |hex| {
            let digest = format!("{prefix}{hex}").parse().ok()?;
            is_link(&path.join(hex).join("link")).then_some(digest)
        })?;
        digests.extend(found.unwrap_or_default());
    }
    Ok(digests)
}

/// The first `limit` names after `after` in a directory that are something, as that; `None` when there is no
/// such directory.
fn first<T>(
    directories: &Directories,
    path: &Path,
    after: &str,
    limit: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> io::Result<Option<Vec<T>>> {
    let mut found = Vec::new();
    let mut after = after.to_owned();
    loop {
        let batch = BATCH.min(limit - found.len());
        let Some(names) = names(directories, path, &after, batch)? else { return Ok(None) };
        found.extend(names.iter().filter_map(|name| parse(name)));
        match names.last() {
            Some(last) if names.len() == batch && found.len() < limit => after.clone_from(last),
            _ => return Ok(Some(found)),
        }
    }
}

/// The first `limit` repositories below a directory that sort after `after`.
fn repositories(directories: &Directories, root: &Path, after: &str, limit: usize) -> io::Result<Vec<RepositoryName>> {
    let mut walk = Walk { directories, after, limit, found: Vec::new(), within: Vec::new() };
    if limit > 0 {
        walk.visit(root, "")?;
    }
    Ok(walk.found)
}

struct Walk<'a> {
    directories: &'a Directories,
    after: &'a str,
    limit: usize,
    found: Vec<RepositoryName>,
    /// The directories that it is in, by device and inode.
    within: Vec<(u64, u64)>,
}

impl Walk<'_> {
    /// Visits a directory whose repositories' names begin with `prefix`. True when the page is full.
    ///
    /// A directory `a` stands for the repository `a` and for those that begin with `a/`, and between
    /// the two sorts `a-b`. So what is below `a` waits until its turn comes.
    fn visit(&mut self, directory: &Path, prefix: &str) -> io::Result<bool> {
        let Some(metadata) = if_there(fs::metadata(directory)).map_err(at(directory))? else { return Ok(false) };
        let identity = (metadata.dev(), metadata.ino());
        // A link back leads to no other repositories, and to longer names of the same without end.
        if self.within.contains(&identity) {
            return Ok(false);
        }
        self.within.push(identity);
        let is_full = self.visit_names(directory, prefix);
        self.within.pop();
        is_full
    }

    fn visit_names(&mut self, directory: &Path, prefix: &str) -> io::Result<bool> {
        // Of the names up to here, only those that the page's start begins with can lead beyond it.
        let mut last = self.after.strip_prefix(prefix).unwrap_or_default().to_owned();
        let mut below = self.beginnings(directory, &last)?;
        loop {
            let batch = BATCH.min((self.limit - self.found.len()).saturating_add(1));
            let names = names(self.directories, directory, &last, batch)?.unwrap_or_default();
            for name in names.iter().filter(|name| !name.starts_with('_')) {
                if self.descend(directory, prefix, &mut below, Some(name))? || self.consider(directory, prefix, name) {
                    return Ok(true);
                }
                below.insert(format!("{name}/"));
            }
            match names.last() {
                Some(name) if names.len() == batch => last.clone_from(name),
                _ => return self.descend(directory, prefix, &mut below, None),
            }
        }
    }

    /// The names in a directory, each with a `/`, whose repositories may sort after `after` although the
    /// name itself does not.
    fn beginnings(&self, directory: &Path, after: &str) -> io::Result<BTreeSet<String>> {
        if after.is_empty() {
            return Ok(BTreeSet::new());
        }
        let ends = after.char_indices().map(|(start, character)| start + character.len_utf8());
        let there = self.directories.look(directory, |names| {
            let there = ends.map(|end| &after[..end]).filter(|name| names.contains(name));
            there.filter(|name| !name.starts_with('_')).map(|name| format!("{name}/")).collect::<BTreeSet<_>>()
        })?;
        let mut items = there.unwrap_or_default();
        items.retain(|item| item.as_str() > after || after.starts_with(item));
        Ok(items)
    }

    /// Visits what is `below` and sorts before `next`.
    fn descend(
        &mut self,
        directory: &Path,
        prefix: &str,
        below: &mut BTreeSet<String>,
        next: Option<&String>,
    ) -> io::Result<bool> {
        while below.first().is_some_and(|item| next.is_none_or(|next| item < next)) {
            let item = below.pop_first().expect("there is a first");
            match self.visit(&directory.join(item.trim_end_matches('/')), &format!("{prefix}{item}")) {
                Ok(false) => {}
                Ok(true) => return Ok(true),
                // The others are no worse for it.
                Err(error) => tracing::warn!(%error, "the catalog passes over what cannot be read"),
            }
        }
        Ok(false)
    }

    /// Takes a directory for a repository, if it is one. True when the page is full.
    fn consider(&mut self, directory: &Path, prefix: &str, name: &str) -> bool {
        if let Ok(repository) = format!("{prefix}{name}").parse()
            && is_repository(&directory.join(name))
        {
            self.found.push(repository);
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
        let found = repositories(&Directories::default(), root, after, limit).unwrap();
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
            fs::write(directory.path().join(tag).join("current/link"), "sha256:").unwrap();
        }
        fs::create_dir_all(directory.path().join("half/current")).unwrap();
        fs::create_dir_all(directory.path().join("lost/current")).unwrap();
        fs::write(directory.path().join("lost/current/link"), "").unwrap();
        for (target, link) in [("b", "latest"), ("half", "half-too"), ("gone", "dangling")] {
            std::os::unix::fs::symlink(target, directory.path().join(link)).unwrap();
        }
        let directories = Directories::default();
        let listed = tags(&directories, directory.path(), "", 9).unwrap().unwrap();
        assert_eq!(listed.iter().map(Tag::as_str).collect::<Vec<_>>(), ["a", "b", "latest"]);
        assert!(tags(&directories, &directory.path().join("none"), "", 9).unwrap().is_none());
    }

    #[test]
    fn what_a_link_leads_to_is_listed_and_a_link_back_leads_nowhere() {
        let (directory, elsewhere) =
            (tree(&BTreeSet::from(["a/x".to_owned(), "b".to_owned()])), tempfile::tempdir().unwrap());
        fs::create_dir_all(elsewhere.path().join("_layers")).unwrap();
        fs::create_dir_all(elsewhere.path().join("y/_layers")).unwrap();
        for (target, link) in [
            (elsewhere.path(), "far"),
            (Path::new("b"), "near"),
            (Path::new("../../b"), "a/x/b"),
            (Path::new("."), "all"),
            (Path::new(".."), "a/up"),
            (Path::new("."), "b/self"),
            (Path::new("gone"), "nowhere"),
            (Path::new("file"), "to-file"),
        ] {
            std::os::unix::fs::symlink(target, directory.path().join(link)).unwrap();
        }
        fs::write(directory.path().join("file"), "").unwrap();
        let all = ["a/x", "a/x/b", "a/x/b/self", "b", "b/self", "far", "far/y", "near", "near/self"];
        assert_eq!(listed(directory.path(), "", 99), all);
        for (at, name) in all.iter().enumerate() {
            assert_eq!(listed(directory.path(), name, 1), all[at + 1..all.len().min(at + 2)], "after {name}");
        }
    }

    #[test]
    fn digests_are_listed_in_pages_across_algorithms() {
        let directory = tempfile::tempdir().unwrap();
        let mut all = Vec::new();
        for (algorithm, digits) in [("sha256", 64), ("sha512", 128)] {
            for i in 0..BATCH + 3 {
                let hex = format!("{i:0digits$x}");
                let link = directory.path().join(algorithm).join(&hex);
                fs::create_dir_all(&link).unwrap();
                fs::write(link.join("link"), if i % 3 == 0 { "" } else { "x" }).unwrap();
                all.extend((i % 3 != 0).then(|| format!("{algorithm}:{hex}")));
            }
        }
        let directories = Directories::default();
        for limit in [100, BATCH, usize::MAX] {
            let mut listed: Vec<String> = Vec::new();
            loop {
                let last = listed.last().map_or("", String::as_str);
                let page = digests(&directories, directory.path(), last, limit).unwrap();
                listed.extend(page.iter().map(|digest| digest.as_str().to_owned()));
                if page.len() < limit {
                    break;
                }
            }
            assert!(listed == all, "{limit}");
        }
        let between = |after: &str| digests(&directories, directory.path(), after, 1).unwrap()[0].to_string();
        assert_eq!(
            [between("sha"), between("sha3")],
            [all[0].clone(), all.iter().find(|d| d.starts_with("sha512")).unwrap().clone()]
        );
    }

    /// More than a batch, and more than what is read anew each time.
    fn many() -> BTreeSet<String> {
        let name = |i: usize| format!("{}{}{:04}", ["a", "a-b", "a/x", "a0"][i % 4], ["-", "/"][i % 2], i / 2);
        (0..6 * BATCH).map(name).collect()
    }

    #[test]
    fn pages_of_a_large_catalog_make_up_the_sorted_whole_and_see_what_another_adds() {
        let mut names = many();
        let (directory, directories) = (tree(&names), Directories::default());
        for limit in [1, 100, BATCH, 5000] {
            let start = names.iter().nth(if limit == 1 { names.len() - 5 } else { 7 }).unwrap().clone();
            let (mut last, mut listed) = (start.clone(), Vec::new());
            loop {
                let page = repositories(&directories, directory.path(), &last, limit).unwrap();
                listed.extend(page.iter().map(|name| name.as_str().to_owned()));
                let Some(name) = page.last().filter(|_| page.len() == limit) else { break };
                name.as_str().clone_into(&mut last);
            }
            let expected: Vec<_> = names.iter().filter(|name| **name > start).cloned().collect();
            assert!(listed == expected, "{limit}");
            let theirs = format!("zz/theirs-{limit}");
            fs::create_dir_all(directory.path().join(&theirs).join("_layers")).unwrap();
            names.insert(theirs);
        }
    }

    #[test]
    fn pages_of_many_tags_make_up_the_sorted_whole() {
        let directory = tempfile::tempdir().unwrap();
        let all: Vec<String> = (0..2 * BATCH + 7).map(|i| format!("v{i:05}")).collect();
        for tag in &all {
            fs::create_dir_all(directory.path().join(tag).join("current")).unwrap();
            fs::write(directory.path().join(tag).join("current/link"), "sha256:").unwrap();
        }
        let directories = Directories::default();
        for limit in [700, BATCH, usize::MAX] {
            let mut listed: Vec<String> = Vec::new();
            loop {
                let last = listed.last().map_or("", String::as_str);
                let page = tags(&directories, directory.path(), last, limit).unwrap().unwrap();
                listed.extend(page.iter().map(|tag| tag.as_str().to_owned()));
                if page.len() < limit {
                    break;
                }
            }
            assert!(listed == all, "{limit}");
        }
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
