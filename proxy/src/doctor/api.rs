//! Is it a registry, in which language does it refuse, and does it let this user in?

use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::answer::Answer;
use super::challenge::{Challenge, challenge};
use super::client::{AskError, Client};
use super::finding::{Check, Remedy};
use super::login::{Credentials, Session, authorized};
use super::reach::Reached;
use super::remedy;
use super::report::Report;

/// Says of an answer that a registry made it.
const VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// What /v2/ answers without a password, judged. None where it is no registry's.
pub(super) fn judge_first<'a>(report: &mut Report<'_>, first: &'a Result<Answer, AskError>) -> Option<&'a Answer> {
    let answer = match first {
        Ok(answer) => answer,
        Err(error) => {
            report.fail(Check::Api, error.to_string(), &remedy::NO_ANSWER);
            return None;
        }
    };
    let seen = format!("GET /v2/ is answered by {answer}");
    let has_version = answer.field(VERSION).is_some_and(|value| value.contains(lockgate_oci::API_VERSION));
    if let Some(remedy) = no_registry(answer, has_version) {
        report.fail(Check::Api, seen, remedy);
        return None;
    }
    report.ok(Check::Api, seen);
    if has_version {
        report.ok(Check::ApiVersion, lockgate_oci::API_VERSION);
    } else {
        report.warn(Check::ApiVersion, "the answer lacks Docker-Distribution-Api-Version", &remedy::NO_API_VERSION);
    }
    Some(answer)
}

fn no_registry(answer: &Answer, has_version: bool) -> Option<&'static Remedy> {
    match answer.status {
        // A login page by its own status. That of a proxy which checks passwords comes with a challenge.
        StatusCode::UNAUTHORIZED if answer.is_html() && challenge(&answer.headers).is_none() => Some(&remedy::WEB_PAGE),
        StatusCode::UNAUTHORIZED => None,
        StatusCode::OK if answer.is_html() => Some(&remedy::WEB_PAGE),
        StatusCode::OK if has_version || answer.is_json() => None,
        // The root of registry:2, which has nothing.
        StatusCode::OK => Some(&remedy::NOT_FOUND),
        _ if answer.is_redirect() => Some(&remedy::REDIRECT),
        StatusCode::NOT_FOUND => Some(&remedy::NOT_FOUND),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Some(&remedy::NOT_REACHED)
        }
        StatusCode::FORBIDDEN => Some(&remedy::FORBIDDEN),
        _ => Some(&remedy::OTHER_ANSWER),
    }
}

/// The challenge of a 401, judged. None where a client could not log in.
pub(super) async fn judge_challenge(report: &mut Report<'_>, first: &Answer, reached: &Reached) -> Option<Challenge> {
    if first.status == StatusCode::OK {
        report.skip(&[Check::Challenge], "no password is asked for");
        return None;
    }
    let Some(challenge) = challenge(&first.headers) else {
        report.fail(Check::Challenge, "401 without WWW-Authenticate", &remedy::NO_CHALLENGE);
        return None;
    };
    match &challenge {
        Challenge::Basic => report.ok(Check::Challenge, "Basic"),
        Challenge::Unknown(scheme) => {
            report.fail(Check::Challenge, format!("the scheme {scheme}"), &remedy::UNKNOWN_CHALLENGE);
            return None;
        }
        Challenge::Bearer { realm, .. } => {
            if !judge_realm(report, &challenge, realm, reached).await {
                return None;
            }
        }
    }
    Some(challenge)
}

