//! What a manifest says ([image-spec, manifest.md and image-index.md], and Docker's forms of both), as
//! far as a registry must know: its media type, what it names, and how it is listed as a referrer.
//!
//! [image-spec, manifest.md and image-index.md]: https://github.com/opencontainers/image-spec

mod lenient;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use lockgate_oci::{Digest, ErrorCode, OciError};
use serde::{Deserialize, Deserializer, Serialize};

use crate::store::Requirement;

pub(crate) const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1";

/// A manifest, read.
#[derive(Debug)]
pub(crate) struct Manifest {
    media_type: String,
    raw: Raw,
}

/// The fields that a registry reads; the others are the client's.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    #[serde(default, deserialize_with = "filled")]
    media_type: Option<String>,
    #[serde(default, deserialize_with = "filled")]
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    /// Of the artifact manifest that image-spec had before 1.1.
    blobs: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "texts")]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default, deserialize_with = "filled")]
    media_type: Option<String>,
    #[serde(deserialize_with = "digest")]
    digest: Digest,
    #[serde(default)]
    size: Option<i64>,
    urls: Option<Vec<String>>,
}

/// A manifest as the list of referrers shows it.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Referrer {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<String, String>>,
}

/// Why content is not accepted as a manifest.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("the manifest is not the JSON of one: {0}")]
    Json(String),
    #[error("the names of the manifest's fields are written as in the specification, capitals too, and stand once")]
    Ambiguous,
    #[error(
        "manifests of schema 1 are not supported: push with Docker 1.10 or newer, or convert the image with skopeo"
    )]
    Schema1,
    #[error("the manifest's schemaVersion must be 2")]
    SchemaVersion,
    #[error("the Content-Type is {header}, and the manifest's mediaType is {field}: they must be the same")]
    MediaTypeDiffers { header: String, field: String },
    #[error("the manifest has no mediaType, and only an OCI image manifest or index is known without: add the field")]
    MediaTypeMissing,
    #[error(
        "the manifest's mediaType is none: it begins with application/, and has the characters of a header's value"
    )]
    MediaTypeInvalid,
    #[error("the manifest is sent as {0}, and is not of that form: an image has a config, an index has manifests")]
    Form(String),
}

impl From<ManifestError> for OciError {
    fn from(error: ManifestError) -> Self {
        Self::new(ErrorCode::ManifestInvalid, error.to_string())
    }
}

fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// An empty text is a missing one: Go writes both for the same value.
fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// Annotations. Go writes null for an empty text here, and reads it so.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    let texts = Option::<BTreeMap<String, Option<String>>>::deserialize(deserializer)?;
    Ok(texts.map(|texts| texts.into_iter().map(|(name, text)| (name, text.unwrap_or_default())).collect()))
}

/// A media type without its parameters, in lower case: it has none (RFC 9110, 8.3.1).
fn essence(content_type: &str) -> String {
    content_type.split_once(';').map_or(content_type, |(essence, _)| essence).trim().to_ascii_lowercase()
}

impl From<serde_json::Error> for ManifestError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}

impl Raw {
    /// Reads what is pushed: in one way only, so that no reader takes it for something else.
    fn strict(content: &[u8]) -> Result<Self, ManifestError> {
        let raw: Self = serde_json::from_slice(content)?;
        if raw == lenient::read(content)? { Ok(raw) } else { Err(ManifestError::Ambiguous) }
    }

    /// The media type that a manifest has by its own fields, as distribution tells it.
    fn own_media_type(&self) -> Result<&str, ManifestError> {
        match &self.media_type {
            Some(media_type) if media_type.starts_with(DOCKER_SCHEMA_1) => Err(ManifestError::Schema1),
            Some(media_type) => Ok(media_type),
            None if self.schema_version == Some(1) => Err(ManifestError::Schema1),
            None if self.manifests.is_some() => Ok(OCI_INDEX),
            None => Ok(OCI_IMAGE),
        }
    }

