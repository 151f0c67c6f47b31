//! Manifests, and pushing them.

use crate::answer::Answer;
use crate::visit::{Request, Visit};
use lockgate_e2e::{sha256, sha512};
use serde_json::{Value, json};

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The digest of what nobody pushed.
pub(crate) const NOWHERE: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A manifest as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: String,
}

impl Manifest {
    /// JSON as a person would write it, so that whoever writes it anew is found out.
    pub(crate) fn of(json: &Value) -> Self {
        let media_type = json["mediaType"].as_str().unwrap_or(IMAGE).to_owned();
        let bytes = format!("{json:#}\n").into_bytes();
        Self { media_type, digest: sha256(bytes.as_slice()), bytes }
    }

    pub(crate) fn sha512(&self) -> String {
        sha512(self.bytes.as_slice())
    }

    /// How another manifest names it.
    pub(crate) fn descriptor(&self) -> Value {
        descriptor(&self.media_type, &self.bytes)
    }
}

/// How a manifest names some content.
pub(crate) fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": sha256(content), "size": content.len() })
}

/// An index of these manifests.
pub(crate) fn index_of(children: &[&Manifest]) -> Value {
    let children: Vec<Value> = children.iter().map(|child| child.descriptor()).collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children })
}

/// An artifact that refers to a manifest, which need not be there. Its config must be pushed.
pub(crate) fn referrer_of(subject: &Value, artifact_type: &str) -> Value {
    let empty = descriptor(EMPTY, b"{}");
    json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "artifactType": artifact_type,
        "config": empty,
        "layers": [empty],
        "subject": subject,
    })
}

impl Visit {
    /// Pushes the blobs of an image of one layer; the image's manifest.
    pub(crate) fn image(&self, layer: &str) -> Value {
        let (config, layer) = (self.push("{}"), self.push(layer));
        json!({
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": descriptor(CONFIG, &config.content),
            "layers": [descriptor(LAYER, &layer.content)],
        })
    }

    /// Pushes an image and tags it.
    pub(crate) fn push_image(&self, tag: &str, layer: &str) -> Manifest {
        let manifest = Manifest::of(&self.image(layer));
        self.put_manifest(tag, &manifest).expect(201);
        manifest
    }

    /// Pushes what refers to a manifest.
    pub(crate) fn push_referrer(&self, subject: &Value, artifact_type: &str) -> Manifest {
        self.push("{}");
        let manifest = Manifest::of(&referrer_of(subject, artifact_type));
        self.put_manifest(&manifest.digest, &manifest).expect(201);
        manifest
    }

    pub(crate) fn put_manifest(&self, reference: &str, manifest: &Manifest) -> Request<'_> {
        self.put(format!("manifests/{reference}")).header("Content-Type", &manifest.media_type).body(&manifest.bytes)
    }

    /// A manifest by a method that reads, with every type accepted that there is.
    pub(crate) fn read_manifest<'a>(&'a self, method: &'a str, reference: &str) -> Request<'a> {
        let request = self.request(method, format!("manifests/{reference}"));
        [IMAGE, INDEX, DOCKER_IMAGE, DOCKER_INDEX]
            .iter()
            .fold(request, |request, accept| request.header("Accept", accept))
    }

    /// Pulls a manifest that must be this one.
    #[track_caller]
    pub(crate) fn pulls(&self, reference: &str, manifest: &Manifest) -> Answer {
        let pulled = self.read_manifest("GET", reference).expect(200);
        pulled.with("content-type", &manifest.media_type).with_body(&manifest.bytes)
    }

    /// The digest that a tag points at.
    #[track_caller]
    pub(crate) fn tagged(&self, tag: &str) -> String {
        self.read_manifest("HEAD", tag).expect(200).header("docker-content-digest").to_owned()
    }
}
