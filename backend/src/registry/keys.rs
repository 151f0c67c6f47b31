//! Under which key everything is kept: the keys of distribution's drivers are the truth, so that a directory or a bucket is
//! `registry:2`'s today and ours tomorrow, and the other way round. What is ours lies where distribution does not look.
//!
//! ```text
//! docker/registry/v2
//! ├── blobs/<algorithm>/<first two hex digits>/<hex>/data
//! └── repositories/<name>
//!     ├── _layers/<algorithm>/<hex>/link
//!     └── _manifests
//!         ├── revisions/<algorithm>/<hex>/link
//!         └── tags/<tag>/current/link, index/<algorithm>/<hex>/link
//!
//! ours, in a directory: distribution passes over a directory of a repository that starts with `_`
//! docker/registry/v2/repositories/<name>
//! ├── _referrers/<subject's algorithm>/<hex>/<algorithm>/<hex>/link
//! ├── _tagged/<algorithm>/<hex>/<tag>                 empty
//! └── _uploads/<uuid>/data, startedat                 as distribution has them
//! .lockgate/lock, staging/<uuid>
//!
//! ours, in a bucket
//! .lockgate
//! ├── names/complete                                  every repository and tag has its name below
//! ├── names/repositories/<sorted name>                empty
//! ├── names/tags/<sorted name>/<tag>                  empty
//! ├── referrers/<sorted name>/<subject>/<manifest>    empty
//! ├── tagged/<sorted name>/<manifest>/<tag>           empty
//! ├── deleting/<sorted name>/<manifest>               while it is deleted
//! └── uploads/<id>/session, data, <uuid>              a session, its bytes in parts, its tail in pieces
//!
//! ours, in both
//! .lockgate/collect                                   what the collector condemned
//! .lockgate/pulled                                    when manifests were pulled last
//! .lockgate/pulls/<uuid>                              what a node has seen pulled since
//! .lockgate/usage                                     how much each repository takes, as it was counted last
//! .lockgate/pushes/<uuid>                             how much was pushed at a node since
//! .lockgate/clock                                     empty, written to learn what time it is
//! .lockgate/damaged/<digest>                          bytes that have another digest, taken out of blobs/
//! .lockgate/verify                                    how far a look at all bytes is
//! .lockgate/trash/<sorted name>/<inverted time>-<id>  what was deleted, and how to restore it
//! ```
//!
//! A `link` holds a digest, without a newline. A tag's index has a link for each manifest that it was pointed at; nobody
//! reads it, and a bucket that distribution has not written has none.

use lockgate_oci::{Algorithm, Digest, RepositoryName, Tag, TrashId};
use uuid::Uuid;

use super::flat::{flat, sorted, unsorted};
use crate::store::Links;

pub(super) const BLOBS: &str = "docker/registry/v2/blobs/";
pub(super) const REPOSITORIES: &str = "docker/registry/v2/repositories/";
const LAYERS: &str = "_layers";
const REVISIONS: &str = "_manifests/revisions";
pub(super) const NAMES: &str = ".lockgate/names/";
pub(super) const NAMES_COMPLETE: &str = ".lockgate/names/complete";
pub(super) const NAMES_OF_REPOSITORIES: &str = ".lockgate/names/repositories/";
pub(super) const NAMES_OF_TAGS: &str = ".lockgate/names/tags/";
pub(super) const UPLOADS: &str = ".lockgate/uploads/";
pub(super) const COLLECTION: &str = ".lockgate/collect";
pub(super) const PULLED: &str = ".lockgate/pulled";
pub(super) const PULLS: &str = ".lockgate/pulls/";
pub(super) const USAGE: &str = ".lockgate/usage";
pub(super) const PUSHES: &str = ".lockgate/pushes/";
pub(super) const CLOCK: &str = ".lockgate/clock";
pub(super) const VERIFY: &str = ".lockgate/verify";
pub(super) const TRASH: &str = ".lockgate/trash/";

pub(super) fn blob(digest: &Digest) -> String {
    // Keys that each pull needs are put together without the formatting of text, which takes several times as long.
    [BLOBS, digest.algorithm().as_str(), "/", &digest.hex()[..2], "/", digest.hex(), "/data"].concat()
}

/// Where the blobs are whose digest begins so, by two hex digits.
pub(super) fn blobs_of(algorithm: Algorithm, first: u8) -> String {
    format!("{BLOBS}{algorithm}/{first:02x}/")
}

