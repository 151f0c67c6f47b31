//! Asks a registry through its public URL as docker does, in the order in which a client would fail, and names the hop that
//! is broken.
//!
//! ```text
//! reach        DNS, TCP, TLS, the first answer     connection, trust, certificate
//! api          a registry's answers, the login     challenge, login
//! upload       a push, step by step                location, repository
//! patience     who keeps bodies back, who gives up
//! image        a push and a pull as a whole
//! report       what was seen: finding, visible     remedy: what it means and what to change
//! client       HTTP/1.1, a connection a request    answer, target
//! ```
//!
//! What a server says is bounded by [`limits`] and shown by [`visible`] alone. A password goes only where a certificate was
//! verified: [`login::Session`].

mod answer;
mod api;
mod certificate;
mod challenge;
mod client;
mod connection;
mod finding;
mod image;
mod limits;
mod location;
mod login;
mod patience;
mod reach;
mod remedy;
mod report;
mod repository;
mod target;
mod trust;
mod upload;
mod visible;

use std::time::Duration;

use http::StatusCode;
use lockgate_oci::RepositoryName;
use tokio::time::timeout;

pub(crate) use finding::{Check, Finding, Verdict};
pub(crate) use login::Credentials;
pub(crate) use target::Target;
pub(crate) use trust::Trust;

use image::{Blob, Image};
use login::Session;
use reach::Reached;
use report::Report;
use repository::Repository;

/// What is examined, and as whom.
#[derive(Debug)]
pub(crate) struct Examination {
    /// The registry.
    pub(crate) target: Target,
    /// Whom to trust.
    pub(crate) trust: Trust,
    /// Who logs in.
    pub(crate) credentials: Option<Credentials>,
    /// Where an image is pushed.
    pub(crate) repository: Option<RepositoryName>,
    /// How long an upload rests.
    pub(crate) rest: Duration,
}

/// Why the checks that are left were not made.
type Reason = &'static str;

impl Examination {
    /// Does all of it; each finding is told as it is made.
    pub(crate) async fn run(&self, listener: &mut report::Listener<'_>) {
        let mut report = Report::new(listener);
        if let Some(credentials) = &self.credentials {
            report.keep_secret(credentials.user(), credentials.password());
        }
        let reason = match timeout(limits::WHOLE, self.all(&mut report)).await {
            Ok(reason) => reason,
            Err(_) => {
                let seen = format!("no end within {}", humantime::format_duration(limits::WHOLE));
                report.fail(Check::Time, seen, &remedy::TOO_LONG);
                "there was no time left"
            }
        };
        report.skip(&Check::ALL, reason);
    }

    async fn all(&self, report: &mut Report<'_>) -> Reason {
        let Some(reached) = reach::reach(report, &self.target, &self.trust).await else {
            return "nothing can be asked";
        };
        let Some(first) = api::judge_first(report, &reached.first) else { return "no registry answers" };
        let challenge = api::judge_challenge(report, first, &reached).await;
        if challenge.is_none() && first.status == StatusCode::UNAUTHORIZED {
            return "nobody can log in";
        }
        let session = Session::new(challenge.as_ref(), self.credentials.as_ref(), reached.verified.as_ref());
        if let Some(credentials) = &self.credentials {
            if reached.verified.is_none() {
                report.skip(&[Check::Login], "no password is sent to a server whose certificate was refused");
            } else if !api::judge_login(report, &reached.client, first, &session, credentials).await {
                return "the login failed";
            }
        } else {
            report.skip(&[Check::Login], "give --user");
        }
        self.inside(report, &reached, &session).await
    }

    /// What follows the login.
    async fn inside(&self, report: &mut Report<'_>, reached: &Reached, session: &Session<'_>) -> Reason {
        let name = self.repository.as_ref().map_or("lockgate-doctor", RepositoryName::as_str);
        let reading = session.authorization(Some(&format!("repository:{name}:pull"))).await.ok().flatten();
        let is_somebody = session.is_somebody();
        let encoding = api::judge_errors(report, &reached.client, name, reading.as_ref(), is_somebody).await;
        let Some(name) = &self.repository else {
            judge_encoding(report, encoding);
            return "give --write REPOSITORY";
        };
        if self.credentials.is_some() && !is_somebody && reached.verified.is_none() {
            judge_encoding(report, encoding);
            return "no password is sent to a server whose certificate was refused";
        }
        let pushing = match session.authorization(Some(&format!("repository:{name}:pull,push"))).await {
            Ok(pushing) => pushing,
            Err(error) => {
                report.fail(Check::Upload, format!("no token for a push: {error}"), &remedy::MAY_NOT_PUSH);
                judge_encoding(report, encoding);
                return "nothing can be pushed";
            }
        };
        let repository = Repository::new(reached.client.clone(), name.clone(), pushing, reached.verified.clone());
        let (of_the_manifest, reason) = self.write(report, &repository, session).await;
        judge_encoding(report, encoding.or(of_the_manifest));
        reason
    }

    /// A push in its parts and as a whole, and a pull. How the manifest is encoded is returned, too.
    async fn write(
        &self,
        report: &mut Report<'_>,
        repository: &Repository,
        session: &Session<'_>,
    ) -> (Option<String>, Reason) {
        let Some(at) = upload::judge_begin(report, repository).await else { return (None, "no upload begins") };
        let rested = tokio::spawn(patience::rest(repository.clone(), self.rest));
        let stop = rested.abort_handle();
        let large = Blob::random(limits::LAYER_BYTES);
        let config = Blob::config(&large);
        let (start, end) = (config.bytes.slice(..config.bytes.len() / 2), config.bytes.slice(config.bytes.len() / 2..));
        let Some(at) = upload::judge_methods(report, repository, at, start).await else {
            stop.abort();
            return (None, "no upload goes on");
        };
        let has_config = upload::judge_chunks(report, repository, at, end, &config.digest).await;
        let passes = upload::judge_announced(report, repository).await;
        let has_layer = passes && upload::judge_layer(report, repository, &large.bytes, &large.digest).await;
        patience::judge_buffering(report, repository).await;
        patience::judge_rest(report, rested.await.ok().flatten());
        // What does not take a large layer may take a small one, and the pull is looked at all the same.
        let layer = if has_layer { large } else { Blob::random(limits::SMALL_LAYER_BYTES) };
        let image = Image { manifest: Blob::manifest(&config, &layer), config, layer };
        let missing = [(has_config, &image.config), (has_layer, &image.layer)];
        let missing: Vec<_> = missing.into_iter().filter(|(is_there, _)| !is_there).map(|(_, blob)| blob).collect();
        if !image::judge_push(report, repository, &image, &missing).await {
            return (None, "nothing was pushed");
        }
        let encoding = image::judge_pull(report, repository, &image).await;
        image::judge_ranges(report, repository, &image).await;
        let deleting = session.authorization(Some(&format!("repository:{}:pull,delete", repository.name()))).await;
        image::clean_up(report, &repository.authorized_by(deleting.ok().flatten()), &image).await;
        (encoding, "the upload for it did not begin")
    }
}

fn judge_encoding(report: &mut Report<'_>, encoding: Option<String>) {
    match encoding {
        None => report.ok(Check::Compression, "to a client that takes gzip, answers come as they are"),
        Some(encoding) => {
            let seen = format!("to a client that takes gzip, answers come with Content-Encoding: {encoding}");
            report.warn(Check::Compression, seen, &remedy::COMPRESSED);
        }
    }
}
