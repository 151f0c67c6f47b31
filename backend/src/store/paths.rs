//! Where everything is below the data directory: the tree of distribution (`registry:2`), so that its
//! volume can be opened here, and the other way round.
//!
//! ```text
//! <data>
//! ├── docker/registry/v2
//! │   ├── blobs/<algorithm>/<first two hex digits>/<hex>/data
//! │   └── repositories/<name>
//! │       ├── _layers/<algorithm>/<hex>/link
//! │       ├── _manifests
//! │       │   ├── revisions/<algorithm>/<hex>/link
//! │       │   └── tags/<tag>
//! │       │       ├── current/link
//! │       │       └── index/<algorithm>/<hex>/link
//! │       ├── _referrers/<subject's algorithm>/<hex>/<algorithm>/<hex>/link      (ours)
//! │       ├── _tagged/<algorithm>/<hex>/<tag>                                    (ours, empty)
//! │       └── _uploads/<uuid>
//! │           ├── data
//! │           └── startedat
//! └── .lockgate                                                                  (ours)
//!     ├── lock
//!     └── staging/<uuid>
//! ```
//!
//! A `link` holds a digest, without a newline. `startedat` holds a time by RFC 3339. Distribution
//! passes over a directory of a repository that starts with `_` and that it does not know, and does
//! not look beside `docker/` at all, so that what is ours does not disturb it.

use std::path::{Path, PathBuf};

use lockgate_oci::{Digest, RepositoryName, Tag};
use uuid::Uuid;

use super::Links;

/// The data directory, and the paths below it.
#[derive(Debug)]
pub(super) struct Layout {
    blobs: PathBuf,
    repositories: PathBuf,
    staging: PathBuf,
}

/// `<algorithm>/<hex>`
fn by_digest(directory: PathBuf, digest: &Digest) -> PathBuf {
    directory.join(digest.algorithm().as_str()).join(digest.hex())
}

impl Layout {
    pub(super) fn new(data: &Path) -> Self {
        let root = data.join("docker/registry/v2");
        Self {
            blobs: root.join("blobs"),
            repositories: root.join("repositories"),
            staging: data.join(".lockgate/staging"),
        }
    }

    pub(super) fn blobs(&self) -> &Path {
        &self.blobs
    }

    pub(super) fn repositories(&self) -> &Path {
        &self.repositories
    }

    /// Where files are made before they are renamed to where they are seen.
    pub(super) fn staging(&self) -> &Path {
        &self.staging
    }

    pub(super) fn blob_data(&self, digest: &Digest) -> PathBuf {
        let algorithm = self.blobs.join(digest.algorithm().as_str());
        algorithm.join(&digest.hex()[..2]).join(digest.hex()).join("data")
    }

    pub(super) fn repository(&self, name: &RepositoryName) -> PathBuf {
        self.repositories.join(name.as_str())
    }

    /// Where the links of a kind are, as `<algorithm>/<hex>/link`.
    pub(super) fn links(&self, name: &RepositoryName, links: Links) -> PathBuf {
        self.repository(name).join(match links {
            Links::Blobs => "_layers",
            Links::Manifests => "_manifests/revisions",
        })
    }

    pub(super) fn layer_link(&self, name: &RepositoryName, digest: &Digest) -> PathBuf {
        by_digest(self.links(name, Links::Blobs), digest).join("link")
    }

    pub(super) fn revision_link(&self, name: &RepositoryName, digest: &Digest) -> PathBuf {
        by_digest(self.links(name, Links::Manifests), digest).join("link")
    }

    pub(super) fn tags(&self, name: &RepositoryName) -> PathBuf {
        self.repository(name).join("_manifests/tags")
    }

    pub(super) fn tag(&self, name: &RepositoryName, tag: &Tag) -> PathBuf {
        self.tags(name).join(tag.as_str())
    }

    pub(super) fn tag_current_link(&self, name: &RepositoryName, tag: &Tag) -> PathBuf {
        self.tag(name, tag).join("current/link")
    }

    pub(super) fn tag_index_link(&self, name: &RepositoryName, tag: &Tag, digest: &Digest) -> PathBuf {
        by_digest(self.tag(name, tag).join("index"), digest).join("link")
    }

    pub(super) fn referrers(&self, name: &RepositoryName, subject: &Digest) -> PathBuf {
        by_digest(self.repository(name).join("_referrers"), subject)
    }

    pub(super) fn referrer_link(&self, name: &RepositoryName, subject: &Digest, digest: &Digest) -> PathBuf {
        by_digest(self.referrers(name, subject), digest).join("link")
    }

    pub(super) fn uploads(&self, name: &RepositoryName) -> PathBuf {
        self.repository(name).join("_uploads")
    }

    /// Where the tags are that were pointed at a manifest.
    pub(super) fn tagged(&self, name: &RepositoryName, digest: &Digest) -> PathBuf {
        by_digest(self.repository(name).join("_tagged"), digest)
    }

    pub(super) fn upload(&self, name: &RepositoryName, id: Uuid) -> PathBuf {
        self.uploads(name).join(id.hyphenated().to_string())
    }
}

/// The bytes of a session, in its directory.
pub(super) fn upload_data(session: &Path) -> PathBuf {
    session.join("data")
}

/// When a session began, in its directory.
pub(super) fn upload_started_at(session: &Path) -> PathBuf {
    session.join("startedat")
}

/// Whether a directory is a repository: it has held a blob or a manifest.
pub(super) fn is_repository(directory: &Path) -> bool {
    directory.join("_layers").is_dir() || directory.join("_manifests").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_are_those_that_distribution_writes() {
        let layout = Layout::new(Path::new("/d"));
        let (name, tag): (RepositoryName, Tag) = ("team/app".parse().unwrap(), "v1".parse().unwrap());
        let hex = "1e1bef022d4f9a35b70df012fbce601b0e4508749d006d15132385ccf4729b96";
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        let id = Uuid::parse_str("d76870d4-748c-45b4-8699-87367842eaeb").unwrap();
        let session = layout.upload(&name, id);
        let repository = "/d/docker/registry/v2/repositories/team/app";
        let table = [
            (layout.blob_data(&digest), format!("/d/docker/registry/v2/blobs/sha256/1e/{hex}/data")),
            (layout.layer_link(&name, &digest), format!("{repository}/_layers/sha256/{hex}/link")),
            (layout.revision_link(&name, &digest), format!("{repository}/_manifests/revisions/sha256/{hex}/link")),
            (layout.tag_current_link(&name, &tag), format!("{repository}/_manifests/tags/v1/current/link")),
            (
                layout.tag_index_link(&name, &tag, &digest),
                format!("{repository}/_manifests/tags/v1/index/sha256/{hex}/link"),
            ),
            (upload_data(&session), format!("{repository}/_uploads/{id}/data")),
            (upload_started_at(&session), format!("{repository}/_uploads/{id}/startedat")),
        ];
        for (path, expected) in table {
            assert_eq!(path, Path::new(&expected));
        }
    }
}
