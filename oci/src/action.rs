//! What a request wants, read once from its method, its path and its query ([spec.md, "Endpoints"]).
//!
//! The gate authorises an [`Action`] and the registry carries it out, so that there is nothing that one of them
//! reads and the other does not.
//!
//! | path below `/v2/` | GET, HEAD | POST | PUT | PATCH | DELETE |
//! |---|---|---|---|---|---|
//! | | `Base` | | | | |
//! | `_catalog` | `Catalog` | | | | |
//! | `_<extension>/...` | `Extension` | `ChangeExtension` | `ChangeExtension` | `ChangeExtension` | `ChangeExtension` |
//! | `<name>/tags/list` | `Tags` | | | | |
//! | `<name>/manifests/<reference>` | `PullManifest` | | `PushManifest` | | `DeleteManifest` |
//! | `<name>/blobs/<digest>` | `PullBlob` | | | | `DeleteBlob` |
//! | `<name>/blobs/uploads/` | | `BeginUpload`, `Mount`, `PushBlob` | | | |
//! | `<name>/blobs/uploads/<id>` | `UploadStatus` | | `FinishUpload` | `AppendUpload` | `CancelUpload` |
//! | `<name>/referrers/<digest>` | `Referrers` | | | | |
//! | `<name>/_lockgate/usage` | `Usage` | | | | |
//! | `<name>/_lockgate/trash/` | `Trash` | | | | |
//! | `<name>/_lockgate/trash/<id>` | | `Restore` | | | |
//!
//! What is not in the table is no action.
//!
//! [spec.md, "Endpoints"]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints

use std::fmt::Display;
use std::str::FromStr;

use http::{HeaderValue, Method, StatusCode};

use crate::{
    AnyAlgorithm, AnyDigest, ErrorCode, OciError, Pagination, Query, Reference, ReferenceError, RepositoryName, Route,
    RouteError, Tag, TrashId, UploadId,
};

/// What a request wants, with the parameters that it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask whether this is a registry, and whether one may in.
    Base,
    /// List the registry's repositories.
    Catalog(Pagination),
    /// Read from an extension of the registry, outside every repository.
    Extension,
    /// Have an extension do anything else.
    ChangeExtension,
    /// List a repository's tags.
    Tags(RepositoryName, Pagination),
    /// Read a manifest.
    PullManifest(RepositoryName, Reference<AnyDigest>),
    /// Write a manifest, and let tags point at it.
    PushManifest {
        /// Where it goes.
        repository: RepositoryName,
        /// Its name in the path: a tag that will point at it, or the digest that it must have.
        reference: Reference<AnyDigest>,
        /// The tags of `?tag=`, in their order: they are to point at it, too.
        tags: Vec<Tag>,
    },
    /// Remove a tag; or, by digest, a manifest with its tags.
    DeleteManifest(RepositoryName, Reference<AnyDigest>),
    /// Read a blob.
    PullBlob(RepositoryName, AnyDigest),
    /// Remove a blob from its repository.
    DeleteBlob(RepositoryName, AnyDigest),
    /// Begin an upload.
    BeginUpload {
        /// Where it goes.
        repository: RepositoryName,
        /// The algorithm of the digest that will be asked for, where the client says so (`?digest-algorithm=`).
        algorithm: Option<AnyAlgorithm>,
    },
    /// Take a blob over from another repository; begin an upload where that cannot be.
    Mount {
        /// Where it goes.
        repository: RepositoryName,
        /// Which blob.
        digest: AnyDigest,
        /// Where it is. `None`: the client does not say, or says what is no name.
        from: Option<RepositoryName>,
        /// As in [`Action::BeginUpload`].
        algorithm: Option<AnyAlgorithm>,
    },
    /// Write a blob that comes whole with the request.
    PushBlob {
        /// Where it goes.
        repository: RepositoryName,
        /// The digest of the bytes that come.
        digest: AnyDigest,
    },
    /// Ask where an upload stands.
    UploadStatus(RepositoryName, UploadId),
    /// Add to an upload.
    AppendUpload(RepositoryName, UploadId),
    /// Add the last of an upload, if any is left, and make it a blob.
    FinishUpload {
        /// Where it goes.
        repository: RepositoryName,
        /// Which upload.
        id: UploadId,
        /// The digest of the whole upload.
        digest: AnyDigest,
    },
    /// Give an upload up.
    CancelUpload(RepositoryName, UploadId),
    /// List what was deleted in a repository.
    Trash(RepositoryName),
    /// Bring back what was deleted.
    Restore {
        /// Where it was.
        repository: RepositoryName,
        /// What.
        id: TrashId,
        /// The tags of `?tag=`: of those that it had, these are to point at it again.
        tags: Vec<Tag>,
    },
    /// Ask how much a repository takes.
    Usage(RepositoryName),
    /// List the manifests that refer to one.
    Referrers {
        /// Where they are.
        repository: RepositoryName,
        /// The manifest that they refer to.
        subject: AnyDigest,
        /// The only type to list (`?artifactType=`); all where it is `None`.
        artifact_type: Option<String>,
        /// Which part of the list.
        page: Pagination,
    },
}

