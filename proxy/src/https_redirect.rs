//! Plain HTTP (`listen.http`): the way to https, and nothing else.

use std::sync::Arc;

use http::header::{CONNECTION, HOST, HeaderValue, LOCATION};
use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, StatusCode};
use lockgate_backend::pages::{Page, page};

use crate::config::PublicUrl;
use crate::tls::CertificateStore;

/// Sends a browser to https. Only where the name is one of ours: whoever could choose it would have us send people to him.
#[derive(Debug)]
pub(crate) struct HttpsRedirect {
    pub(crate) public_url: PublicUrl,
    pub(crate) certificates: Arc<CertificateStore>,
    /// Where https is served.
    pub(crate) port: u16,
}

impl HttpsRedirect {
    /// The answer to whatever came. The connection ends with it, and the request's body is not read.
    pub(crate) fn answer(&self, request: &Request<()>) -> Page {
        let location =
            matches!(*request.method(), Method::GET | Method::HEAD).then(|| self.location(request)).flatten();
        let (status, text) = match location {
            Some(_) => (StatusCode::PERMANENT_REDIRECT, "this is served by https\n"),
            None => (
                StatusCode::BAD_REQUEST,
                "plain HTTP is answered only with the way to https: to GET and HEAD, for a name that a certificate of \
                 this gate has or auth.public_url gives\n",
            ),
        };
        let mut answer = page(status, "text/plain; charset=utf-8", text);
        answer.headers_mut().extend(location.map(|location| (LOCATION, location)));
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        answer
    }

    fn location(&self, request: &Request<()>) -> Option<HeaderValue> {
        let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        let authority = self.authority_of(asked(request)?.host())?;
        HeaderValue::try_from(format!("https://{authority}{path}")).ok()
    }

    /// By what name and port that host is reached over https.
    fn authority_of(&self, host: &str) -> Option<String> {
        let host = host.to_ascii_lowercase();
        let public = self.public_url.authority();
        let is_public =
            |public: &&str| public.parse::<Authority>().is_ok_and(|public| public.host().eq_ignore_ascii_case(&host));
        if let Some(public) = public.filter(is_public) {
            return Some(public.to_owned());
        }
        let is_named = |name: &String| match name.strip_prefix('*') {
            // A wildcard stands for one label (RFC 6125, 6.4.3).
            Some(above) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && above[1..] == *rest),
            None => *name == host,
        };
        let is_ours = self.certificates.names().iter().any(is_named);
        is_ours.then(|| if self.port == 443 { host } else { format!("{host}:{}", self.port) })
    }
}

/// The one host that a request names (RFC 9112, 3.2).
fn asked(request: &Request<()>) -> Option<Authority> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.clone());
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none())?;
    Authority::try_from(host.as_bytes()).ok().filter(|authority| !authority.as_str().contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::samples::Samples;

    fn redirect(public_url: &str, port: u16) -> HttpsRedirect {
        let samples = Samples::new();
        let pair = samples.pair("names", &["registry.test", "*.wild.test", "10.0.0.1"]);
        let certificates = Arc::new(CertificateStore::load(&[pair]).unwrap());
        HttpsRedirect { public_url: public_url.parse().unwrap(), certificates, port }
    }

    fn location(redirect: &HttpsRedirect, method: &str, host: &str) -> Option<String> {
        let request = Request::builder().method(method).uri("/v2/a?b=c").header(HOST, host).body(()).unwrap();
        let answer = redirect.answer(&request);
        assert_eq!(answer.headers()[CONNECTION], "close");
        let location = answer.headers().get(LOCATION).map(|location| location.to_str().unwrap().to_owned());
        assert_eq!(answer.status(), if location.is_some() { 308 } else { 400 });
        location
    }

    #[test]
    fn get_and_head_of_a_name_of_ours_are_sent_to_https() {
        let gate = redirect("", 5043);
        for host in ["registry.test", "REGISTRY.test:80", "a.wild.test", "10.0.0.1:8080"] {
            let name = host.split(':').next().unwrap().to_ascii_lowercase();
            for method in ["GET", "HEAD"] {
                assert_eq!(location(&gate, method, host), Some(format!("https://{name}:5043/v2/a?b=c")), "{host}");
            }
        }
        assert_eq!(location(&redirect("", 443), "GET", "registry.test").unwrap(), "https://registry.test/v2/a?b=c");
        let public = redirect("https://hub.test:8443", 5043);
        assert_eq!(location(&public, "GET", "hub.test").unwrap(), "https://hub.test:8443/v2/a?b=c");
        assert_eq!(location(&public, "GET", "registry.test").unwrap(), "https://registry.test:5043/v2/a?b=c");
    }

    #[test]
    fn nobody_is_sent_where_a_stranger_says() {
        let gate = redirect("https://hub.test", 443);
        for host in [
            "evil.test",
            "",
            "wild.test",
            "a.b.wild.test",
            ".wild.test",
            "registry.test@evil.test",
            "registry.test.evil.test",
        ] {
            assert_eq!(location(&gate, "GET", host), None, "{host}");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            assert_eq!(location(&gate, method, "registry.test"), None, "{method}");
        }
        let twice = Request::builder().header(HOST, "registry.test").header(HOST, "hub.test").body(()).unwrap();
        assert_eq!(gate.answer(&twice).status(), 400);
        assert_eq!(gate.answer(&Request::new(())).status(), 400);
    }
}
