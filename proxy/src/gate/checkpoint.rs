//! The judgement of a request: who asks, what for, and whether they may.

use std::sync::Arc;

use http::header::{HeaderValue, USER_AGENT};
use http::{HeaderMap, Request, StatusCode, Version};
use lockgate_oci::{Action, ErrorCode, OciError};

use super::browser;
use super::challenge::{Asked, Challenge};
use super::check::{check_framing, check_header_size, check_method, is_for_the_registry};
use super::login::Login;
use super::passage::Passage;
use super::token::Endpoint;
use crate::access::{Authorizer, Permit};
use crate::audit::Audit;
use crate::auth::{Authenticator, Scope};
use crate::client::Client;
use crate::config::{ClientRule, Config, Limits};
use crate::listener::RequestBody;
use crate::metrics::METRICS;
use crate::refusal::{self, Refusal};

/// Everything a request is judged by.
pub(super) struct Checkpoint {
    pub(super) login: Login,
    pub(super) challenge: Challenge,
    pub(super) by: Judges,
    clients: ClientRule,
    limits: Arc<Limits>,
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
pub(super) enum Judgement {
    /// It may pass.
    Forward(Arc<Permit>),
    /// The gate shows what the caller may see of the repositories.
    Catalog(Arc<Permit>),
    /// The gate makes a token.
    Token(Endpoint),
    /// The gate refuses it.
    Answer(Refusal),
}

impl Checkpoint {
    pub(super) fn new(config: &Config, limits: Arc<Limits>, by: Judges) -> Self {
        Self {
            login: Login::new(by.authenticator.clone()),
            challenge: Challenge::new(&config.auth),
            by,
            clients: config.clients.clone(),
            limits,
        }
    }

    /// The whole judgement, in the order in which it is made.
    pub(super) async fn judge(
        &self,
        request: &Request<RequestBody>,
        client: &Client,
        passage: &mut Passage,
    ) -> Judgement {
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
        let endpoint = Endpoint::of(uri.path()).filter(|_| self.by.authenticator.has_sessions());
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
            self.by.audit.admit().await.map_err(|_full| refusal::audit_is_full())?;
        }
        let permit = self.by.authorizer.decide(caller, action, request.headers(), client.ip());
        let permit = permit.map_err(|why| {
            METRICS.denied(name);
            self.challenge.denied(why, asked, has_token)
        });
        let permit = Arc::new(permit?);
        let is_filtered =
            matches!(permit.action(), Action::Catalog(_)) && self.by.authorizer.hides_from(permit.caller());
        Ok(if is_filtered { Judgement::Catalog(permit) } else { Judgement::Forward(permit) })
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
