//! Promise: a flood of wrong passwords is answered with 429 at once, costs nobody else their access, and tells nothing
//! of who exists.

use lockgate_e2e::{
    Answer, Curl, Door, Gate, GateBuilder, PATIENCE, Scheme, Upstream, Wire, eventually, htpasswd_line, log_field, ok,
};
use serde_json::Value;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Addresses of this machine that clients come from.
const FLOODING: &str = "127.0.0.66";
const ANOTHER: &str = "127.0.0.77";

/// Three wrong passwords of a user, and no other before the test is over.
fn strict(gate: GateBuilder) -> GateBuilder {
    gate.set("auth.failures", 3).set("auth.failure_interval", "1h").set("log.format", "json")
}

/// A request with these credentials from this address.
fn from(address: &str, gate: &Gate, credentials: &str) -> Curl {
    gate.stranger("/v2/").user(credentials).args(&["--interface", address])
}

/// `GET /v2/` as it stands on the wire.
fn request(authorization: &str) -> String {
    format!("GET /v2/ HTTP/1.1\r\nHost: registry.test\r\nAuthorization: Basic {authorization}\r\n\r\n")
}

/// `alice:wrong`.
const WRONG: &str = "YWxpY2U6d3Jvbmc=";
/// `alice:correct-horse`.
const RIGHT: &str = "YWxpY2U6Y29ycmVjdC1ob3JzZQ==";

/// A wrong password of alice, another for each number.
fn guess(number: usize) -> String {
    base64(&format!("alice:guess-{number:06}"))
}

/// A user that does not exist, another for each number.
fn invented(number: usize) -> String {
    base64(&format!("user-{number:06}:guess."))
}

/// Base64 of a text that needs no padding.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for three in text.as_bytes().chunks(3) {
        assert_eq!(three.len(), 3, "{text} should have a multiple of three bytes");
        let bits = three.iter().fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte));
        encoded.extend([18, 12, 6, 0].map(|shift| char::from(ALPHABET[bits >> shift & 63])));
    }
    encoded
}

/// Sends wrong passwords from the flooding address until one is not looked at any more.
fn until_throttled(gate: &Gate, user: &str) -> Answer {
    let mut number = 0;
    eventually(PATIENCE, "a 429", || {
        number += 1;
        let answer = from(FLOODING, gate, &format!("{user}:guess-{number}")).run();
        (answer.status() == 429).then_some(answer)
    })
}

fn retry_after(answer: &Answer) -> u64 {
    answer.head().one("retry-after").parse().expect("it is a number of seconds")
}

/// The warnings about passwords that were not looked at.
fn warnings(gate: &Gate) -> Vec<Value> {
    let lines = gate.log().text();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| log_field(line, "refused").is_some()).collect()
}

#[test]
fn the_surplus_gets_429_in_the_registry_s_language_and_keeps_its_connection() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = strict(Gate::before(upstream.url())).start();
    let mut wire = Wire::open_with(gate.door(), &["-bind", FLOODING]);
    for number in 0..200 {
        wire.send(request(&guess(number)));
        let response = wire.response();
        if number < 3 {
            assert_eq!(response.head.status(), 401, "{number}");
            continue;
        }
        assert_eq!(response.head.status(), 429, "{number}");
        assert_eq!(response.head.one("docker-distribution-api-version"), "registry/2.0");
        assert!(!response.head.all("connection").contains(&"close"), "{:#?}", response.head);
        let seconds: u64 = response.head.one("retry-after").parse().unwrap();
        assert!((3000..=3600).contains(&seconds), "{seconds}");
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(body["errors"][0]["code"], "TOOMANYREQUESTS");
    }
    assert!(upstream.received().is_empty());
}

#[test]
fn a_user_who_has_logged_in_before_is_not_throttled_by_whoever_guesses_at_the_same_address() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = strict(Gate::before(upstream.url())).start();
    let mut wire = Wire::open_with(gate.door(), &["-bind", FLOODING]);
    wire.send(request(RIGHT));
    assert_eq!(wire.response().head.status(), 200);
    until_throttled(&gate, "alice");
    for number in 0..50 {
        wire.send(request(&guess(number)));
        assert_eq!(wire.response().head.status(), 429);
        wire.send(request(RIGHT));
        assert_eq!(wire.response().head.status(), 200);
    }
}

