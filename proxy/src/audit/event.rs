//! What a line of the audit log tells, and how it is written.

use std::time::SystemTime;

use http::{Method, StatusCode};
use lockgate_oci::{Action, AnyDigest, Reference, RepositoryName, Tag};
use serde::Serialize;

use crate::client::Client;

/// What of a `User-Agent` and of a request's id is kept, in bytes: they are whatever a client says.
const CLAIM: usize = 200;

/// How an act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It was carried out.
    Done,
    /// The gate did not let it happen.
    Denied,
    /// The gate let it happen, and the registry answered with an error or not at all.
    Failed,
}

impl Outcome {
    /// How a permitted request ended, by the status of the registry's answer.
    pub(crate) fn of_answer(status: StatusCode) -> Self {
        if status.is_client_error() || status.is_server_error() { Self::Failed } else { Self::Done }
    }
}

/// What was done or was to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    /// `GET /v2/`, or credentials that were no good, wherever they were shown.
    Login,
    /// A session token was issued.
    Token,
    /// A manifest was read.
    Pull,
    /// A blob was read.
    PullBlob,
    /// Tags or referrers were listed.
    List,
    /// Repositories were listed.
    Catalog,
    /// An extension of the registry was used.
    Extension,
    /// A manifest was written.
    Push,
    /// A blob was uploaded, in one request of many.
    Upload,
    /// A blob was taken over from another repository.
    Mount,
    /// A tag or a manifest was removed.
    Delete,
    /// A blob was removed.
    DeleteBlob,
    /// What was deleted was brought back.
    Restore,
    /// A file that the configuration names was read again.
    Reload,
    /// The audit log itself: lines are missing.
    Audit,
}

impl From<&Action> for Act {
    fn from(action: &Action) -> Self {
        match action {
            Action::Base => Self::Login,
            Action::Catalog(_) => Self::Catalog,
            Action::Extension | Action::ChangeExtension => Self::Extension,
            Action::Tags(..) | Action::Referrers { .. } | Action::Trash(_) | Action::Usage(_) => Self::List,
            Action::Restore { .. } => Self::Restore,
            Action::PullManifest(..) => Self::Pull,
            Action::PushManifest { .. } => Self::Push,
            Action::DeleteManifest(..) => Self::Delete,
            Action::PullBlob(..) => Self::PullBlob,
            Action::DeleteBlob(..) => Self::DeleteBlob,
            Action::Mount { .. } => Self::Mount,
            Action::BeginUpload { .. }
            | Action::PushBlob { .. }
            | Action::UploadStatus(..)
            | Action::AppendUpload(..)
            | Action::FinishUpload { .. }
            | Action::CancelUpload(..) => Self::Upload,
        }
    }
}

/// Whether a request that was let in is an act of its own, and if so, which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight<'a> {
    /// It always is.
    Act,
    /// A manifest of this repository is read.
    Manifest(&'a RepositoryName),
    /// It is one where whoever asks has not read a manifest of this repository.
    BlobOf(&'a RepositoryName),
    /// It is one for who wants to know of every blob.
    Blob,
    /// It is a part of one, or tells nothing that is kept.
    Nothing,
}

impl<'a> Weight<'a> {
    pub(super) fn of(action: &'a Action, method: &Method) -> Self {
        match action {
            // What only asks whether something is there moves no content.
            _ if method == Method::HEAD => Self::Nothing,
            Action::Base
            | Action::ChangeExtension
            | Action::PushManifest { .. }
            | Action::DeleteManifest(..)
            | Action::DeleteBlob(..)
            | Action::Restore { .. } => Self::Act,
            Action::PullManifest(repository, _) => Self::Manifest(repository),
            Action::PullBlob(repository, _) | Action::Mount { from: Some(repository), .. } => Self::BlobOf(repository),
            Action::PushBlob { .. } | Action::FinishUpload { .. } => Self::Blob,
            Action::Catalog(_)
            | Action::Extension
            | Action::Tags(..)
            | Action::Referrers { .. }
            | Action::Trash(_)
            | Action::Usage(_)
            | Action::Mount { from: None, .. }
            | Action::BeginUpload { .. }
            | Action::UploadStatus(..)
            | Action::AppendUpload(..)
            | Action::CancelUpload(..) => Self::Nothing,
        }
    }
}

/// One line, or for strangers a part of one. The table in [`audit`](super) says what the fields are.
#[derive(Debug, Clone)]
pub(crate) struct Event<'a> {
    pub(crate) outcome: Outcome,
    pub(crate) action: Act,
    pub(crate) reason: &'a str,
    /// Somebody who exists, never what a stranger claims to be: people type passwords where the name belongs.
    pub(crate) user: Option<&'a str>,
    pub(crate) token: Option<&'a str>,
    pub(crate) client: Option<&'a Client>,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) repository: Option<&'a RepositoryName>,
    pub(crate) from: Option<&'a RepositoryName>,
    pub(crate) tags: Vec<&'a str>,
    pub(crate) digest: Option<&'a str>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) request_id: Option<&'a str>,
}

