//! The requests of a push and a pull, each as clients send it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use lockgate_oci::{Digest, RepositoryName};
use rustls::ClientConfig;

use super::answer::Answer;
use super::client::{AskError, Body, Client, whole};
use super::limits;
use super::location;
use super::login::authorized;

/// The repository that is written to.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    client: Client,
    name: RepositoryName,
    authorization: Option<HeaderValue>,
    /// For what is read from elsewhere, which gets no password.
    verified: Option<Arc<ClientConfig>>,
}

/// What a client takes. A registry of distribution 2.8 has no OCI manifest for who does not ask for one.
const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, */*";

/// The media type of the manifest.
pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

impl Repository {
    pub(super) fn new(
        client: Client,
        name: RepositoryName,
        authorization: Option<HeaderValue>,
        verified: Option<Arc<ClientConfig>>,
    ) -> Self {
        Self { client, name, authorization, verified }
    }

    /// The same with the authorization for something else.
    pub(super) fn authorized_by(&self, authorization: Option<HeaderValue>) -> Self {
        Self { authorization, ..self.clone() }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// A path below it.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.name)
    }

    /// A request with the authorization.
    pub(super) fn request(&self, method: Method, path: &str) -> Request<Body> {
        authorized(self.client.request(method, path), self.authorization.as_ref())
    }

    /// Begins an upload.
    pub(super) async fn begin(&self) -> Result<Answer, AskError> {
        let mut request = self.request(Method::POST, &self.path("blobs/uploads/"));
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(0));
        self.client.ask(request).await
    }

    /// Where an upload goes on, at the URL that is examined.
    pub(super) fn next(&self, answer: &Answer) -> Option<String> {
        let location = answer.field(header::LOCATION)?;
        Some(location::read(&location, &self.path("blobs/uploads/"), self.client.target())?.path)
    }

    /// A piece of an upload. Without a length it comes in chunks.
    pub(super) fn patch(&self, at: &str, body: Body, length: Option<u64>) -> Request<Body> {
        let mut request = self.request(Method::PATCH, at);
        let octets = const { HeaderValue::from_static("application/octet-stream") };
        request.headers_mut().insert(header::CONTENT_TYPE, octets);
        if let Some(length) = length {
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        *request.body_mut() = body;
        request
    }

    /// Ends an upload.
    pub(super) async fn finish(&self, at: &str, digest: &Digest) -> Result<Answer, AskError> {
        let separator = if at.contains('?') { '&' } else { '?' };
        let mut request = self.request(Method::PUT, &format!("{at}{separator}digest={digest}"));
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(0));
        self.client.ask_long(request, limits::BODY_BYTES).await
    }

    /// Gives an upload up. One that cannot be given up ends by itself one day.
    pub(super) async fn give_up(&self, at: &str) {
        let _ = self.client.ask(self.request(Method::DELETE, at)).await;
    }

    /// A whole blob in one piece, with a length. What is wrong is in words.
    pub(super) async fn upload(&self, bytes: Bytes, digest: &Digest) -> Result<(), String> {
        let begun = expect("POST", self.begin().await, &[202])?;
        let at = self.next(&begun).ok_or("POST is answered without a Location")?;
        let length = bytes.len() as u64;
        let patch = self.patch(&at, whole(bytes), Some(length));
        let patched = expect("PATCH", self.client.ask_long(patch, limits::BODY_BYTES).await, &[202, 204])?;
        let at = self.next(&patched).unwrap_or(at);
        expect("PUT", self.finish(&at, digest).await, &[201]).map(|_| ())
    }

    /// Puts a manifest.
    pub(super) async fn put_manifest(&self, reference: &str, manifest: Bytes) -> Result<Answer, AskError> {
        let mut request = self.request(Method::PUT, &self.path(&format!("manifests/{reference}")));
        request.headers_mut().insert(header::CONTENT_TYPE, const { HeaderValue::from_static(MANIFEST_TYPE) });
        *request.body_mut() = whole(manifest);
        self.client.ask(request).await
    }

    /// Reads something of it, with one more field.
    pub(super) async fn read(
        &self,
        method: Method,
        rest: &str,
        (name, value): (HeaderName, HeaderValue),
        bytes: usize,
    ) -> Result<Answer, AskError> {
        let mut request = self.request(method, &self.path(rest));
        request.headers_mut().insert(header::ACCEPT, const { HeaderValue::from_static(ACCEPTED) });
        request.headers_mut().insert(name.clone(), value.clone());
        let mut answer = self.client.ask_long(request, bytes).await?;
        for _ in 0..limits::REDIRECTS {
            let Some(uri) = answer.field(header::LOCATION).filter(|_| answer.is_redirect()) else { break };
            let (Ok(uri), Some(tls)) = (uri.parse::<Uri>(), &self.verified) else { break };
            // A store behind a signed URL: it gets no password.
            let client = Client::of(&uri, tls).await?;
            let mut request = client.request(Method::GET, uri.path_and_query().map_or("/", |path| path.as_str()));
            request.headers_mut().insert(name.clone(), value.clone());
            answer = client.ask_long(request, bytes).await?;
        }
        Ok(answer)
    }
}

/// The answer, if it has one of these statuses; else what came, in words.
pub(super) fn expect(what: &str, asked: Result<Answer, AskError>, statuses: &[u16]) -> Result<Answer, String> {
    match asked {
        Ok(answer) if statuses.contains(&answer.status.as_u16()) => Ok(answer),
        Ok(answer) => Err(format!("{what} is answered by {answer}")),
        Err(error) => Err(format!("{what}: {error}")),
    }
}
