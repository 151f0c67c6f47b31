//! Of many who make one tag and may not move it, one does.

use crate::{ALICE, BOB, Before, CI, Within, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockgate_e2e::{Gate, Upstream, ok, sha256};
use std::io;
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::Duration;

#[test]
fn of_thirty_two_who_make_a_tag_at_once_one_wins() {
    let (before, within) = (Before::start(), Within::start());
    for gate in [&before.gate, &within.gate] {
        for round in 0..3 {
            assert_eq!(winners(gate, round), 1, "round {round}");
        }
    }
}

fn winners(gate: &Gate, round: usize) -> usize {
    const RACERS: usize = 32;
    let start = Barrier::new(RACERS);
    let path = format!("/v2/team/app/manifests/race{round}");
    std::thread::scope(|scope| {
        let racers: Vec<_> = (0..RACERS)
            .map(|racer| {
                let (start, path) = (&start, &path);
                scope.spawn(move || {
                    start.wait();
                    put(gate.by(CI, "PUT", path), &format!("racer {racer}")).run().status()
                })
            })
            .collect();
        let statuses: Vec<u16> = racers.into_iter().map(|racer| racer.join().expect("a status")).collect();
        assert!(statuses.iter().all(|status| [201, 403].contains(status)), "{statuses:?}");
        statuses.iter().filter(|status| **status == 201).count()
    })
}

/// What is not known is never taken for absent.
#[test]
fn where_the_registry_does_not_say_whether_a_tag_is_there_nothing_is_pushed() {
    for answer in [
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 406 Not Acceptable\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    ] {
        let upstream = Upstream::answering(answer);
        let gate = crate::with_grants(Gate::before(upstream.url())).start();
        let pushed = put(gate.by(CI, "PUT", "/v2/team/app/manifests/v1"), "one").run();
        assert_eq!(pushed.status(), 503, "{answer}");
        assert_eq!(pushed.head().one("retry-after"), "1");
        assert!(upstream.received().iter().all(|request| request.head.method() != "PUT"), "{answer}");
    }
}

/// What the gate asks for itself has nothing of the client.
#[test]
fn the_gate_asks_in_its_own_words() {
    let upstream = Upstream::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let gate = crate::with_grants(Gate::before(upstream.url())).start();
    put(gate.by(CI, "PUT", "/v2/team/app/manifests/v1"), "one")
        .header("If-None-Match: W/\"x\"")
        .header("If-Match: *")
        .header("Accept: text/plain")
        .run();
    let received = upstream.received();
    let (look, pushed) = (&received[0].head, &received.last().expect("a request").head);
    assert_eq!((look.method(), look.all("if-none-match").len()), ("HEAD", 0));
    assert!(look.one("accept").contains("image.index") && look.one("accept").contains("manifest.list"));
    assert_eq!((pushed.method(), pushed.all("if-none-match"), pushed.all("if-match").len()), ("PUT", vec!["*"], 0));
}

/// Who sends a manifest slowly keeps nobody else from the tag.
#[test]
fn a_tag_is_kept_for_one_writer_from_its_whole_manifest_on() {
    let site = Within::start();
    let path = "/v2/team/app/manifests/v1";
    let mut slow = site.gate.wire();
    let credentials = STANDARD.encode(CI);
    slow.send(format!(
        "PUT {path} HTTP/1.1\r\nHost: r\r\nAuthorization: Basic {credentials}\r\nContent-Length: 2\r\n\
         Expect: 100-continue\r\n\r\n"
    ));
    assert!(slow.is_given_leave());
    put(site.gate.by(CI, "PUT", path), "one").arg("--max-time").arg("30").run().expect(201);
    slow.send("{}");
    assert_eq!(slow.response().head.status(), 403, "it is there by now");
}

/// What a client says of its connection takes away nothing that the gate says.
#[test]
fn the_condition_of_a_new_tag_is_no_field_of_the_connection() {
    let upstream = Upstream::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let gate = crate::with_grants(Gate::before(upstream.url())).start();
    let pushed = put(gate.by(CI, "PUT", "/v2/team/app/manifests/v1"), "one").header("Connection: If-None-Match").run();
    assert_eq!(pushed.status(), 400);
    assert!(upstream.received().is_empty());
}

/// Each has the registry asked, twice where it is a foreign one.
#[test]
fn one_request_has_no_thousands_of_tags_looked_up() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = crate::with_grants(Gate::before(upstream.url())).start();
    let tags: Vec<String> = (0..2000).map(|tag| format!("tag=t{tag}")).collect();
    let path = format!("/v2/team/app/manifests/v1?{}", tags.join("&"));
    put(gate.by(CI, "PUT", &path), "one").run().expect(400);
    assert!(upstream.received().is_empty());
}

