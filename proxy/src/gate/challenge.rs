//! How a client is asked to log in (RFC 9110, 11.6.1).

use http::header::{HOST, HeaderValue};
use http::{HeaderMap, StatusCode, Uri};
use lockgate_oci::{Action, ErrorCode, OciError};

use super::browser::is_browser;
use super::login::NotKnown;
use crate::access::{Authorizer, Denial};
use crate::auth::Scope;
use crate::config;
use crate::refusal::Refusal;

/// `WWW-Authenticate`, as this gate says it.
pub(super) struct Challenge {
    /// `Basic realm="..."`
    basic: HeaderValue,
    /// Whether clients get tokens here.
    has_tokens: bool,
    /// Whether they are sent for one, or asked for a password each time.
    is_bearer: bool,
    /// What a token is for.
    service: Box<str>,
    /// The name of this gate, where clients' `Host` does not say it.
    authority: Option<Box<str>>,
}

/// What is wrong with a token (RFC 6750, 3.1).
#[derive(Debug, Clone, Copy)]
enum TokenError<'a> {
    /// It is none, or none any more.
    Invalid(&'a str),
    /// It is for something else.
    InsufficientScope(&'a str),
}

/// What of a request decides how its client is asked: it is looked at when it is refused, and mostly it is not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
}

impl<'a> Asked<'a> {
    /// The host that is asked, and its port.
    pub(super) fn host(self) -> Option<&'a str> {
        let host = self.headers.get(HOST).and_then(|host| host.to_str().ok());
        host.or_else(|| self.uri.authority().map(|authority| authority.as_str()))
    }

    fn is_browser(self) -> bool {
        is_browser(self.headers)
    }
}

impl Challenge {
    pub(super) fn new(auth: &config::Auth) -> Self {
        Self {
            basic: auth.realm.challenge(),
            has_tokens: auth.token_key.is_some(),
            is_bearer: auth.is_bearer(),
            service: auth.service.as_str().into(),
            authority: auth.public_url.authority().map(Into::into),
        }
    }

    /// The one challenge: clients that are given two take one of them, and not all the one that they can meet.
    ///
    /// A browser is not asked by Basic: it would show its own prompt, and send the password with every request to this
    /// host for good, those that other sites begin too. Who sent a token is told by Bearer what is wrong with it.
    fn value(&self, asked: Asked<'_>, scope: &Scope, error: Option<TokenError<'_>>) -> Option<HeaderValue> {
        let host = self.authority.as_deref().or(asked.host());
        match host {
            Some(host) if self.has_tokens && (self.is_bearer || asked.is_browser() || error.is_some()) => {
                Some(self.bearer(host, scope, error))
            }
            _ => (!asked.is_browser()).then(|| self.basic.clone()),
        }
    }

    /// 401, 429, or 400: what was shown proves nobody.
    pub(super) fn not_known(&self, why: &NotKnown, asked: Asked<'_>, wanted: Option<&Action>) -> Refusal {
        let scope = wanted.map(Authorizer::scope_of).unwrap_or_default();
        match why {
            NotKnown::Ambiguous(error) => Refusal::hanging_up(error.clone()),
            NotKnown::Later(seconds, message) => Refusal::too_many(*seconds, message.as_str()),
            NotKnown::Wrong(message) => Refusal::unauthorized(self.value(asked, &scope, None), message),
            NotKnown::Token(invalid) => {
                let message = invalid.to_string();
                Refusal::unauthorized(self.value(asked, &scope, Some(TokenError::Invalid(&message))), &message)
            }
        }
    }

    /// 401: nothing was shown.
    pub(super) fn log_in(&self, asked: Asked<'_>, scope: &Scope) -> Refusal {
        Refusal::unauthorized(self.value(asked, scope, None), &words(asked))
    }

    /// 401 for nobody and for a token that is for something else, 403 for somebody. `has_token`: nobody, by a token.
    pub(super) fn denied(&self, why: Denial, asked: Asked<'_>, has_token: bool) -> Refusal {
        let insufficient = |scope: &Scope, message: &str| {
            let challenge = self.value(asked, scope, Some(TokenError::InsufficientScope(message)));
            let error = OciError::new(ErrorCode::Denied, message).with_status(StatusCode::UNAUTHORIZED);
            Refusal { challenge, ..error.into() }
        };
        match why {
            Denial::Forbidden(error) => error.into(),
            Denial::Nobody(scope) if has_token => insufficient(&scope, &words(asked)),
            Denial::Nobody(scope) => self.log_in(asked, &scope),
            Denial::Narrow(scope) => insufficient(&scope, "the token is not for this: ask for one with this scope"),
        }
    }