/// The digest of the blob that has this key below [`BLOBS`].
pub(super) fn digest_of_blob(key: &str) -> Option<Digest> {
    let (algorithm, rest) = key.strip_suffix("/data")?.split_once('/')?;
    format!("{algorithm}:{}", rest.split_once('/')?.1).parse().ok()
}

/// Where everything of a repository is.
pub(super) fn of_repository(repository: &RepositoryName) -> String {
    format!("{REPOSITORIES}{repository}")
}

/// The repository that a link is in, and where in it.
pub(super) fn in_repository(key: &str) -> Option<(&str, &str)> {
    let path = key.strip_prefix(REPOSITORIES)?;
    let at = path.find("/_")?;
    let (name, rest) = (&path[..at], &path[at + 1..]);
    (rest.starts_with("_layers/") || rest.starts_with("_manifests/")).then_some((name, rest))
}

/// Where the upload sessions of a repository are, in a directory.
pub(super) fn uploads(repository: &RepositoryName) -> String {
    format!("{REPOSITORIES}{repository}/_uploads")
}

/// Where the links of a kind are.
pub(super) fn links(repository: &RepositoryName, links: Links) -> String {
    let directory = match links {
        Links::Blobs => LAYERS,
        Links::Manifests => REVISIONS,
    };
    format!("{REPOSITORIES}{repository}/{directory}/")
}

/// Which link stands at this path below a repository.
pub(super) fn link_at(path: &str) -> Option<(Links, Digest)> {
    let (kind, path) = match path.strip_prefix("_layers/") {
        Some(path) => (Links::Blobs, path),
        None => (Links::Manifests, path.strip_prefix("_manifests/revisions/")?),
    };
    Some((kind, digest_of_link(path)?))
}

/// Which tag's link stands at this path below a repository.
pub(super) fn tag_at(path: &str) -> Option<&str> {
    let tag = path.strip_prefix("_manifests/tags/")?.strip_suffix("/current/link")?;
    (!tag.contains('/')).then_some(tag)
}

/// The digest of the link that has this key below [`links`].
pub(super) fn digest_of_link(key: &str) -> Option<Digest> {
    key.strip_suffix("/link")?.replacen('/', ":", 1).parse().ok()
}

pub(super) fn layer(repository: &RepositoryName, digest: &Digest) -> String {
    link(repository, LAYERS, digest)
}

pub(super) fn revision(repository: &RepositoryName, digest: &Digest) -> String {
    link(repository, REVISIONS, digest)
}

fn link(repository: &RepositoryName, directory: &str, digest: &Digest) -> String {
    let (algorithm, hex) = (digest.algorithm().as_str(), digest.hex());
    [REPOSITORIES, repository.as_str(), "/", directory, "/", algorithm, "/", hex, "/link"].concat()
}

/// Where the tags of a repository are.
pub(super) fn tags(repository: &RepositoryName) -> String {
    [REPOSITORIES, repository.as_str(), "/_manifests/tags/"].concat()
}

/// Where everything of a tag is.
pub(super) fn of_tag(repository: &RepositoryName, tag: &str) -> String {
    [&tags(repository), tag, "/"].concat()
}

pub(super) fn tag(repository: &RepositoryName, tag: &str) -> String {
    of_tag(repository, tag) + "current/link"
}

/// Where distribution notes every manifest that a tag ever pointed at.
pub(super) fn tag_index(repository: &RepositoryName, tag: &str) -> String {
    format!("{}index/", of_tag(repository, tag))
}

pub(super) fn name_of_repository(repository: &RepositoryName) -> String {
    format!("{NAMES_OF_REPOSITORIES}{}", sorted(repository.as_str()))
}

/// Where the names of a repository's tags are.
pub(super) fn names_of_tags(repository: &RepositoryName) -> String {
    format!("{NAMES_OF_TAGS}{}/", sorted(repository.as_str()))
}

pub(super) fn name_of_tag(repository: &RepositoryName, tag: &str) -> String {
    format!("{}{tag}", names_of_tags(repository))
}

/// The tag that has this name.
pub(super) fn named_tag(key: &str) -> Option<(RepositoryName, &str)> {
    let (repository, tag) = key.strip_prefix(NAMES_OF_TAGS)?.split_once('/')?;
    Some((unsorted(repository).parse().ok()?, tag))
}

/// Where that is which distribution does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Below the repository, whose names the directories are.
    Directory,
    /// Below `.lockgate/`.
    Bucket,
}