#[test]
fn several_tags_at_once_are_each_judged() {
    let site = Within::start();
    put(site.gate.by(ALICE, "PUT", "/v2/team/app/manifests/old"), "one").run().expect(201);
    let digest = sha256(crate::index("two").as_bytes());
    for (query, status) in [("tag=new", 201), ("tag=newer&tag=old", 403), ("tag=latest&tag=dev-1", 201)] {
        let path = format!("/v2/team/app/manifests/{digest}?{query}");
        put(site.gate.by(CI, "PUT", &path), "two").run().expect(status);
    }
    put(site.gate.by(BOB, "PUT", &format!("/v2/team/app/manifests/{digest}")), "two").run().expect(403);
}

/// What a registry knows of a tag that is pushed to it, slowly.
#[derive(Default)]
struct Slow {
    is_looked_for: bool,
    is_there: bool,
}

/// Who may move a tag is waited for: else it would be new to one of them, and gone to the other.
#[test]
fn a_tag_is_new_to_nobody_while_it_is_pushed() {
    let digest = sha256(crate::index("pushed").as_bytes());
    for path in ["/v2/team/app/manifests/v1".to_owned(), format!("/v2/team/app/manifests/{digest}?tag=v1")] {
        let shared = Arc::new((Mutex::new(Slow::default()), Condvar::new()));
        let told = format!("HTTP/1.1 200 OK\r\nDocker-Content-Digest: {digest}\r\nContent-Length: 0\r\n\r\n");
        let upstream = Upstream::scripted(move |connection| {
            let (state, changed) = &*shared;
            while let Some(head) = connection.request()? {
                connection.body(&head, &mut io::sink())?;
                let mut state = state.lock().expect("nobody panics");
                match head.method() {
                    "HEAD" => {
                        state.is_looked_for = true;
                        changed.notify_all();
                        let unknown = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
                        connection.send(if state.is_there { &told } else { unknown }.as_bytes())?;
                    }
                    "PUT" => {
                        // Long enough for whoever does not wait.
                        let long = Duration::from_millis(500);
                        state = changed.wait_timeout_while(state, long, |now| !now.is_looked_for).expect("as above").0;
                        state.is_there = true;
                        connection.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")?;
                    }
                    _ => connection.send(&ok(r#"{"tags":[]}"#))?,
                }
            }
            Ok(())
        });
        let gate = crate::with_grants(Gate::before(upstream.url())).start();
        std::thread::scope(|scope| {
            scope.spawn(|| put(gate.by(ALICE, "PUT", &path), "pushed").run().expect(201));
            upstream.await_received("the push", |request| request.head.method() == "PUT");
            put(gate.by(CI, "PUT", "/v2/team/app/manifests/v1"), "made").run().expect(403);
        });
    }
}

/// Whether they have sent little of their manifests, or much.
#[test]
fn who_sends_manifests_slowly_holds_up_nobody_else() {
    const MOST: usize = 32;
    let site = Within::start();
    let credentials = STANDARD.encode(CI);
    for (round, sent) in [0, 100_000].into_iter().enumerate() {
        let slow: Vec<_> = (0..MOST)
            .map(|n| {
                let mut slow = site.gate.wire();
                slow.send(format!(
                    "PUT /v2/team/app/manifests/slow{n} HTTP/1.1\r\nHost: r\r\nAuthorization: Basic {credentials}\r\n\
                     Content-Length: 200000\r\nExpect: 100-continue\r\n\r\n"
                ));
                assert!(slow.is_given_leave());
                slow.send(vec![b' '; sent]);
                slow
            })
            .collect();
        let path = format!("/v2/team/app/manifests/quick{round}");
        put(site.gate.by(CI, "PUT", &path), "quick").arg("--max-time").arg("20").run().expect(201);
        drop(slow);
    }
}
