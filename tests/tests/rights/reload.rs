//! Grants and groups are read again; what cannot be meant changes nothing.

use crate::{ALICE, BOB, GRANTS, Within, push};
use lockgate_e2e::{Gate, eventually, fresh_dir, rename_over};
use std::fs;
use std::time::Duration;

const PROMISED: Duration = Duration::from_millis(3500);

#[test]
fn a_change_holds_within_two_seconds_and_what_cannot_be_meant_keeps_the_old_rights() {
    let site = Within::start();
    let gate = &site.gate;
    push(gate, "team/app", "v1", "x");
    let status = |who: &str| gate.by(who, "GET", "/v2/team/app/manifests/v1").run().status();
    assert_eq!((status(ALICE), status(BOB)), (200, 403));
    rename_over(&gate.dir().join("groups"), "team: bob\n");
    eventually(PROMISED, "bob in the team", || ((status(ALICE), status(BOB)) == (403, 200)).then_some(()));
    for (number, broken) in ["", "[[grant]]\nrepositories = 'x'\n", "no toml"].iter().enumerate() {
        rename_over(&gate.dir().join("access.toml"), broken);
        let told = |text: String| text.matches("the grants on disk are refused").count() > number;
        eventually(PROMISED, "a line in the log", || told(gate.log().text()).then_some(()));
        assert_eq!((status(ALICE), status(BOB)), (403, 200), "{broken:?}");
    }
    fs::remove_file(gate.dir().join("access.toml")).unwrap();
    eventually(PROMISED, "a line in the log", || {
        (gate.log().text().matches("the grants on disk are refused").count() > 3).then_some(())
    });
    assert_eq!((status(ALICE), status(BOB)), (403, 200));
    rename_over(&gate.dir().join("access.toml"), GRANTS.replace("group:team", "user:alice"));
    eventually(PROMISED, "alice by name", || ((status(ALICE), status(BOB)) == (200, 403)).then_some(()));
}

#[test]
fn without_its_files_a_gate_does_not_start() {
    let data = fresh_dir();
    for (key, says) in [("auth.access", "access"), ("auth.groups", "groups"), ("auth.token_key", "token-key")] {
        let gate = crate::with_grants(Gate::over(data.path()));
        let missing = gate.dir().join("not-there");
        let refused = gate.set(key, missing.display()).refused();
        assert!(refused.stderr.contains("not-there") || refused.stderr.contains(says), "{key}: {}", refused.stderr);
    }
    let no_key = crate::with_grants(Gate::over(data.path())).set("auth.token_key", "");
    let check = no_key.check().failure();
    assert!(check.stderr.contains("lockgate token-key"), "{}", check.stderr);
    let refused = no_key.refused();
    assert!(refused.stderr.contains("lockgate token-key"), "{}", refused.stderr);
}
