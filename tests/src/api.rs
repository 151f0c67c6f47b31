//! The registry's API, step by step with curl, where an image tool would hide the steps.

use crate::content::sha256;
use crate::curl::{Answer, Curl};
use crate::door::Door;

/// The API behind a door.
#[derive(Debug)]
pub struct Api<'a> {
    door: &'a Door,
}

impl<'a> Api<'a> {
    /// The API that a door opens on.
    pub fn at(door: &'a Door) -> Self {
        Self { door }
    }

    /// A request with the door's user. `location` is a path or, as registries may answer, a whole URL.
    pub fn request(&self, method: &str, location: &str) -> Curl {
        let url = if location.starts_with('/') { self.door.url(location) } else { location.to_owned() };
        Curl::new(&url).trusting(&self.door.ca).user(&self.door.credentials()).method(method)
    }

    /// Opens an upload and returns where it goes on.
    ///
    /// # Panics
    /// When the registry does not take it.
    #[track_caller]
    pub fn start_upload(&self, repository: &str) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let answer = self.request("POST", &path).body("").run().expect(202);
        answer.head().one("location").to_owned()
    }

    /// Pushes a blob as docker does, in one PATCH of chunks and an empty PUT; returns its digest.
    ///
    /// # Panics
    /// When the registry does not take it.
    #[track_caller]
    pub fn push_blob(&self, repository: &str, content: &[u8]) -> String {
        let digest = sha256(content);
        let location = self.start_upload(repository);
        let patched = self.request("PATCH", &location).chunked_body(content).run().expect(202);
        self.end_of_upload(patched.head().one("location"), &digest).body("").run().expect(201);
        digest
    }

    /// The PUT that closes an upload; it may bring the last of the content, or all of it.
    pub fn end_of_upload(&self, location: &str, digest: &str) -> Curl {
        // Clients append the digest to what the registry told them, query and all.
        let separator = if location.contains('?') { '&' } else { '?' };
        self.request("PUT", &format!("{location}{separator}digest={digest}"))
    }

    /// Pulls a blob.
    pub fn blob(&self, repository: &str, digest: &str) -> Answer {
        self.request("GET", &blob_path(repository, digest)).run()
    }

    /// Pushes a one-layer image that consists of these two blobs, and returns its manifest's digest.
    ///
    /// # Panics
    /// When the registry does not take it.
    #[track_caller]
    pub fn push_image(&self, repository: &str, tag: &str, layer: &[u8]) -> String {
        let config = br#"{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;
        let (config_digest, layer_digest) = (self.push_blob(repository, config), self.push_blob(repository, layer));
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len()},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest, "size": layer.len()}],
        });
        let put = self.request("PUT", &format!("/v2/{repository}/manifests/{tag}"));
        let put = put.body_of_type(MANIFEST, manifest.to_string()).run().expect(201);
        put.head().one("docker-content-digest").to_owned()
    }

    /// Pulls a manifest by tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Answer {
        let get = self.request("GET", &format!("/v2/{repository}/manifests/{reference}"));
        get.header(&format!("Accept: {MANIFEST}")).run()
    }
}

/// The media type of an image's manifest.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn blob_path(repository: &str, digest: &str) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}
