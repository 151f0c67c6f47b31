//! `/token`: tokens for a session ([distribution token specification]; POST as its OAuth 2 page has it).
//!
//! [distribution token specification]: https://distribution.github.io/distribution/spec/auth/token/

use std::borrow::Cow;

use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Body as _;
use lockgate_oci::{ErrorCode, OciError};
use serde_json::{Value, json};

use super::answer::Answer;
use super::challenge::{Asked, Challenge};
use super::failed::words_for;
use super::login::{Login, NotKnown};
use super::passage::Passage;
use super::whole_body::{self, NotWhole};
use crate::access::Authorizer;
use crate::audit::Audit;
use crate::auth::{Authenticator, Caller, Credentials, CredentialsError, Scope};
use crate::client::Client;
use crate::listener::{Gone, RequestBody};
use crate::refusal::audit_is_full;
use crate::upstream::Failure;

/// How long the form of a POST may be, in bytes.
const MAX_FORM: usize = 16 * 1024;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `/token`: a token for what the client names.
    Named,
    /// `/token/self`: a token for all that its user may, for a page, which cannot name 100,000 repositories.
    Everything,
}

impl Endpoint {
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/token" => Some(Self::Named),
            "/token/self" => Some(Self::Everything),
            _ => None,
        }
    }
}

/// Why there is no token.
struct NoToken {
    error: OciError,
    /// The same in the words of RFC 6749, 5.2: a client by the token specification reads `errors`, one by OAuth 2 `error`.
    code: &'static str,
    challenge: Option<HeaderValue>,
    retry_after: Option<u32>,
    /// Where the next request on this connection begins cannot be told.
    hang_up: bool,
}

impl NoToken {
    fn new(error: OciError, code: &'static str) -> Self {
        Self { error, code, challenge: None, retry_after: None, hang_up: false }
    }

    fn malformed(message: impl Into<String>) -> Self {
        let error = OciError::new(ErrorCode::Unsupported, message).with_status(StatusCode::BAD_REQUEST);
        Self::new(error, "invalid_request")
    }
}

/// Why there is no answer, or none with a token.
enum Failed {
    Gone,
    NoToken(NoToken),
}

impl From<NoToken> for Failed {
    fn from(why: NoToken) -> Self {
        Self::NoToken(why)
    }
}

/// What tokens are made by.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    /// Who it is.
    pub(super) login: &'a Login,
    /// How a password is asked for.
    pub(super) challenge: &'a Challenge,
    /// Who signs.
    pub(super) authenticator: &'a Authenticator,
    /// Whether there is anything for nobody.
    pub(super) authorizer: &'a Authorizer,
    /// Who is told of it.
    pub(super) audit: &'a Audit,
}