impl<'a> Event<'a> {
    /// An event that is about no repository.
    pub(crate) fn new(outcome: Outcome, action: Act, reason: &'a str) -> Self {
        Self {
            outcome,
            action,
            reason,
            user: None,
            token: None,
            client: None,
            user_agent: None,
            repository: None,
            from: None,
            tags: Vec::new(),
            digest: None,
            status: None,
            request_id: None,
        }
    }

    /// What a request wants, with the repository, the tags and the digest that it names.
    pub(crate) fn of(action: &'a Action, outcome: Outcome, reason: &'a str) -> Self {
        let mut event = Self::new(outcome, action.into(), reason);
        event.repository = action.repository();
        match action {
            Action::PullManifest(_, reference) | Action::DeleteManifest(_, reference) => event.name(reference),
            Action::PushManifest { reference, tags, .. } => {
                event.name(reference);
                event.tags.extend(tags.iter().map(Tag::as_str));
            }
            Action::Restore { tags, .. } => event.tags.extend(tags.iter().map(Tag::as_str)),
            Action::PullBlob(_, digest)
            | Action::DeleteBlob(_, digest)
            | Action::PushBlob { digest, .. }
            | Action::FinishUpload { digest, .. }
            | Action::Referrers { subject: digest, .. } => event.digest = Some(digest.as_str()),
            Action::Mount { digest, from, .. } => {
                event.digest = Some(digest.as_str());
                event.from = from.as_ref();
            }
            Action::Base
            | Action::Catalog(_)
            | Action::Extension
            | Action::ChangeExtension
            | Action::Tags(..)
            | Action::Trash(_)
            | Action::Usage(_)
            | Action::BeginUpload { .. }
            | Action::UploadStatus(..)
            | Action::AppendUpload(..)
            | Action::CancelUpload(..) => {}
        }
        event
    }

    fn name(&mut self, reference: &'a Reference<AnyDigest>) {
        match reference {
            Reference::Tag(tag) => self.tags.push(tag.as_str()),
            Reference::Digest(digest) => self.digest = Some(digest.as_str()),
        }
    }

    /// The line, with its end.
    pub(super) fn line(&self, time: SystemTime) -> Vec<u8> {
        self.line_of(time, self.client.map(Client::as_str))
    }

    /// The same, of another client.
    pub(super) fn line_of(&self, time: SystemTime, client: Option<&str>) -> Vec<u8> {
        let line = Line {
            time: written(time),
            outcome: self.outcome,
            action: self.action,
            reason: self.reason,
            user: self.user,
            token: self.token,
            client,
            user_agent: self.user_agent.map(|text| cut(text, CLAIM)),
            repository: self.repository.map(RepositoryName::as_str),
            from: self.from.map(RepositoryName::as_str),
            tags: &self.tags,
            digest: self.digest,
            status: self.status.map(|status| status.as_u16()),
            request_id: self.request_id.map(|text| cut(text, CLAIM)),
        };
        let mut line = serde_json::to_vec(&line).expect("texts and numbers are JSON");
        line.push(b'\n');
        line
    }
}

/// How many events a line stands for, and when the last of them was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    pub(super) count: u64,
    pub(super) until: SystemTime,
}

impl Tally {
    /// One more.
    pub(super) fn add(&mut self, time: SystemTime) {
        self.count += 1;
        self.until = time;
    }

