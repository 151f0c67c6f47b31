//! Promise: whatever the registry behind the gate does, each client gets a well-formed answer, or one that visibly breaks
//! off; and the next request works and gets its own answer.

mod client;

use client::Gives::{Cut, Honest, Passed, Refusal};
use client::{ALICE, Case, Gives, Kind, STOLEN, gate_before, hold, honest};
use lockgate_e2e::{Act, Fault, Next, Point, Upstream, honest_body, ok, upstream_with};
use std::io::sink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

/// Trials at a time where none waits for a timeout.
const SOME: usize = 8;

/// What an upstream that ends the connection at a point gives.
fn ended_at(point: Point, act: Act) -> impl Fn(Kind) -> Vec<Gives> {
    move |kind| match point {
        Point::AnswerBody if kind.is_head() => vec![Honest],
        Point::AnswerBody => vec![Cut],
        // A reset throws away what was sent and not yet taken.
        Point::Idle if act == Act::Reset && kind == Kind::GetLarge => vec![Honest, Cut],
        Point::Idle => vec![Honest],
        _ => vec![Refusal(502)],
    }
}

fn answer(status_line: &str, headers: &str, body: &str) -> String {
    format!("{status_line}\r\n{headers}\r\n{body}")
}

#[test]
fn an_upstream_that_resets_or_closes_at_any_point_is_502_or_a_visible_break() {
    let cases = [Act::Reset, Act::Close]
        .into_iter()
        .flat_map(|act| Point::ALL.map(|point| Case::new(Fault::at(point, act), ended_at(point, act))));
    hold(cases.collect(), SOME, &[]);
}

#[test]
fn an_upstream_that_stalls_at_any_point_is_504_or_a_visible_break() {
    let stalled_at = |point| {
        move |kind: Kind| match point {
            Point::AnswerBody if kind.is_head() => vec![Honest],
            Point::AnswerBody => vec![Cut],
            _ => vec![Refusal(504)],
        }
    };
    let points = Point::ALL.into_iter().filter(|point| *point != Point::Idle);
    let cases = points.map(|point| Case::new(Fault::at(point, Act::Stall), stalled_at(point)));
    // Honest answers wait for nobody; the seconds are for a machine that is busy with other tests.
    hold(cases.collect(), usize::MAX, &[("upstream.read_timeout", "3s"), ("upstream.write_timeout", "3s")]);
}

#[test]
fn an_upstream_that_resets_or_stalls_before_it_reads_anything_is_502_or_504() {
    for (act, status) in [(Act::Reset, 502), (Act::Stall, 504)] {
        let failing = Arc::new(AtomicBool::new(false));
        let upstream = Upstream::scripted({
            let failing = Arc::clone(&failing);
            move |connection| {
                match act {
                    _ if !failing.load(Ordering::SeqCst) => {
                        let Some(head) = connection.request()? else { return Ok(()) };
                        let body = honest_body(head.method(), head.target());
                        // Closed, so that the next request comes on a new connection.
                        let head =
                            format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                        connection.send(&[head.as_bytes(), &body].concat())?;
                    }
                    Act::Reset => connection.reset()?,
                    _ => connection.stall(),
                }
                Ok(())
            }
        });
        let settings = [("upstream.read_timeout", "2s"), ("upstream.write_timeout", "2s")];
        let gate = gate_before(&upstream, &settings);
        let (manifest, upload) = ("/v2/a/manifests/x", "/v2/a/blobs/uploads/x");
        for (method, path, body) in
            [("GET", manifest, ""), ("HEAD", manifest, ""), ("PUT", manifest, "short"), ("PATCH", upload, "short")]
        {
            failing.store(true, Ordering::SeqCst);
            let curl = gate.curl(path).method(method);
            let answer = if body.is_empty() { curl.run() } else { curl.body(body).run() };
            assert_eq!(answer.status(), status, "{act:?}, {method}");
            failing.store(false, Ordering::SeqCst);
            honest(&mut gate.wire(), 0, "new").unwrap();
        }
    }
}

