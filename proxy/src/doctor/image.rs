//! A small image: made, pushed, pulled, compared, and deleted again.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use lockgate_oci::{Algorithm, Digest};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::answer::Answer;
use super::client::AskError;
use super::finding::{Check, Remedy};
use super::limits;
use super::remedy;
use super::report::Report;
use super::repository::{MANIFEST_TYPE, Repository, expect};

/// The tag that it gets.
pub(super) const TAG: &str = "lockgate-doctor";

/// Bytes and their digest.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) bytes: Bytes,
    pub(super) digest: Digest,
}

impl Blob {
    fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let digest = Digest::from_bytes(Algorithm::Sha256, &Sha256::digest(&bytes)).expect("a SHA-256 has 32 bytes");
        Self { bytes, digest }
    }

    /// So many bytes that nobody has pushed before, and that nothing compresses.
    pub(super) fn random(length: usize) -> Self {
        let mut bytes = vec![0; length];
        aws_lc_rs::rand::fill(&mut bytes).expect("the system's randomness does not fail once it is seeded");
        Self::new(bytes)
    }

    /// The configuration of an image with this layer.
    pub(super) fn config(layer: &Self) -> Self {
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": { "Labels": { "org.opencontainers.image.title": "made and deleted by lockgate doctor" } },
            "rootfs": { "type": "layers", "diff_ids": [layer.digest.to_string()] },
        });
        Self::new(config.to_string())
    }

    /// The manifest.
    pub(super) fn manifest(config: &Self, layer: &Self) -> Self {
        let descriptor = |kind: &str, blob: &Self| json!({ "mediaType": kind, "digest": blob.digest.to_string(), "size": blob.bytes.len() });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        });
        Self::new(manifest.to_string())
    }
}

/// What is pushed.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) config: Blob,
    pub(super) layer: Blob,
    pub(super) manifest: Blob,
}

/// Pushes what is not there yet, and the manifest. False where there is nothing to pull.
pub(super) async fn judge_push(
    report: &mut Report<'_>,
    repository: &Repository,
    image: &Image,
    missing: &[&Blob],
) -> bool {
    let pushed = async {
        for blob in missing {
            repository.upload(blob.bytes.clone(), &blob.digest).await?;
        }
        let put = repository.put_manifest(TAG, image.manifest.bytes.clone()).await;
        expect("PUT of the manifest", put, &[201])
    };
    match pushed.await {
        Ok(_) => {
            let kib = image.layer.bytes.len() >> 10;
            report.ok(Check::Push, format!("{}:{TAG} with a layer of {kib} KiB", repository.name()));
            true
        }
        Err(why) => {
            report.fail(Check::Push, why, &remedy::PUSH_FAILS);
            false
        }
    }
}

/// Pulls it, and compares. How the manifest is encoded for a client that takes gzip is returned.
pub(super) async fn judge_pull(report: &mut Report<'_>, repository: &Repository, image: &Image) -> Option<String> {
    match pull(repository, image).await {
        Ok(()) => report.ok(Check::Pull, "by tag and by digest, byte for byte"),
        Err((why, remedy)) => report.fail(Check::Pull, why, remedy),
    }
    let gzip = (header::ACCEPT_ENCODING, const { HeaderValue::from_static("gzip") });
    let manifest = format!("manifests/{}", image.manifest.digest);
    let answer = repository.read(Method::GET, &manifest, gzip, limits::BODY_BYTES).await;
    answer.ok().and_then(|answer| answer.encoding())
}