impl Layout {
    /// Where the manifests are that refer to `subject`.
    pub(super) fn referrers(self, repository: &RepositoryName, subject: &Digest) -> String {
        match self {
            Self::Directory => format!("{REPOSITORIES}{repository}/_referrers/{}/", path(subject)),
            Self::Bucket => format!(".lockgate/referrers/{}/{}/", sorted(repository.as_str()), flat(subject.as_str())),
        }
    }

    pub(super) fn referrer(self, repository: &RepositoryName, subject: &Digest, digest: &Digest) -> String {
        let referrers = self.referrers(repository, subject);
        match self {
            Self::Directory => format!("{referrers}{}/link", path(digest)),
            Self::Bucket => format!("{referrers}{}", flat(digest.as_str())),
        }
    }

    /// Where the tags are that were pointed at a manifest.
    pub(super) fn tagged(self, repository: &RepositoryName, digest: &Digest) -> String {
        match self {
            Self::Directory => format!("{REPOSITORIES}{repository}/_tagged/{}/", path(digest)),
            Self::Bucket => format!(".lockgate/tagged/{}/{}/", sorted(repository.as_str()), flat(digest.as_str())),
        }
    }

    /// Where distribution notes that a tag was pointed at a manifest. Nothing reads it; a directory has it all the same, as
    /// long as the tag.
    pub(super) fn indexed_tag(self, repository: &RepositoryName, digest: &Digest, tag: &Tag) -> Option<String> {
        let is_noted = self == Self::Directory;
        is_noted.then(|| format!("{}{}/link", tag_index(repository, tag.as_str()), path(digest)))
    }

    pub(super) fn noted_tag(self, repository: &RepositoryName, digest: &Digest, tag: &Tag) -> String {
        format!("{}{tag}", self.tagged(repository, digest))
    }
}

/// `<algorithm>/<hex>`
fn path(digest: &Digest) -> String {
    format!("{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// Where the records of what was deleted in a repository are.
pub(super) fn trash(repository: &RepositoryName) -> String {
    format!("{TRASH}{}/", sorted(repository.as_str()))
}

pub(super) fn trashed(repository: &RepositoryName, id: &TrashId) -> String {
    format!("{}{id}", trash(repository))
}

/// Of which repository a key is a record, and which.
pub(super) fn record(key: &str) -> Option<(RepositoryName, TrashId)> {
    let (repository, id) = key.strip_prefix(TRASH)?.split_once('/')?;
    Some((unsorted(repository).parse().ok()?, id.parse().ok()?))
}

/// Where the damaged bytes of a blob are kept.
pub(super) fn damaged(digest: &Digest) -> String {
    format!(".lockgate/damaged/{}", flat(digest.as_str()))
}

/// What a node has seen pulled.
pub(super) fn batch_of_pulls(id: Uuid) -> String {
    format!("{PULLS}{}", id.hyphenated())
}

/// What was pushed at a node.
pub(super) fn batch_of_pushes(id: Uuid) -> String {
    format!("{PUSHES}{}", id.hyphenated())
}

/// What says that a manifest is being deleted.
pub(super) fn deleting(repository: &RepositoryName, digest: &Digest) -> String {
    format!(".lockgate/deleting/{}/{}", sorted(repository.as_str()), flat(digest.as_str()))
}

/// Where all of an upload session is.
fn upload(id: Uuid) -> String {
    format!("{UPLOADS}{}/", id.hyphenated())
}

pub(super) fn session(id: Uuid) -> String {
    format!("{}session", upload(id))
}

pub(super) fn upload_data(id: Uuid) -> String {
    format!("{}data", upload(id))
}

/// A name that nobody else gives, so that whoever has lost a session writes over nothing of it.
pub(super) fn piece(id: Uuid, piece: Uuid) -> String {
    format!("{}{piece}", upload(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_those_that_distribution_writes() {
        let (name, hex): (RepositoryName, _) =
            ("team/app".parse().unwrap(), "1e1bef022d4f9a35b70df012fbce601b0e4508749d006d15132385ccf4729b96");
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        let repository = "docker/registry/v2/repositories/team/app";
        for (key, expected) in [
            (blob(&digest), format!("docker/registry/v2/blobs/sha256/1e/{hex}/data")),
            (layer(&name, &digest), format!("{repository}/_layers/sha256/{hex}/link")),
            (revision(&name, &digest), format!("{repository}/_manifests/revisions/sha256/{hex}/link")),
            (tag(&name, "v1"), format!("{repository}/_manifests/tags/v1/current/link")),
        ] {
            assert_eq!(key, expected);
        }
    }
}
