//! The API of a registry that may go away at any moment, step by step and fast: for tests that kill servers, fill disks
//! and look for what is left.

use crate::client::{Client, RequestBody};
use crate::door::Door;
use crate::message::Response;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::io;

/// The media type of an image's manifest.
pub const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// One client of one registry.
#[derive(Debug)]
pub struct PlainApi {
    client: Client,
}

/// The digest of a content at hand, `sha256:<hex>`.
pub fn digest_of(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    format!("sha256:{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

impl PlainApi {
    /// A client of the registry at `http://ADDRESS:PORT`.
    ///
    /// # Panics
    /// When the URL is another.
    pub fn at(url: &str) -> Self {
        let address = url.strip_prefix("http://").expect("it speaks plain HTTP");
        Self { client: Client::plain(address.parse().expect("it is an address and a port")) }
    }

    /// A client of the registry behind a door, with its user.
    ///
    /// # Panics
    /// When the authority's file is none.
    pub fn through(door: &Door) -> Self {
        Self { client: Client::at(door) }
    }

    /// One request; `headers` are lines `Name: value`. `location` is a path or, as registries may answer, a whole URL.
    ///
    /// # Errors
    /// When the server went away before its answer was whole.
    pub fn send(
        &mut self,
        method: &str,
        location: &str,
        headers: &[String],
        body: RequestBody<'_>,
    ) -> io::Result<Response> {
        let url = location.strip_prefix("http://").or_else(|| location.strip_prefix("https://"));
        let path = url.and_then(|rest| rest.find('/').map(|at| &rest[at..]));
        self.client.try_send(method, path.unwrap_or(location), headers, body)
    }

    /// A request without headers and body.
    ///
    /// # Errors
    /// As [`PlainApi::send`].
    pub fn call(&mut self, method: &str, location: &str) -> io::Result<Response> {
        let accept = format!("Accept: {IMAGE}, */*");
        self.send(method, location, &[accept], RequestBody::Absent)
    }

    /// Opens an upload.
    ///
    /// # Errors
    /// As [`PlainApi::send`].
    pub fn begin(&mut self, repository: &str) -> io::Result<Response> {
        self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], RequestBody::Sized(b""))
    }

    /// Appends to an upload.
    ///
    /// # Errors
    /// As [`PlainApi::send`].
    pub fn append(&mut self, location: &str, bytes: &[u8]) -> io::Result<Response> {
        let headers = ["Content-Type: application/octet-stream".to_owned()];
        self.send("PATCH", location, &headers, RequestBody::Chunked(bytes))
    }

    /// Ends an upload with its last bytes.
    ///
    /// # Errors
    /// As [`PlainApi::send`].
    pub fn commit(&mut self, location: &str, digest: &str, bytes: &[u8]) -> io::Result<Response> {
        let separator = if location.contains('?') { '&' } else { '?' };
        let headers = ["Content-Type: application/octet-stream".to_owned()];
        self.send("PUT", &format!("{location}{separator}digest={digest}"), &headers, RequestBody::Sized(bytes))
    }

    /// Pushes a blob in `POST`, `PATCH` and `PUT`, as docker does; the answer is the last one, or the first refusal.
    ///
    /// # Errors
    /// As [`PlainApi::send`].
    pub fn push_blob(&mut self, repository: &str, content: &[u8]) -> io::Result<Response> {
        let begun = self.begin(repository)?;
        if begun.head.status() != 202 {
            return Ok(begun);
        }
        let appended = self.append(begun.head.one("location"), content)?;
        if appended.head.status() != 202 {
            return Ok(appended);
        }
        self.commit(appended.head.one("location"), &digest_of(content), b"")
    }

    /// Puts a manifest of the media type that it names.
    ///
    /// # Errors
    /// As [`PlainApi::send`].
    ///
    /// # Panics
    /// When it names none.
    pub fn put_manifest(&mut self, repository: &str, reference: &str, manifest: &Value) -> io::Result<Response> {
        let media_type = manifest["mediaType"].as_str().expect("the tests' manifests say what they are");
        let headers = [format!("Content-Type: {media_type}")];
        let (path, text) = (format!("/v2/{repository}/manifests/{reference}"), manifest.to_string());
        self.send("PUT", &path, &headers, RequestBody::Sized(text.as_bytes()))
    }

    /// Pushes an image of one layer, whose configuration is the layer too, and returns its manifest's digest.
    ///
    /// # Panics
    /// When the registry does not take it.
    #[track_caller]
    pub fn push_image(&mut self, repository: &str, tag: &str, layer: &[u8]) -> String {
        self.push_blob(repository, layer).expect("it answers").expect(201);
        let manifest = image_of(&[digest_of(layer)]);
        self.put_manifest(repository, tag, &manifest).expect("it answers").expect(201);
        digest_of(manifest.to_string().as_bytes())
    }
}

/// The manifest of an image of these blobs; the first is its configuration too.
pub fn image_of(blobs: &[String]) -> Value {
    let descriptor = |media_type: &str, digest: &String| json!({"mediaType": media_type, "digest": digest, "size": 1});
    let layers: Vec<Value> =
        blobs.iter().map(|digest| descriptor("application/vnd.oci.image.layer.v1.tar", digest)).collect();
    let config = descriptor("application/vnd.oci.image.config.v1+json", &blobs[0]);
    json!({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers})
}

impl Response {
    /// The same, when it has this status.
    ///
    /// # Panics
    /// Otherwise.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.head.status(), status, "{:#?}: {}", self.head, String::from_utf8_lossy(&self.body));
        self
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }
}