async fn judge_realm(report: &mut Report<'_>, challenge: &Challenge, realm: &str, reached: &Reached) -> bool {
    if !realm.to_ascii_lowercase().starts_with("https://") {
        report.fail(Check::Challenge, format!("Bearer, tokens from {realm}"), &remedy::REALM_NOT_HTTPS);
        return false;
    }
    let Some(tls) = &reached.verified else {
        report.ok(Check::Challenge, format!("Bearer, tokens from {realm}, which is not asked unverified"));
        return true;
    };
    let Session::Bearer { realm: uri, .. } = Session::new(Some(challenge), None, Some(tls)) else {
        report.fail(Check::Challenge, format!("Bearer, and the realm {realm} is no URL"), &remedy::REALM_UNREACHABLE);
        return false;
    };
    // As nobody: a token server that wants a password says 401.
    let asked = match Client::of(&uri, tls).await {
        Ok(client) => {
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            client.ask(client.request(Method::GET, path)).await
        }
        Err(error) => Err(AskError::Connect(error)),
    };
    let (seen, is_reached) = match asked {
        Ok(answer) => {
            let is_one = answer.status != StatusCode::NOT_FOUND && !answer.status.is_server_error();
            (format!("Bearer, tokens from {realm}: {answer}"), is_one && !answer.is_html() && !answer.is_redirect())
        }
        Err(error) => (format!("Bearer, tokens from {realm}: {error}"), false),
    };
    if is_reached {
        report.ok(Check::Challenge, format!("Bearer, tokens from {realm}"));
    } else {
        report.fail(Check::Challenge, seen, &remedy::REALM_UNREACHABLE);
    }
    is_reached
}

/// Logs in. False where that fails, and nothing that needs it can be looked at.
pub(super) async fn judge_login(
    report: &mut Report<'_>,
    client: &Client,
    first: &Answer,
    session: &Session<'_>,
    credentials: &Credentials,
) -> bool {
    let user = credentials.user();
    if first.status == StatusCode::OK {
        report.warn(
            Check::Login,
            format!("/v2/ is 200 without a password; {user} is not asked for"),
            &remedy::NEVER_ASKED,
        );
        return true;
    }
    let authorization = match session.authorization(None).await {
        Ok(authorization) => authorization,
        Err(error) => {
            report.fail(Check::Login, format!("no token for {user}: {error}"), &remedy::REFUSED);
            return false;
        }
    };
    match client.ask(authorized(client.request(Method::GET, "/v2/"), authorization.as_ref())).await {
        Ok(answer) if answer.status == StatusCode::OK => {
            report.ok(Check::Login, format!("{user} is let in"));
            true
        }
        Ok(answer) => {
            // Lockgate says "log in first" to who sends nothing, and something else to a wrong password.
            let is_same = answer.status == first.status && answer.body == first.body;
            let remedy = if is_same { &remedy::AUTHORIZATION_LOST } else { &remedy::REFUSED };
            report.fail(Check::Login, format!("{user} is answered by {answer}"), remedy);
            false
        }
        Err(error) => {
            report.fail(Check::Login, error.to_string(), &remedy::NO_ANSWER);
            false
        }
    }
}

/// Asks for what is not there: its refusal must be JSON. How it is encoded for a client that takes gzip is returned.
pub(super) async fn judge_errors(
    report: &mut Report<'_>,
    client: &Client,
    repository: &str,
    authorization: Option<&HeaderValue>,
    is_somebody: bool,
) -> Option<String> {
    let path = format!("/v2/{repository}/manifests/lockgate-doctor-{}", uuid::Uuid::new_v4());
    let ask = |accept: &'static str| {
        let mut request = authorized(client.request(Method::GET, &path), authorization);
        request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accept));
        client.ask(request)
    };
    match ask("identity").await {
        Err(error) => report.fail(Check::Errors, error.to_string(), &remedy::NO_ERRORS),
        Ok(answer) => judge_error(report, &answer, is_somebody),
    }
    ask("gzip").await.ok().and_then(|answer| answer.encoding())
}

fn judge_error(report: &mut Report<'_>, answer: &Answer, is_somebody: bool) {
    let seen = format!("a manifest that is not there: {answer}");
    let is_refusal = answer.status.is_client_error();
    if is_refusal && answer.has_oci_errors() {
        report.ok(Check::Errors, seen);
    } else if answer.status == StatusCode::UNAUTHORIZED && !is_somebody {
        // The page of a proxy that checks passwords itself; clients look at its challenge and not at its body.
        report.skip(&[Check::Errors], "asks for a password first: give --user");
    } else if answer.is_html() {
        report.fail(Check::Errors, seen, &remedy::HTML_ERRORS);
    } else {
        report.fail(Check::Errors, seen, &remedy::NO_ERRORS);
    }
}