    /// The one at `/token` itself, which takes passwords.
    pub(super) fn for_a_password(&self, asked: Asked<'_>) -> Option<HeaderValue> {
        (!asked.is_browser()).then(|| self.basic.clone())
    }

    /// The realm is always https, whatever somebody in front says: a client sends its password there. The host is told as
    /// the client wrote it: some compare it letter by letter.
    fn bearer(&self, host: &str, scope: &Scope, error: Option<TokenError<'_>>) -> HeaderValue {
        let mut value = format!("Bearer realm=\"https://{host}/token\",service=\"{}\"", self.service);
        if !scope.is_empty() {
            value.push_str(&format!(",scope=\"{scope}\""));
        }
        match error {
            Some(TokenError::Invalid(why)) => value.push_str(&described("invalid_token", why)),
            Some(TokenError::InsufficientScope(why)) => value.push_str(&described("insufficient_scope", why)),
            None => {}
        }
        HeaderValue::try_from(value).expect("a checked host, a scope and words of ours are printable ASCII")
    }
}

fn words(asked: Asked<'_>) -> String {
    format!("log in first: docker login {}", asked.host().unwrap_or("HOST:PORT"))
}

fn described(error: &str, why: &str) -> String {
    format!(",error=\"{error}\",error_description=\"{why}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Auth;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field =
            |(name, value): &(&'static str, &'static str)| (name.parse().unwrap(), HeaderValue::from_static(value));
        fields.iter().map(field).collect()
    }

    fn auth(access: bool, key: bool) -> Auth {
        Auth {
            access: access.then(|| "access.toml".into()),
            token_key: key.then(|| "token.key".into()),
            ..Auth::default()
        }
    }

    fn text(auth: &Auth, headers: &HeaderMap, error: Option<TokenError<'_>>) -> String {
        let scope = Scope::parse(["repository:a/b:pull"]).expect("a scope");
        let (challenge, uri) = (Challenge::new(auth), Uri::default());
        let value = challenge.value(Asked { uri: &uri, headers }, &scope, error);
        value.map_or(String::new(), |value| value.to_str().expect("ASCII").to_owned())
    }

    #[test]
    fn where_there_are_grants_a_client_is_sent_for_a_token_at_the_host_that_it_asked() {
        assert_eq!(
            text(&auth(true, true), &headers(&[("host", "R.example:443")]), None),
            r#"Bearer realm="https://R.example:443/token",service="lockgate",scope="repository:a/b:pull""#
        );
        let moved = Auth { public_url: "https://p.example".parse().expect("a URL"), ..auth(true, true) };
        assert!(text(&moved, &headers(&[("host", "10.0.0.1:1")]), None).contains(r#"realm="https://p.example/token""#));
    }

    #[test]
    fn where_there_are_none_it_is_asked_for_a_password_and_a_browser_never_is() {
        let (docker, browser) = (headers(&[("host", "r")]), headers(&[("host", "r"), ("sec-fetch-mode", "cors")]));
        assert_eq!(text(&auth(false, true), &docker, None), r#"Basic realm="Registry Realm""#);
        assert!(text(&auth(false, true), &browser, None).starts_with("Bearer "));
        assert_eq!(text(&auth(false, false), &browser, None), "");
        let basic = Auth { challenge: config::Challenge::Basic, ..auth(true, true) };
        assert_eq!(text(&basic, &docker, None), r#"Basic realm="Registry Realm""#);
    }

    #[test]
    fn who_shows_a_bad_token_is_told_what_is_wrong_with_it() {
        let error = Some(TokenError::Invalid("the token has expired"));
        let told = text(&auth(false, true), &headers(&[("host", "r")]), error);
        assert!(told.ends_with(r#",error="invalid_token",error_description="the token has expired""#), "{told}");
    }
}