/// Tags that one request may set by `?tag=`. Each is a header of the answer: more of them, or longer ones, would
/// be more than a client reads, since hyper and Python take 100 headers, and proxies often no more than 8 KiB.
const MOST_TAGS: usize = 50;

/// A request that no registry knows how to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAction {
    /// The refusal: 400, 404 or 405.
    pub error: OciError,
    /// Where it is 405: the value of the `Allow` header ([RFC 9110, 15.5.6]).
    ///
    /// [RFC 9110, 15.5.6]: https://www.rfc-editor.org/rfc/rfc9110#section-15.5.6
    pub allow: Option<HeaderValue>,
}

impl<E: Into<OciError>> From<E> for NoAction {
    fn from(error: E) -> Self {
        Self { error: error.into(), allow: None }
    }
}

impl NoAction {
    fn wrong_method(route: &Route) -> Self {
        let message = "this path does not know the method: the Allow header says which it does";
        let error = OciError::new(ErrorCode::Unsupported, message);
        Self { error, allow: Some(HeaderValue::from_static(advertised(route))) }
    }
}

/// The methods that an end-point has. HEAD of an upload is not the specification's: distribution has it.
fn advertised(route: &Route) -> &'static str {
    match route {
        Route::Base | Route::Catalog | Route::Tags(_) | Route::Referrers(..) | Route::Trash(_) | Route::Usage(_) => {
            "GET, HEAD"
        }
        Route::Extension => "GET, HEAD, POST, PUT, PATCH, DELETE",
        Route::Manifest(..) => "GET, HEAD, PUT, DELETE",
        Route::Blob(..) => "GET, HEAD, DELETE",
        Route::Uploads(_) | Route::Trashed(..) => "POST",
        Route::Upload(..) => "GET, HEAD, PATCH, PUT, DELETE",
    }
}

