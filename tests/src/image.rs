//! Images for the image tools, as OCI layouts on disk.

use crate::content::{Pattern, sha256};
use crate::process::finish;
use crate::programs::tool;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// An image of one layer in an OCI layout directory, under the tag `latest`.
#[derive(Debug)]
pub struct ImageLayout {
    dir: PathBuf,
    /// The digest of its manifest.
    pub digest: String,
    /// The digest of its layer.
    pub layer: String,
}

impl ImageLayout {
    /// An image whose layer holds a file of `size` pseudo-random bytes. Another `seed` is another image.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn new(dir: &Path, seed: u64, size: u64) -> Self {
        Self::with_architecture(dir, seed, size, "amd64")
    }

    /// The same for another processor.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn with_architecture(dir: &Path, seed: u64, size: u64, architecture: &str) -> Self {
        let dir = dir.join(format!("image-{seed}-{architecture}"));
        fs::create_dir_all(dir.join("blobs/sha256")).expect("the directory is ours");
        let tar = layer_tar(&dir, seed, size);
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/content"]},
            "rootfs": {"type": "layers", "diff_ids": [sha256(tar.as_slice())]},
        });
        // Compressed already: a tool that did it on the way would push another image than this.
        let layer = blob(&dir, "application/vnd.oci.image.layer.v1.tar+gzip", &gzip(&tar));
        let config = blob(&dir, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer]});
        let mut manifest = blob(&dir, media_type, manifest.to_string().as_bytes());
        let digest = digest_of(&manifest);
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        fs::write(dir.join("index.json"), index.to_string()).expect("the directory is ours");
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("the directory is ours");
        Self { dir, digest, layer: digest_of(&layer) }
    }

    /// `oci:DIR:latest`, as skopeo, podman and buildah name it.
    pub fn transport(&self) -> String {
        format!("oci:{}:latest", self.dir.display())
    }
}

fn digest_of(descriptor: &Value) -> String {
    descriptor["digest"].as_str().expect("a descriptor has a digest").to_owned()
}

fn layer_tar(dir: &Path, seed: u64, size: u64) -> Vec<u8> {
    fs::write(dir.join("content"), Pattern::new(seed, size).bytes()).expect("the directory is ours");
    let tar = dir.join("layer.tar");
    finish(tool("tar").arg("-C").arg(dir).arg("-cf").arg(&tar).arg("content")).success();
    let bytes = fs::read(&tar).expect("tar wrote it");
    fs::remove_file(tar).expect("the directory is ours");
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = tool("gzip");
    let mut child = gzip.args(["-1", "-n"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(bytes).expect("gzip reads all"));
        child.wait_with_output().expect("gzip ends").stdout
    })
}

/// Stores a blob and returns its descriptor.
fn blob(dir: &Path, media_type: &str, content: &[u8]) -> Value {
    let digest = sha256(content);
    let hex = digest.strip_prefix("sha256:").expect("it is a sha256");
    fs::write(dir.join("blobs/sha256").join(hex), content).expect("the directory is ours");
    json!({"mediaType": media_type, "digest": digest, "size": content.len()})
}
