//! Where permitted requests go.

use std::sync::Arc;

use http::{Request, Response};
use lockgate_backend::Registry;

use super::answer::Answer;
use super::{headers, response};
use crate::access::Permit;
use crate::client::Client;
use crate::config;
use crate::upstream::{Failure, RequestBody, Upstream};

/// What is behind the gate.
pub(crate) enum Destination {
    /// A registry of its own, spoken to in HTTP.
    Upstream {
        /// Its connections.
        upstream: Arc<Upstream>,
        /// Whether it sees the clients' `Authorization` header.
        forward_authorization: bool,
        /// For a request of HTTP/1.0 that names no host.
        host: http::HeaderValue,
    },
    /// The one within this process: a function.
    Registry(Registry),
}

impl Destination {
    /// A registry behind the gate.
    pub(crate) fn upstream(config: &config::Upstream, upstream: Arc<Upstream>) -> Self {
        Self::Upstream { upstream, forward_authorization: config.forward_authorization, host: config.url.host() }
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
        match self {
            Self::Upstream { upstream, forward_authorization, host } => {
                permit.rewrite(&mut request);
                headers::forward(&mut request, client, *forward_authorization, host);
                let mut answer = upstream.send(permit, request).await?;
                response::check(&answer).map_err(|why| Failure::BrokeOff(why.to_owned()))?;
                headers::give_back(&mut answer, version);
                Ok(answer.map(Answer::Upstream))
            }
            Self::Registry(registry) => {
                let progress = request.body().progress();
                let mut answer = registry.answer(permit.action().clone(), request).await;
                // What the client did not send to its end is refused as behind any upstream.
                if let Some(error) = progress.error() {
                    return Err(error.into());
                }
                *answer.version_mut() = version;
                Ok(answer.map(Answer::Registry))
            }
        }
    }
}