#[test]
fn a_first_login_from_another_address_passes_while_the_same_user_is_under_attack() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = strict(Gate::before(upstream.url())).start();
    until_throttled(&gate, "alice");
    from(FLOODING, &gate, &gate.door().credentials()).run().oci_error(429);
    from(ANOTHER, &gate, &gate.door().credentials()).run().expect(200);
}

#[test]
fn a_queue_full_of_one_address_s_passwords_has_room_for_another_s() {
    // Each takes the one thread some 200 ms, and there is room for four: those of the flood fill it many times over.
    let line = htpasswd_line(Scheme::BcryptOfCost12, "alice", "correct-horse");
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).htpasswd(line).set("auth.hash_threads", 1).set("auth.hash_queue", 4);
    let gate = gate.set("auth.failures", 1_000).set("auth.address_failures", 1_000).start();
    let mut flood = Vec::new();
    for number in 0..12 {
        let mut wire = Wire::open_with(gate.door(), &["-bind", FLOODING]);
        wire.send(request(&invented(number)));
        flood.push(wire);
    }
    gate.log().await_line(PATIENCE, "a 429", |line| line.contains("status=429"));
    from(ANOTHER, &gate, &gate.door().credentials()).run().expect(200);
    let answers: Vec<u16> = flood.iter_mut().map(|wire| wire.response().head.status()).collect();
    assert!(answers.contains(&401) && answers.contains(&429), "{answers:?}");
}

#[test]
fn an_address_that_tries_ever_new_names_is_throttled_and_another_is_not() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("auth.address_failures", 5).set("auth.address_failure_interval", "1h");
    let gate = gate.start();
    let mut wire = Wire::open_with(gate.door(), &["-bind", FLOODING]);
    let mut statuses = Vec::new();
    for number in 0..20 {
        wire.send(request(&invented(number)));
        statuses.push(wire.response().head.status());
    }
    assert_eq!(statuses, [vec![401; 5], vec![429; 15]].concat());
    from(ANOTHER, &gate, &gate.door().credentials()).run().expect(200);
}

#[test]
fn a_right_password_passes_after_the_wait_that_it_was_told() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("auth.failures", 3).set("auth.failure_interval", "2s").start();
    let throttled = until_throttled(&gate, "alice");
    let told = Instant::now();
    let wait = Duration::from_secs(retry_after(&throttled));
    assert!(wait <= Duration::from_secs(2), "{wait:?}");
    let first = eventually(PATIENCE, "an answer that is not 429", || {
        let answer = from(FLOODING, &gate, &gate.door().credentials()).run();
        let waited = told.elapsed();
        assert!(answer.status() != 429 || waited < wait + Duration::from_secs(1), "still throttled after {waited:?}");
        (answer.status() != 429).then_some(answer)
    });
    first.expect(200);
}

#[test]
fn whoever_invents_names_does_not_make_the_gate_grow() {
    let upstream = Upstream::answering(ok("{}"));
    // An address may try as much as it likes, so that each name is written down.
    let gate = Gate::before(upstream.url()).htpasswd(htpasswd_line(Scheme::Sha1, "alice", "correct-horse"));
    let gate = gate.set("auth.failure_memory", 1024).set("auth.address_failures", 1_000_000).start();
    let mut wire = gate.wire();
    let mut names = 0..;
    let mut invent = |many: usize| {
        for group in 0..many / 100 {
            let requests = names.by_ref().take(100).fold(String::new(), |mut requests, number| {
                write!(requests, "{}", request(&invented(number))).unwrap();
                requests
            });
            wire.send(requests);
            for _ in 0..100 {
                assert_eq!(wire.response().head.status(), 401, "in the group {group}");
            }
        }
    };
    invent(2_000);
    let before = gate.process().peak_memory();
    invent(6_000);
    let grown = gate.process().growth_since(before);
    // Names of its own size alone would take more.
    assert!(grown < 512 * 1024, "it grew by {grown} bytes over 6,000 names");
}

