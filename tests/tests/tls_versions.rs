//! Promise: docker, podman and skopeo push and pull under TLS 1.2 alone and under TLS 1.3 alone.

use lockgate_e2e::{Backend, Docker, Gate, ImageLayout, Podman, Skopeo, finish_with_input, fresh_dir, tool};

const VERSIONS: [(&str, &str); 2] = [("1.2", "-tls1_3"), ("1.3", "-tls1_2")];

/// A registry at an address of this machine that speaks one version, as it is seen to do, for each of them.
fn under_each_version(ip: &str, visit: impl Fn(&Gate)) {
    for (version, other) in VERSIONS {
        let data = fresh_dir();
        let backend = Backend::over(data.path());
        let builder = Gate::before(backend.url())
            .set("listen.https", format!("{ip}:0"))
            .set("tls.versions", format!("['{version}']"));
        let pair = builder.authority().issue("here", &[ip]);
        let gate = builder.certificate(&pair).start();
        assert_eq!(agreed(&gate, &[]), Some(format!("TLSv{version}")));
        assert_eq!(agreed(&gate, &[other]), None);
        visit(&gate);
    }
}

/// The version that `openssl s_client` with these options agrees on.
fn agreed(gate: &Gate, options: &[&str]) -> Option<String> {
    let mut openssl = tool("openssl");
    openssl.args(["s_client", "-connect", &gate.door().address.to_string(), "-CAfile"]).arg(&gate.door().ca);
    let said = finish_with_input(openssl.args(options), b"").output();
    let line = said.lines().find_map(|line| line.strip_prefix("New, "))?;
    line.split(',').next().filter(|version| version.starts_with("TLS")).map(str::to_owned)
}

#[test]
#[ignore = "needs a Docker engine"]
fn docker_pushes_and_pulls() {
    // On loopback it would verify nothing, and go on in plain HTTP.
    under_each_version(&Docker::bridge(), |gate| {
        let docker = Docker::at(gate.door()).trusting(&gate.door().ca).logged_in();
        let image = docker.import("team/app:1", gate.door().address.to_string().as_bytes(), &[]);
        let id = docker.image_id(&image);
        docker.run(&["push", &image]).success();
        docker.remove_images();
        docker.run(&["pull", &image]).success();
        assert!(id.is_some() && docker.image_id(&image) == id);
    });
}

#[test]
fn podman_pushes_and_pulls() {
    under_each_version("127.0.0.1", |gate| {
        let dir = fresh_dir();
        let image = ImageLayout::new(dir.path(), 1, 200_000);
        let podman = Podman::at(gate.door());
        let credentials = gate.door().credentials();
        let with = ["--cert-dir", "CERTS", "--creds", &credentials];
        podman.run(&["pull", &image.transport()]).success();
        let id = podman.run(&["images", "--quiet", "--no-trunc"]).success().stdout.trim().to_owned();
        podman.run(&["tag", &id, "DOOR/team/app:v1"]).success();
        podman.run(&[&["push"], &with[..], &["DOOR/team/app:v1"]].concat()).success();
        podman.run(&["rmi", "--all", "--force"]).success();
        podman.run(&[&["pull"], &with[..], &["DOOR/team/app:v1"]].concat()).success();
        assert_eq!(podman.run(&["images", "--quiet", "--no-trunc"]).success().stdout.trim(), id);
    });
}

#[test]
fn skopeo_pushes_and_pulls() {
    under_each_version("127.0.0.1", |gate| {
        let dir = fresh_dir();
        let image = ImageLayout::new(dir.path(), 2, 200_000);
        let skopeo = Skopeo::at(gate.door());
        skopeo.push(&image.transport(), "team/app:v1").success();
        let inspected = skopeo.on("team/app:v1", &["inspect", "--format", "{{.Digest}}"]).success();
        assert_eq!(inspected.stdout.trim(), image.digest);
        skopeo.pull("team/app:v1", &format!("oci:{}:v1", dir.path().join("pulled").display())).success();
    });
}
