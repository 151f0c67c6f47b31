//! podman, as one installs it.

use super::{before_both, says, statuses, stocked};
use crate::{ALICE, BOB};
use lockgate_e2e::{Finished, Gate, ImageLayout, PATIENCE, Podman, eventually, fresh_dir};

fn login(podman: &Podman, credentials: &str) -> Finished {
    let (user, password) = credentials.split_once(':').expect("a password");
    podman.run(&["login", "--cert-dir", "CERTS", "--username", user, "--password", password, "DOOR"])
}

fn pull(podman: &Podman, reference: &str) -> Finished {
    podman.run(&["pull", "--cert-dir", "CERTS", &format!("DOOR/{reference}")])
}

/// Pushes the one image that it has.
fn push(podman: &Podman, reference: &str) -> Finished {
    let image = podman.run(&["images", "--quiet", "--no-trunc"]).success();
    let image = image.stdout.lines().next().expect("an image").to_owned();
    podman.run(&["push", "--cert-dir", "CERTS", &image, &format!("DOOR/{reference}")])
}

/// podman with an image that is nowhere else.
fn with_an_image(gate: &Gate, seed: u64) -> Podman {
    let dir = fresh_dir();
    let image = ImageLayout::new(dir.path(), seed, 100_000);
    let podman = Podman::at(gate.door());
    podman.run(&["pull", &image.transport()]).success();
    podman
}

#[test]
fn without_a_login_it_pulls_what_anyone_may_and_is_told_to_log_in_for_the_rest() {
    before_both(|gate| {
        stocked(gate, 21, &["public/app:v1", "team/app:v1"]);
        let podman = Podman::at(gate.door());
        pull(&podman, "public/app:v1").success();
        let log_in_first = format!("log in first: docker login {}", gate.door().address);
        for private in ["team/app:v1", "team/nothing:v1"] {
            says(&pull(&podman, private).failure(), &log_in_first);
        }
        says(&push(&podman, "public/app:v1").failure(), &log_in_first);
    });
}

#[test]
fn two_users_in_turn_have_each_their_own_and_read_why_not_the_rest() {
    before_both(|gate| {
        let podman = with_an_image(gate, 22);
        says(&login(&podman, "alice:wrong-horse").failure(), "invalid username/password");
        says(&login(&podman, ALICE).success(), "Login Succeeded!");
        for hers in ["team/app:v1", "team/app:v1", "home/alice/app:v1"] {
            push(&podman, hers).success();
            pull(&podman, hers).success();
        }
        says(&push(&podman, "public/app:v1").failure(), "alice may not push public/app: no grant gives create or push");
        podman.run(&["logout", "DOOR"]).success();
        says(&pull(&podman, "team/app:v1").failure(), "log in first");
        login(&podman, BOB).success();
        for hers in ["team/app:v1", "home/alice/app:v1"] {
            says(&pull(&podman, hers).failure(), "no grant gives pull");
        }
        // It looks for a layer by HEAD, whose answer has no body to say it; newer ones show the warning that it has.
        says(&push(&podman, "team/app:v2").failure(), "repository team/app: 403 (Forbidden)");
        push(&podman, "home/bob/app:v1").success();
        pull(&podman, "home/bob/app:v1").success();
    });
}

/// It remembers where it saw a layer, whoever was logged in then, and looks there first.
#[test]
fn a_layer_is_mounted_from_where_one_may_pull_and_uploaded_where_not() {
    before_both(|gate| {
        let podman = with_an_image(gate, 23);
        login(&podman, ALICE).success();
        push(&podman, "team/one:v1").success();
        push(&podman, "team/two:v1").success();
        let mounts = |repository: &str| statuses(gate, "POST", &format!("/v2/{repository}/blobs/uploads/?"));
        eventually(PATIENCE, "a mount", || mounts("team/two").contains(&201).then_some(()));
        podman.run(&["logout", "DOOR"]).success();
        login(&podman, BOB).success();
        push(&podman, "home/bob/app:v1").success();
        assert!(statuses(gate, "HEAD", "/v2/team/").ends_with(&[403]), "{:?}", statuses(gate, "HEAD", "/v2/team/"));
        assert_eq!(mounts("home/bob/app"), Vec::<u16>::new());
        pull(&podman, "home/bob/app:v1").success();
    });
}
