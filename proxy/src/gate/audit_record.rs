//! What the audit log is told of a request.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use lockgate_oci::Action;

use crate::access::Permit;
use crate::audit::{Act, Audit, Event, Full, Outcome, Reader};
use crate::auth::Caller;
use crate::client::Client;
use crate::network::Network;

/// What is gathered of a request while it is judged, where there is an audit log.
pub(super) struct AuditRecord {
    audit: Arc<Audit>,
    /// Whether somebody showed credentials, whatever they are worth.
    shows_credentials: bool,
    user_agent: Option<HeaderValue>,
    request_id: HeaderValue,
    action: Option<Action>,
    refused: Option<Box<str>>,
    /// Whether it was for a token, which it got.
    got_token: bool,
    is_told: bool,
}

/// What else is known of the request.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) client: &'a Client,
    pub(super) method: &'a Method,
    pub(super) caller: &'a Caller,
    pub(super) permit: Option<&'a Permit>,
    pub(super) is_forwarded: bool,
}

impl AuditRecord {
    /// `None` where there is no audit log.
    pub(super) fn begin(headers: &HeaderMap, request_id: &HeaderValue, audit: &Arc<Audit>) -> Option<Box<Self>> {
        audit.is_kept().then(|| {
            Box::new(Self {
                audit: audit.clone(),
                shows_credentials: headers.contains_key(AUTHORIZATION),
                user_agent: headers.get(USER_AGENT).cloned(),
                request_id: request_id.clone(),
                action: None,
                refused: None,
                got_token: false,
                is_told: false,
            })
        })
    }

    /// It is known what for.
    pub(super) fn wants(&mut self, action: &Action) {
        self.action = Some(action.clone());
    }

    /// It gets a token.
    pub(super) fn gives_a_token(&mut self) {
        self.got_token = true;
    }

    /// The gate does not let it happen.
    pub(super) fn refuse(&mut self, why: &str) {
        self.refused = Some(why.into());
    }

    /// Tells how it ends, before anybody else hears of it. `digest` is what the registry answered with.
    ///
    /// # Errors
    /// Nothing can be written, and nobody is to be answered then.
    pub(super) async fn tell(
        &mut self,
        known: Known<'_>,
        status: StatusCode,
        digest: Option<HeaderValue>,
    ) -> Result<(), Full> {
        self.is_told = true;
        let reason = self.reason(known, Some(status));
        let digest = digest.as_ref().and_then(|digest| digest.to_str().ok());
        let Some(event) = self.event(known, Some(status), digest, &reason) else { return Ok(()) };
        if known.caller.name().is_some() {
            self.audit.write(event).await
        } else {
            self.audit.stranger(&event);
            Ok(())
        }
    }

    /// The request is over. If nothing was told of it, its client has left before it was answered.
    pub(super) fn end(&self, known: Known<'_>) {
        if !self.is_told {
            let reason = self.reason(known, None);
            match self.event(known, None, None, &reason) {
                Some(event) if event.user.is_some() => self.audit.note(&event),
                Some(event) => self.audit.stranger(&event),
                None => {}
            }
        }
    }

    /// What is told, if anything is.
    fn event<'a>(
        &'a self,
        Known { client, method, caller, permit, .. }: Known<'a>,
        status: Option<StatusCode>,
        digest: Option<&'a str>,
        reason: &'a str,
    ) -> Option<Event<'a>> {
        let user = caller.name().map(|name| name.as_str());
        let token = caller.machine().map(|token| token.id.as_str());
        let event = match (&self.refused, permit, &self.action) {
            (Some(_), _, Some(action)) if self.is_act_refused(action, status) => {
                Event::of(action, Outcome::Denied, reason)
            }
            (Some(_), _, None) if self.is_login_refused(method, status) => {
                Event::new(Outcome::Denied, Act::Login, reason)
            }
            (None, Some(permit), _) => {
                let outcome = status.map_or(Outcome::Failed, Outcome::of_answer);
                let reader =
                    user.map_or(Reader::Stranger(Network::from(client.ip())), |user| Reader::User(user, token));
                if !self.audit.wants(permit.action(), method, outcome, reader) {
                    return None;
                }
                Event::of(permit.action(), outcome, reason)
            }
            (None, None, _) if self.got_token => Event::new(Outcome::Done, Act::Token, reason),
            _ => return None,
        };
        let text = |value: &'a Option<HeaderValue>| value.as_ref().and_then(|value| value.to_str().ok());
        Some(Event {
            user,
            token,
            client: Some(client),
            user_agent: text(&self.user_agent),
            request_id: self.request_id.to_str().ok(),
            digest: event.digest.or(digest),
            status,
            ..event
        })
    }

    /// By what it was given, or why it was not.
    fn reason(&self, known: Known<'_>, status: Option<StatusCode>) -> String {
        let given = known.permit.and_then(Permit::given);
        match (&self.refused, status) {
            (Some(why), _) => why.to_string(),
            (None, None) if known.is_forwarded => {
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

    fn is_login_refused(&self, method: &Method, status: Option<StatusCode>) -> bool {
        let is_denial =
            matches!(status, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS));
        is_denial && (self.shows_credentials || *method == Method::POST)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::SocketAddr;
    use std::path::Path;

    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::access::{Access, Authorizer, Groups};
    use crate::config;

    /// Else they could fill the disk by requests whose answers they do not await.
    #[tokio::test]
    async fn strangers_who_leave_before_they_are_answered_share_a_line() {
        let dir = TempDir::new().expect("a directory");
        let file = dir.path().join("audit.log");
        let audit = Audit::start(&config::Audit { file: Some(file.clone()), ..Default::default() }).expect("a file");
        let grants = "[[grant]]\nrepositories = '**'\nto = 'anyone'\nallow = 'pull'\n";
        let access = Access::parse(grants, Path::new("access.toml"), Groups::default()).expect("grants");
        let authorizer = Authorizer::new(Some(access.grants));
        let caller = Caller::nobody();
        for port in 1..=50 {
            let client = Client::from(SocketAddr::from(([192, 0, 2, 7], port)));
            let pull = Action::parse(&Method::GET, "/v2/public/app/manifests/v1", None).expect("a pull");
            let mut record = AuditRecord::begin(&HeaderMap::new(), &HeaderValue::from_static("x"), &audit)
                .expect("there is an audit log");
            record.wants(&pull);
            let permit = authorizer.decide(caller.clone(), pull, &HeaderMap::new(), client.ip()).expect("a permit");
            let known = Known {
                client: &client,
                method: &Method::GET,
                caller: &caller,
                permit: Some(&permit),
                is_forwarded: true,
            };
            record.end(known);
        }
        audit.end().await;
        let text = fs::read_to_string(file).expect("there is a file");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
        let [line] = &lines[..] else { panic!("{text}") };
        assert_eq!(
            (&line["count"], &line["outcome"], &line["client"]),
            (&50.into(), &"failed".into(), &"192.0.2.7".into())
        );
    }
}
