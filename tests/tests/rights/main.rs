//! Promise: everybody may do what the grants give and nothing else, in front of any registry; and hears why not in words
//! that every client shows.

mod answers;
mod catalog;
mod catalog_of_many;
mod clients;
mod create;
mod ends;
mod examples;
mod exploits;
mod reload;
mod tokens;
mod trash;

use lockgate_e2e::{Curl, DockerRegistry, Gate, GateBuilder, fresh_dir, sha256};
use tempfile::TempDir;

const ALICE: &str = "alice:correct-horse";
const BOB: &str = "bob:battery-staple";
const ADMIN: &str = "admin:root-of-all";
const CI: &str = "ci:in-the-cloud";

/// The world pulls `public/**`, the team pushes to `team/**`, ci only makes what is new, nobody but admin deletes.
const GRANTS: &str = r#"
[[grant]]
repositories = ["public/**"]
to = ["anyone"]
allow = ["pull"]

[[grant]]
repositories = ["team/**"]
to = ["group:team"]
allow = ["push"]

[[grant]]
repositories = ["team/**"]
to = ["user:ci"]
allow = ["create"]

[[grant]]
repositories = ["team/**"]
to = ["user:ci"]
allow = ["push"]
tags = ["latest", "dev-*"]

[[grant]]
repositories = ["home/${user}/**"]
to = ["authenticated"]
allow = ["all"]

[[grant]]
repositories = ["**"]
to = ["user:admin"]
allow = ["all"]
"#;

fn with_grants(gate: GateBuilder) -> GateBuilder {
    let users = [ALICE, BOB, ADMIN, CI].map(|user| user.split_once(':').expect("a password"));
    gate.users(&users).access(GRANTS).groups("team: alice\n")
}

/// A gate with the registry in its own process.
struct Within {
    gate: Gate,
    _data: TempDir,
}

impl Within {
    fn start() -> Self {
        let data = fresh_dir();
        Self { gate: with_grants(Gate::over(data.path())).start(), _data: data }
    }
}

/// A gate before distribution, which people run today.
struct Before {
    gate: Gate,
    _registry: DockerRegistry,
    _data: TempDir,
}

impl Before {
    fn start() -> Self {
        let data = fresh_dir();
        let registry = DockerRegistry::over(data.path());
        Self { gate: with_grants(Gate::before(registry.url())).start(), _registry: registry, _data: data }
    }
}

/// A manifest that needs no blobs: an index of nothing, told from others by `mark`.
fn index(mark: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{{"mark":"{mark}"}}}}"#
    )
}

fn put(curl: Curl, mark: &str) -> Curl {
    curl.body_of_type("application/vnd.oci.image.index.v1+json", index(mark))
}

/// Pushes a blob, as whoever may; returns its digest.
#[track_caller]
fn blob(gate: &Gate, repository: &str, content: &[u8]) -> String {
    let digest = sha256(content);
    let begun = gate.by(ADMIN, "POST", &format!("/v2/{repository}/blobs/uploads/")).body("").run().expect(202);
    let path = path_of(begun.head().one("location"));
    let separator = if path.contains('?') { '&' } else { '?' };
    gate.by(ADMIN, "PUT", &format!("{path}{separator}digest={digest}")).body(content).run().expect(201);
    digest
}

/// The path of a location, which may name its server.
fn path_of(location: &str) -> String {
    format!("/v2/{}", location.split_once("/v2/").expect("it is below /v2/").1)
}

/// Pushes a manifest under a tag, as whoever may. distribution lists what has a blob.
#[track_caller]
fn push(gate: &Gate, repository: &str, tag: &str, mark: &str) {
    blob(gate, repository, b"{}");
    let path = format!("/v2/{repository}/manifests/{tag}");
    put(gate.by(ADMIN, "PUT", &path), mark).run().expect(201);
}