impl Action {
    /// What it is called in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Catalog(_) => "catalog",
            Self::Extension | Self::ChangeExtension => "extension",
            Self::Tags(..) => "tags",
            Self::PullManifest(..) => "pull_manifest",
            Self::PushManifest { .. } => "push_manifest",
            Self::DeleteManifest(..) => "delete_manifest",
            Self::PullBlob(..) => "pull_blob",
            Self::DeleteBlob(..) => "delete_blob",
            Self::BeginUpload { .. } => "begin_upload",
            Self::Mount { .. } => "mount",
            Self::PushBlob { .. } => "push_blob",
            Self::UploadStatus(..) => "upload_status",
            Self::AppendUpload(..) => "append_upload",
            Self::FinishUpload { .. } => "finish_upload",
            Self::CancelUpload(..) => "cancel_upload",
            Self::Trash(_) => "trash",
            Self::Restore { .. } => "restore",
            Self::Usage(_) => "usage",
            Self::Referrers { .. } => "referrers",
        }
    }

    /// Reads a request's method, its path, byte for byte, and what stands after the `?`.
    ///
    /// # Errors
    /// [`NoAction`]: 404 or 400 for the path (see [`Route::parse`]), 405 for the method, 400 for a query that
    /// could be read in two ways (see [`Query::parse`]) or has a value that is none.
    pub fn parse(method: &Method, path: &str, query: Option<&str>) -> Result<Self, NoAction> {
        let route = Route::parse(path).map_err(|error| unreadable(error, method))?;
        let query = Query::parse(query.unwrap_or_default())?;
        Ok(match (route, method.as_str()) {
            (Route::Base, "GET" | "HEAD") => Self::Base,
            (Route::Catalog, "GET" | "HEAD") => Self::Catalog(Pagination::of(&query)),
            (Route::Extension, "GET" | "HEAD") => Self::Extension,
            (Route::Extension, "POST" | "PUT" | "PATCH" | "DELETE") => Self::ChangeExtension,
            (Route::Tags(name), "GET" | "HEAD") => Self::Tags(name, Pagination::of(&query)),
            (Route::Manifest(name, reference), "GET" | "HEAD") => Self::PullManifest(name, reference),
            (Route::Manifest(repository, reference), "PUT") => {
                Self::PushManifest { repository, reference, tags: tags(&query)? }
            }
            (Route::Manifest(name, reference), "DELETE") => Self::DeleteManifest(name, reference),
            (Route::Blob(name, digest), "GET" | "HEAD") => Self::PullBlob(name, digest),
            (Route::Blob(name, digest), "DELETE") => Self::DeleteBlob(name, digest),
            (Route::Uploads(name), "POST") => Self::begin(name, &query)?,
            (Route::Upload(name, id), "GET" | "HEAD") => Self::UploadStatus(name, id),
            (Route::Upload(name, id), "PATCH") => Self::AppendUpload(name, id),
            (Route::Upload(repository, id), "PUT") => {
                Self::FinishUpload { repository, id, digest: digest_of_all(&query)? }
            }
            (Route::Upload(name, id), "DELETE") => Self::CancelUpload(name, id),
            (Route::Referrers(repository, subject), "GET" | "HEAD") => {
                let artifact_type = query.get("artifactType").filter(|wanted| !wanted.is_empty()).map(str::to_owned);
                Self::Referrers { repository, subject, artifact_type, page: Pagination::of(&query) }
            }
            (Route::Usage(name), "GET" | "HEAD") => Self::Usage(name),
            (Route::Trash(name), "GET" | "HEAD") => Self::Trash(name),
            (Route::Trashed(repository, id), "POST") => Self::Restore { repository, id, tags: tags(&query)? },
            (route, _) => return Err(NoAction::wrong_method(&route)),
        })
    }

    fn begin(repository: RepositoryName, query: &Query<'_>) -> Result<Self, OciError> {
        let algorithm = read(query, "digest-algorithm", ErrorCode::DigestInvalid)?;
        if let Some(digest) = read(query, "mount", ErrorCode::DigestInvalid)? {
            let from = query.get("from").and_then(|from| from.parse().ok());
            return Ok(Self::Mount { repository, digest, from, algorithm });
        }
        Ok(match read(query, "digest", ErrorCode::DigestInvalid)? {
            Some(digest) => Self::PushBlob { repository, digest },
            None => Self::BeginUpload { repository, algorithm },
        })
    }

    /// The repository that it is about, if it is about one. That of a mount is the one it goes to.
    pub fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Base | Self::Catalog(_) | Self::Extension | Self::ChangeExtension => None,
            Self::Tags(repository, _)
            | Self::PullManifest(repository, _)
            | Self::PushManifest { repository, .. }
            | Self::DeleteManifest(repository, _)
            | Self::PullBlob(repository, _)
            | Self::DeleteBlob(repository, _)
            | Self::BeginUpload { repository, .. }
            | Self::Mount { repository, .. }
            | Self::PushBlob { repository, .. }
            | Self::UploadStatus(repository, _)
            | Self::AppendUpload(repository, _)
            | Self::FinishUpload { repository, .. }
            | Self::CancelUpload(repository, _)
            | Self::Trash(repository)
            | Self::Usage(repository)
            | Self::Restore { repository, .. }
            | Self::Referrers { repository, .. } => Some(repository),
        }
    }
}

/// The refusal of a path that is no end-point. By a tag that cannot exist no manifest is found.
fn unreadable(error: RouteError, method: &Method) -> OciError {
    let is_not_found =
        matches!(error, RouteError::Reference(ReferenceError::Tag(_))) && matches!(method.as_str(), "GET" | "HEAD");
    let error = OciError::from(error);
    if is_not_found { error.with_status(StatusCode::NOT_FOUND) } else { error }
}

/// The value of a parameter, where the query has it.
fn read<T: FromStr<Err: Display>>(query: &Query<'_>, name: &str, code: ErrorCode) -> Result<Option<T>, OciError> {
    let value = query.get(name).map(str::parse).transpose();
    value.map_err(|error: T::Err| OciError::new(code, format!("{name}: {error}")))
}

/// At most as many as a registry of ours takes: each costs who judges the request, and who carries it out.
fn tags(query: &Query<'_>) -> Result<Vec<Tag>, OciError> {
    if query.all("tag").nth(MOST_TAGS).is_some() {
        let message = format!("one request sets at most {MOST_TAGS} tags: set the others by further requests");
        return Err(OciError::new(ErrorCode::TagInvalid, message));
    }
    let tags = query.all("tag").map(str::parse).collect::<Result<_, _>>();
    tags.map_err(|error| OciError::new(ErrorCode::TagInvalid, format!("tag: {error}")))
}