#[test]
fn what_is_no_http_answer_is_502() {
    let long = "a".repeat(1 << 20);
    let many = (0..300).map(|n| format!("X-{n}: a\r\n")).collect::<String>();
    let fine = "HTTP/1.1 200 OK";
    let plain = "Content-Length: 2\r\n";
    let bad = [
        ("no status line", "SSH-2.0-OpenSSH_9.2p1\r\n\r\n".to_owned()),
        ("nothing but line ends", "\r\n\r\n\r\n".to_owned()),
        ("HTTP/0.9", "<html>an error page</html>".to_owned()),
        ("a status in letters", answer("HTTP/1.1 abc OK", plain, "{}")),
        ("a status of two digits", answer("HTTP/1.1 99 Low", plain, "{}")),
        ("a status of four digits", answer("HTTP/1.1 2000 OK", plain, "{}")),
        ("a status of no class", answer("HTTP/1.1 999 High", plain, "{}")),
        ("HTTP/2.0", answer("HTTP/2.0 200 OK", plain, "{}")),
        ("a header without colon", answer(fine, &format!("{plain}Nonsense\r\n"), "{}")),
        ("a header without name", answer(fine, &format!("{plain}: a\r\n"), "{}")),
        ("NUL in a value", answer(fine, &format!("{plain}X: a\0b\r\n"), "{}")),
        ("NUL in a name", answer(fine, &format!("{plain}X\0: a\r\n"), "{}")),
        ("CR in a value", answer(fine, &format!("{plain}X: a\rSet-Cookie: b\r\n"), "{}")),
        ("a header of a MiB", answer(fine, &format!("{plain}X: {long}\r\n"), "{}")),
        ("300 headers", answer(fine, &format!("{plain}{many}"), "{}")),
        ("a negative length", answer(fine, "Content-Length: -2\r\n", "{}")),
        ("a length in letters", answer(fine, "Content-Length: two\r\n", "{}")),
        ("a length beyond 64 bits", answer(fine, "Content-Length: 99999999999999999999\r\n", "{}")),
        ("two lengths", answer(fine, "Content-Length: 2\r\nContent-Length: 3\r\n", "{}")),
        ("a coding that is none", answer(fine, "Transfer-Encoding: identity\r\n", "{}")),
        ("a coding beside chunked", answer(fine, "Transfer-Encoding: gzip, chunked\r\n", "2\r\n{}\r\n0\r\n\r\n")),
        (
            "chunked twice",
            answer(fine, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ),
        ("101 without having been asked", answer("HTTP/1.1 101 Switching Protocols", "Upgrade: h2c\r\n", STOLEN)),
        ("1xx without end", "HTTP/1.1 102 Processing\r\n\r\n".repeat(100_000)),
    ];
    let cases =
        bad.into_iter().map(|(name, bytes)| Case::always(Fault::saying(name, bytes, Next::HangUp), Refusal(502)));
    hold(cases.collect(), SOME, &[]);
}

#[test]
fn a_folded_header_line_is_unfolded() {
    let folded = answer("HTTP/1.1 200 OK", "Content-Length: 2\r\nX: a\r\n b\r\n", "{}");
    hold(vec![Case::always(Fault::saying("a folded line", folded, Next::GoOn), Passed(200))], SOME, &[]);
}

#[test]
fn a_body_that_is_not_what_its_header_says_never_ends_cleanly() {
    let chunked = |body: &str| answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\n", body);
    let bad = [
        ("fewer bytes than the length", answer("HTTP/1.1 200 OK", "Content-Length: 1000\r\n", "{}")),
        ("no last chunk", chunked("2\r\n{}\r\n")),
        ("half a chunk", chunked("1000\r\n{}")),
        ("a chunk size in letters", chunked("2\r\n{}\r\nzz\r\n{}\r\n0\r\n\r\n")),
        ("a negative chunk size", chunked("2\r\n{}\r\n-2\r\n{}\r\n0\r\n\r\n")),
        ("a chunk size beyond 64 bits", chunked("2\r\n{}\r\n11111111111111111\r\n{}\r\n0\r\n\r\n")),
        ("a chunk longer than its size", chunked("2\r\n{}{}{}{}\r\n0\r\n\r\n")),
        ("no chunks at all", chunked("{}")),
    ];
    let cases = bad
        .into_iter()
        .map(|(name, bytes)| Case::but_for_head(Fault::saying(name, bytes, Next::HangUp), Cut, Passed(200)));
    hold(cases.collect(), SOME, &[]);
}

#[test]
fn what_an_upstream_says_beyond_its_answer_reaches_nobody() {
    let stolen = answer("HTTP/1.1 200 OK", &format!("Content-Length: {}\r\n", STOLEN.len()), STOLEN);
    let fine = |headers: &str, body: &str| answer("HTTP/1.1 200 OK", headers, body);
    let surplus = [
        ("two answers", 200, fine("Content-Length: 2\r\n", &format!("{{}}{stolen}"))),
        (
            "two answers, in chunks",
            200,
            fine("Transfer-Encoding: chunked\r\n", &format!("2\r\n{{}}\r\n0\r\n\r\n{stolen}")),
        ),
        ("more bytes than the length", 200, fine("Content-Length: 2\r\n", &format!("{{}}{STOLEN}"))),
        (
            "a length beside chunks",
            200,
            fine("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ),
        ("a late 100", 200, fine("Content-Length: 2\r\n", "{}HTTP/1.1 100 Continue\r\n\r\n")),
        ("204 with a body", 204, answer("HTTP/1.1 204 No Content", "", &stolen)),
        ("204 with a length and a body", 204, answer("HTTP/1.1 204 No Content", "Content-Length: 6\r\n", STOLEN)),
        ("304 with a body", 304, answer("HTTP/1.1 304 Not Modified", "Content-Length: 6\r\n", STOLEN)),
    ];
    let cases = surplus
        .into_iter()
        .map(|(name, status, bytes)| Case::always(Fault::saying(name, bytes, Next::GoOn), Passed(status)));
    hold(cases.collect(), SOME, &[]);
}

#[test]
fn what_an_upstream_says_between_two_requests_reaches_nobody() {
    let (go_on, wait) = mpsc::channel::<()>();
    let (said, sent) = mpsc::channel::<()>();
    let (wait, said) = (Mutex::new(wait), Mutex::new(said));
    let upstream = Upstream::scripted(move |connection| {
        let mut is_first = true;
        while let Some(head) = connection.request()? {
            connection.body(&head, &mut sink())?;
            connection.send(&ok(honest_body(head.method(), head.target())))?;
            if std::mem::take(&mut is_first) && wait.lock().unwrap().recv().is_ok() {
                connection.send(&ok(STOLEN))?;
                let _ = said.lock().unwrap().send(());
            }
        }
        Ok(())
    });
    let gate = gate_before(&upstream, &[]);
    let mut wire = gate.wire();
    for number in 0..20 {
        honest(&mut wire, number, "same").unwrap();
        go_on.send(()).unwrap();
        sent.recv().unwrap();
    }
}

#[test]
fn an_answer_before_the_end_of_the_request_is_passed_on() {
    let full = answer("HTTP/1.1 413 Content Too Large", "Content-Length: 2\r\n", "{}");
    let created = answer("HTTP/1.1 201 Created", "Content-Length: 0\r\n", "");
    let closing = |text: &str| text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let early = [
        ("4xx, then reads on", 413, full.clone(), Next::GoOn),
        ("4xx, then closes", 413, closing(&full), Next::HangUp),
        ("2xx, then reads on", 201, created.clone(), Next::GoOn),
        ("2xx, then closes", 201, closing(&created), Next::HangUp),
    ];
    let cases = early.into_iter().map(|(name, status, bytes, next)| {
        Case::new(Fault::answering_early(name, bytes, next), move |kind| {
            // Closing with a body unread resets the connection, which may overtake the answer.
            let may_be_lost = next == Next::HangUp && kind.has_body();
            if may_be_lost { vec![Passed(status), Refusal(502)] } else { vec![Passed(status)] }
        })
    });
    let mut cases: Vec<Case> = cases.collect();
    let full = closing(&full);
    let stalling = Fault::new("4xx, then stalls", move |connection, _| {
        connection.send(full.as_bytes())?;
        connection.stall();
        Ok(Next::HangUp)
    });
    cases.push(Case::always(stalling, Passed(413)));
    hold(cases, SOME, &[("upstream.write_timeout", "2s")]);
}

#[test]
fn interim_answers_do_not_stand_in_for_the_answer() {
    let leave = "HTTP/1.1 100 Continue\r\n\r\n";
    let interim = [
        ("100 unasked", leave.to_owned()),
        ("100 twice", leave.repeat(2)),
        ("103", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".to_owned()),
        ("100, 102 and 103", format!("{leave}HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n")),
    ];
    let cases = interim.into_iter().map(|(name, bytes)| {
        let fault = Fault::new(name, move |connection, head| {
            connection.send(bytes.as_bytes())?;
            if bytes.contains(" 100 ") {
                connection.body_unasked(head)?
            } else {
                connection.body(head, &mut sink()).map(drop)?
            }
            connection.send(&ok(honest_body(head.method(), head.target())))?;
            Ok(Next::GoOn)
        });
        Case::new(fault, |kind| vec![if kind.is_head() { Passed(200) } else { Honest }])
    });
    hold(cases.collect(), SOME, &[]);
}

#[test]
fn a_client_of_http_1_0_is_given_no_interim_answer() {
    let upstream =
        Upstream::answering("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let gate = gate_before(&upstream, &[]);
    let mut wire = gate.wire();
    wire.send(format!("GET /v2/ HTTP/1.0\r\nHost: r\r\n{ALICE}\r\n\r\n"));
    assert_eq!(wire.response().head.status(), 200);
}

#[test]
fn an_upstream_that_stalls_between_two_requests_costs_one_of_them() {
    let upstream = upstream_with(vec![Fault::at(Point::Idle, Act::Stall)]);
    let gate = gate_before(&upstream, &[("upstream.read_timeout", "3s")]);
    for _ in 0..3 {
        gate.curl("/v2/fault/manifests/0").run().expect(200);
        gate.curl("/v2/honest/manifests/x").run().oci_error(504);
        honest(&mut gate.wire(), 0, "new").unwrap();
    }
}

#[test]
fn the_same_holds_over_http_2() {
    let whole = |body: &str| answer("HTTP/1.1 200 OK", &format!("Content-Length: {}\r\n", body.len()), body);
    let upstream = upstream_with(vec![
        Fault::at(Point::BeforeAnswer, Act::Reset),
        Fault::at(Point::AnswerHeader, Act::Close),
        Fault::saying("101", answer("HTTP/1.1 101 Switching Protocols", "Upgrade: h2c\r\n", STOLEN), Next::HangUp),
        Fault::saying(
            "two codings",
            answer("HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
            Next::GoOn,
        ),
        Fault::at(Point::AnswerBody, Act::Reset),
        Fault::at(Point::AnswerBody, Act::Close),
        Fault::saying(
            "no last chunk",
            answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n"),
            Next::HangUp,
        ),
        Fault::saying("two answers", whole("{}") + &whole(STOLEN), Next::GoOn),
        Fault::saying("100 and an answer", format!("HTTP/1.1 100 Continue\r\n\r\n{}", whole("{}")), Next::GoOn),
    ]);
    let gate = gate_before(&upstream, &[("listen.http2", "true")]);
    let ask = |number: usize| gate.curl(&format!("/v2/fault/manifests/{number}?size=300000")).arg("--http2");
    for number in 0..9 {
        for answer in [ask(number).run(), ask(number).method("PUT").body(vec![b'a'; 300_000]).run()] {
            match number {
                0..4 => drop(answer.oci_error(502)),
                // The stream is reset, which may overtake what began.
                4..7 => assert_ne!(answer.exit, 0, "{number}: {answer:?}"),
                _ => assert_eq!((answer.status(), answer.exit, answer.text().as_ref()), (200, 0, "{}"), "{number}"),
            }
            let next = gate.curl("/v2/honest/manifests/x").arg("--http2").run();
            assert_eq!(next.expect(200).body, honest_body("GET", "/v2/honest/manifests/x"));
        }
    }
}
