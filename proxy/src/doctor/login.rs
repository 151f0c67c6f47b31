//! Logging in as docker does: the password with each request, or a token for it.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, Request, Uri, header};
use rustls::ClientConfig;
use serde_json::Value;
use zeroize::Zeroizing;

use super::challenge::Challenge;
use super::client::{Body, Client};

/// Who logs in.
pub(crate) struct Credentials {
    user: String,
    password: Zeroizing<String>,
}

/// Without the password, which would be shown otherwise.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Of this user.
    pub(crate) fn new(user: String, password: Zeroizing<String>) -> Self {
        Self { user, password }
    }

    /// The user's name.
    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// The password.
    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// What `Authorization` says.
    fn basic(&self) -> HeaderValue {
        let pair = Zeroizing::new(format!("{}:{}", self.user, self.password.as_str()));
        let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        secret(&value)
    }
}

fn secret(value: &str) -> HeaderValue {
    // A token with other bytes in it is none.
    let mut value = HeaderValue::from_str(value).unwrap_or(const { HeaderValue::from_static("") });
    value.set_sensitive(true);
    value
}

/// How requests are authorised. It exists with credentials only where the certificate was verified.
pub(super) enum Session<'a> {
    /// As nobody.
    Nobody,
    /// The password with each request.
    Basic(&'a Credentials),
    /// A token of the token server, got with the password or as nobody.
    Bearer {
        /// Where.
        realm: Uri,
        /// For whom.
        service: Option<String>,
        /// Who, or nobody.
        credentials: Option<&'a Credentials>,
        /// The TLS that verifies.
        tls: Arc<ClientConfig>,
    },
}

impl<'a> Session<'a> {
    /// The one that a challenge asks for. Where nothing was verified it is nobody's.
    pub(super) fn new(
        challenge: Option<&Challenge>,
        credentials: Option<&'a Credentials>,
        verified: Option<&Arc<ClientConfig>>,
    ) -> Self {
        match (challenge, verified) {
            (Some(Challenge::Basic), Some(_)) => credentials.map_or(Self::Nobody, Self::Basic),
            (Some(Challenge::Bearer { realm, service }), Some(tls)) => match realm.parse::<Uri>() {
                Ok(uri) if uri.scheme_str() == Some("https") => {
                    Self::Bearer { realm: uri, service: service.clone(), credentials, tls: Arc::clone(tls) }
                }
                _ => Self::Nobody,
            },
            _ => Self::Nobody,
        }
    }

    /// Whether requests say who sends them.
    pub(super) fn is_somebody(&self) -> bool {
        matches!(self, Self::Basic(_) | Self::Bearer { credentials: Some(_), .. })
    }

    /// What `Authorization` says for this scope, as in `repository:team/app:pull,push`; none for nobody.
    ///
    /// # Errors
    /// The token server gives no token, in words for the person.
    pub(super) async fn authorization(&self, scope: Option<&str>) -> Result<Option<HeaderValue>, String> {
        match self {
            Self::Nobody => Ok(None),
            Self::Basic(credentials) => Ok(Some(credentials.basic())),
            Self::Bearer { realm, service, credentials, tls } => {
                let token = fetch(realm, service.as_deref(), scope, *credentials, tls).await?;
                Ok(Some(secret(&Zeroizing::new(format!("Bearer {}", token.as_str())))))
            }
        }
    }
}

/// Lets a request say who sends it.
pub(super) fn authorized(mut request: Request<Body>, authorization: Option<&HeaderValue>) -> Request<Body> {
    if let Some(value) = authorization {
        request.headers_mut().insert(header::AUTHORIZATION, value.clone());
    }
    request
}

/// A token, as docker fetches it.
async fn fetch(
    realm: &Uri,
    service: Option<&str>,
    scope: Option<&str>,
    credentials: Option<&Credentials>,
    tls: &Arc<ClientConfig>,
) -> Result<Zeroizing<String>, String> {
    let client = Client::of(realm, tls).await.map_err(|error| format!("{realm}: {error}"))?;
    let path = token_path(realm, service, scope, credentials.map(Credentials::user));
    let request = client.request(Method::GET, &path);
    let request = authorized(request, credentials.map(Credentials::basic).as_ref());
    let answer = client.ask(request).await.map_err(|error| format!("{realm}: {error}"))?;
    let parsed: Option<Value> = serde_json::from_slice(&answer.body).ok().filter(|_| answer.status.is_success());
    let token = parsed.as_ref().and_then(|value| value["token"].as_str().or(value["access_token"].as_str()));
    token.map(|token| Zeroizing::new(token.to_owned())).ok_or_else(|| format!("{realm} answers {answer}"))
}

/// The realm's path, with what the token is for.
fn token_path(realm: &Uri, service: Option<&str>, scope: Option<&str>, account: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in [("service", service), ("scope", scope), ("account", account)] {
        value.map(|value| query.append_pair(name, value));
    }
    let separator = if realm.query().is_some() { '&' } else { '?' };
    let path = realm.path_and_query().map_or("/", |path| path.as_str());
    format!("{path}{separator}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_as_docker_does() {
        let realm: Uri = "https://auth.example.com/token?x=1".parse().unwrap();
        assert_eq!(
            token_path(&realm, Some("the registry"), Some("repository:a/b:pull"), Some("alice")),
            "/token?x=1&service=the+registry&scope=repository%3Aa%2Fb%3Apull&account=alice"
        );
    }

    #[test]
    fn nobody_s_password_is_sent_where_nothing_was_verified_or_the_realm_is_not_https() {
        let credentials = Credentials::new("alice".into(), Zeroizing::new("secret".into()));
        let bearer = |realm: &str| Challenge::Bearer { realm: realm.into(), service: None };
        for challenge in [Challenge::Basic, bearer("https://auth.example.com/")] {
            assert!(!Session::new(Some(&challenge), Some(&credentials), None).is_somebody());
        }
        let tls = super::super::trust::lenient().unwrap().0;
        assert!(!Session::new(Some(&bearer("http://a/")), Some(&credentials), Some(&tls)).is_somebody());
        assert!(Session::new(Some(&bearer("https://a/")), Some(&credentials), Some(&tls)).is_somebody());
    }
}
