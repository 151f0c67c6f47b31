//! A rule says which tags stay, and for how long what no tag leads to.

use crate::commands::{Site, answers};
use lockgate_e2e::{Backend, PATIENCE, PlainApi, digest_of, eventually};
use serde_json::Value;
use std::fs;

/// Ages of seconds, so that no test waits for days. Rules follow.
const SHORT: &str = "storage.trash_age = '1h'\ncollect.grace = '1s'\ncollect.interval = '0s'\ncollect.rate = '100%'\n";

fn on_both(settings: &str, claim: impl Fn(&Site)) {
    claim(&Site::in_directory(settings));
    claim(&Site::in_bucket(settings));
}

fn tags(backend: &Backend, repository: &str) -> Vec<String> {
    let list: Value =
        serde_json::from_slice(&answers(backend, format!("/v2/{repository}/tags/list"), 200)).expect("it is JSON");
    list["tags"]
        .as_array()
        .expect("it is a list")
        .iter()
        .map(|tag| tag.as_str().expect("it is a text").to_owned())
        .collect()
}

#[test]
fn a_tag_that_no_rule_keeps_goes_into_the_trash_and_comes_back() {
    let rules = "[[retention]]\nrepositories = 'team/**'\nkeep = [{ tags = ['latest', 'v*'] }]";
    on_both(&format!("{SHORT}{rules}"), |site| {
        let backend = site.serve();
        let mut api = PlainApi::at(backend.url());
        for tag in ["latest", "v1", "dev-1"] {
            api.push_image("team/app", tag, tag.as_bytes());
            api.push_image("other", tag, tag.as_bytes());
        }
        let image = digest_of(&answers(&backend, "/v2/team/app/manifests/dev-1", 200));
        let file = site.file("plan");
        site.says(&["collect", "--plan", file.to_str().unwrap()]);
        let plan = fs::read_to_string(&file).unwrap();
        let line =
            format!("tag team/app:dev-1@{image}  # no entry of [[retention]] 1 for [\"team/**\"] keeps it; set ");
        assert!(plan.contains(&line), "{plan}");
        assert_eq!(tags(&backend, "team/app"), ["dev-1", "latest", "v1"], "a plan removes nothing");
        let said = site.says(&["collect", "--apply", file.to_str().unwrap()]);
        assert!(said.contains("removed 1 tag that no rule keeps"), "{said}");
        assert_eq!(tags(&backend, "team/app"), ["latest", "v1"]);
        assert_eq!(tags(&backend, "other"), ["dev-1", "latest", "v1"]);
        let trash = site.says(&["trash", "list"]);
        assert!(
            trash.lines().count() == 1 && trash.contains("team/app:dev-1") && trash.contains("keeps it"),
            "{trash}"
        );
        site.says(&["trash", "restore", "team/app:dev-1"]);
        assert_eq!(digest_of(&answers(&backend, "/v2/team/app/manifests/dev-1", 200)), image);
        // And goes again, without a plan.
        site.says(&["collect"]);
        assert_eq!(tags(&backend, "team/app"), ["latest", "v1"]);
    });
}

#[test]
fn an_untagged_image_goes_after_its_time_from_when_it_was_seen_so_and_one_that_was_tagged_again_stays() {
    let settings = SHORT.replace("'1h'", "'0s'");
    let rules = "[[retention]]\nrepositories = '**'\nuntagged = '4s'";
    on_both(&format!("{settings}{rules}"), |site| {
        let backend = site.serve();
        let mut api = PlainApi::at(backend.url());
        let [gone, again] = ["gone", "again"].map(|tag| api.push_image("a", tag, tag.as_bytes()));
        let untag = |tag: &str| {
            let mut api = PlainApi::at(backend.url());
            api.call("DELETE", &format!("/v2/a/manifests/{tag}")).unwrap().expect(202);
        };
        let planned = |digest: &str| {
            let plan = site.says(&["collect", "--plan", "-"]);
            plan.contains(&format!("manifest a@{digest}  # no tag leads to it since "))
        };
        // They are older than its time when they are first seen without a tag.
        let began = std::time::Instant::now();
        eventually(2 * PATIENCE, "they are old", || (began.elapsed().as_secs() >= 6).then_some(()));
        untag("gone");
        untag("again");
        site.says(&["collect"]);
        assert!(!planned(&gone) && !planned(&again), "they were seen so for a moment");
        assert_eq!(api.push_image("a", "again", b"again"), again);
        eventually(2 * PATIENCE, "its time is over", || planned(&gone).then_some(()));
        assert!(!planned(&again));
        let said = site.says(&["collect"]);
        assert!(said.contains("removed 1 object"), "{said}");
        answers(&backend, format!("/v2/a/manifests/{gone}"), 404);
        assert_eq!(digest_of(&answers(&backend, format!("/v2/a/manifests/{again}"), 200)), again);
        assert_eq!(answers(&backend, format!("/v2/a/blobs/{}", digest_of(b"again")), 200), b"again");
        eventually(PATIENCE, "its layer goes too", || {
            site.says(&["collect", "--plan", "-"]).contains(&format!("blob {}", digest_of(b"gone"))).then_some(())
        });
    });
}

#[test]
fn rules_that_are_changed_count_without_a_restart_and_a_mistake_leaves_them() {
    let site = Site::in_directory(SHORT);
    let backend = site.serve();
    let mut api = PlainApi::at(backend.url());
    for tag in ["v1", "dev-1", "dev-2"] {
        api.push_image("a", tag, tag.as_bytes());
    }
    site.says(&["collect"]);
    assert_eq!(tags(&backend, "a").len(), 3);
    // The command is done by the process that serves, by the file that this one has.
    backend.rewrite_config(|text| text + "[[retention]]\nrepositories = '**'\nkeep = [{ tags = ['v*', 'dev-2'] }]\n");
    site.says(&["collect"]);
    assert_eq!(tags(&backend, "a"), ["dev-2", "v1"]);
    backend.rewrite_config(|text| text.replace("'v*', 'dev-2'", "'dev-2', '-'"));
    site.says(&["collect"]);
    assert_eq!(tags(&backend, "a"), ["dev-2", "v1"]);
    let is_told = |line: &str| {
        line.contains("the rules of [[retention]] and [[quota]] are as before") && line.contains("no tag can match it")
    };
    backend.process().stderr().await_line(PATIENCE, "the mistake", is_told);
    backend.rewrite_config(|text| text.replace("'dev-2', '-'", "'v*'"));
    site.says(&["collect"]);
    assert_eq!(tags(&backend, "a"), ["v1"]);
}