type Fault = (String, &'static Remedy);

async fn pull(repository: &Repository, image: &Image) -> Result<(), Fault> {
    let plain = || (header::ACCEPT_ENCODING, const { HeaderValue::from_static("identity") });
    let ask = |method, path: String, bytes| async move { repository.read(method, &path, plain(), bytes).await };
    let by_tag = format!("manifests/{TAG}");
    head(ask(Method::HEAD, by_tag.clone(), 0).await, &image.manifest)?;
    let by_digest = format!("manifests/{}", image.manifest.digest);
    for path in [by_tag, by_digest] {
        same(&path, ask(Method::GET, path.clone(), limits::BODY_BYTES).await, &image.manifest)?;
    }
    for blob in [&image.config, &image.layer] {
        let path = format!("blobs/{}", blob.digest);
        // One more than it has, so that a longer one is seen.
        same(&path, ask(Method::GET, path.clone(), blob.bytes.len() + 1).await, blob)?;
    }
    Ok(())
}

fn head(asked: Result<Answer, AskError>, manifest: &Blob) -> Result<(), Fault> {
    let answer = expect("HEAD of the manifest", asked, &[200]).map_err(|why| (why, &remedy::HEAD_DIFFERS))?;
    let length = answer.field(header::CONTENT_LENGTH);
    let digest = answer.field(HeaderName::from_static("docker-content-digest"));
    let is_right = length.as_deref() == Some(&manifest.bytes.len().to_string())
        && digest.as_deref() == Some(&manifest.digest.to_string());
    let said = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    if is_right {
        Ok(())
    } else {
        let why = format!(
            "HEAD of the manifest: Content-Length {}, Docker-Content-Digest {}; it has {} bytes and is {}",
            said(length),
            said(digest),
            manifest.bytes.len(),
            manifest.digest
        );
        Err((why, &remedy::HEAD_DIFFERS))
    }
}

fn same(path: &str, asked: Result<Answer, AskError>, blob: &Blob) -> Result<(), Fault> {
    let answer = expect(&format!("GET of {path}"), asked, &[200]).map_err(|why| (why, &remedy::PULL_FAILS))?;
    if answer.body == blob.bytes {
        return Ok(());
    }
    let came = Blob::new(answer.body);
    let why = format!("{path}: {} bytes came with the digest {}", came.bytes.len(), came.digest);
    Err((why, &remedy::PULL_DIFFERS))
}

/// Asks for a part of the layer, as who goes on with a pull.
pub(super) async fn judge_ranges(report: &mut Report<'_>, repository: &Repository, image: &Image) {
    let bytes = &image.layer.bytes;
    let start = bytes.len() - bytes.len() / 4;
    let range = (header::RANGE, HeaderValue::try_from(format!("bytes={start}-")).expect("digits are visible"));
    let path = format!("blobs/{}", image.layer.digest);
    match repository.read(Method::GET, &path, range, bytes.len()).await {
        Ok(answer) if answer.status == StatusCode::PARTIAL_CONTENT && answer.body == bytes[start..] => {
            report.ok(Check::Ranges, format!("Range: bytes={start}- is answered by 206"));
        }
        Ok(answer) if answer.status == StatusCode::OK => {
            report.warn(
                Check::Ranges,
                format!("Range: bytes={start}- is answered by the whole, 200"),
                &remedy::NO_RANGES,
            );
        }
        Ok(answer) => {
            let seen = format!("Range: bytes={start}- is answered by {answer} and {} bytes", answer.body.len());
            report.fail(Check::Ranges, seen, &remedy::NO_RANGES);
        }
        Err(error) => report.fail(Check::Ranges, format!("Range: bytes={start}-: {error}"), &remedy::NO_RANGES),
    }
}

/// Deletes the manifest, with its tag, and the blobs.
pub(super) async fn clean_up(report: &mut Report<'_>, repository: &Repository, image: &Image) {
    let delete = async |rest: String| {
        let asked = repository.client().ask(repository.request(Method::DELETE, &repository.path(&rest))).await;
        expect("DELETE", asked, &[200, 202, 204])
    };
    if let Err(why) = delete(format!("manifests/{}", image.manifest.digest)).await {
        let seen = format!("{}:{TAG} and {} KiB stay: {why}", repository.name(), image.layer.bytes.len() >> 10);
        return report.warn(Check::Cleanup, seen, &remedy::LEFT_BEHIND);
    }
    let mut stays = None;
    for blob in [&image.config, &image.layer] {
        stays = delete(format!("blobs/{}", blob.digest)).await.err().or(stays);
    }
    match stays {
        None => report.ok(Check::Cleanup, "the image is deleted again, tag and blobs"),
        Some(why) => {
            report.ok(Check::Cleanup, format!("tag and manifest are deleted; blobs go by the next collection ({why})"))
        }
    }
}
