//! The gate: one request, judged, then answered or forwarded.

mod answer;
mod browser;
mod check;
mod destination;
mod headers;
mod location;
mod login;
mod passage;
mod response;

use std::sync::Arc;

use http::header::{HeaderValue, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use hyper::body::Body as _;
use lockgate_oci::{Action, ErrorCode, OciError};

use crate::access::Permit;
use crate::auth::Verifier;
use crate::client::Client;
use crate::config::{ClientRule, Config, Limits};
use crate::listener::{BodyError, Gone, RequestBody, Service};
use crate::refusal::{self, OwnFields, Refusal};
use crate::upstream::{self, Failure};
use answer::Answer;
pub(crate) use answer::AnswerBody;
pub(crate) use check::{check_framing, is_for_the_registry};
use check::{check_header_size, check_method};
pub(crate) use destination::Destination;
use login::Login;
use passage::Passage;

/// Everything a request is judged by, and where it goes.
pub(crate) struct Gate {
    login: Login,
    destination: Destination,
    clients: ClientRule,
    limits: Arc<Limits>,
    own_fields: OwnFields,
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
        client: Client,
    ) -> Result<Response<AnswerBody>, Gone> {
        let mut passage = Passage::begin(&request, client.clone());
        let is_for_localhost = headers::is_for_localhost(&request);
        let mut answer = match self.judge(&request, &client).await {
            Judgement::Forward(permit) => {
                passage.admit(&permit);
                self.forward(&permit, request, &client, &mut passage).await?
            }
            // Who is refused is not read on: its body might be meant as a request.
            Judgement::Answer(refusal) => {
                answer::refusal(&Refusal { hang_up: refusal.hang_up || !request.body().is_end_stream(), ..refusal })
            }
        };
        headers::set_common_headers(answer.headers_mut(), &self.own_fields, is_for_localhost);
        passage.answered(answer.status());
        Ok(answer.map(|answer| AnswerBody::new(answer, passage)))
    }
}

impl Gate {
    pub(crate) fn new(
        config: &Config,
        limits: Arc<Limits>,
        own_fields: OwnFields,
        verifier: Arc<Verifier>,
        destination: Destination,
    ) -> Self {
        Self {
            login: Login::new(verifier, &config.auth.realm),
            destination,
            clients: config.clients.clone(),
            limits,
            own_fields,
        }
    }

    /// The whole judgement, in the order in which it is made.
    async fn judge(&self, request: &Request<RequestBody>, client: &Client) -> Judgement {
        self.permit(request, client).await.map_or_else(Judgement::Answer, Judgement::Forward)
    }

    async fn permit(&self, request: &Request<RequestBody>, client: &Client) -> Result<Permit, Refusal> {
        check_method(request.method()).map_err(no_such_method)?;
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
        browser::check_site(request.headers())?;
        let identity = self.login.identify(request.headers(), client.ip()).await?;
        let uri = request.uri();
        let action = Action::parse(request.method(), uri.path(), uri.query())?;
        Ok(Permit::decide(identity, action, request.headers()))
    }

    /// Has a permitted request carried out, and gives back what comes.
    async fn forward(
        &self,
        permit: &Permit,
        request: Request<RequestBody>,
        client: &Client,
        passage: &mut Passage,
    ) -> Result<Response<Answer>, Gone> {
        let request = request.map(upstream::RequestBody::new);
        passage.forwarded(request.body().progress());
        let failure = match self.destination.ask(permit, request, client).await {
            Ok(answer) => {
                passage.upstream_answered();
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        let refusal = words_for(&failure)?;
        tracing::warn!(status = refusal.error.status().as_u16(), reason = %failure, "a request failed");
        Ok(answer::refusal(&refusal))
    }
}

/// What a client is told when its request failed on the way. The connection ends with it: a body that is malformed or
/// does not come has no end to read on to, and a client that stays behind a broken upstream holds a place.
fn words_for(failure: &Failure) -> Result<Refusal, Gone> {
    Ok(match failure {
        Failure::Client(BodyError::Gone) => return Err(Gone),
        Failure::Client(BodyError::Malformed) => Refusal::hanging_up(refusal::malformed_body()),
        Failure::Client(BodyError::Stalled) => Refusal::hanging_up(refusal::body_stalled()),
        Failure::Client(BodyError::TooSlow) => Refusal::hanging_up(refusal::body_too_slow()),
        Failure::Unreachable(_) => Refusal::hanging_up(refusal::unreachable()),
        Failure::Silent => Refusal::hanging_up(refusal::upstream_silent()),
        Failure::BrokeOff(_) => Refusal::hanging_up(refusal::broke_off()),
    })
}

/// The 405 to CONNECT says that nothing is allowed where it would lead to (RFC 9110, 10.2.1).
fn no_such_method(error: OciError) -> Refusal {
    let allow = (error.status() == StatusCode::METHOD_NOT_ALLOWED).then_some(HeaderValue::from_static(""));
    Refusal { allow, ..Refusal::hanging_up(error) }
}

fn user_agent(headers: &HeaderMap) -> &str {
    headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn not_a_registry_path() -> OciError {
    OciError::new(ErrorCode::Unsupported, "this is a container registry: its API is below /v2/")
        .with_status(StatusCode::NOT_FOUND)
}

fn legacy_client() -> OciError {
    OciError::new(ErrorCode::Unsupported, "this client is too old for this registry (clients.refuse); update it")
        .with_status(StatusCode::NOT_FOUND)
}

#[cfg(test)]
mod tests;
