//! The end-points of the distribution API ([spec.md, "Endpoints"]), told apart by their path.
//!
//! A path is read byte for byte: nothing is decoded, no `..` is resolved, no slash is merged. What is
//! not exactly an end-point is no [`Route`], so what was authorised is what is forwarded.
//!
//! [spec.md, "Endpoints"]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints

use std::fmt;
use std::str::FromStr;

use http::StatusCode;

use crate::{
    AnyDigest, DigestError, ErrorCode, OciError, Reference, ReferenceError, RepositoryName, RepositoryNameError,
    TrashId,
};

/// An end-point with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/v2/` (end-1): is this a registry, and may I in?
    Base,
    /// `/v2/_catalog`: Docker's list of repositories.
    Catalog,
    /// `/v2/<name>/tags/list` (end-8).
    Tags(RepositoryName),
    /// `/v2/<name>/manifests/<reference>` (end-3, end-7, end-9).
    Manifest(RepositoryName, Reference<AnyDigest>),
    /// `/v2/<name>/blobs/<digest>` (end-2, end-10).
    Blob(RepositoryName, AnyDigest),
    /// `/v2/<name>/blobs/uploads/` (end-4, end-11).
    Uploads(RepositoryName),
    /// `/v2/<name>/blobs/uploads/<id>` (end-5, end-6, end-13).
    Upload(RepositoryName, UploadId),
    /// `/v2/<name>/referrers/<digest>` (end-12).
    Referrers(RepositoryName, AnyDigest),
    /// `/v2/<name>/_lockgate/trash/`: what was deleted in a repository.
    Trash(RepositoryName),
    /// `/v2/<name>/_lockgate/trash/<id>`: one thing of it.
    Trashed(RepositoryName, TrashId),
    /// `/v2/<name>/_lockgate/usage`: how much a repository takes.
    Usage(RepositoryName),
    /// `/v2/_<extension>/...`: an extension of the registry behind, outside every repository.
    Extension,
}

