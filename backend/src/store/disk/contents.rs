//! All bytes that are kept, whichever repository they are of.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use lockgate_oci::Digest;

use super::blocking;
use super::errors::{at, if_there};
use crate::store::Result;

/// Files and their sizes, a directory of `<algorithm>/<first two hex digits>` at a time.
pub(super) fn contents(blobs: PathBuf) -> BoxStream<'static, Result<(Digest, u64)>> {
    let directories = stream::once(blocking(move || Ok(directories(&blobs)?)));
    let directories = directories.map_ok(|all| stream::iter(all).map(Ok)).try_flatten();
    let files = directories.and_then(|(algorithm, directory)| blocking(move || Ok(files(&algorithm, &directory)?)));
    files.map_ok(|all| stream::iter(all).map(Ok)).try_flatten().boxed()
}

fn directories(blobs: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for algorithm in names(blobs)? {
        let path = blobs.join(&algorithm);
        found.extend(names(&path)?.into_iter().map(|name| (algorithm.clone(), path.join(name))));
    }
    Ok(found)
}

/// What is not named as a digest is somebody else's.
fn files(algorithm: &str, directory: &Path) -> io::Result<Vec<(Digest, u64)>> {
    let mut found = Vec::new();
    for hex in names(directory)? {
        let Ok(digest) = format!("{algorithm}:{hex}").parse() else { continue };
        let path = directory.join(hex).join("data");
        if let Some(metadata) = if_there(fs::metadata(&path)).map_err(at(&path))? {
            found.push((digest, metadata.len()));
        }
    }
    Ok(found)
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in if_there(fs::read_dir(directory)).map_err(at(directory))?.into_iter().flatten() {
        names.extend(entry.map_err(at(directory))?.file_name().into_string());
    }
    Ok(names)
}
