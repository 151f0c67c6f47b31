//! The gate: pingora's phases, each handing over to the module named after the job.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HeaderValue, USER_AGENT};
use http::{StatusCode, Version};
use lockgate_oci::{ErrorCode, OciError};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use crate::access::Permit;
use crate::access_log;
use crate::auth::Verifier;
use crate::config::{self, ClientRule, Config, Limits};
use crate::headers;
use crate::last_byte::LastByte;
use crate::listener::request_arrived;
use crate::login::Login;
use crate::request::{Passage, Stage, Target, check_framing, check_header_size, check_method, no_such_route};
use crate::rescue::{self, Refusal};
use crate::response::check_answer;
use crate::upstream::{Reuse, Upstream};

/// How often a connect is tried: at the address that was known, and at what the resolver says then.
const CONNECT_ATTEMPTS: usize = 2;

/// Everything a request is judged by.
pub(crate) struct Gate {
    login: Login,
    upstream: Arc<Upstream>,
    clients: ClientRule,
    limits: Limits,
    forward_authorization: bool,
    /// `Strict-Transport-Security`
    hsts: Option<HeaderValue>,
    /// For a request of HTTP/1.0 that names no host.
    host: HeaderValue,
}

impl Gate {
    pub(crate) fn new(
        config: &Config,
        behind: &config::Upstream,
        verifier: Arc<Verifier>,
        upstream: Arc<Upstream>,
    ) -> Self {
        Self {
            login: Login::new(verifier, &config.auth.realm),
            upstream,
            clients: config.clients.clone(),
            limits: config.limits.clone(),
            forward_authorization: behind.forward_authorization,
            hsts: config.tls.hsts.header(),
            host: behind.url.host(),
        }
    }

    /// The whole judgement, in the order in which it is made.
    async fn judge(&self, session: &Session) -> std::result::Result<Permit, Refusal> {
        let request = session.req_header();
        check_method(&request.method).map_err(Refusal::hanging_up)?;
        if session.is_http2() {
            check_header_size(request, &self.limits)?;
        }
        check_framing(request, &raw_header(session)).map_err(Refusal::hanging_up)?;
        let Target::Api(route) = Target::read(request.raw_path()).map_err(Refusal::hanging_up)? else {
            return Err(not_a_registry_path().into());
        };
        if self.clients.refuses(user_agent(request)) {
            return Err(legacy_client().into());
        }
        let identity = self.login.identify(&request.headers, client_ip(session)).await?;
        let route = route.map_err(no_such_route)?;
        Ok(Permit::decide(identity, route))
    }

    /// What the client is told in `Strict-Transport-Security`.
    fn hsts(&self, session: &Session) -> Option<&HeaderValue> {
        self.hsts.as_ref().filter(|_| !headers::is_for_localhost(session.req_header()))
    }
}

/// The header section as the client sent it; nothing over HTTP/2.
fn raw_header(session: &Session) -> Bytes {
    session.as_downstream().as_http1().map(|http1| http1.get_headers_raw_bytes()).unwrap_or_default()
}

