//! The gate: one request, judged, then answered or forwarded.

mod answer;
mod check;
mod headers;
mod login;
mod passage;
mod response;

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{HeaderValue, USER_AGENT};
use http::{HeaderMap, Request, Response, Version};
use lockgate_oci::{Action, ErrorCode, OciError};

use crate::access::Permit;
use crate::auth::Verifier;
use crate::config::{self, ClientRule, Config, Limits};
use crate::listener::{BodyError, Gone, RequestBody, Service};
use crate::refusal::{self, OwnFields, Refusal};
use crate::upstream::{self, Failure, Upstream};
pub(crate) use answer::AnswerBody;
use answer::Answer;
pub(crate) use check::{check_framing, is_for_the_registry};
use check::{check_header_size, check_method};
use login::Login;
use passage::Passage;

/// Everything a request is judged by, and where it goes.
pub(crate) struct Gate {
    login: Login,
    upstream: Arc<Upstream>,
    clients: ClientRule,
    limits: Arc<Limits>,
    forward_authorization: bool,
    own_fields: OwnFields,
    /// For a request of HTTP/1.0 that names no host.
    host: HeaderValue,
}

/// What a request comes to.
enum Judgement {
    /// It may pass.
    Forward(Permit),
    /// The gate says something itself.
    Answer(Refusal),
}

impl Service for Gate {
    type Body = AnswerBody;

    async fn answer(
        self: Arc<Self>,
        request: Request<RequestBody>,
        client: SocketAddr,
    ) -> Result<Response<AnswerBody>, Gone> {
        let mut passage = Passage::begin(&request, client);
        let is_for_localhost = headers::is_for_localhost(&request);
        let mut answer = match self.judge(&request, client).await {
            Judgement::Forward(permit) => {
                passage.admit(&permit);
                self.forward(&permit, request, client, &mut passage).await?
            }
            Judgement::Answer(refusal) => answer::refusal(&refusal),
        };
        headers::sign(answer.headers_mut(), &self.own_fields, is_for_localhost);
        Ok(passage.answered(answer))
    }
}

impl Gate {
    pub(crate) fn new(
        config: &Config,
        behind: &config::Upstream,
        limits: Arc<Limits>,
        own_fields: OwnFields,
        verifier: Arc<Verifier>,
        upstream: Arc<Upstream>,
    ) -> Self {
        Self {
            login: Login::new(verifier, &config.auth.realm),
            upstream,
            clients: config.clients.clone(),
            limits,
            forward_authorization: behind.forward_authorization,
            own_fields,
            host: behind.url.host(),
        }
    }

    /// The whole judgement, in the order in which it is made.
    async fn judge(&self, request: &Request<RequestBody>, client: SocketAddr) -> Judgement {
        self.permit(request, client).await.map_or_else(Judgement::Answer, Judgement::Forward)
    }

    async fn permit(&self, request: &Request<RequestBody>, client: SocketAddr) -> Result<Permit, Refusal> {
        check_method(request.method()).map_err(Refusal::hanging_up)?;
        if request.version() == Version::HTTP_2 {
            check_header_size(request, &self.limits)?;
        }
        check_framing(request).map_err(Refusal::hanging_up)?;
        if !is_for_the_registry(request).map_err(Refusal::hanging_up)? {
            return Err(not_a_registry_path().into());
        }
        if self.clients.refuses(user_agent(request.headers())) {
            return Err(legacy_client().into());
        }
        let identity = self.login.identify(request.headers(), client.ip()).await?;
        let uri = request.uri();
        let action = Action::parse(request.method(), uri.path(), uri.query())?;
        Ok(Permit::decide(identity, action, request.headers()))
    }

    /// Sends a permitted request on, and gives back what comes.
    async fn forward(
        &self,
        permit: &Permit,
        request: Request<RequestBody>,
        client: SocketAddr,
        passage: &mut Passage,
    ) -> Result<Response<Answer>, Gone> {
        let asks_for = request.version();
        let mut request = request.map(upstream::RequestBody::new);
        permit.rewrite(&mut request);
        headers::forward(&mut request, client.ip(), self.forward_authorization, &self.host);
        passage.forwarded(request.body().progress());
        let failure = match self.upstream.send(permit, request).await {
            Ok(mut response) => match response::check(&response) {
                Ok(()) => {
                    headers::give_back(&mut response, asks_for);
                    passage.upstream_answered();
                    return Ok(response.map(Answer::Upstream));
                }
                Err(why) => Failure::BrokeOff(why.to_owned()),
            },
            Err(failure) => failure,
        };
        let refusal = words_for(&failure)?;
        tracing::warn!(status = refusal.error.status().as_u16(), reason = %failure, "a request failed");
        Ok(answer::refusal(&refusal))
    }
}

/// What a client is told when its request failed on the way.
fn words_for(failure: &Failure) -> Result<Refusal, Gone> {
    Ok(match failure {
        Failure::Client(BodyError::Gone) => return Err(Gone),
        // A body that is malformed or does not come has no end to read on to.
        Failure::Client(BodyError::Malformed) => Refusal::hanging_up(refusal::malformed_body()),
        Failure::Client(BodyError::Stalled) => Refusal::hanging_up(refusal::body_stalled()),
        Failure::Client(BodyError::TooSlow) => Refusal::hanging_up(refusal::body_too_slow()),
        Failure::Unreachable(_) => refusal::unreachable().into(),
        Failure::Silent => refusal::upstream_silent().into(),
        Failure::BrokeOff(_) => refusal::broke_off().into(),
    })
}

fn user_agent(headers: &HeaderMap) -> &str {
    headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn not_a_registry_path() -> OciError {
    OciError::new(ErrorCode::Unsupported, "this is a container registry: its API is below /v2/")
        .with_status(http::StatusCode::NOT_FOUND)
}

fn legacy_client() -> OciError {
    OciError::new(ErrorCode::Unsupported, "this client is too old for this registry (clients.refuse); update it")
        .with_status(http::StatusCode::NOT_FOUND)
}