    /// The line of the first event, made the line of all of them.
    pub(super) fn added_to(self, mut line: Vec<u8>) -> Vec<u8> {
        line.truncate(line.len() - "}\n".len());
        line.extend(format!(",\"count\":{},\"until\":\"{}\"}}\n", self.count, written(self.until)).bytes());
        line
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    outcome: Outcome,
    action: Act,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

fn written(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}

/// The beginning of a text.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::{Value, json};

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn action(method: &str, target: &str) -> Action {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Action::parse(&method.parse().expect("a method"), path, query).expect("an action")
    }

    fn read(line: &[u8]) -> Value {
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "a line is one");
        serde_json::from_slice(line).expect("JSON")
    }

    #[test]
    fn a_line_says_who_did_what_from_where_and_why_they_could() {
        let push = action("PUT", "/v2/team/app/manifests/v1?tag=latest");
        let client = SocketAddr::from(([192, 0, 2, 7], 443)).into();
        let event = Event {
            user: Some("alice"),
            token: Some("ci"),
            client: Some(&client),
            user_agent: Some("docker/29\n\u{1b}"),
            digest: Some(DIGEST),
            status: Some(StatusCode::CREATED),
            request_id: Some("6f1c"),
            ..Event::of(&push, Outcome::Done, "grant 3 (line 12)")
        };
        assert_eq!(
            read(&event.line(UNIX_EPOCH + Duration::from_micros(1))),
            json!({
                "time": "1970-01-01T00:00:00.000001Z",
                "outcome": "done",
                "action": "push",
                "reason": "grant 3 (line 12)",
                "user": "alice",
                "token": "ci",
                "client": "192.0.2.7:443",
                "user_agent": "docker/29\n\u{1b}",
                "repository": "team/app",
                "tags": ["v1", "latest"],
                "digest": DIGEST,
                "status": 201,
                "request_id": "6f1c",
            })
        );
    }

    #[test]
    fn what_there_is_nothing_to_say_of_is_left_out() {
        let line = Event::new(Outcome::Denied, Act::Login, "").line(UNIX_EPOCH);
        assert_eq!(read(&line), json!({"time": "1970-01-01T00:00:00.000000Z", "outcome": "denied", "action": "login"}));
    }

    #[test]
    fn every_request_names_what_it_is_about() {
        for (method, target, act, fields) in [
            ("GET", "/v2/a/manifests/v1".to_owned(), "pull", json!({"tags": ["v1"]})),
            ("DELETE", format!("/v2/a/manifests/{DIGEST}"), "delete", json!({"digest": DIGEST})),
            ("GET", format!("/v2/a/blobs/{DIGEST}"), "pull_blob", json!({"digest": DIGEST})),
            ("DELETE", format!("/v2/a/blobs/{DIGEST}"), "delete_blob", json!({"digest": DIGEST})),
            (
                "POST",
                format!("/v2/a/blobs/uploads/?mount={DIGEST}&from=b/c"),
                "mount",
                json!({"digest": DIGEST, "from": "b/c"}),
            ),
            ("PUT", format!("/v2/a/blobs/uploads/1?digest={DIGEST}"), "upload", json!({"digest": DIGEST})),
            ("GET", "/v2/a/tags/list".to_owned(), "list", json!({})),
        ] {
            let action = action(method, &target);
            let line = read(&Event::of(&action, Outcome::Denied, "").line(UNIX_EPOCH));
            assert_eq!((&line["action"], &line["repository"]), (&json!(act), &json!("a")), "{target}");
            for field in ["tags", "digest", "from"] {
                assert_eq!(line.get(field), fields.get(field), "{target}: {field}");
            }
        }
    }

    #[test]
    fn a_user_agent_is_cut_where_a_character_ends() {
        let long = "é".repeat(1000) + "x";
        let event = Event { user_agent: Some(&long), ..Event::new(Outcome::Done, Act::Login, "") };
        assert_eq!(read(&event.line(UNIX_EPOCH))["user_agent"], "é".repeat(CLAIM / 2));
        let odd = format!("x{long}");
        assert_eq!(cut(&odd, CLAIM).len(), CLAIM - 1);
    }
}
