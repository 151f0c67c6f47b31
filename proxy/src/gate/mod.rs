//! The gate: one request, judged, then answered or forwarded.

mod answer;
mod audit_record;
mod browser;
mod catalog;
mod challenge;
mod check;
mod create;
mod cursor;
mod destination;
mod failed;
mod headers;
mod listing;
mod location;
mod login;
mod passage;
mod registry_catalog;
mod request_id;
mod response;
mod tag_lookup;
mod token;
mod trusted_proxies;
mod whole_body;

use std::sync::Arc;

use http::header::{HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Body as _;
use lockgate_oci::{Action, ErrorCode, OciError, RepositoryName};

use crate::access::{Authorizer, Permit};
use crate::audit::Audit;
use crate::auth::Authenticator;
use crate::auth::Scope;
use crate::client::Client;
use crate::config::{ClientRule, Config, Limits};
use crate::listener::{Gone, RequestBody, Service};
use crate::metrics::METRICS;
use crate::refusal::{self, OwnFields, Refusal};
use crate::upstream;
use answer::Answer;
pub(crate) use answer::AnswerBody;
use catalog::Catalog;
use challenge::{Asked, Challenge};
pub(crate) use check::{check_framing, is_for_the_registry};
use check::{check_header_size, check_method};
use create::{Creations, NotAdmitted};
pub(crate) use destination::Destination;
use failed::words_for;
use headers::DOCKER_CONTENT_DIGEST;
use login::Login;
use passage::Passage;
use token::{Desk, Endpoint};
pub(crate) use trusted_proxies::TrustedProxies;

/// Everything a request is judged by, and where it goes.
pub(crate) struct Gate {
    login: Login,
    challenge: Challenge,
    judges: Judges,
    destination: Destination,
    catalog: Catalog,
    creations: Creations,
    clients: ClientRule,
    proxies: TrustedProxies,
    limits: Arc<Limits>,
    own_fields: OwnFields,
}

/// What a judgement stands on, by the files of now.
pub(crate) struct Judges {
    /// Who it is.
    pub(crate) authenticator: Arc<Authenticator>,
    /// What they may.
    pub(crate) authorizer: Arc<Authorizer>,
    /// Who is told of it.
    pub(crate) audit: Arc<Audit>,
}

/// What a request comes to.
enum Judgement {
    /// It may pass.
    Forward(Arc<Permit>),
    /// The gate shows what the caller may see of the repositories.
    Catalog(Arc<Permit>),
    /// The gate makes a token.
    Token(Endpoint),
    /// The gate refuses it.
    Answer(Refusal),
}

impl Service for Gate {
    type Body = AnswerBody;

    async fn answer(
        self: Arc<Self>,
        mut request: Request<RequestBody>,
        peer: Client,
    ) -> Result<Response<AnswerBody>, Gone> {
        let request_id = request_id::name(request.headers_mut(), self.proxies.trusts(&peer));
        let client = self.proxies.client(request.headers(), peer);
        let mut passage = Passage::begin(&request, client.clone(), &self.judges.audit);
        let is_for_localhost = headers::is_for_localhost(&request);
        let is_head = request.method() == Method::HEAD;
        let mut answer = match self.judge(&request, &client, &mut passage).await {
            Judgement::Forward(permit) => {
                passage.admit(&permit);
                self.forward(&permit, request, &client, &mut passage).await?
            }
            Judgement::Catalog(permit) => {
                passage.admit(&permit);
                // What is rare is boxed here and below, so that what is not stays small.
                let page = Box::pin(self.list(&permit, &client)).await;
                page.unwrap_or_else(|refusal| answer::refusal(&refusal, is_head))
            }
            Judgement::Token(endpoint) => {
                let Self { login, challenge, judges: Judges { authenticator, authorizer, audit }, .. } = &*self;
                let desk = Desk { login, challenge, authenticator, authorizer, audit };
                Box::pin(desk.answer(endpoint, request, &client, &mut passage)).await?
            }
            // Who is refused is not read on: its body might be meant as a request.
            Judgement::Answer(refusal) => {
                let hang_up = refusal.hang_up || !request.body().is_end_stream();
                passage.refuse(refusal.error.message());
                answer::refusal(&Refusal { hang_up, ..refusal }, is_head)
            }
        };
        if passage.record.is_some() {
            let digest = answer.headers().get(DOCKER_CONTENT_DIGEST).cloned();
            if passage.tell(answer.status(), digest).await.is_err() {
                answer = answer::refusal(&refusal::audit_is_full().into(), is_head);
            }
        }
        headers::set_common_headers(answer.headers_mut(), &self.own_fields, is_for_localhost);
        answer.headers_mut().insert(request_id::X_REQUEST_ID, request_id);
        passage.answered(answer.status());
        Ok(answer.map(|answer| AnswerBody::new(answer, passage)))
    }
}

impl Gate {
    pub(crate) fn new(
        config: &Config,
        limits: Arc<Limits>,
        own_fields: OwnFields,
        judges: Judges,
        destination: Destination,
    ) -> Self {
        Self {
            login: Login::new(judges.authenticator.clone()),
            challenge: Challenge::new(&config.auth),
            judges,
            destination,
            catalog: Catalog::default(),
            creations: Creations::default(),
            clients: config.clients.clone(),
            proxies: TrustedProxies::new(config.listen.clone()),
            limits,
            own_fields,
        }
    }

    /// The whole judgement, in the order in which it is made.
    async fn judge(&self, request: &Request<RequestBody>, client: &Client, passage: &mut Passage) -> Judgement {
        self.permit(request, client, passage).await.unwrap_or_else(Judgement::Answer)
    }

    async fn permit(
        &self,
        request: &Request<RequestBody>,
        client: &Client,
        passage: &mut Passage,
    ) -> Result<Judgement, Refusal> {
        check_method(request.method()).map_err(no_such_method)?;
        if request.version() == Version::HTTP_2 {
            check_header_size(request, &self.limits)?;
        }
        check_framing(request).map_err(Refusal::hanging_up)?;
        let uri = request.uri();
        let is_for_the_registry = is_for_the_registry(request).map_err(Refusal::hanging_up)?;
        let endpoint = Endpoint::of(uri.path()).filter(|_| self.judges.authenticator.has_sessions());
        if !is_for_the_registry && endpoint.is_none() {
            return Err(not_a_registry_path().into());
        }
        if self.clients.refuses(user_agent(request.headers())) {
            return Err(legacy_client().into());
        }
        browser::check_site(request.headers())?;
        if let Some(endpoint) = endpoint {
            return Ok(Judgement::Token(endpoint));
        }
        let asked = Asked { uri, headers: request.headers() };
        let action = Action::parse(request.method(), uri.path(), uri.query());
        let wanted = action.as_ref().ok();
        let known = self.login.identify(request.headers(), client.ip(), wanted).await;
        let caller = known.map_err(|why| self.challenge.not_known(&why, asked, wanted))?;
        passage.comes_from(&caller);
        let action = match action {
            Ok(action) => action,
            // What is wrong with a request is told to those who showed something.
            Err(_) if caller.name().is_none() && caller.scope().is_none() => {
                return Err(self.challenge.log_in(asked, &Scope::default()));
            }
            Err(no_action) => return Err(no_action.into()),
        };
        if let Some(record) = &mut passage.record {
            record.wants(&action);
        }
        let (has_token, name) = (caller.scope().is_some(), action.name());
        passage.wants(name);
        // Who waits here is judged by the grants of then.
        if caller.name().is_some() {
            self.judges.audit.admit().await.map_err(|_full| refusal::audit_is_full())?;
        }
        let permit = self.judges.authorizer.decide(caller, action, request.headers(), client.ip());
        let permit = permit.map_err(|why| {
            METRICS.denied(name);
            self.challenge.denied(why, asked, has_token)
        });
        let permit = Arc::new(permit?);
        let is_filtered =
            matches!(permit.action(), Action::Catalog(_)) && self.judges.authorizer.hides_from(permit.caller());
        Ok(if is_filtered { Judgement::Catalog(permit) } else { Judgement::Forward(permit) })
    }

    /// Shows what a caller may see of the repositories.
    async fn list(&self, permit: &Permit, client: &Client) -> Result<Response<Answer>, Refusal> {
        let Action::Catalog(page) = permit.action() else { unreachable!("it is the permit of a catalog") };
        let authorizer = &self.judges.authorizer;
        let may_see = |name: &RepositoryName| authorizer.may_pull(permit.caller(), client.ip(), name);
        let is_stranger = permit.caller().name().is_none();
        self.catalog.page(page, &self.destination, client, is_stranger, may_see).await
    }

    /// Has a permitted request carried out, and gives back what comes.
    async fn forward(
        &self,
        permit: &Permit,
        request: Request<RequestBody>,
        client: &Client,
        passage: &mut Passage,
    ) -> Result<Response<Answer>, Gone> {
        let is_head = request.method() == Method::HEAD;
        if permit.only_new().is_empty() {
            let _held = match permit.action() {
                Action::PushManifest { .. } => Some(self.creations.hold(permit).await),
                _ => None,
            };
            return self.carry_out(permit, request, client, passage).await;
        }
        let limit = self.limits.body_timeout.duration();
        // The tags are held until it is answered.
        let admitted = Box::pin(self.creations.admit(permit, request, limit, &self.destination, client)).await;
        let (request, _place) = match admitted {
            Ok(admitted) => admitted,
            Err(NotAdmitted::Gone) => return Err(Gone),
            Err(NotAdmitted::Failed(refusal)) => return Ok(answer::refusal(&refusal, is_head)),
            Err(NotAdmitted::Denied(refusal)) => {
                passage.refuse(refusal.error.message());
                return Ok(answer::refusal(&refusal, is_head));
            }
        };
        let answer = self.carry_out(permit, request, client, passage).await?;
        if answer.status() == StatusCode::PRECONDITION_FAILED {
            let refusal = Refusal::from(create::taken(permit, None));
            passage.refuse(refusal.error.message());
            return Ok(answer::refusal(&refusal, is_head));
        }
        Ok(answer)
    }

    async fn carry_out(
        &self,
        permit: &Permit,
        request: Request<RequestBody>,
        client: &Client,
        passage: &mut Passage,
    ) -> Result<Response<Answer>, Gone> {
        let is_head = request.method() == Method::HEAD;
        let request = request.map(upstream::RequestBody::new);
        passage.forwarded(request.body().progress());
        let failure = match self.destination.ask(permit, request, client).await {
            Ok(answer) => {
                passage.upstream_answered();
                if let Action::PushManifest { repository, .. } = permit.action()
                    && answer.status().is_success()
                {
                    self.catalog.add(repository);
                }
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        let refusal = words_for(&failure)?;
        tracing::warn!(status = refusal.error.status().as_u16(), reason = %failure, "a request failed");
        Ok(answer::refusal(&refusal, is_head))
    }
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
