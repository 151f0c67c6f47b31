//! The gate: one request, judged, then answered or forwarded.

mod answer;
mod audit_record;
mod browser;
mod catalog;
mod challenge;
mod check;
mod checkpoint;
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

use http::{Method, Request, Response, StatusCode};
use hyper::body::Body as _;
use lockgate_oci::{Action, RepositoryName};

use crate::access::Permit;
use crate::client::Client;
use crate::config::{Config, Limits};
use crate::listener::{Gone, RequestBody, Service};
use crate::refusal::{self, OwnFields, Refusal};
use crate::upstream;
use answer::Answer;
pub(crate) use answer::AnswerBody;
use catalog::Catalog;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use check::{check_framing, is_for_the_registry};
pub(crate) use checkpoint::Judges;
use checkpoint::{Checkpoint, Judgement};
use create::{Creations, NotAdmitted};
pub(crate) use destination::Destination;
use failed::words_for;
use headers::DOCKER_CONTENT_DIGEST;
use passage::Passage;
use request_id::X_REQUEST_ID;
use token::Desk;
pub(crate) use trusted_proxies::TrustedProxies;

/// Where requests are judged, and where they go from there.
pub(crate) struct Gate {
    checkpoint: Checkpoint,
    destination: Destination,
    catalog: Catalog,
    creations: Creations,
    proxies: TrustedProxies,
    limits: Arc<Limits>,
    own_fields: OwnFields,
}

impl Service for Gate {
    type Body = AnswerBody;

    async fn answer(
        self: Arc<Self>,
        mut request: Request<RequestBody>,
        peer: Client,
    ) -> Result<Response<AnswerBody>, Gone> {
        let request_id = request_id::of(request.headers(), self.proxies.trusts(&peer));
        let client = self.proxies.client(request.headers(), peer);
        let mut passage = Passage::begin(&request, client.clone(), &request_id, &self.checkpoint.by.audit);
        let is_for_localhost = headers::is_for_localhost(&request);
        let is_head = request.method() == Method::HEAD;
        let mut answer = match self.checkpoint.judge(&request, &client, &mut passage).await {
            Judgement::Forward(permit) => {
                passage.admit(&permit);
                request.headers_mut().insert(X_REQUEST_ID, request_id.clone());
                self.forward(&permit, request, &client, &mut passage).await?
            }
            Judgement::Catalog(permit) => {
                passage.admit(&permit);
                // What is rare is boxed here and below, so that what is not stays small.
                let page = Box::pin(self.list(&permit, &client)).await;
                page.unwrap_or_else(|refusal| answer::refusal(&refusal, is_head))
            }
            Judgement::Token(endpoint) => {
                let Checkpoint { login, challenge, by: Judges { authenticator, authorizer, audit }, .. } =
                    &self.checkpoint;
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
        answer.headers_mut().insert(X_REQUEST_ID, request_id);
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
            checkpoint: Checkpoint::new(config, limits.clone(), judges),
            destination,
            catalog: Catalog::default(),
            creations: Creations::default(),
            proxies: TrustedProxies::new(config.listen.clone()),
            limits,
            own_fields,
        }
    }

    /// Shows what a caller may see of the repositories.
    async fn list(&self, permit: &Permit, client: &Client) -> Result<Response<Answer>, Refusal> {
        let Action::Catalog(page) = permit.action() else { unreachable!("it is the permit of a catalog") };
        let authorizer = &self.checkpoint.by.authorizer;
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

#[cfg(test)]
mod tests;
