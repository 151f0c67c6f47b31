//! Tokens end while something is under way, and the clocks of clients are wrong.

use super::{door_of, stocked};
use crate::{ALICE, path_of, push, with_grants};
use lockgate_e2e::{
    Answer, Clock, DockerRegistry, Door, Gate, GateBuilder, ImageLayout, Pattern, Podman, Relay, Skopeo, fresh_dir,
    sha256,
};
use std::time::{Duration, Instant};

/// The shortest that tokens can be told to live, in seconds; clients take anything less for it.
pub(super) const LIFE: i64 = 60;

/// What the gate forgives a clock, and an upload.
pub(super) const LEEWAY: i64 = 60;
const LEEWAY_OF_UPLOADS: i64 = 5 * 60;

fn short_lived(gate: GateBuilder, clock: &Clock) -> Gate {
    with_grants(gate).set("auth.token_lifetime", format!("{LIFE}s")).by_the(clock).start()
}

/// Runs `walk` before our own registry and before the real distribution, with tokens that live as short as they can.
pub(super) fn with_short_tokens(walk: impl Fn(&Gate, &Clock)) {
    let (data, clock) = (fresh_dir(), Clock::right());
    walk(&short_lived(Gate::over(data.path()), &clock), &clock);
    let (data, clock) = (fresh_dir(), Clock::right());
    let registry = DockerRegistry::over(data.path());
    walk(&short_lived(Gate::before(registry.url()), &clock), &clock);
}

#[track_caller]
fn is_over(answer: &Answer) {
    let challenge = answer.head().one("www-authenticate");
    let told = r#"error="invalid_token",error_description="the token has expired""#;
    assert!(answer.status() == 401 && challenge.contains(told), "{challenge}");
    assert_eq!(answer.oci_error(401).0, "UNAUTHORIZED");
}

/// containerd, crane and oras do not look at `expires_in`: what they began with a token goes on with it.
#[test]
fn an_upload_goes_on_with_the_token_it_began_with_and_nothing_else_does() {
    with_short_tokens(|gate, clock| {
        push(gate, "team/app", "v1", "x");
        let scope = "repository:team/app:pull,push";
        let token = gate.token(Some(ALICE), scope);
        let send = |method: &str, path: &str, content: &[u8]| {
            gate.bearer(&token, method, path).body_of_type("application/octet-stream", content).run()
        };
        let begin = || path_of(send("POST", "/v2/team/app/blobs/uploads/", b"").expect(202).head().one("location"));
        let (one, other) = (begin(), begin());
        let list = "/v2/team/app/tags/list";
        // The gate and the token's maker may be two, and their clocks differ.
        clock.set(LIFE + LEEWAY - 10);
        gate.bearer(&token, "GET", list).run().expect(200);
        clock.set(LIFE + LEEWAY + 10);
        is_over(&gate.bearer(&token, "GET", list).run());
        is_over(&send("POST", "/v2/team/app/blobs/uploads/", b""));
        let closing = |begun: String, content: &[u8]| {
            let sent = path_of(send("PATCH", &begun, content).expect(202).head().one("location"));
            let separator = if sent.contains('?') { '&' } else { '?' };
            format!("{sent}{separator}digest={}", sha256(content))
        };
        let (one, other) = (closing(one, b"one"), closing(other, b"other"));
        clock.set(LIFE + LEEWAY_OF_UPLOADS - 10);
        send("PUT", &one, b"").expect(201);
        clock.set(LIFE + LEEWAY_OF_UPLOADS + 10);
        is_over(&send("PUT", &other, b""));
        // The closing request has no body, and is made again with a new one.
        gate.bearer(&gate.token(Some(ALICE), scope), "PUT", &other).body("").run().expect(201);
    });
}

