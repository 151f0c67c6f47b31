//! The trash is an extension of a repository: who may delete and read there sees what was deleted, and who may push brings
//! it back.

use crate::{ADMIN, ALICE, BOB, CI, Within, put};
use serde_json::Value;

const TRASH: &str = "/v2/team/app/_lockgate/trash/";

#[test]
fn the_trash_is_seen_by_who_deletes_and_restored_by_who_may_make_the_tag() {
    let site = Within::start();
    let gate = &site.gate;
    put(gate.by(ALICE, "PUT", "/v2/team/app/manifests/v1"), "one").run().expect(201);
    gate.by(ADMIN, "DELETE", "/v2/team/app/manifests/v1").run().expect(202);
    for (user, status) in [(ALICE, 403), (CI, 403), (BOB, 403), (ADMIN, 200)] {
        gate.by(user, "GET", TRASH).run().expect(status);
    }
    let list: Value = serde_json::from_str(&gate.by(ADMIN, "GET", TRASH).run().expect(200).text()).expect("it is JSON");
    let deleted = &list["deleted"][0];
    assert_eq!((&deleted["by"], &deleted["tags"][0]), (&Value::from("admin"), &Value::from("v1")), "{list}");
    let path = format!("{TRASH}{}?tag=v1", deleted["id"].as_str().expect("it has one"));
    gate.by(BOB, "POST", &path).run().expect(403);
    gate.by(CI, "POST", &path).run().expect(201);
    gate.by(ALICE, "GET", "/v2/team/app/manifests/v1").run().expect(200);
}

#[test]
fn a_tag_that_is_taken_is_not_moved_by_restoring_not_even_for_who_could_move_it() {
    let site = Within::start();
    let gate = &site.gate;
    for content in ["one", "two"] {
        put(gate.by(ALICE, "PUT", "/v2/team/app/manifests/latest"), content).run().expect(201);
    }
    let list: Value = serde_json::from_str(&gate.by(ADMIN, "GET", TRASH).run().expect(200).text()).expect("it is JSON");
    assert!(list["deleted"][0]["why"].as_str().is_some_and(|why| why.starts_with("it was moved to sha256:")), "{list}");
    let path = format!("{TRASH}{}?tag=latest", list["deleted"][0]["id"].as_str().expect("it has one"));
    for user in [CI, ALICE, ADMIN] {
        gate.by(user, "POST", &path).run().expect(409);
    }
}
