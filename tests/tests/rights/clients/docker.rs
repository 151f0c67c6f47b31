//! docker: its engine pushes and pulls, its command line logs in.

use super::{before_both, before_both_at_once, door_of, says, statuses};
use crate::{ADMIN, ALICE, BOB, with_grants};
use lockgate_e2e::{
    Docker, DockerRegistry, Door, Finished, Gate, GateBuilder, PATIENCE, Pattern, Relay, eventually, fresh_dir,
};
use std::time::{Duration, Instant};

/// Content that no other test's image has.
fn unique(gate: &Gate, note: &str) -> Vec<u8> {
    format!("{note} of {}", gate.door().address).into_bytes()
}

fn login(docker: &Docker, credentials: &str) -> Finished {
    let (user, password) = credentials.split_once(':').expect("a password");
    docker.login_as(user, password)
}

#[test]
#[ignore = "needs a Docker engine"]
fn without_a_login_it_pulls_what_anyone_may_and_is_told_to_log_in_for_the_rest() {
    before_both(|gate| {
        let docker = Docker::at(gate.door());
        login(&docker, ADMIN).success();
        let public = docker.import("public/app:v1", &unique(gate, "anonymous"), &[]);
        let private = gate.door().reference("team/app:v1");
        docker.run(&["tag", &public, &private]).success();
        docker.run(&["push", &public]).success();
        docker.run(&["push", &private]).success();
        docker.run(&["logout", "DOOR"]).success();
        docker.remove_images();
        docker.run(&["pull", &public]).success();
        says(&docker.run(&["pull", &private]).failure(), "log in first");
        says(&docker.run(&["push", &public]).failure(), "log in first");
    });
}

#[test]
#[ignore = "needs a Docker engine"]
fn two_users_in_turn_have_each_their_own_and_read_why_not_the_rest() {
    before_both(|gate| {
        let docker = Docker::at(gate.door());
        says(&login(&docker, "alice:wrong-horse").failure(), "unauthorized: the user name or the password is wrong");
        says(&login(&docker, ALICE).success(), "Login Succeeded");
        let hers = docker.import("home/alice/app:v1", &unique(gate, "two users"), &[]);
        let [team, public, his] =
            ["team/app:v1", "public/app:v1", "home/bob/app:v1"].map(|name| gate.door().reference(name));
        for name in [&team, &public, &his] {
            docker.run(&["tag", &hers, name]).success();
        }
        for name in [&hers, &team, &team] {
            docker.run(&["push", name]).success();
            docker.run(&["pull", name]).success();
        }
        let refused = docker.run(&["push", &public]).failure();
        says(&refused, "denied: alice may not push public/app: no grant gives create or push");
        docker.run(&["logout", "DOOR"]).success();
        login(&docker, BOB).success();
        docker.run(&["rmi", &hers]).success();
        says(&docker.run(&["pull", &hers]).failure(), "bob may not pull home/alice/app: no grant gives pull");
        says(&docker.run(&["push", &team]).failure(), "denied: bob may not");
        docker.run(&["push", &his]).success();
        docker.run(&["pull", &his]).success();
    });
}

/// The engine remembers where it pushed a layer, whoever was logged in then.
#[test]
#[ignore = "needs a Docker engine"]
fn a_layer_is_mounted_from_where_one_may_pull_and_uploaded_where_not() {
    before_both(|gate| {
        let docker = Docker::at(gate.door());
        login(&docker, ALICE).success();
        let one = docker.import("team/one:v1", &unique(gate, "mounted"), &[]);
        let [two, his] = ["team/two:v1", "home/bob/app:v1"].map(|name| gate.door().reference(name));
        for name in [&two, &his] {
            docker.run(&["tag", &one, name]).success();
        }
        docker.run(&["push", &one]).success();
        says(&docker.run(&["push", &two]).success(), "Mounted from team/one");
        let mounts = |repository: &str| statuses(gate, "POST", &format!("/v2/{repository}/blobs/uploads/?"));
        eventually(PATIENCE, "a mount", || mounts("team/two").contains(&201).then_some(()));
        docker.run(&["logout", "DOOR"]).success();
        login(&docker, BOB).success();
        docker.run(&["push", &his]).success();
        assert!(mounts("home/bob/app").iter().all(|status| *status == 202), "{:?}", mounts("home/bob/app"));
        docker.run(&["pull", &his]).success();
    });
}

/// What a token of the shortest life and the gate's leeway last together.
const ENDED: Duration = Duration::from_secs(120);

#[test]
#[ignore = "needs a Docker engine"]
fn a_push_over_a_slow_line_outlives_its_token() {
    before_both_at_once(|gate| {
        let relay = Relay::slow(gate.door().address, 10_000);
        let door = Door { address: relay.address(), ..door_of(gate, ALICE) };
        let docker = Docker::at(&door).logged_in();
        // Beside it there is busybox, of a megabyte.
        let image = docker.import("team/slow:v1", &Pattern::new(51, 400_000).bytes(), &[]);
        let begun = Instant::now();
        let mut push = docker.spawn(&["push", &image]);
        let status = push.wait(Duration::from_secs(600));
        assert!(status.success(), "{}{}", push.stdout().text(), push.stderr().text());
        assert!(begun.elapsed() > ENDED, "{:?}", begun.elapsed());
    });
}

/// buildx asks the registry by itself, with the code of containerd and BuildKit; on a loopback address in plain HTTP.
#[test]
#[ignore = "needs a Docker engine"]
fn buildx_copies_what_it_may_read_to_where_it_may_write_and_shows_why_not() {
    let bridge = Docker::bridge();
    let at_the_bridge = |gate: GateBuilder| {
        let pair = gate.authority().issue("bridge", &[&bridge]);
        with_grants(gate).certificate(&pair).set("listen.https", format!("{bridge}:0")).start()
    };
    let (data, registry_data) = (fresh_dir(), fresh_dir());
    let registry = DockerRegistry::over(registry_data.path());
    for gate in [Gate::over(data.path()), Gate::before(registry.url())].map(at_the_bridge) {
        let docker = Docker::at(gate.door()).trusting(&gate.door().ca);
        login(&docker, ALICE).success();
        let app = docker.import("team/app:v1", &unique(&gate, "buildx"), &[]);
        docker.run(&["push", &app]).success();
        let [hers, his, public] =
            ["home/alice/app:v1", "home/bob/app:v1", "public/app:v1"].map(|name| gate.door().reference(name));
        let copy = |from: &str, to: &str| docker.run(&["buildx", "imagetools", "create", "--tag", to, from]);
        let inspect = |name: &str| docker.run(&["buildx", "imagetools", "inspect", name]);
        copy(&app, &hers).success();
        inspect(&hers).success();
        let mounts = || statuses(&gate, "POST", "/v2/home/alice/app/blobs/uploads/?");
        eventually(PATIENCE, "a mount", || mounts().contains(&201).then_some(()));
        says(&copy(&app, &public).failure(), "403 Forbidden");
        login(&docker, BOB).success();
        says(&inspect(&app).failure(), "403 Forbidden");
        says(&copy(&app, &his).failure(), "403 Forbidden");
        docker.run(&["logout", "DOOR"]).success();
        says(&inspect(&app).failure(), "insufficient_scope");
    }
}
