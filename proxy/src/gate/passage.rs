//! What the gate knows of one request, from its arrival to its line in the access log, and in the audit log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use lockgate_oci::Action;

use crate::access::Permit;
use crate::access_log::{self, Line};
use crate::audit::{Act, Audit, Event, Full, Outcome, Reader};
use crate::auth::Caller;
use crate::client::Client;
use crate::network::Network;
use crate::upstream::Progress;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request on its way. Its line in the access log is written when it is dropped: with the last byte of the answer, or
/// when the client leaves.
pub(super) struct Passage {
    arrived: Instant,
    client: Client,
    method: Method,
    target: Uri,
    /// Whether somebody showed credentials, whatever they are worth.
    shows_credentials: bool,
    caller: Caller,
    action: Option<Action>,
    permit: Option<Permit>,
    /// Whether it was for a token, which it got.
    got_token: bool,
    refused: Option<Box<str>>,
    /// How much of its body has come, once it is forwarded.
    body: Option<Arc<Progress>>,
    forwarded: Option<Instant>,
    upstream_time: Option<Duration>,
    /// 0 until there is an answer.
    status: u16,
    bytes_out: u64,
    audit: Arc<Audit>,
    user_agent: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
    is_told: bool,
}

impl Passage {
    /// A request whose header is complete.
    pub(super) fn begin<B>(request: &Request<B>, client: Client, audit: Arc<Audit>) -> Self {
        let headers = request.headers();
        Self {
            arrived: Instant::now(),
            client,
            method: request.method().clone(),
            target: request.uri().clone(),
            shows_credentials: headers.contains_key(http::header::AUTHORIZATION),
            caller: Caller::nobody(),
            action: None,
            permit: None,
            got_token: false,
            refused: None,
            body: None,
            forwarded: None,
            upstream_time: None,
            status: 0,
            bytes_out: 0,
            user_agent: headers.get(USER_AGENT).filter(|_| audit.is_kept()).cloned(),
            request_id: headers.get(X_REQUEST_ID).filter(|_| audit.is_kept()).cloned(),
            audit,
            is_told: false,
        }
    }

    /// It is known who asks.
    pub(super) fn comes_from(&mut self, caller: &Caller) {
        self.caller = caller.clone();
    }

    /// It is known what for.
    pub(super) fn wants(&mut self, action: &Action) {
        if self.audit.is_kept() {
            self.action = Some(action.clone());
        }
    }

    /// It may pass.
    pub(super) fn admit(&mut self, permit: &Permit) {
        self.permit = Some(permit.clone());
    }

    /// It gets a token.
    pub(super) fn gives_a_token(&mut self) {
        self.got_token = true;
    }

    /// The gate does not let it happen.
    pub(super) fn refuse(&mut self, why: &str) {
        if self.audit.is_kept() {
            self.refused = Some(why.into());
        }
    }

    /// Tells the audit log how it ends, before anybody else hears of it. `digest` is what the registry answered with.
    ///
    /// # Errors
    /// Nothing can be written, and nobody is to be answered then.
    pub(super) async fn tell(&mut self, status: StatusCode, digest: Option<HeaderValue>) -> Result<(), Full> {
        self.is_told = true;
        let reason = self.reason(Some(status));
        let digest = digest.as_ref().and_then(|digest| digest.to_str().ok());
        let Some(event) = self.event(Some(status), digest, &reason) else { return Ok(()) };
        if self.caller.name().is_some() {
            self.audit.write(event).await
        } else {
            self.audit.stranger(&event);
            Ok(())
        }
    }

    /// What the audit log is told, if it is told of it.
    fn event<'a>(&'a self, status: Option<StatusCode>, digest: Option<&'a str>, reason: &'a str) -> Option<Event<'a>> {
        let event = match (&self.refused, &self.permit, &self.action) {
            (Some(_), _, Some(action)) if self.is_act_refused(action, status) => {
                Event::of(action, Outcome::Denied, reason)
            }
            (Some(_), _, None) if self.is_login_refused(status) => Event::new(Outcome::Denied, Act::Login, reason),
            (None, Some(permit), _) => {
                let outcome = status.map_or(Outcome::Failed, Outcome::of_answer);
                let name = self.caller.name().map(|name| name.as_str());
                let reader = name.map_or(Reader::Stranger(Network::from(self.client.ip())), Reader::User);
                if !self.audit.wants(permit.action(), &self.method, outcome, reader) {
                    return None;
                }
                Event::of(permit.action(), outcome, reason)
            }
            (None, None, _) if self.got_token => Event::new(Outcome::Done, Act::Token, reason),
            _ => return None,
        };
        let text = |value: &'a Option<HeaderValue>| value.as_ref().and_then(|value| value.to_str().ok());
        Some(Event {
            user: self.caller.name().map(|name| name.as_str()),
            token: self.caller.machine().map(|token| token.id.as_str()),
            client: Some(&self.client),
            user_agent: text(&self.user_agent),
            request_id: text(&self.request_id),
            digest: event.digest.or(digest),
            status,
            ..event
        })
    }

    /// By what it was given, or why it was not.
    fn reason(&self, status: Option<StatusCode>) -> String {
        let given = self.permit.as_ref().and_then(Permit::given);
        match (&self.refused, status) {
            (Some(why), _) => why.to_string(),
            (None, None) if self.forwarded.is_some() => {
                "the client left before the registry answered, which may have done it".to_owned()
            }
            (None, None) => "the client left before it was answered".to_owned(),
            (None, Some(_)) => given.map(|given| given.to_string()).unwrap_or_default(),
        }
    }

    /// Who showed nothing and is told to log in was refused nothing yet, where it only asked whether it may in.
    fn is_act_refused(&self, action: &Action, status: Option<StatusCode>) -> bool {
        let is_denial = matches!(status, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN));
        is_denial && (self.shows_credentials || *action != Action::Base)
    }

    fn is_login_refused(&self, status: Option<StatusCode>) -> bool {
        let is_denial =
            matches!(status, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS));
        is_denial && (self.shows_credentials || self.method == Method::POST)
    }

    /// It goes to the upstream.
    pub(super) fn forwarded(&mut self, body: Arc<Progress>) {
        self.body = Some(body);
        self.forwarded = Some(Instant::now());
    }

    /// The upstream's header is there.
    pub(super) fn upstream_answered(&mut self) {
        self.upstream_time = self.forwarded.map(|at| at.elapsed());
    }

    /// An answer with this status goes to the client.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    /// So many bytes of the answer's body go to the client.
    pub(super) fn sends(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if !self.is_told && self.audit.is_kept() {
            let reason = self.reason(None);
            if let Some(event) = self.event(None, None, &reason) {
                self.audit.note(&event);
            }
        }
        access_log::request(&Line {
            client: &self.client,
            user: self.caller.name(),
            repository: self.permit.as_ref().and_then(Permit::repository),
            method: &self.method,
            target: &self.target,
            status: self.status,
            bytes_in: self.body.as_ref().map_or(0, |body| body.received()),
            bytes_out: self.bytes_out,
            duration: self.arrived.elapsed(),
            upstream_time: self.upstream_time,
        });
    }
}
