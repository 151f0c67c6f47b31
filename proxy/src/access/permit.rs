//! What opens the way to what is behind the gate.

use std::fmt;

use http::Request;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::uri::PathAndQuery;
use lockgate_oci::{Action, Pagination, Reference, RepositoryName, Tag, without_mount};

use crate::auth::Caller;

/// One request may be carried out: who asks, for what, and what is rewritten in it on the way. It is made in `access` only.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(super) caller: Caller,
    pub(super) action: Action,
    pub(super) rewrite: Rewrite,
    /// The tags that the caller may make and not move.
    pub(super) only_new: Vec<Tag>,
    pub(super) given: Option<Given>,
}

/// What a permit was given by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// There are no grants: every user may do everything.
    ToUsers,
    /// This grant.
    By {
        /// Counted from 1.
        number: usize,
        /// Where it begins in the file.
        line: usize,
    },
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToUsers => f.write_str("every user may do everything"),
            Self::By { number, line } => write!(f, "grant {number} (line {line})"),
        }
    }
}

/// What a registry behind could read otherwise than the gate did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rewrite {
    /// The body says that it is a form, of which registries in Go take `mount` and `from` before the query.
    pub(super) form: bool,
    /// A mount that names no repository, which some registries take from any of them, or one of which the caller may not
    /// know what is in it, is an ordinary upload.
    pub(super) mount: bool,
}

/// What the gate looks up for itself, to judge a request.
pub(crate) enum Look {
    /// Which manifest a tag points at.
    Tag(RepositoryName, Tag),
    /// A part of a repository's tags.
    Tags(RepositoryName, Pagination),
    /// A part of the repositories.
    Catalog(Pagination),
}

impl Permit {
    /// For what the gate itself looks up.
    pub(crate) fn to_look(look: Look) -> Self {
        let action = match look {
            Look::Tag(repository, tag) => Action::PullManifest(repository, Reference::Tag(tag)),
            Look::Tags(repository, page) => Action::Tags(repository, page),
            Look::Catalog(page) => Action::Catalog(page),
        };
        let rewrite = Rewrite { form: false, mount: false };
        Self { caller: Caller::nobody(), action, rewrite, only_new: vec![], given: None }
    }

    /// Who asks.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What for.
    pub(crate) fn action(&self) -> &Action {
        &self.action
    }

    /// The repository that it is about, if it is about one.
    pub(crate) fn repository(&self) -> Option<&RepositoryName> {
        self.action.repository()
    }

    /// The tags that it may make, but not move.
    pub(crate) fn only_new(&self) -> &[Tag] {
        &self.only_new
    }

    /// By what it was given.
    pub(crate) fn given(&self) -> Option<Given> {
        self.given
    }

    /// Rewrites the request that was permitted. All else of it goes on byte for byte.
    pub(crate) fn rewrite<B>(&self, request: &mut Request<B>) {
        if self.rewrite.form {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        }
        if self.rewrite.mount {
            let query = without_mount(request.uri().query().unwrap_or_default());
            let path = request.uri().path();
            let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
            // A part of a target's query is again one.
            let target = PathAndQuery::try_from(target).expect("parts of a target make a target");
            let mut uri = request.uri().clone().into_parts();
            uri.path_and_query = Some(target);
            *request.uri_mut() = http::Uri::from_parts(uri).expect("it was a target with another query");
        }
    }
}