/// What `Content-Length` says; the h2 crate has seen that it is a number.
fn declared_length(request: &RequestHeader) -> Option<u64> {
    request.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the client sends its body only after a 100 (RFC 9110, 10.1.1).
fn awaits_leave(session: &Session) -> bool {
    let expected = session.req_header().headers.get(EXPECT);
    expected.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// HTTP/1.0 knows none (RFC 9110, 15.2): such a client would take one for the answer.
fn ignore_interim_answers_for_http_1_0(session: &mut Session) {
    let is_old = session.req_header().version < Version::HTTP_11;
    if let (true, ServerSession::H1(http1)) = (is_old, session.as_downstream_mut()) {
        http1.set_ignore_info_resp(true);
    }
}

fn user_agent(request: &RequestHeader) -> &str {
    request.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn client_ip(session: &Session) -> Option<IpAddr> {
    session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip)
}

fn not_a_registry_path() -> OciError {
    OciError::new(ErrorCode::Unsupported, "this is a container registry: its API is below /v2/")
        .with_status(StatusCode::NOT_FOUND)
}

fn legacy_client() -> OciError {
    OciError::new(ErrorCode::Unsupported, "this client is too old for this registry (clients.refuse); update it")
        .with_status(StatusCode::NOT_FOUND)
}

#[async_trait]
impl ProxyHttp for Gate {
    type CTX = Passage;

    fn new_ctx(&self) -> Passage {
        Passage::begin()
    }

    /// None: the default adds a compression module, and a layer must pass as it is.
    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, passage: &mut Passage) -> Result<()> {
        // pingora makes the context before it reads the request.
        passage.arrived = Instant::now();
        if let Some(stream) = session.as_downstream().stream() {
            request_arrived(stream, session.req_header());
        }
        session.set_read_timeout(Some(self.limits.body_timeout.duration()));
        session.set_write_timeout(Some(self.limits.send_timeout.duration()));
        session.set_total_drain_timeout(Some(self.limits.drain_timeout.duration()));
        // Else an answer given before the body ended is lost in a reset.
        session.set_close_on_response_before_downstream_finish(false);
        passage.awaits_leave = awaits_leave(session);
        ignore_interim_answers_for_http_1_0(session);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, passage: &mut Passage) -> Result<bool> {
        match self.judge(session).await {
            Ok(permit) => {
                passage.stage = Stage::Admitted(permit);
                Ok(false)
            }
            Err(refusal) => {
                let hsts = self.hsts(session);
                rescue::answer(session, &refusal, hsts).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, session: &mut Session, passage: &mut Passage) -> Result<Box<HttpPeer>> {
        let Some(permit) = passage.permit() else {
            return Error::e_explain(ErrorType::InternalError, "a request without a permit came to the upstream");
        };
        let has_body = !session.as_downstream_mut().is_body_empty();
        let blob = if has_body { None } else { self.upstream.for_a_blob(permit, session.req_header()) };
        let peer = self.upstream.peer(permit, blob.as_ref(), passage.failed_connects).await?;
        passage.blob = blob;
        peer.ok_or_else(|| Error::explain(ErrorType::ConnectNoRoute, "the upstream's name has no address").into_up())
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        peer: &HttpPeer,
        passage: &mut Passage,
        mut error: Box<Error>,
    ) -> Box<Error> {
        passage.failed_connects += 1;
        self.upstream.avoid(peer);
        // No byte of the request was sent: whatever its method, it may be tried again.
        error.set_retry(passage.failed_connects < CONNECT_ATTEMPTS);
        error
    }

    /// As pingora has it, which does not know that a connection for a blob was kept: one that its other end closed
    /// just then costs no request.
    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        passage: &mut Passage,
        is_kept: bool,
    ) -> Box<Error> {
        if !session.req_header().method.is_idempotent() || session.as_ref().retry_buffer_truncated() {
            error.set_retry(false);
        } else {
            error.retry.decide_reuse(is_kept || passage.blob.as_ref().is_some_and(Reuse::was_kept));
        }
        error
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        passage: &mut Passage,
    ) -> Result<()> {
        passage.forwarded = Some(Instant::now());
        passage.last_byte = session.is_http2().then(|| declared_length(request)).flatten().map(LastByte::of);
        headers::forward(request, client_ip(session), self.forward_authorization, &self.host)
    }

    /// HTTP/2 clients may end a body with an empty piece. pingora would write it to the upstream as a last
    /// chunk of its own, and the next request on that connection would begin in the wrong place.
    async fn request_body_filter(
        &self,
        _: &mut Session,
        piece: &mut Option<Bytes>,
        is_last: bool,
        passage: &mut Passage,
    ) -> Result<()> {
        if let Some(last_byte) = &mut passage.last_byte {
            *piece = Some(last_byte.pass(piece.take().unwrap_or_default(), is_last));
        }
        if is_last && piece.as_ref().is_some_and(Bytes::is_empty) {
            *piece = None;
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        _: &mut Session,
        response: &mut ResponseHeader,
        passage: &mut Passage,
    ) -> Result<()> {
        check_answer(response, &mut passage.interim_answers)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        passage: &mut Passage,
    ) -> Result<()> {
        if response.status.is_informational() {
            passage.awaits_leave &= response.status != StatusCode::CONTINUE;
            return Ok(());
        }
        if passage.awaits_leave {
            // Whether its body still comes is the client's choice: what follows could be it or a request.
            session.set_keepalive(None);
        }
        passage.upstream_time = passage.forwarded.map(|at| at.elapsed());
        if session.req_header().version < Version::HTTP_11 && headers::unchunk(response) {
            session.set_keepalive(None);
        }
        rescue::say_if_last(session);
        headers::give_back(response, self.hsts(session))
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, _: &mut Passage) -> FailToProxy {
        let unanswered = session.response_written().is_none_or(|response| response.status.is_informational());
        let Some(oci) = rescue::for_failure(error).filter(|_| unanswered) else {
            tracing::debug!(%error, "a request broke off");
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        };
        let status = oci.status();
        tracing::warn!(status = status.as_u16(), reason = brief(error), "a request failed");
        // A body that is malformed or does not come has no end to read on to.
        let is_clients_fault = *error.esource() == ErrorSource::Downstream;
        let refusal = if is_clients_fault { Refusal::hanging_up(oci) } else { oci.into() };
        let hsts = self.hsts(session);
        let answered = rescue::last_answer(session, &refusal, hsts).await;
        if let Err(error) = &answered {
            tracing::debug!(%error, "the client did not take the answer");
        }
        FailToProxy { error_code: status.as_u16(), can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, passage: &mut Passage) {
        access_log::request(session, passage);
    }

    /// pingora's own lines can hold parts of a request; ours are written in `fail_to_proxy`.
    fn suppress_error_log(&self, _: &Session, _: &Passage, _: &Error) -> bool {
        true
    }
}

/// What went wrong, without the request that pingora adds to it.
fn brief(error: &Error) -> String {
    format!("{} {}", error.esource().as_str(), error.root_etype().as_str())
}

/// pingora's own bound on tries; [`CONNECT_ATTEMPTS`] and its rule for reused connections are narrower.
pub(crate) const MAX_TRIES: usize = CONNECT_ATTEMPTS + 1;