#[test]
fn nobody_learns_from_an_answer_which_users_exist() {
    let alice = htpasswd_line(Scheme::Bcrypt, "alice", "correct-horse");
    let upstream = Upstream::answering(ok("{}"));
    let gate = strict(Gate::before(upstream.url()).htpasswd(format!("{alice}\nplain:plain\nnohash:\n"))).start();
    // Wrong passwords until they are not looked at, then one of them again.
    let seen = |user: &str| {
        let guesses = [0, 1, 2, 3, 4, 0, 0];
        guesses.map(|number| shown(&from(FLOODING, &gate, &format!("{user}:guess-{number}")).run()))
    };
    let of_alice = seen("alice");
    let statuses = of_alice.each_ref().map(|text| text.split(' ').nth(1).unwrap().to_owned());
    assert_eq!(statuses, ["401", "401", "401", "429", "429", "401", "401"]);
    for user in ["mallory", "plain", "nohash", "Alice"] {
        assert_eq!(seen(user), of_alice, "{user}");
    }
}

/// A whole answer without what the clock says in it, and without the request's name.
fn shown(answer: &Answer) -> String {
    let head = String::from_utf8_lossy(&answer.head().raw);
    let is_own =
        |line: &&str| ["date:", "x-request-id:"].iter().all(|name| !line.to_ascii_lowercase().starts_with(name));
    let lines = head.split("\r\n").filter(is_own);
    let text = format!("{}\n{}", lines.collect::<Vec<_>>().join("\n"), answer.text());
    let seconds = answer.head().all("retry-after").first().map(|&seconds| seconds.to_owned());
    seconds.map_or(text.clone(), |seconds| text.replace(&seconds, "SECONDS"))
}

#[test]
fn a_flood_is_one_warning_that_names_the_client_and_holds_no_password() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = strict(Gate::before(upstream.url())).start();
    let mut wire = Wire::open_with(gate.door(), &["-bind", FLOODING]);
    let start = Instant::now();
    for number in 0..200 {
        wire.send(request(&guess(number)));
        wire.response();
    }
    let lines = warnings(&gate);
    let at_most = 1 + start.elapsed().as_secs() / 10;
    assert!(!lines.is_empty() && lines.len() as u64 <= at_most, "{lines:#?}");
    let text = |key: &str| log_field(&lines[0], key).and_then(Value::as_str).unwrap_or_default();
    assert_eq!((text("client"), text("user"), text("limit")), (FLOODING, "alice", "auth.failures"));
    let log = gate.log().text();
    assert!(!log.contains("guess") && !log.contains(&guess(199)), "{log}");
}

#[test]
fn a_stranger_s_name_is_not_in_the_warning_since_it_may_be_a_password() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = strict(Gate::before(upstream.url())).start();
    until_throttled(&gate, "open-sesame");
    let line = eventually(PATIENCE, "a warning", || warnings(&gate).pop());
    assert_eq!(log_field(&line, "user"), Some(&Value::from("-")));
    assert!(!gate.log().text().contains("open-sesame"));
}

#[test]
fn a_client_that_goes_on_with_an_old_password_is_throttled_and_does_not_keep_its_user_out() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = strict(Gate::before(upstream.url())).start();
    let mut wire = Wire::open_with(gate.door(), &["-bind", FLOODING]);
    let mut statuses = Vec::new();
    for _ in 0..100 {
        wire.send(request(WRONG));
        statuses.push(wire.response().head.status());
    }
    assert_eq!(statuses, [vec![401; 4], vec![429; 96]].concat(), "once it is looked at, and three times it is known");
    wire.send(request(RIGHT));
    assert_eq!(wire.response().head.status(), 200);
}

#[test]
fn a_changed_password_is_taken_from_an_address_that_is_not_throttled() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = strict(Gate::before(upstream.url())).start();
    gate.curl("/v2/").run().expect(200);
    until_throttled(&gate, "alice");
    std::fs::write(&gate.htpasswd, htpasswd_line(Scheme::Bcrypt, "alice", "battery-staple")).unwrap();
    let door = Door::with_password(gate.door(), "battery-staple");
    eventually(PATIENCE, "the old password to be refused", || {
        let old = from(ANOTHER, &gate, &gate.door().credentials()).run().status();
        (old != 200).then_some(())
    });
    from("127.0.0.78", &gate, &door.credentials()).run().expect(200);
}
