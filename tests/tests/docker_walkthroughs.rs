//! Promise: the walkthroughs of the guides that people follow work with the real Docker engine, step by step.
//!
//! Docker takes every address of 127.0.0.0/8 for insecure and verifies no certificate there. That it trusts the
//! authority where it is told to is proven on the address of its own bridge.

use lockgate_e2e::{
    Authority, Docker, DockerRegistry, Door, Gate, PATIENCE, Pattern, Relay, Signal, Up, eventually, fresh_dir,
};
use serde_json::Value;
use std::time::Duration;

/// Runs `walk` before our own registry and before the real distribution.
fn before_both(walk: impl Fn(&Door)) {
    let dir = fresh_dir();
    let up = Up::in_fresh(dir.path());
    walk(up.door());
    let data = fresh_dir();
    let registry = DockerRegistry::over(data.path());
    let gate = Gate::before(registry.url()).start();
    walk(gate.door());
}

/// The same at the address of the engine's bridge, where docker verifies certificates.
fn before_both_on_the_bridge(walk: impl Fn(&Door)) {
    let bridge = Docker::bridge();
    let dir = fresh_dir();
    let up = Up::in_fresh_at(dir.path(), &bridge);
    walk(up.door());
    let data = fresh_dir();
    let registry = DockerRegistry::over(data.path());
    let builder = Gate::before(registry.url()).set("listen.https", format!("{bridge}:0"));
    let pair = builder.authority().issue("bridge", &[&bridge]);
    let gate = builder.certificate(&pair).start();
    walk(gate.door());
}

/// Content that no other test's image has.
fn unique(door: &Door, note: &str) -> Vec<u8> {
    format!("{note} of {}", door.address).into_bytes()
}

/// The digest that `docker push` prints at its end.
fn pushed_digest(output: &str) -> String {
    let line = output.lines().find(|line| line.contains("digest: sha256:")).expect("docker push prints a digest");
    let digest = line.split("digest: ").nth(1).and_then(|rest| rest.split(' ').next());
    digest.expect("it stands behind its label").to_owned()
}

#[test]
#[ignore = "needs a Docker engine"]
fn login_is_right_or_refused() {
    before_both(|door| {
        let docker = Docker::at(door);
        let refused = docker.login("wrong").failure();
        assert!(refused.stderr.contains("401 Unauthorized"), "{refused}");
        let image = docker.import("app:v1", &unique(door, "login"), &[]);
        let stranger = docker.run(&["push", &image]).failure();
        assert!(stranger.stderr.contains("no basic auth credentials"), "{stranger}");
        let welcome = docker.login(&door.password).success();
        assert!(welcome.stdout.contains("Login Succeeded"), "{welcome}");
        docker.run(&["push", &image]).success();
        docker.run(&["logout", "DOOR"]).success();
        docker.run(&["push", &image]).failure();
    });
}

#[test]
#[ignore = "needs a Docker engine"]
fn the_engine_and_its_client_trust_the_right_authority_and_no_other() {
    before_both_on_the_bridge(|door| {
        let docker = Docker::at(door);
        let refused = docker.login(&door.password).failure();
        assert!(refused.stderr.contains("certificate signed by unknown authority"), "{refused}");
        let elsewhere = fresh_dir();
        let docker = docker.trusting(&Authority::new(elsewhere.path()).certificate);
        docker.login(&door.password).failure();
        let docker = docker.trusting(&door.ca).logged_in();
        let image = docker.import("trusted:v1", &unique(door, "trusted"), &[]);
        docker.run(&["push", &image]).success();
        docker.run(&["rmi", &image]).success();
        docker.run(&["pull", &image]).success();
    });
}

#[test]
#[ignore = "needs a Docker engine"]
fn an_image_is_pushed_removed_pulled_and_run() {
    before_both(|door| {
        let docker = Docker::at(door).logged_in();
        let content = unique(door, "run");
        let image = docker.import("my-image:latest", &content, &[]);
        let id = docker.image_id(&image).unwrap();
        docker.run(&["push", &image]).success();
        docker.run(&["rmi", &image]).success();
        assert_eq!(docker.image_id(&image), None, "nothing of it may be left");
        let pulled = docker.run(&["pull", &image]).success();
        assert!(pulled.stdout.contains("Downloaded newer image"), "{pulled}");
        assert_eq!(docker.image_id(&image), Some(id));
        let run =
            docker.run(&["run", "--rm", "--network", "none", &image, "/bin/busybox", "cat", "/content"]).success();
        assert_eq!(run.stdout.as_bytes(), content);
        docker.run(&["rmi", &image]).success();
        // As the guides do it: run alone pulls what is missing.
        let run =
            docker.run(&["run", "--rm", "--network", "none", &image, "/bin/busybox", "cat", "/content"]).success();
        assert_eq!(run.stdout.as_bytes(), content);
    });
}

#[test]
#[ignore = "needs a Docker engine"]
fn an_image_is_pulled_by_its_digest() {
    before_both(|door| {
        let docker = Docker::at(door).logged_in();
        let image = docker.import("team/by-digest:v1", &unique(door, "digest"), &[]);
        let digest = pushed_digest(&docker.run(&["push", &image]).success().stdout);
        docker.run(&["rmi", &image]).success();
        let by_digest = door.reference(&format!("team/by-digest@{digest}"));
        docker.run(&["pull", &by_digest]).success();
        let run = docker.run(&["run", "--rm", "--network", "none", &by_digest, "/bin/busybox", "true"]).success();
        drop(run);
        let wrong = door.reference(&format!("team/by-digest@sha256:{}", "0".repeat(64)));
        assert!(docker.run(&["pull", &wrong]).failure().stderr.contains("not found"));
    });
}