    /// An image that is an index too means different things to different clients (CVE-2021-41190).
    fn has_form_of(&self, media_type: &str) -> bool {
        match media_type {
            OCI_IMAGE | DOCKER_IMAGE => self.config.is_some() && self.manifests.is_none(),
            OCI_INDEX | DOCKER_INDEX => self.config.is_none() && self.layers.is_none(),
            _ => true,
        }
    }
}

impl Manifest {
    /// Reads a manifest that is pushed with this `Content-Type`.
    ///
    /// A manifest is stored without its Content-Type, as distribution does: so that it is served with
    /// the one it came with, that must be what the content says itself.
    pub(crate) fn pushed(content: &[u8], content_type: Option<&str>) -> Result<Self, ManifestError> {
        if content_type.is_some_and(|text| essence(text).starts_with(DOCKER_SCHEMA_1)) {
            return Err(ManifestError::Schema1);
        }
        let raw = Raw::strict(content)?;
        let field = raw.own_media_type()?;
        if raw.media_type.is_none() && raw.config.is_none() && raw.manifests.is_none() {
            return Err(ManifestError::MediaTypeMissing);
        }
        if let Some(header) = content_type.map(essence)
            && !header.eq_ignore_ascii_case(field)
        {
            if raw.media_type.is_none() && header.starts_with("application/vnd.docker.") {
                return Err(ManifestError::MediaTypeMissing);
            }
            return Err(ManifestError::MediaTypeDiffers { header, field: field.to_owned() });
        }
        // It is served under this type: a browser must never be told that it is a page, a style or a picture.
        if !field.starts_with("application/") || http::HeaderValue::try_from(field).is_err() {
            return Err(ManifestError::MediaTypeInvalid);
        }
        let known = matches!(field, OCI_IMAGE | OCI_INDEX | DOCKER_IMAGE | DOCKER_INDEX);
        if (known || raw.schema_version.is_some()) && raw.schema_version != Some(2) {
            return Err(ManifestError::SchemaVersion);
        }
        if !raw.has_form_of(field) {
            return Err(ManifestError::Form(field.to_owned()));
        }
        Ok(Self { media_type: field.to_owned(), raw })
    }

    /// Reads a manifest that is in the store, perhaps put there by another registry: what that one took is served.
    pub(crate) fn stored(content: &[u8]) -> Result<Self, ManifestError> {
        let raw = lenient::read(content)?;
        Ok(Self { media_type: raw.own_media_type()?.to_owned(), raw })
    }

    pub(crate) fn media_type(&self) -> &str {
        &self.media_type
    }

    pub(crate) fn is_index(&self) -> bool {
        matches!(self.media_type.as_str(), OCI_INDEX | DOCKER_INDEX)
    }

    /// What it refers to, if it is a referrer.
    pub(crate) fn subject(&self) -> Option<&Digest> {
        self.raw.subject.as_ref().map(|subject| &subject.digest)
    }

    /// What it points at, as an index.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Digest> {
        self.raw.manifests.iter().flatten().map(|child| &child.digest)
    }

    /// What must have been pushed before it; each once, since the repository is locked while it is looked for.
    pub(crate) fn requires(&self) -> Vec<Requirement> {
        let layers = self.raw.layers.iter().chain(&self.raw.blobs).flatten().filter(|layer| layer.is_distributed());
        let blobs = self.raw.config.iter().chain(layers).map(|blob| Requirement::Blob(blob.digest.clone()));
        let all = blobs.chain(self.children().map(|child| Requirement::Manifest(child.clone())));
        let mut seen = HashSet::new();
        all.filter(|required| seen.insert(required.clone())).collect()
    }

    /// The blobs that it says the size of, with that size; each once, however often it stands there.
    pub(crate) fn sizes(&self) -> BTreeSet<(&Digest, u64)> {
        let blobs = self.raw.config.iter().chain(self.raw.layers.iter().flatten());
        blobs.filter_map(|blob| Some((&blob.digest, u64::try_from(blob.size?).ok()?))).collect()
    }

    /// What filters go by: the artifact's type, which for an image is by default its config's.
    pub(crate) fn artifact_type(&self) -> Option<&str> {
        let of_config = self.raw.config.as_ref().filter(|_| !self.is_index()).and_then(|c| c.media_type.as_deref());
        self.raw.artifact_type.as_deref().or(of_config)
    }

    /// Its entry in a list of referrers. `digest` and `size` are those of its content.
    pub(crate) fn into_referrer(self, digest: &Digest, size: u64) -> Referrer {
        let artifact_type = self.artifact_type().map(str::to_owned);
        let (media_type, annotations) = (self.media_type, self.raw.annotations);
        Referrer { media_type, digest: digest.to_string(), size, artifact_type, annotations }
    }
}

