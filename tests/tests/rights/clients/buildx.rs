//! docker buildx, whose builder in the engine reads its cache from the registry before a build; with engines of the test's
//! own, since one learns only at its start whom to trust, and remembers what it has built.

use super::door_of;
use crate::{ALICE, with_grants};
use lockgate_e2e::{Docker, DockerRegistry, Gate, GateBuilder, PATIENCE, Process, Signal, eventually, fresh_dir, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// An engine that has built nothing.
struct Engine {
    process: Process,
    dir: TempDir,
}

impl Engine {
    fn start() -> Self {
        let dir = fresh_dir();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let mut dockerd = tool("dockerd");
        // The bridge is the machine's engine's: without one of its own this would remove that, and it changes nothing of it.
        dockerd.args(["--bridge=docker0", "--iptables=false", "--ip-forward=false"]);
        dockerd.args(["--host", &format!("unix://{}", at("socket"))]);
        dockerd.args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")]);
        let engine = Self { process: Process::start(&mut dockerd), dir };
        eventually(PATIENCE, "the engine's socket", || engine.socket().exists().then_some(()));
        engine.process.stderr().await_line(PATIENCE, "that it listens", |line| line.contains("API listen"));
        engine
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }
}

impl Drop for Engine {
    /// Asks it to end, so that it ends what it has started.
    fn drop(&mut self) {
        self.process.signal(Signal::Terminate);
        self.process.wait(PATIENCE);
    }
}

/// Builds what `steps` add to a busybox, with a cache in the registry, and returns what it said.
#[track_caller]
fn build(docker: &Docker, context: &Path, steps: &str) -> String {
    let busybox = tool("busybox").get_program().to_owned();
    fs::copy(busybox, context.join("busybox")).expect("the directory is ours");
    let file = format!("FROM scratch\nCOPY busybox /bin/busybox\n{steps}");
    fs::write(context.join("Dockerfile"), file).expect("the directory is ours");
    let options = ["buildx", "build", "--progress=plain", "--network=none", "--push", "--tag=DOOR/team/app:latest"];
    let cache = ["--cache-from=type=registry,ref=DOOR/team/app:latest", "--cache-to=type=inline"];
    let context = context.display().to_string();
    let mut build = docker.spawn(&[&options[..], &cache, &[&context]].concat());
    let status = build.wait(ENDED * 5);
    let said = build.stderr().text();
    assert!(status.success(), "{said}");
    said
}

/// What a token of the shortest life and the gate's leeway last together.
const ENDED: Duration = Duration::from_secs(120);

#[test]
#[ignore = "needs a Docker engine"]
fn a_build_reads_its_cache_and_writes_it_when_the_token_has_ended() {
    let bridge = Docker::bridge();
    let at_the_bridge = |gate: GateBuilder| {
        let pair = gate.authority().issue("bridge", &[&bridge]);
        let gate = with_grants(gate).certificate(&pair).set("listen.https", format!("{bridge}:0"));
        gate.set("auth.token_lifetime", "60s").start()
    };
    let (data, registry_data) = (fresh_dir(), fresh_dir());
    let registry = DockerRegistry::over(registry_data.path());
    let gates = [Gate::over(data.path()), Gate::before(registry.url())].map(at_the_bridge);
    let walk = |gate: &Gate| {
        let docker = Docker::at(&door_of(gate, ALICE)).trusting(&gate.door().ca);
        let context = fresh_dir();
        let first = "RUN [\"/bin/busybox\", \"touch\", \"/first\"]\n";
        let long = format!("{first}RUN [\"/bin/busybox\", \"sleep\", \"{}\"]\n", ENDED.as_secs() + 5);
        let engine = Engine::start();
        let docker = docker.of_the_engine(&engine.socket()).logged_in();
        build(&docker, context.path(), first);
        let other = Engine::start();
        let docker = docker.of_the_engine(&other.socket());
        let begun = Instant::now();
        let said = build(&docker, context.path(), &long);
        assert!(begun.elapsed() > ENDED, "{:?}", begun.elapsed());
        assert!(said.contains("CACHED"), "{said}");
        docker.run(&["pull", "DOOR/team/app:latest"]).success();
    };
    std::thread::scope(|scope| {
        for gate in &gates {
            scope.spawn(|| walk(gate));
        }
    });
}
