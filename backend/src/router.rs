//! From an action to its handler, and from what that comes to to an answer.

use std::time::Instant;

use bytes::Bytes;
use http::header::{ALLOW, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Body;
use lockgate_oci::{Action, Algorithm, AnyAlgorithm, DigestError, ErrorCode, NoAction, OciError, RouteError};

use crate::handlers::{blob, catalog, manifest, referrer, tag, trash, upload, usage};
use crate::http::{Outcome, Refusal, Reply, ReplyBody, RequestBody};
use crate::metrics::METRICS;
use crate::registry::Registry;

impl Registry {
    /// Carries out an action that was read from this request; of the request itself, only headers and body are
    /// read. The answer to HEAD has no content, and says how long it would be.
    ///
    /// What is not read of the body is dropped with it.
    pub async fn answer<B>(&self, action: Action, request: Request<B>) -> Response<ReplyBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        self.respond(Ok(action), request).await
    }

    /// The same for a request that may be none that a registry knows.
    pub(crate) async fn respond<B>(&self, action: Result<Action, NoAction>, request: Request<B>) -> Response<ReplyBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        let began = Instant::now();
        let (request, body) = request.into_parts();
        let mut body = RequestBody::new(body, self.limits.body_timeout.duration());
        let outcome = match action {
            Ok(action) => dispatch(self, action, &request, &mut body).await,
            Err(no_action) => Err(no_action.into()),
        };
        let (method, path) = (&request.method, request.uri.path());
        let reply = outcome.unwrap_or_else(|refusal| {
            if let Some(cause) = refusal.cause() {
                METRICS.failures.inc();
                tracing::error!(%method, ?path, cause, "a request failed");
            }
            refusal.into_reply()
        });
        METRICS.received.inc_by(body.received());
        let (status, elapsed) = (reply.status().as_u16(), began.elapsed());
        tracing::debug!(%method, ?path, status, received = body.received(), ?elapsed, "answered");
        if method == Method::HEAD { reply.without_content() } else { reply }.into_response()
    }
}

async fn dispatch(registry: &Registry, action: Action, request: &Parts, body: &mut RequestBody) -> Outcome {
    match action {
        Action::Base => Ok(base()),
        Action::Catalog(page) => catalog::list(registry, &page).await,
        Action::Extension | Action::ChangeExtension => Err(OciError::from(RouteError::Unknown).into()),
        Action::Tags(repository, page) => tag::list(registry, &repository, &page).await,
        Action::PullManifest(repository, reference) => {
            manifest::get(registry, request, &repository, &reference.known().map_err(unsupported)?).await
        }
        Action::PushManifest { repository, reference, tags } => {
            let reference = reference.known().map_err(unsupported)?;
            manifest::put(registry, request, body, &repository, reference, tags).await
        }
        Action::DeleteManifest(..) if !registry.storage.delete => Err(no_deleting("GET, HEAD, PUT")),
        Action::DeleteManifest(repository, reference) => {
            let reference = reference.known().map_err(unsupported)?;
            manifest::delete(registry, request, &repository, &reference).await
        }
        Action::PullBlob(repository, digest) => {
            blob::get(registry, request, &repository, &digest.known().map_err(unsupported)?).await
        }
        Action::DeleteBlob(..) if !registry.storage.delete => Err(no_deleting("GET, HEAD")),
        Action::DeleteBlob(repository, digest) => {
            blob::delete(registry, request, &repository, &digest.known().map_err(unsupported)?).await
        }
        Action::BeginUpload { repository, algorithm } => upload::begin(registry, &repository, known(algorithm)?).await,
        Action::Mount { repository, digest, from, algorithm } => {
            let (digest, algorithm) = (digest.known().map_err(unsupported)?, known(algorithm)?);
            upload::mount(registry, &repository, &digest, from.as_ref(), algorithm).await
        }
        Action::PushBlob { repository, digest } => {
            upload::push(registry, body, &repository, &digest.known().map_err(unsupported)?).await
        }
        Action::UploadStatus(repository, id) => upload::status(registry, &repository, &id).await,
        Action::AppendUpload(repository, id) => upload::append(registry, request, body, &repository, &id).await,
        Action::FinishUpload { repository, id, digest } => {
            upload::finish(registry, request, body, &repository, &id, &digest.known().map_err(unsupported)?).await
        }
        Action::CancelUpload(repository, id) => upload::cancel(registry, &repository, &id).await,
        Action::Usage(repository) => usage::of(registry, &repository).await,
        Action::Trash(repository) => trash::list(registry, &repository).await,
        Action::Restore { repository, id, tags } => {
            trash::restore_one(registry, request, &repository, &id, &tags).await
        }
        Action::Referrers { repository, subject, artifact_type, page } => {
            let subject = subject.known().map_err(unsupported)?;
            referrer::list(registry, &repository, &subject, artifact_type.as_deref(), &page).await
        }
    }
}

/// Digests are computed here in two algorithms only.
fn unsupported(error: DigestError) -> OciError {
    OciError::new(ErrorCode::DigestInvalid, error.to_string())
}

fn known(algorithm: Option<AnyAlgorithm>) -> Result<Option<Algorithm>, OciError> {
    algorithm.map(|algorithm| algorithm.known().map_err(unsupported)).transpose()
}

/// `GET /v2/`: yes, this is a registry.
fn base() -> Reply {
    Reply::new(StatusCode::OK).bytes(HeaderValue::from_static("application/json"), "{}")
}

fn no_deleting(others: &'static str) -> Refusal {
    let message = "deleting is switched off in this registry: set storage.delete = true in its configuration";
    let error = OciError::new(ErrorCode::Unsupported, message);
    Refusal::from(error).with_header(ALLOW, HeaderValue::from_static(others))
}