/// What counts is the token as the request began: a layer of any size goes in by one PATCH.
#[test]
fn a_request_that_is_under_way_outlives_its_token() {
    with_short_tokens(|gate, clock| {
        let token = gate.token(Some(ALICE), "repository:team/app:pull,push");
        let bearer = |method: &str, path: &str| gate.bearer(&token, method, path).body("").run();
        let begun = bearer("POST", "/v2/team/app/blobs/uploads/").expect(202);
        let location = path_of(begun.head().one("location"));
        let mut wire = gate.wire();
        let address = gate.door().address;
        wire.send(format!(
            "PATCH {location} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        ));
        assert!(wire.is_given_leave());
        wire.send("5\r\nhello\r\n");
        clock.set(LIFE + LEEWAY_OF_UPLOADS + 3600);
        is_over(&bearer("POST", "/v2/team/app/blobs/uploads/"));
        wire.send("6\r\n world\r\n0\r\n\r\n");
        let sent = wire.response();
        assert_eq!(sent.head.status(), 202);
        let location = path_of(sent.head.one("location"));
        let separator = if location.contains('?') { '&' } else { '?' };
        let closing = format!("{location}{separator}digest={}", sha256(&b"hello world"[..]));
        is_over(&bearer("PUT", &closing));
        let anew = gate.token(Some(ALICE), "repository:team/app:pull,push");
        gate.bearer(&anew, "PUT", &closing).body("").run().expect(201);
    });
}

#[test]
fn clients_whose_clocks_are_slow_or_fast_log_in_push_and_pull() {
    for difference in [20 * 60, -20 * 60] {
        with_short_tokens(|gate, clock| {
            clock.set(difference);
            stocked(gate, 41, &["public/app:v1"]);
            let podman = Podman::at(gate.door());
            podman.run(&["pull", "--cert-dir", "CERTS", "DOOR/public/app:v1"]).success();
            let (user, password) = ALICE.split_once(':').unwrap();
            let login = ["login", "--cert-dir", "CERTS", "--username", user, "--password", password, "DOOR"];
            podman.run(&login).success();
            podman.run(&["tag", "DOOR/public/app:v1", "DOOR/team/app:v1"]).success();
            podman.run(&["push", "--cert-dir", "CERTS", "DOOR/team/app:v1"]).success();
            podman.run(&["pull", "--cert-dir", "CERTS", "DOOR/team/app:v1"]).success();
        });
    }
}

/// A layer of two gigabytes by one PATCH, and the closing PUT, with the token that both began with.
#[test]
#[ignore = "takes minutes"]
fn a_push_of_two_gigabytes_outlives_its_token() {
    const SIZE: u64 = 2 << 30;
    const SEED: u64 = 43;
    let ended = Duration::from_secs((LIFE + LEEWAY).unsigned_abs());
    let rate = (SIZE / (ended.as_secs() + 30)).to_string();
    let digest = sha256(Pattern::new(SEED, SIZE));
    let walk = |gate: &Gate| {
        let token = gate.token(Some(ALICE), "repository:team/app:pull,push");
        let begun = gate.bearer(&token, "POST", "/v2/team/app/blobs/uploads/").body("").run().expect(202);
        let made = Instant::now();
        let patch = gate.bearer(&token, "PATCH", &path_of(begun.head().one("location")));
        let patch = patch.args(&["--limit-rate", &rate, "--max-time", "1200"]);
        let sent = patch.run_sending(Pattern::new(SEED, SIZE)).expect(202);
        assert!(made.elapsed() > ended, "{:?}", made.elapsed());
        is_over(&gate.bearer(&token, "GET", "/v2/team/app/tags/list").run());
        let location = path_of(sent.head().one("location"));
        let separator = if location.contains('?') { '&' } else { '?' };
        gate.bearer(&token, "PUT", &format!("{location}{separator}digest={digest}")).body("").run().expect(201);
        let blob = gate.by(ALICE, "HEAD", &format!("/v2/team/app/blobs/{digest}")).run().expect(200);
        assert_eq!(blob.head().one("content-length"), SIZE.to_string());
        println!("{SIZE} bytes in {:?}", made.elapsed());
    };
    let (data, registry_data, clock) = (fresh_dir(), fresh_dir(), Clock::right());
    let registry = DockerRegistry::over(registry_data.path());
    let gates = [Gate::over(data.path()), Gate::before(registry.url())].map(|gate| short_lived(gate, &clock));
    std::thread::scope(|scope| {
        for gate in &gates {
            scope.spawn(|| walk(gate));
        }
    });
}

/// A layer over a line that takes longer for it than its token and all leeway but that of uploads last, from a client
/// that would take its tokens for good much longer, if it were told when they were made.
#[test]
#[ignore = "takes more than two minutes"]
fn a_push_over_a_slow_line_outlives_its_token_though_the_client_s_clock_is_slow_too() {
    const SIZE: u64 = 1_000_000;
    let clock = Clock::right();
    clock.set(20 * 60);
    let (data, registry_data) = (fresh_dir(), fresh_dir());
    let registry = DockerRegistry::over(registry_data.path());
    let gates = [Gate::over(data.path()), Gate::before(registry.url())].map(|gate| short_lived(gate, &clock));
    let ended = Duration::from_secs((LIFE + LEEWAY).unsigned_abs());
    let push = |gate: &Gate| {
        let relay = Relay::slow(gate.door().address, 8_000);
        let door = Door { address: relay.address(), ..door_of(gate, ALICE) };
        let (dir, credentials) = (fresh_dir(), door.credentials());
        let image = ImageLayout::new(dir.path(), 42, SIZE);
        let options = ["copy", "--dest-creds", &credentials, "--dest-cert-dir", "CERTS"];
        let begun = Instant::now();
        let (source, skopeo) = (image.transport(), Skopeo::at(&door));
        let mut copy = skopeo.spawn(&[&options[..], &[&source, "docker://DOOR/team/app:v1"]].concat());
        let status = copy.wait(Duration::from_secs(300));
        assert!(status.success(), "{}{}", copy.stdout().text(), copy.stderr().text());
        assert!(begun.elapsed() > ended, "{:?}", begun.elapsed());
        Skopeo::at(gate.door()).on("team/app:v1", &["inspect"]).success();
    };
    std::thread::scope(|scope| {
        for gate in &gates {
            scope.spawn(|| push(gate));
        }
    });
}