#[test]
#[ignore = "needs a Docker engine"]
fn pushing_again_sends_no_layer() {
    before_both(|door| {
        let docker = Docker::at(door).logged_in();
        let image = docker.import("again:v1", &unique(door, "again"), &[]);
        let first = pushed_digest(&docker.run(&["push", &image]).success().stdout);
        let again = docker.run(&["push", &image]).success();
        assert!(again.stdout.contains("Layer already exists"), "{again}");
        assert_eq!(pushed_digest(&again.stdout), first);
    });
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_layer_is_mounted_into_another_repository() {
    before_both(|door| {
        let docker = Docker::at(door).logged_in();
        let image = docker.import("one/app:v1", &unique(door, "mount"), &[]);
        docker.run(&["push", &image]).success();
        let other = door.reference("two/app:v1");
        docker.run(&["tag", &image, &other]).success();
        let pushed = docker.run(&["push", &other]).success();
        assert!(pushed.stdout.contains("Mounted from one/app"), "{pushed}");
        docker.run(&["rmi", &image, &other]).success();
        docker.run(&["pull", &other]).success();
    });
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_manifest_list_is_created_inspected_pushed_and_pulled_by_platform() {
    // On a loopback address `docker manifest push` speaks plain HTTP, whatever it is told.
    before_both_on_the_bridge(|door| {
        let docker = Docker::at(door).trusting(&door.ca).logged_in();
        let amd64 = docker.import("my-image:latest-amd64", &unique(door, "amd64"), &[]);
        let arm = docker.import("my-image:latest-arm", &unique(door, "arm"), &["--platform", "linux/arm"]);
        let arm_id = docker.image_id(&arm).unwrap();
        for image in [&amd64, &arm] {
            docker.run(&["push", image]).success();
        }
        let list = door.reference("my-image:latest");
        docker.run(&["manifest", "create", &list, "--amend", &amd64, "--amend", &arm]).success();
        docker.run(&["manifest", "annotate", "--os", "linux", "--arch", "arm", &list, &arm]).success();
        docker.run(&["manifest", "push", &list]).success();
        let inspected = docker.run(&["manifest", "inspect", &list]).success();
        let inspected: Value = serde_json::from_str(&inspected.stdout).unwrap();
        let mut architectures: Vec<&str> = inspected["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|manifest| manifest["platform"]["architecture"].as_str().unwrap())
            .collect();
        architectures.sort_unstable();
        assert_eq!(architectures, ["amd64", "arm"]);
        docker.remove_images();
        docker.run(&["pull", "--platform", "linux/arm", &list]).success();
        assert_eq!(docker.image_id(&list), Some(arm_id));
        docker.remove_images();
        let run = docker.run(&["run", "--rm", "--network", "none", &list, "/bin/busybox", "cat", "/content"]).success();
        assert_eq!(run.stdout.as_bytes(), unique(door, "amd64"));
    });
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_pull_that_is_cut_in_a_layer_goes_on_by_itself() {
    let data = fresh_dir();
    let registry = DockerRegistry::over(data.path());
    let relay = Relay::cutting_once_after(registry.address(), 6 << 20);
    let direct = Gate::before(registry.url()).start();
    let pusher = Docker::at(direct.door()).logged_in();
    let image = pusher.import("large:v1", &Pattern::new(77, 24 << 20).bytes(), &[]);
    pusher.run(&["push", &image]).success();
    pusher.remove_images();
    let gate = Gate::before(relay.url()).set("log.format", "json").start();
    let puller = Docker::at(gate.door()).logged_in();
    let image = gate.door().reference("large:v1");
    puller.run(&["pull", &image]).success();
    assert!(relay.has_cut());
    eventually(PATIENCE, "the log line of a 206", || gate.log().text().contains("\"status\":206").then_some(()));
    puller.run(&["run", "--rm", "--network", "none", &image, "/bin/busybox", "true"]).success();
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_push_goes_through_while_its_registry_is_recreated_under_the_gate() {
    let data = fresh_dir();
    let registry = DockerRegistry::over(data.path());
    let gate = Gate::before(registry.url()).start();
    let docker = Docker::at(gate.door()).logged_in();
    let first = docker.import("recreated:v1", &unique(gate.door(), "before"), &[]);
    docker.run(&["push", &first]).success();
    let address = registry.address().to_owned();
    registry.stop();
    let down = docker.run(&["pull", &first]).failure();
    assert!(down.stderr.contains("502") || down.stderr.contains("cannot be reached"), "{down}");
    let _registry = DockerRegistry::over_at(data.path(), &address);
    let second = docker.import("recreated:v2", &unique(gate.door(), "after"), &[]);
    docker.run(&["push", &second]).success();
    docker.run(&["pull", &first]).success();
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_push_survives_a_gate_that_is_stopped_and_started_again() {
    let data = fresh_dir();
    let registry = DockerRegistry::over(data.path());
    let mut gate = Gate::before(registry.url()).set("log.format", "json").start();
    let docker = Docker::at(gate.door()).logged_in();
    let image = docker.import("stopped:v1", &Pattern::new(78, 200 << 20).bytes(), &[]);
    let mut push = docker.spawn(&["push", &image]);
    gate.access("method", "POST");
    gate.signal(Signal::Terminate);
    assert_eq!(gate.wait(Duration::from_secs(35)).code(), Some(0), "what was in flight should have ended in the grace");
    let again = Gate::before(registry.url()).set("listen.https", gate.door().address).start();
    // Docker tries again what found nobody, after 5 s.
    assert!(push.wait(PATIENCE * 3).success(), "{}{}", push.stdout().text(), push.stderr().text());
    let id = docker.image_id(&image);
    docker.remove_images();
    docker.run(&["pull", &image]).success();
    assert_eq!(docker.image_id(&image), id);
    drop(again);
}
