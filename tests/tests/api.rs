//! Promise: the registry's API works through the gate, before our backend and before the real distribution.

use lockgate_e2e::{
    Api, Backend, Curl, DockerRegistry, Gate, PATIENCE, Pattern, Relay, Signal, Up, eventually, fresh_dir, sha256,
};
use std::fs;

/// Runs `walk` with the gate before our own backend, with the backend within, and before the real distribution.
fn before_each(walk: impl Fn(&Gate)) {
    let data = fresh_dir();
    walk(&Gate::over(data.path()).start());
    let data = fresh_dir();
    let backend = Backend::over(data.path());
    walk(&Gate::before(backend.url()).start());
    let data = fresh_dir();
    let registry = DockerRegistry::over(data.path());
    walk(&Gate::before(registry.url()).start());
}

#[test]
fn what_was_pushed_is_pulled_listed_and_deleted() {
    before_each(|gate| {
        let api = Api::at(gate.door());
        let layer = Pattern::new(1, 2_500_000).bytes();
        let digest = api.push_image("team/app", "v1", &layer);
        let pulled = api.manifest("team/app", "v1").expect(200);
        assert_eq!(pulled.head().one("docker-content-digest"), digest);
        assert_eq!(sha256(pulled.body.as_slice()), digest, "the bytes are the pushed ones");
        assert_eq!(api.manifest("team/app", &digest).expect(200).body, pulled.body);
        let layer_digest = sha256(layer.as_slice());
        assert!(api.blob("team/app", &layer_digest).expect(200).body == layer);
        assert_eq!(gate.curl("/v2/team/app/tags/list").run().expect(200).json()["tags"][0], "v1");
        assert_eq!(gate.curl("/v2/_catalog").run().expect(200).json()["repositories"][0], "team/app");
        api.request("DELETE", &format!("/v2/team/app/manifests/{digest}")).run().expect(202);
        assert_eq!(api.manifest("team/app", "v1").status(), 404);
        api.request("DELETE", &format!("/v2/team/app/blobs/{layer_digest}")).run().expect(202);
        assert_eq!(api.blob("team/app", &layer_digest).status(), 404);
    });
}

#[test]
fn a_layer_is_mounted_from_another_repository() {
    before_each(|gate| {
        let api = Api::at(gate.door());
        let layer = Pattern::new(2, 100_000).bytes();
        let digest = api.push_blob("one/app", &layer);
        assert_eq!(api.blob("two/app", &digest).status(), 404);
        // Both values escaped, as docker sends them.
        let query = format!("?from=one%2Fapp&mount={}", digest.replace(':', "%3A"));
        let mounted = api.request("POST", &format!("/v2/two/app/blobs/uploads/{query}")).body("").run().expect(201);
        assert_eq!(mounted.head().one("docker-content-digest"), digest);
        assert!(api.blob("two/app", &digest).expect(200).body == layer);
    });
}

#[test]
fn a_wrong_digest_makes_nothing_visible() {
    before_each(|gate| {
        let api = Api::at(gate.door());
        let wrong = sha256(&b"something else"[..]);
        let location = api.start_upload("team/app");
        api.end_of_upload(&location, &wrong).body("content").run().oci_error(400);
        assert_eq!(api.blob("team/app", &wrong).status(), 404);
        assert_eq!(api.blob("team/app", &sha256(&b"content"[..])).status(), 404);
    });
}

#[test]
fn an_upload_goes_on_where_it_was_cut() {
    before_each(|gate| {
        let api = Api::at(gate.door());
        let content = Pattern::new(3, 600_000).bytes();
        let digest = sha256(content.as_slice());
        let location = api.start_upload("team/app");
        let first = api.request("PATCH", &location).body(&content[..250_000]).run().expect(202);
        assert_eq!(first.head().one("range"), "0-249999");
        let status = api.request("GET", first.head().one("location")).run().expect(204);
        assert_eq!(status.head().one("range"), "0-249999");
        let rest = api.request("PATCH", status.head().one("location")).header("Content-Range: 250000-599999");
        let rest = rest.body(&content[250_000..]).run().expect(202);
        api.end_of_upload(rest.head().one("location"), &digest).body("").run().expect(201);
        assert!(api.blob("team/app", &digest).expect(200).body == content);
    });
}

