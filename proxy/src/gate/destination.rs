//! Where permitted requests go.

use std::sync::Arc;

use http::header::{HOST, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use lockgate_backend::Registry;

use super::answer::{self, Answer};
use super::{browser, headers, location, response};
use crate::access::Permit;
use crate::auth::UserName;
use crate::client::Client;
use crate::config::{self, Origin};
use crate::rate_limited::RateLimitedWarning;
use crate::refusal;
use crate::upstream::{Failure, RequestBody, Upstream};

/// What is behind the gate.
pub(crate) enum Destination {
    /// A registry of its own, spoken to in HTTP.
    Upstream {
        /// Its connections.
        upstream: Arc<Upstream>,
        /// Whether it sees the clients' `Authorization` header.
        forward_authorization: bool,
        /// Where it is told who asks.
        user_header: Option<HeaderName>,
        /// Its names, where it names itself; the first for a request of HTTP/1.0 that names no host.
        hosts: Vec<HeaderValue>,
        /// Its own 401, where it was shown no credentials.
        unauthorized: RateLimitedWarning,
    },
    /// The one within this process: a function.
    Registry(Registry),
}

impl Destination {
    /// A registry behind the gate.
    pub(crate) fn upstream(config: &config::Upstream, upstream: Arc<Upstream>) -> Self {
        Self::Upstream {
            upstream,
            forward_authorization: config.forward_authorization,
            user_header: config.user_header.name().cloned(),
            hosts: config.url.iter().map(Origin::host).collect(),
            unauthorized: RateLimitedWarning::default(),
        }
    }

    /// Whether somebody else's registry is behind the gate, which may tell of its tags what it likes.
    pub(super) fn is_foreign(&self) -> bool {
        matches!(self, Self::Upstream { .. })
    }

    /// Has a permitted request carried out.
    ///
    /// # Errors
    /// There is no answer that a client could be given.
    pub(super) async fn ask(
        &self,
        permit: &Permit,
        mut request: Request<RequestBody>,
        client: &Client,
    ) -> Result<Response<Answer>, Failure> {
        let version = request.version();
        let is_head = request.method() == Method::HEAD;
        match self {
            Self::Upstream { upstream, forward_authorization, user_header, hosts, unauthorized } => {
                permit.rewrite(&mut request);
                let may_challenge = *forward_authorization && !browser::is_browser(request.headers());
                let user = user_header.as_ref().map(|header| (header, permit.caller().name().map(UserName::as_str)));
                headers::forward(&mut request, client, *forward_authorization, &hosts[0], user);
                let told = request.headers().get(HOST).unwrap_or(&hosts[0]).clone();
                let mut answer = upstream.send(permit, request).await?;
                response::check(&answer).map_err(|why| Failure::BrokeOff(why.to_owned()))?;
                headers::give_back(&mut answer, version);
                location::give_back(answer.headers_mut(), &told, hosts);
                browser::disarm(permit.action(), &mut answer);
                if !may_challenge {
                    answer.headers_mut().remove(WWW_AUTHENTICATE);
                }
                if answer.status() == StatusCode::UNAUTHORIZED && !*forward_authorization {
                    if let Some(times) = unauthorized.count() {
                        tracing::warn!(
                            times,
                            "the registry asks for a password of its own (401) and was shown none: switch that off, or set upstream.forward_authorization where it has the same users"
                        );
                    }
                    // Its challenge would have clients ask for another password, and another.
                    return Ok(answer::refusal(&refusal::upstream_wants_credentials().into(), is_head));
                }
                Ok(answer.map(Answer::Upstream))
            }
            Self::Registry(registry) => {
                if let Some(name) = permit.caller().name()
                    && let Ok(name) = HeaderValue::from_str(name.as_str())
                {
                    request.headers_mut().insert(lockgate_backend::USER, name);
                }
                let progress = request.body().progress();
                let mut answer = registry.answer(permit.action().clone(), request).await;
                // What the client did not send to its end is refused as behind any upstream.
                if let Some(error) = progress.error() {
                    return Err(error.into());
                }
                *answer.version_mut() = version;
                browser::disarm(permit.action(), &mut answer);
                Ok(answer.map(Answer::Registry))
            }
        }
    }
}
