//! The same by the clients that people use, and by the requests of those that Debian does not have.

mod buildx;
mod clocks;
mod docker;
mod podman;
mod replayed;
mod skopeo;

use crate::{ADMIN, Before, Within, with_grants};
use lockgate_e2e::{DockerRegistry, Door, Finished, Gate, GateBuilder, ImageLayout, Skopeo, fresh_dir};

/// Runs `walk` before our own registry and before the real distribution.
fn before_both(walk: impl Fn(&Gate)) {
    walk(&Within::start().gate);
    walk(&Before::start().gate);
}

/// The same with tokens of the shortest life, and both at once: it takes long.
fn before_both_at_once(walk: impl Fn(&Gate) + Sync) {
    let dirs = [fresh_dir(), fresh_dir()];
    let registry = DockerRegistry::over(dirs[0].path());
    let short_lived = |gate: GateBuilder| with_grants(gate).set("auth.token_lifetime", "60s").start();
    let gates = [Gate::before(registry.url()), Gate::over(dirs[1].path())].map(short_lived);
    std::thread::scope(|scope| {
        for gate in &gates {
            scope.spawn(|| walk(gate));
        }
    });
}

/// The gate's door for another user than its own.
fn door_of(gate: &Gate, credentials: &str) -> Door {
    let (user, password) = credentials.split_once(':').expect("a password");
    Door { user: user.to_owned(), password: password.to_owned(), ..gate.door().clone() }
}

/// Puts one image, told from others by `seed`, where these name.
fn stocked(gate: &Gate, seed: u64, references: &[&str]) {
    let dir = fresh_dir();
    let image = ImageLayout::new(dir.path(), seed, 100_000);
    let skopeo = Skopeo::at(&door_of(gate, ADMIN));
    for reference in references {
        skopeo.push(&image.transport(), reference).success();
    }
}

/// How the requests of this method were answered whose path and query hold `part`, in their order.
fn statuses(gate: &Gate, method: &str, part: &str) -> Vec<u16> {
    let log = gate.log().text();
    let (method, path, status) = (format!("method=\"{method}\""), "path=\"", "status=");
    let line = |line: &str| {
        let asked = line.split_once(path)?.1.split_once('"')?.0;
        let answered = line.split_once(status)?.1.split(' ').next()?;
        (line.contains(&method) && asked.contains(part)).then(|| answered.parse().expect("a status"))
    };
    log.lines().filter_map(line).collect()
}

/// What a person reads of it holds these words.
#[track_caller]
fn says(finished: &Finished, words: &str) {
    assert!(finished.output().contains(words), "{finished}");
}
