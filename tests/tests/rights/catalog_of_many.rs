//! The list of repositories where there are very many, in a registry that gives a hundred at a time.

use crate::catalog::pages;
use crate::{ADMIN, ALICE, index, put, with_grants};
use lockgate_e2e::{Connection, Gate, PATIENCE, Upstream, eventually};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// Of ten names one may be seen, by everybody who is known.
const GRANTS: &str = "[[grant]]\nrepositories = '*/open*'\nto = 'authenticated'\nallow = 'pull'\n";

/// The name at a place of the list.
fn name(at: usize, padding: usize) -> String {
    let kind = if at.is_multiple_of(10) { "open" } else { "hidden" };
    format!("g{at:06}/{kind}{}", "x".repeat(padding))
}

fn open_ones(count: usize, padding: usize) -> Vec<String> {
    (0..count).step_by(10).map(|at| name(at, padding)).collect()
}

/// A page as distribution gives it: of a hundred at most, and with where it goes on.
fn page(target: &str, count: usize, padding: usize) -> Vec<u8> {
    let value = |key: &str| target.split(['?', '&']).find_map(|pair| pair.strip_prefix(key)).map(str::to_owned);
    let n = value("n=").map_or(100, |n| n.parse::<usize>().expect("a number"));
    if n > 100 {
        return b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec();
    }
    let begin = value("last=").map_or(0, |last| last[1..7].parse::<usize>().expect("a place") + 1);
    let end = count.min(begin + n);
    let names: Vec<String> = (begin..end).map(|at| name(at, padding)).collect();
    let body = serde_json::json!({ "repositories": names }).to_string();
    let link = match names.last() {
        Some(last) if end < count => {
            format!("Link: </v2/_catalog?last={}&n={n}>; rel=\"next\"\r\n", last.replace('/', "%2F"))
        }
        _ => String::new(),
    };
    format!("HTTP/1.1 200 OK\r\n{link}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn registry_of(count: &Arc<AtomicUsize>, padding: usize) -> Upstream {
    let count = Arc::clone(count);
    Upstream::scripted(move |connection: &mut Connection| {
        while let Some(head) = connection.request()? {
            connection.send(&page(head.target(), count.load(Ordering::SeqCst), padding))?;
        }
        Ok(())
    })
}

fn times_begun(upstream: &Upstream) -> usize {
    upstream.received().iter().filter(|request| request.head.target() == "/v2/_catalog?n=100").count()
}

#[test]
fn of_a_hundred_thousand_each_sees_exactly_what_it_may_and_the_registry_is_asked_once() {
    const COUNT: usize = 100_000;
    const CALLERS: usize = 8;
    let upstream = registry_of(&Arc::new(AtomicUsize::new(COUNT)), 0);
    let gate = Gate::before(upstream.url()).access(GRANTS).set("log.level", "info").start();
    let before = gate.process().peak_memory();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| gate.by(ALICE, "GET", "/v2/_catalog?n=1").run().expect(200));
        }
    });
    let read = begun.elapsed();
    assert_eq!(times_begun(&upstream), 1, "{CALLERS} callers share one reading");
    let (shown, links) = pages(&gate, Some(ALICE), 1000);
    assert_eq!(shown, open_ones(COUNT, 0));
    assert_eq!(links.len(), COUNT / 10 / 1000 - 1);
    assert!(!links.iter().any(|link| link.contains("hidden")), "{links:?}");
    let grown = (gate.process().peak_memory() - before) / 1024 / 1024;
    println!(
        "{COUNT} names: first pages of {CALLERS} after {read:?}, all pages after {:?}, {grown} MiB",
        begun.elapsed()
    );
}

/// 64 MiB are 264,000 of the longest names. So that a walk to the end is short, the registry has few of them by then.
#[test]
fn of_more_names_than_are_kept_pages_are_short_and_their_cursors_sealed() {
    const PADDING: usize = 240;
    const LEFT: usize = 2_550;
    let count = Arc::new(AtomicUsize::new(300_000));
    let upstream = registry_of(&count, PADDING);
    let gate = Gate::before(upstream.url()).access(GRANTS).set("log.level", "info").start();
    let begun = Instant::now();
    let target = |path: &str| {
        let answer = gate.by(ALICE, "GET", path).run().expect(200);
        let names = answer.json()["repositories"].clone();
        assert_eq!(names, serde_json::json!(open_ones(100, PADDING)));
        answer.head().one("link").split(['<', '>']).nth(1).expect("a target").to_owned()
    };
    let next = target("/v2/_catalog?n=500");
    let grown = gate.process().peak_memory() / 1024 / 1024;
    println!("too many names: known after {:?}, the gate holds {grown} MiB at most", begun.elapsed());
    target("/v2/_catalog?n=500");
    assert_eq!(times_begun(&upstream), 1 + 2, "one reading to count them, and a page for each who asks");
    // Between names of one's own choice one could find what is hidden there.
    let of_his_own = format!("/v2/_catalog?n=500&last={}", name(50, PADDING));
    for refused in
        [of_his_own, next.replace("n=500", "n=1"), next.replace("last=.", "last=.A"), "/v2/_catalog?last=a".into()]
    {
        gate.by(ALICE, "GET", &refused).run().expect(400);
    }
    count.store(LEFT, Ordering::SeqCst);
    let asked = upstream.received().len();
    let (shown, links) = pages(&gate, Some(ALICE), 500);
    assert_eq!(shown, open_ones(LEFT, PADDING));
    assert_eq!((links.len(), upstream.received().len() - asked), (25, 26));
    assert!(links.iter().all(|link| link.contains("last=.") && link.len() < 1000), "{links:?}");
    assert!(!links.iter().any(|link| link.contains("hidden") || link.contains("open")), "{links:?}");
}

/// The page that is being read does not have it.
#[test]
fn what_is_pushed_while_the_list_is_read_is_in_it() {
    let is_pushed = Arc::new(AtomicBool::new(false));
    let upstream = Upstream::scripted({
        let is_pushed = Arc::clone(&is_pushed);
        move |connection: &mut Connection| {
            while let Some(head) = connection.request()? {
                if head.method() == "PUT" {
                    connection.body(&head, &mut io::sink())?;
                    connection.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")?;
                    continue;
                }
                eventually(PATIENCE, "the push", || is_pushed.load(Ordering::SeqCst).then_some(()));
                connection.send(&lockgate_e2e::ok(r#"{"repositories":["public/old"]}"#))?;
            }
            Ok(())
        }
    });
    let gate = with_grants(Gate::before(upstream.url())).start();
    std::thread::scope(|scope| {
        let listed = scope.spawn(|| pages(&gate, None, 10).0);
        upstream.await_received("the list", |request| request.head.target().starts_with("/v2/_catalog"));
        put(gate.by(ADMIN, "PUT", "/v2/public/new/manifests/v1"), &index("x")).run().expect(201);
        is_pushed.store(true, Ordering::SeqCst);
        assert_eq!(listed.join().expect("a list"), ["public/new", "public/old"]);
    });
}