#[test]
fn a_pull_that_was_cut_goes_on_where_it_was() {
    let data = fresh_dir();
    let registry = DockerRegistry::over(data.path());
    let direct = Gate::before(registry.url()).start();
    let content = Pattern::new(4, 9_000_000);
    let digest = Api::at(direct.door()).push_blob("team/app", &content.clone().bytes());
    let relay = Relay::cutting_once_after(registry.address(), 4_000_000);
    let gate = Gate::before(relay.url()).set("log.format", "json").start();
    let file = data.path().join("layer");
    let pull = || {
        let curl = gate.curl(&format!("/v2/team/app/blobs/{digest}")).args(&["--continue-at", "-", "--output"]);
        let mut process = curl.arg(&file).spawn();
        process.wait(PATIENCE)
    };
    assert!(!pull().success(), "the cut has to be seen");
    assert!(relay.has_cut());
    let got = fs::metadata(&file).unwrap().len();
    assert!(got > 0 && got < 9_000_000, "{got} bytes before the cut");
    assert!(pull().success());
    assert_eq!(sha256(fs::File::open(&file).unwrap()), digest);
    eventually(PATIENCE, "the log line of a 206", || gate.log().text().contains("\"status\":206").then_some(()));
}

#[test]
fn a_pull_whose_gate_was_killed_goes_on_at_the_next_one() {
    let dir = fresh_dir();
    let mut up = Up::in_fresh(dir.path());
    let content = Pattern::new(5, 64 << 20);
    let location = Api::at(up.door()).start_upload("big");
    Api::at(up.door()).end_of_upload(&location, &content.digest()).run_sending(content.clone()).expect(201);
    let file = dir.path().join("layer");
    let path = format!("/v2/big/blobs/{}", content.digest());
    let mut pull = up.curl(&path).args(&["--limit-rate", "20M", "--output"]).arg(&file).spawn();
    eventually(PATIENCE, "a part of the layer", || (fs::metadata(&file).ok()?.len() > 1_000_000).then_some(()));
    up.signal(Signal::Kill);
    assert!(!pull.wait(PATIENCE).success());
    up.wait(PATIENCE);
    let up = Up::again(dir.path(), up.door());
    let mut pull = up.curl(&path).args(&["--continue-at", "-", "--output"]).arg(&file).spawn();
    assert!(pull.wait(PATIENCE).success());
    assert_eq!(sha256(fs::File::open(&file).unwrap()), content.digest());
}

#[test]
fn distribution_s_absolute_locations_lead_back_through_the_gate() {
    let data = fresh_dir();
    let registry = DockerRegistry::over(data.path());
    let gate = Gate::before(registry.url()).start();
    let location = Api::at(gate.door()).start_upload("team/app");
    let through_the_gate = format!("https://{}/v2/team/app/blobs/uploads/", gate.door().address);
    assert!(location.starts_with(&through_the_gate), "{location}");
    // By whichever name the client came.
    let port = gate.door().address.port();
    let post = Curl::new(&format!("https://localhost:{port}/v2/team/app/blobs/uploads/")).trusting(&gate.door().ca);
    let answer = post.user(&gate.door().credentials()).method("POST").body("").run().expect(202);
    let location = answer.head().one("location");
    assert!(location.starts_with(&format!("https://localhost:{port}/v2/")), "{location}");
}

#[test]
fn a_page_of_tags_says_where_the_next_one_is() {
    before_each(|gate| {
        let api = Api::at(gate.door());
        for tag in ["v1", "v2", "v3"] {
            api.push_image("team/app", tag, b"layer");
            api.push_image(&format!("team/{tag}"), tag, b"layer");
        }
        let page = gate.curl("/v2/_catalog?n=2").run().expect(200);
        assert_eq!(page.json()["repositories"], serde_json::json!(["team/app", "team/v1"]));
        let link = page.head().one("link").to_owned();
        let next = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
        let rest = api.request("GET", &next).run().expect(200).json();
        assert_eq!(rest["repositories"], serde_json::json!(["team/v2", "team/v3"]));
    });
}