/// The digest of a whole upload.
fn digest_of_all(query: &Query<'_>) -> Result<AnyDigest, OciError> {
    read(query, "digest", ErrorCode::DigestInvalid)?.ok_or_else(|| {
        let message = "the last request of an upload names the content's digest: ?digest=sha256:...";
        OciError::new(ErrorCode::DigestInvalid, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get"];

    fn paths() -> [String; 12] {
        [
            "/v2/".to_owned(),
            "/v2/_catalog".to_owned(),
            "/v2/_x/y".to_owned(),
            "/v2/a/b/tags/list".to_owned(),
            "/v2/a/b/manifests/v1".to_owned(),
            format!("/v2/a/b/blobs/{D}"),
            "/v2/a/b/blobs/uploads/".to_owned(),
            "/v2/a/b/blobs/uploads/6b3c".to_owned(),
            format!("/v2/a/b/referrers/{D}"),
            "/v2/a/b/_lockgate/usage".to_owned(),
            "/v2/a/b/_lockgate/trash/".to_owned(),
            format!("/v2/a/b/_lockgate/trash/{}", TrashId::new(std::time::SystemTime::UNIX_EPOCH, 7)),
        ]
    }

    fn parse(method: &str, path: &str, query: &str) -> Result<Action, NoAction> {
        let method = Method::from_bytes(method.as_bytes()).expect("a token");
        Action::parse(&method, path, Some(query))
    }

    fn name() -> RepositoryName {
        "a/b".parse().expect("a name")
    }

    fn digest() -> AnyDigest {
        D.parse().expect("a digest")
    }

    fn upload(query: &str) -> Action {
        parse("POST", "/v2/a/b/blobs/uploads/", query).expect("an action")
    }

    fn refused(method: &str, path: &str, query: &str) -> (u16, ErrorCode) {
        let NoAction { error, .. } = parse(method, path, query).expect_err(query);
        (error.status().as_u16(), error.code())
    }

    #[test]
    fn every_method_that_an_end_point_does_not_know_is_405_with_those_that_it_does() {
        for path in paths() {
            for method in METHODS {
                let allow = advertised(&Route::parse(&path).expect("an end-point"));
                let is_known = allow.split(", ").any(|known| known == method);
                match parse(method, &path, &format!("digest={D}")) {
                    Ok(_) => assert!(is_known, "{method} {path}"),
                    Err(NoAction { error, allow: told }) => {
                        assert!(!is_known, "{method} {path}");
                        assert_eq!(error.status(), StatusCode::METHOD_NOT_ALLOWED);
                        assert_eq!(told.expect("a header"), allow);
                    }
                }
            }
        }
    }

    #[test]
    fn a_path_that_is_no_end_point_is_404_and_one_with_a_wrong_part_400() {
        let table = [
            ("/", (404, ErrorCode::Unsupported)),
            ("/v2/x", (404, ErrorCode::Unsupported)),
            ("/v2/A/manifests/x", (400, ErrorCode::NameInvalid)),
            ("/v2/a/manifests/sha256:x", (400, ErrorCode::DigestInvalid)),
            ("/v2/a/blobs/x", (400, ErrorCode::DigestInvalid)),
        ];
        for (path, why) in table {
            assert_eq!(refused("GET", path, ""), why, "{path}");
        }
    }

    #[test]
    fn a_manifest_by_a_tag_that_cannot_exist_is_not_there_and_cannot_be_put() {
        for reference in [".INVALID_MANIFEST_NAME", "..", "-a", &"t".repeat(129)] {
            let path = format!("/v2/a/manifests/{reference}");
            for method in ["GET", "HEAD"] {
                assert_eq!(refused(method, &path, ""), (404, ErrorCode::TagInvalid), "{method} {path}");
            }
            for method in ["PUT", "DELETE"] {
                assert_eq!(refused(method, &path, ""), (400, ErrorCode::TagInvalid), "{method} {path}");
            }
        }
    }

    #[test]
    fn a_post_is_an_upload_or_a_mount_or_a_blob() {
        assert_eq!(upload(""), Action::BeginUpload { repository: name(), algorithm: None });
        let sha512 = Some("sha512".parse().expect("an algorithm"));
        assert_eq!(upload("digest-algorithm=sha512"), Action::BeginUpload { repository: name(), algorithm: sha512 });
        assert_eq!(upload(&format!("digest={D}")), Action::PushBlob { repository: name(), digest: digest() });
        let mount = |from: Option<&str>| {
            let from = from.map(|from| from.parse().expect("a name"));
            Action::Mount { repository: name(), digest: digest(), from, algorithm: None }
        };
        assert_eq!(upload(&format!("mount={D}&from=secret/app")), mount(Some("secret/app")));
        assert_eq!(
            upload(&format!("%6Dount={}&%66rom=secret%2Fapp", D.replace(':', "%3a"))),
            mount(Some("secret/app"))
        );
        assert_eq!(upload(&format!("mount={D}&digest={D}")), mount(None), "as the backend has always read it");
        for no_name in ["", "&from=", "&from=../x", "&from=A"] {
            assert_eq!(upload(&format!("mount={D}{no_name}")), mount(None), "{no_name}");
        }
        assert_eq!(upload("from=secret/app"), Action::BeginUpload { repository: name(), algorithm: None });
    }

    #[test]
    fn a_manifest_takes_tags_along() {
        let push = |path: &str, query: &str| match parse("PUT", path, query).expect("an action") {
            Action::PushManifest { reference, tags, .. } => (reference.to_string(), tags),
            other => panic!("{other:?}"),
        };
        let tag = |text: &str| text.parse::<Tag>().expect("a tag");
        assert_eq!(push("/v2/a/b/manifests/v1", ""), ("v1".to_owned(), vec![]));
        assert_eq!(push(&format!("/v2/a/b/manifests/{D}"), "tag=a&t%61g=b"), (D.to_owned(), vec![tag("a"), tag("b")]));
    }

    #[test]
    fn a_list_is_asked_for_as_the_client_says_it() {
        let page = Pagination { n: Some("-1".to_owned()), last: Some("a/b".to_owned()) };
        assert_eq!(parse("GET", "/v2/_catalog", "n=-1&last=a%2Fb&x"), Ok(Action::Catalog(page.clone())));
        assert_eq!(parse("HEAD", "/v2/a/b/tags/list", ""), Ok(Action::Tags(name(), Pagination::default())));
        let referrers = |artifact_type: Option<&str>, page| {
            let artifact_type = artifact_type.map(str::to_owned);
            Ok(Action::Referrers { repository: name(), subject: digest(), artifact_type, page })
        };
        let path = format!("/v2/a/b/referrers/{D}");
        assert_eq!(parse("GET", &path, "artifactType=x/y%2Bz&n=-1&last=a/b"), referrers(Some("x/y+z"), page));
        assert_eq!(parse("GET", &path, "artifactType="), referrers(None, Pagination::default()));
    }

    #[test]
    fn a_value_that_is_none_is_refused_in_its_own_words() {
        let (uploads, upload) = ("/v2/a/b/blobs/uploads/", "/v2/a/b/blobs/uploads/6b3c");
        let table = [
            ("POST", uploads, "mount=x&from=a", ErrorCode::DigestInvalid),
            ("POST", uploads, "digest=md5:/", ErrorCode::DigestInvalid),
            ("POST", uploads, "digest-algorithm=MD5", ErrorCode::DigestInvalid),
            ("PUT", upload, "", ErrorCode::DigestInvalid),
            ("PUT", upload, "digest=x", ErrorCode::DigestInvalid),
            ("PUT", "/v2/a/b/manifests/v1", "tag=v1&tag=-v2", ErrorCode::TagInvalid),
            ("PUT", "/v2/a/b/manifests/v1", &"tag=a&".repeat(MOST_TAGS + 1), ErrorCode::TagInvalid),
            ("POST", uploads, "from=a&from=b", ErrorCode::Unsupported),
            ("GET", "/v2/", "a;b", ErrorCode::Unsupported),
        ];
        for (method, path, query, code) in table {
            assert_eq!(refused(method, path, query), (400, code), "{method} {path}?{query}");
        }
    }

    proptest! {
        #[test]
        fn an_action_is_about_the_repository_of_its_path(
            method in proptest::sample::select(METHODS.to_vec()),
            path in proptest::sample::select(paths().to_vec()),
            query in "((mount|from|tag|n|digest|artifactType)=[a-z%:/]{0,4}&?){0,3}",
        ) {
            if let Ok(action) = parse(method, &path, &query) {
                let route = Route::parse(&path).expect("an end-point");
                prop_assert_eq!(action.repository(), route.repository());
            }
        }
    }
}
