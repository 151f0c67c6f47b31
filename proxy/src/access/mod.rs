//! May they? An [`Identity`] and an [`Action`] make a [`Permit`], and only a permit opens what is behind the gate.

mod answer;
mod expectation;
mod file;
mod grant;
mod grants;
mod groups;
mod review;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Request};
use lockgate_oci::{Action, RepositoryName, is_form, without_mount};

pub use answer::{Answer, Holder};
pub use expectation::{Expectation, Place, PlaceError};
pub use file::{Access, AccessError};
pub use grant::{Grant, Subject, SubjectError, Until, UntilError};
pub use grants::{Asker, Grants, Question, TooMany};
pub use groups::{GroupName, GroupNameError, Groups, GroupsDefect, GroupsError, GroupsLineError, GroupsLineProblem};
pub use review::Warning;

use crate::auth::Identity;

/// One request may be carried out: who asks, for what, and what is rewritten in it on the way. It is made here only.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    identity: Identity,
    action: Action,
    rewrite: Rewrite,
}

/// What a registry behind could read otherwise than the gate did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rewrite {
    /// The body says that it is a form, of which registries in Go take `mount` and `from` before the query.
    form: bool,
    /// A mount that names no repository, which some registries take from any of them, is an ordinary upload.
    mount: bool,
}

impl Permit {
    /// Every user of the htpasswd file may do everything.
    pub(crate) fn decide(identity: Identity, action: Action, headers: &HeaderMap) -> Self {
        let mount = matches!(action, Action::Mount { from: None, .. });
        let action = if mount { into_upload(action) } else { action };
        Self { identity, action, rewrite: Rewrite { form: is_form(headers), mount } }
    }

    /// Who asks.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What for.
    pub(crate) fn action(&self) -> &Action {
        &self.action
    }

    /// The repository that it is about, if it is about one.
    pub(crate) fn repository(&self) -> Option<&RepositoryName> {
        self.action.repository()
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

fn into_upload(action: Action) -> Action {
    match action {
        Action::Mount { repository, algorithm, .. } => Action::BeginUpload { repository, algorithm },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn permitted(query: &str, content_type: &str) -> (Permit, Request<()>) {
        let target = format!("/v2/a/blobs/uploads/?{query}");
        let mut request = Request::post(&target).header(CONTENT_TYPE, content_type).body(()).expect("a request");
        let action = Action::parse(&Method::POST, request.uri().path(), request.uri().query()).expect("an action");
        let permit = Permit::decide(Identity::of_tests("alice"), action, request.headers());
        permit.rewrite(&mut request);
        (permit, request)
    }

    #[test]
    fn a_mount_from_nowhere_is_an_ordinary_upload() {
        for query in [format!("mount={DIGEST}&x=%2f"), format!("%6dount={DIGEST}&x=%2f&%66rom=no%20name")] {
            let (permit, request) = permitted(&query, "application/octet-stream");
            assert!(matches!(permit.action(), Action::BeginUpload { .. }), "{query}");
            assert_eq!(request.uri(), "/v2/a/blobs/uploads/?x=%2f");
        }
        let (permit, request) = permitted(&format!("mount={DIGEST}"), "application/octet-stream");
        assert!(matches!(permit.action(), Action::BeginUpload { .. }));
        assert_eq!(request.uri(), "/v2/a/blobs/uploads/");
    }

    #[test]
    fn a_mount_from_a_repository_goes_on_as_it_came() {
        let query = format!("mount={DIGEST}&from=b%2Fc");
        let (permit, request) = permitted(&query, "application/octet-stream");
        assert!(matches!(permit.action(), Action::Mount { from: Some(_), .. }));
        assert_eq!(request.uri().query(), Some(&*query));
    }

    #[test]
    fn a_body_that_says_it_is_a_form_says_so_no_more() {
        for (before, after) in [
            ("application/x-www-form-urlencoded", "application/octet-stream"),
            ("Multipart/Form-Data; boundary=x", "application/octet-stream"),
            ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.manifest.v1+json"),
        ] {
            let (_, request) = permitted("", before);
            assert_eq!(request.headers()[CONTENT_TYPE], after);
        }
    }
}
