//! skopeo: by its own login, and with credentials in each command.

use super::{before_both, door_of, says, statuses, stocked};
use crate::{ALICE, BOB, CI};
use lockgate_e2e::{ImageLayout, PATIENCE, Skopeo, eventually, fresh_dir};

#[test]
fn it_logs_in_and_out_and_reads_in_between_what_is_private() {
    before_both(|gate| {
        stocked(gate, 31, &["public/app:v1", "team/app:v1"]);
        let skopeo = Skopeo::at(gate.door());
        let on = |words: &[&str]| skopeo.run(&[&words[..1], &["--cert-dir", "CERTS"], &words[1..]].concat());
        on(&["inspect", "docker://DOOR/public/app:v1"]).success();
        says(&on(&["list-tags", "docker://DOOR/public/app"]).success(), "v1");
        says(&on(&["inspect", "docker://DOOR/team/app:v1"]).failure(), "log in first: docker login");
        let login = |password| on(&["login", "--username", "alice", "--password", password, "DOOR"]);
        says(&login("wrong-horse").failure(), "invalid username/password");
        login("correct-horse").success();
        on(&["inspect", "docker://DOOR/team/app:v1"]).success();
        skopeo.run(&["logout", "DOOR"]).success();
        on(&["inspect", "docker://DOOR/team/app:v1"]).failure();
        on(&["inspect", "docker://DOOR/public/app:v1"]).success();
    });
}

/// It asks for a token that may do everything.
#[test]
fn it_deletes_where_that_is_granted_and_reads_why_not() {
    before_both(|gate| {
        stocked(gate, 32, &["home/alice/app:v1", "team/app:v1"]);
        let skopeo = Skopeo::at(&door_of(gate, ALICE));
        skopeo.on("home/alice/app:v1", &["delete"]).success();
        skopeo.on("home/alice/app:v1", &["inspect"]).failure();
        let refused = skopeo.on("team/app:v1", &["delete"]).failure();
        says(&refused, "alice may not delete team/app: no grant gives delete");
        skopeo.on("team/app:v1", &["inspect"]).success();
    });
}

#[test]
fn who_may_only_create_moves_no_tag_and_reads_so() {
    before_both(|gate| {
        let dir = fresh_dir();
        let [one, two] = [33, 34].map(|seed| ImageLayout::new(dir.path(), seed, 100_000));
        let skopeo = Skopeo::at(&door_of(gate, CI));
        for (image, tag) in [(&one, "v1"), (&one, "v1"), (&one, "latest"), (&two, "latest"), (&two, "v2")] {
            skopeo.push(&image.transport(), &format!("team/app:{tag}")).success();
        }
        let refused = skopeo.push(&two.transport(), "team/app:v1").failure();
        says(&refused, "tag v1 exists and create may not move it");
        let still = skopeo.on("team/app:v1", &["inspect", "--format", "{{.Digest}}"]).success();
        assert_eq!(still.stdout.trim(), one.digest);
    });
}

/// It remembers where it saw a layer, whoever it was then, and looks there first.
#[test]
fn a_layer_is_mounted_from_where_one_may_pull_and_uploaded_where_not() {
    before_both(|gate| {
        let dir = fresh_dir();
        let image = ImageLayout::new(dir.path(), 35, 100_000);
        let (alice, bob) = (Skopeo::at(&door_of(gate, ALICE)), Skopeo::at(&door_of(gate, BOB)));
        alice.push(&image.transport(), "team/one:v1").success();
        alice.copy("team/one:v1", "team/two:v1").success();
        let mounts = |repository: &str| statuses(gate, "POST", &format!("/v2/{repository}/blobs/uploads/?"));
        eventually(PATIENCE, "a mount", || mounts("team/two").contains(&201).then_some(()));
        bob.push(&image.transport(), "home/bob/app:v1").success();
        bob.on("home/bob/app:v1", &["inspect"]).success();
        assert!(mounts("home/bob/app").iter().all(|status| *status == 202), "{:?}", mounts("home/bob/app"));
    });
}