impl Descriptor {
    /// Whether clients push it: base layers of Windows and their like are fetched from elsewhere.
    fn is_distributed(&self) -> bool {
        let elsewhere = self.media_type.as_deref().is_some_and(|media_type| {
            media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
                || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
        });
        !elsewhere && self.urls.as_ref().is_none_or(Vec::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const C: &str = "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";

    fn pushed(content: &serde_json::Value, content_type: &str) -> Result<Manifest, ManifestError> {
        Manifest::pushed(content.to_string().as_bytes(), Some(content_type))
    }

    fn required(manifest: &Manifest) -> Vec<String> {
        manifest.requires().iter().map(|r| r.digest().to_string()).collect()
    }

    #[test]
    fn an_image_needs_its_config_and_its_layers_but_no_foreign_ones_and_no_subject() {
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let image = json!({
            "schemaVersion": 2,
            "config": { "digest": A, "mediaType": "x/config" },
            "layers": [{ "digest": B }, { "digest": C, "urls": ["http://x"] }, { "digest": C, "mediaType": foreign }],
            "subject": { "digest": C },
        });
        let image = pushed(&image, "application/vnd.oci.image.manifest.v1+json; charset=utf-8").unwrap();
        assert_eq!(image.media_type(), OCI_IMAGE);
        assert_eq!(required(&image), [A, B]);
        assert_eq!(image.subject().map(Digest::as_str), Some(C));
        assert_eq!(image.artifact_type(), Some("x/config"));
    }

    #[test]
    fn a_blob_that_stands_in_it_many_times_is_looked_for_once() {
        let layer = json!({ "digest": B, "size": 7 });
        let layers = [layer.clone(), layer, json!({ "digest": B }), json!({ "digest": C, "size": -1 })];
        let image = json!({ "schemaVersion": 2, "config": { "digest": A, "size": 2 }, "layers": layers });
        let image = pushed(&image, OCI_IMAGE).unwrap();
        let sizes: Vec<_> = image.sizes().into_iter().map(|(digest, size)| (digest.as_str(), size)).collect();
        assert_eq!(sizes, [(A, 2), (B, 7)]);
        assert_eq!(required(&image), [A, B, C]);
    }

    #[test]
    fn an_index_needs_its_manifests_and_has_no_artifact_type_by_default() {
        let index = json!({ "schemaVersion": 2, "mediaType": DOCKER_INDEX, "manifests": [{ "digest": A }] });
        let index = pushed(&index, DOCKER_INDEX).unwrap();
        assert_eq!(index.requires(), [Requirement::Manifest(A.parse().unwrap())]);
        assert_eq!(index.artifact_type(), None);
    }

    #[test]
    fn go_writes_null_for_an_empty_list() {
        let image = json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE, "config": { "digest": A }, "layers": null,
            "artifactType": "", "manifests": null, "subject": null, "annotations": null });
        assert_eq!(required(&pushed(&image, OCI_IMAGE).unwrap()), [A]);
    }