/// Why a path is no end-point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// It is not below `/v2/`, or below it has no form that the specification names.
    #[error("no end-point of the registry API has this path; see the OCI distribution specification")]
    Unknown,
    /// The repository's name is not one.
    #[error(transparent)]
    Name(#[from] RepositoryNameError),
    /// The reference is neither tag nor digest.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The digest is not one.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// 404 for what has no form of the API, 400 for a form with a wrong part.
impl From<RouteError> for OciError {
    fn from(error: RouteError) -> Self {
        let (code, status) = match error {
            RouteError::Unknown => (ErrorCode::Unsupported, StatusCode::NOT_FOUND),
            RouteError::Name(_) => (ErrorCode::NameInvalid, StatusCode::BAD_REQUEST),
            RouteError::Reference(ReferenceError::Tag(_)) => (ErrorCode::TagInvalid, StatusCode::BAD_REQUEST),
            RouteError::Reference(ReferenceError::Digest(_)) | RouteError::Digest(_) => {
                (ErrorCode::DigestInvalid, StatusCode::BAD_REQUEST)
            }
        };
        Self::new(code, error.to_string()).with_status(status)
    }
}

/// The last segment of an upload's URL. Registries choose its form (distribution: a UUID), clients
/// hand it back untouched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UploadId(Box<str>);

impl UploadId {
    /// Longer than any registry's, in bytes.
    pub const MAX_LEN: usize = 512;

    /// The id as it stands in a URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One path segment that means itself: no `%`, no slash, not `.` or `..`.
fn is_plain_segment(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b'=' | b':');
    !text.is_empty() && text.bytes().all(plain) && text.bytes().any(|b| b != b'.')
}

impl FromStr for UploadId {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        if text.len() <= Self::MAX_LEN && is_plain_segment(text) {
            Ok(Self(text.into()))
        } else {
            Err(RouteError::Unknown)
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Route {
    /// Whether a path is below the registry API at all, end-point or not.
    pub fn is_api_path(path: &str) -> bool {
        path == "/v2" || path.starts_with("/v2/")
    }

    /// Reads the path of a request, without its query.
    ///
    /// # Errors
    /// A [`RouteError`] that names the part that is wrong.
    pub fn parse(path: &str) -> Result<Self, RouteError> {
        let rest = match path {
            "/v2" | "/v2/" => return Ok(Self::Base),
            "/v2/_catalog" => return Ok(Self::Catalog),
            _ => path.strip_prefix("/v2/").ok_or(RouteError::Unknown)?,
        };
        if rest.starts_with('_') {
            let all_plain = rest.trim_end_matches('/').split('/').all(is_plain_segment);
            return if all_plain { Ok(Self::Extension) } else { Err(RouteError::Unknown) };
        }
        // A name may hold any word between slashes, `blobs` and `tags` too: only the end tells.
        let (head, last) = rest.rsplit_once('/').ok_or(RouteError::Unknown)?;
        if let Some(name) = head.strip_suffix("/blobs/uploads") {
            let name = name.parse()?;
            return if last.is_empty() { Ok(Self::Uploads(name)) } else { Ok(Self::Upload(name, last.parse()?)) };
        }
        if let Some(name) = head.strip_suffix("/_lockgate/trash") {
            let name = name.parse()?;
            let id = || last.parse().map_err(|_| RouteError::Unknown);
            return if last.is_empty() { Ok(Self::Trash(name)) } else { Ok(Self::Trashed(name, id()?)) };
        }
        let (name, kind) = head.rsplit_once('/').ok_or(RouteError::Unknown)?;
        match (kind, last) {
            ("blobs", "uploads") => Ok(Self::Uploads(name.parse()?)),
            ("tags", "list") => Ok(Self::Tags(name.parse()?)),
            ("manifests", reference) => Ok(Self::Manifest(name.parse()?, reference.parse()?)),
            ("blobs", digest) => Ok(Self::Blob(name.parse()?, digest.parse()?)),
            ("_lockgate", "usage") => Ok(Self::Usage(name.parse()?)),
            ("referrers", digest) => Ok(Self::Referrers(name.parse()?, digest.parse()?)),
            _ => Err(RouteError::Unknown),
        }
    }

    /// The repository it is about, if it is about one.
    pub fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Base | Self::Catalog | Self::Extension => None,
            Self::Tags(name)
            | Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Referrers(name, _)
            | Self::Trash(name)
            | Self::Usage(name)
            | Self::Trashed(name, _) => Some(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn every_end_point_of_the_spec_is_known() {
        let name: RepositoryName = "a/b".parse().expect("a name");
        let digest: AnyDigest = D.parse().expect("a digest");
        let table = [
            ("/v2/".to_owned(), Route::Base),
            ("/v2".to_owned(), Route::Base),
            ("/v2/_catalog".to_owned(), Route::Catalog),
            ("/v2/_oci/ext/discover".to_owned(), Route::Extension),
            ("/v2/a/b/tags/list".to_owned(), Route::Tags(name.clone())),
            ("/v2/a/b/manifests/latest".to_owned(), Route::Manifest(name.clone(), "latest".parse().expect("a tag"))),
            (format!("/v2/a/b/manifests/{D}"), Route::Manifest(name.clone(), Reference::Digest(digest.clone()))),
            (format!("/v2/a/b/blobs/{D}"), Route::Blob(name.clone(), digest.clone())),
            ("/v2/a/b/blobs/blake3:af".to_owned(), Route::Blob(name.clone(), "blake3:af".parse().expect("a digest"))),
            ("/v2/a/b/blobs/uploads/".to_owned(), Route::Uploads(name.clone())),
            ("/v2/a/b/blobs/uploads".to_owned(), Route::Uploads(name.clone())),
            ("/v2/a/b/blobs/uploads/6b3c-x".to_owned(), Route::Upload(name.clone(), "6b3c-x".parse().expect("an id"))),
            (format!("/v2/a/b/referrers/{D}"), Route::Referrers(name, digest)),
        ];
        for (path, route) in table {
            assert_eq!(Route::parse(&path), Ok(route), "{path}");
        }
    }

    #[test]
    fn a_repository_may_be_called_like_an_end_point() {
        let route = Route::parse("/v2/tags/blobs/uploads/manifests/list").expect("a manifest");
        assert_eq!(route.repository().map(RepositoryName::as_str), Some("tags/blobs/uploads"));
    }

    #[test]
    fn what_is_not_exactly_an_end_point_is_refused() {
        for path in [
            "",
            "/",
            "/v1/",
            "//v2/",
            "/V2/",
            "/v2/a",
            "/v2//",
            "/v2/a/manifests/",
            "/v2/a/manifests/..",
            "/v2/../etc/manifests/x",
            "/v2/a%2fb/manifests/x",
            "/v2/a/_uploads/manifests/x",
            "/v2/a/blobs/sha256:../../x",
            "/v2/a/blobs/uploads/..",
            "/v2/a/blobs/uploads/a%2e",
            "/v2/_x/../y",
            "/v2;a=b/",
            "/v2/a/tags/list/",
            "/v2/manifests/x",
        ] {
            assert!(Route::parse(path).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_the_parser_panic(path in "/v2/[a-z./%_:-]{0,40}|.{0,40}") {
            let _ = Route::parse(&path);
        }

        #[test]
        fn no_route_holds_dot_dot_or_an_escape(path in "/v2/[a-z./%_-]{0,8}/(manifests|blobs|blobs/uploads|tags)/[a-z./%_-]{0,8}") {
            if Route::parse(&path).is_ok() {
                prop_assert!(!path.contains('%') && !path.split('/').any(|part| part == ".."), "{}", path);
            }
        }
    }
}