impl Desk<'_> {
    /// Answers at `/token`.
    ///
    /// # Errors
    /// There is nobody to answer.
    pub(super) async fn answer(
        &self,
        endpoint: Endpoint,
        request: Request<RequestBody>,
        client: &Client,
        passage: &mut Passage,
    ) -> Result<Response<Answer>, Gone> {
        match self.issue(endpoint, request, client).await {
            Ok((caller, body)) => {
                passage.comes_from(&caller);
                if let Some(record) = &mut passage.record {
                    record.gives_a_token();
                }
                Ok(of_json(StatusCode::OK, &body))
            }
            Err(Failed::NoToken(why)) => {
                passage.refuse(why.error.message());
                Ok(refusal(&why))
            }
            Err(Failed::Gone) => Err(Gone),
        }
    }

    async fn issue(
        &self,
        endpoint: Endpoint,
        request: Request<RequestBody>,
        client: &Client,
    ) -> Result<(Caller, Value), Failed> {
        let (head, body) = request.into_parts();
        let asked = Asked { uri: &head.uri, headers: &head.headers };
        let query = head.uri.query().unwrap_or_default().to_owned();
        let is_post = head.method == Method::POST;
        let form = match head.method {
            Method::GET => {
                if !body.is_end_stream() {
                    return Err(NoToken { hang_up: true, ..NoToken::malformed("GET has no body") }.into());
                }
                query.into_bytes()
            }
            Method::POST => read_form(&head.headers, body).await?,
            _ => {
                let error = OciError::new(ErrorCode::Unsupported, "a token is asked for by GET or POST");
                return Err(NoToken { hang_up: !body.is_end_stream(), ..NoToken::new(error, "invalid_request") }.into());
            }
        };
        let parameters =
            Parameters::read(&form).map_err(|name| NoToken::malformed(format!("{name} stands more than once")))?;
        let known = if is_post {
            self.by_form(&parameters, &head.headers, client).await?
        } else {
            self.login.identify(&head.headers, client.ip(), None).await
        };
        let caller = known.map_err(|why| self.not_known(why, asked))?;
        if caller.scope().is_some() {
            // A token that gave tokens would have no end.
            let why = NotKnown::Wrong("a token is given for a password, not for another token".to_owned());
            return Err(self.not_known(why, asked).into());
        }
        if caller.name().is_none() && !self.authorizer.is_open_to_nobody(client.ip()) {
            let host = asked.host().unwrap_or("HOST:PORT");
            return Err(self.not_known(NotKnown::Wrong(format!("log in first: docker login {host}")), asked).into());
        }
        if caller.name().is_some() {
            let full = |_| NoToken::new(audit_is_full(), "temporarily_unavailable");
            self.audit.admit().await.map_err(full)?;
        }
        let scope = match endpoint {
            Endpoint::Everything => Scope::everything(),
            Endpoint::Named => Scope::parse(parameters.all("scope")).map_err(|error| {
                let error = OciError::new(ErrorCode::Unsupported, error.to_string());
                NoToken::new(error.with_status(StatusCode::BAD_REQUEST), "invalid_scope")
            })?,
        };
        let issued = self.authenticator.issue(&caller, &scope).ok_or_else(|| {
            // Its user was removed just now.
            self.not_known(NotKnown::Wrong("the user name or the password is wrong".to_owned()), asked)
        })?;
        let mut body = json!({
            "token": issued.token,
            "access_token": issued.token,
            "expires_in": issued.lifetime.as_secs(),
        });
        if is_post {
            body["scope"] = scope.to_string().into();
        }
        Ok((caller, body))
    }

    /// Who a form says it is (RFC 6749, 4.3).
    async fn by_form(
        &self,
        parameters: &Parameters<'_>,
        headers: &HeaderMap,
        client: &Client,
    ) -> Result<Result<Caller, NotKnown>, NoToken> {
        match parameters.one("grant_type") {
            Some("password") => {}
            Some(_) => {
                let message = "the only grant_type here is password";
                let error = OciError::new(ErrorCode::Unsupported, message).with_status(StatusCode::BAD_REQUEST);
                return Err(NoToken::new(error, "unsupported_grant_type"));
            }
            None => return Err(NoToken::malformed("grant_type is missing")),
        }
        if headers.contains_key(AUTHORIZATION) {
            return Err(NoToken::malformed("a password stands in the form or in Authorization, and not in both"));
        }
        let (user, password) = (parameters.one("username"), parameters.one("password"));
        let (user, password) = (user.unwrap_or_default(), password.unwrap_or_default());
        if user.is_empty() && password.is_empty() {
            return Ok(Ok(Caller::nobody()));
        }
        let credentials =
            user.parse().map_err(CredentialsError::from).and_then(|user| Credentials::new(user, password));
        Ok(match credentials {
            Ok(credentials) => self.login.by_password(&credentials, client.ip()).await,
            Err(error) => Err(NotKnown::Wrong(error.to_string())),
        })
    }

    /// A wrong password is 401 by POST, too: BuildKit asks by GET then, and would not after a 400.
    fn not_known(&self, why: NotKnown, asked: Asked<'_>) -> NoToken {
        match why {
            NotKnown::Ambiguous(error) => NoToken { hang_up: true, ..NoToken::new(error, "invalid_request") },
            NotKnown::Wrong(message) => {
                let error = OciError::new(ErrorCode::Unauthorized, message);
                NoToken { challenge: self.challenge.for_a_password(asked), ..NoToken::new(error, "invalid_grant") }
            }
            NotKnown::Token(error) => self.not_known(NotKnown::Wrong(error.to_string()), asked),
            NotKnown::Later(seconds, message) => {
                let error = OciError::new(ErrorCode::TooManyRequests, message);
                NoToken { retry_after: Some(seconds), ..NoToken::new(error, "slow_down") }
            }
        }
    }
}

/// The parameters of a request for a token, decoded.
struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    /// What says who asks, and how, stands once; `scope` may repeat.
    ///
    /// # Errors
    /// Which of them stands twice.
    fn read(form: &'a [u8]) -> Result<Self, &'static str> {
        let parameters = Self(form_urlencoded::parse(form).collect());
        let twice = |name: &&str| parameters.all(name).nth(1).is_some();
        match ["grant_type", "username", "password", "service"].into_iter().find(twice) {
            Some(name) => Err(name),
            None => Ok(parameters),
        }
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_ref())
    }

    fn one(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }
}

async fn read_form(headers: &HeaderMap, body: RequestBody) -> Result<Vec<u8>, Failed> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let message = "the body of a POST is a form: Content-Type: application/x-www-form-urlencoded";
        return Err(NoToken { hang_up: !body.is_end_stream(), ..NoToken::malformed(message) }.into());
    }
    match whole_body::read(body, MAX_FORM).await {
        Ok(form) => Ok(form.to_vec()),
        Err(NotWhole::TooLong) => {
            let error = OciError::new(ErrorCode::SizeInvalid, format!("a form has at most {MAX_FORM} bytes"));
            let error = error.with_status(StatusCode::PAYLOAD_TOO_LARGE);
            Err(NoToken { hang_up: true, ..NoToken::new(error, "invalid_request") }.into())
        }
        Err(NotWhole::Broken(error)) => match words_for(&Failure::Client(error)) {
            Ok(refusal) => Err(NoToken { hang_up: true, ..NoToken::new(refusal.error, "invalid_request") }.into()),
            Err(Gone) => Err(Failed::Gone),
        },
    }
}

fn refusal(why: &NoToken) -> Response<Answer> {
    let mut body: Value = serde_json::from_slice(&why.error.to_json()).expect("it was just made");
    body["error"] = why.code.into();
    body["error_description"] = why.error.message().into();
    let mut answer = of_json(why.error.status(), &body);
    let headers = answer.headers_mut();
    if let Some(challenge) = &why.challenge {
        headers.insert(WWW_AUTHENTICATE, challenge.clone());
    }
    if let Some(seconds) = why.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if why.error.status() == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    if why.hang_up {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

fn of_json(status: StatusCode, body: &Value) -> Response<Answer> {
    let mut answer = Response::new(Answer::Own(body.to_string().into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OciError::CONTENT_TYPE));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