    #[test]
    fn the_media_type_is_the_content_s_own() {
        let config = json!({ "digest": A });
        let table = [
            (json!({ "schemaVersion": 2, "config": config }), OCI_INDEX, "must be the same"),
            (json!({ "schemaVersion": 2, "config": config }), DOCKER_IMAGE, "no mediaType"),
            (json!({ "schemaVersion": 2, "config": config, "mediaType": OCI_IMAGE }), "text/plain", "must be the same"),
            (json!({ "schemaVersion": 2 }), OCI_IMAGE, "no mediaType"),
            (json!({ "schemaVersion": 2, "config": config, "manifests": [] }), OCI_IMAGE, "must be the same"),
            (json!({ "schemaVersion": 2, "config": config, "manifests": [] }), OCI_INDEX, "not of that form"),
            (json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "layers": [] }), OCI_INDEX, "not of that form"),
            (json!({ "schemaVersion": 3, "config": config }), OCI_IMAGE, "must be 2"),
            (json!({ "config": config }), OCI_IMAGE, "must be 2"),
            (json!({ "schemaVersion": 2, "config": { "digest": "sha256:x" } }), OCI_IMAGE, "hexadecimal"),
            (json!([]), OCI_IMAGE, "not the JSON"),
        ];
        for (content, content_type, why) in table {
            let error = pushed(&content, content_type).unwrap_err().to_string();
            assert!(error.contains(why), "{content} as {content_type}: {error}");
        }
    }

    #[test]
    fn a_content_type_has_no_case() {
        let image = json!({ "schemaVersion": 2, "mediaType": OCI_IMAGE, "config": { "digest": A } });
        for content_type in [&OCI_IMAGE.to_ascii_uppercase(), "Application/vnd.OCI.image.manifest.v1+JSON; Charset=x"] {
            assert_eq!(pushed(&image, content_type).unwrap().media_type(), OCI_IMAGE, "served as it is written");
        }
        assert_eq!(pushed(&image, &DOCKER_SCHEMA_1.to_ascii_uppercase()).unwrap_err(), ManifestError::Schema1);
    }

    #[test]
    fn schema_1_is_refused_with_a_reason_however_it_is_sent() {
        let prettyjws = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        let content = json!({ "schemaVersion": 1, "name": "x", "fsLayers": [] });
        for content_type in [prettyjws, "application/json"] {
            assert_eq!(pushed(&content, content_type).unwrap_err(), ManifestError::Schema1);
        }
        assert_eq!(Manifest::stored(content.to_string().as_bytes()).unwrap_err(), ManifestError::Schema1);
    }

    #[test]
    fn a_media_type_that_cannot_be_served_is_refused() {
        for media_type in
            ["application/x\r\nSet-Cookie: z", "text/html", "image/svg+xml", "Application/x", "application"]
        {
            let manifest = json!({ "mediaType": media_type }).to_string();
            assert_eq!(Manifest::pushed(manifest.as_bytes(), None).unwrap_err(), ManifestError::MediaTypeInvalid);
        }
    }

    #[test]
    fn a_media_type_that_nobody_knows_is_taken_at_its_word() {
        let media_type = "application/vnd.oci.artifact.manifest.v1+json";
        let artifact = json!({ "mediaType": media_type, "artifactType": "x/y", "blobs": [{ "digest": B }] });
        let artifact = pushed(&artifact, media_type).unwrap();
        assert_eq!((artifact.media_type(), artifact.artifact_type()), (media_type, Some("x/y")));
        assert_eq!(required(&artifact), [B]);
    }

    proptest! {
        #[test]
        fn no_content_makes_the_parser_panic(content in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Manifest::pushed(&content, None);
            let _ = Manifest::stored(&content);
        }

        #[test]
        fn what_was_accepted_is_served_with_the_type_it_came_with(
            field in proptest::sample::select(vec![None, Some(OCI_IMAGE), Some(OCI_INDEX), Some(DOCKER_IMAGE), Some("application/x")]),
            header in proptest::sample::select(vec![OCI_IMAGE, OCI_INDEX, DOCKER_IMAGE, "application/x"]),
            config in any::<bool>(),
            manifests in any::<bool>(),
        ) {
            let mut content = json!({ "schemaVersion": 2 });
            if let Some(field) = field { content["mediaType"] = json!(field); }
            if config { content["config"] = json!({ "digest": A }); }
            if manifests { content["manifests"] = json!([]); }
            if pushed(&content, header).is_ok() {
                let stored = Manifest::stored(content.to_string().as_bytes()).expect("it was accepted");
                prop_assert_eq!(stored.media_type(), header);
            }
        }
    }
}
