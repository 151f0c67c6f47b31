//! What there is in every data directory.

/// The directories of distribution's root, below the directory that it calls its `rootdirectory`.
pub(super) const BLOBS: &str = "docker/registry/v2/blobs";
pub(super) const REPOSITORIES: &str = "docker/registry/v2/repositories";

/// Where files are made before they are renamed to where they are seen.
pub(super) const STAGING: &str = ".lockgate/staging";
