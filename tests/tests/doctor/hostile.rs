//! A server that does not mean well.

use lockgate_e2e::{Front, Upstream, finish, program};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::asked::Doctor;
use crate::site::Certificates;

/// HAProxy that ends TLS and hands on every byte.
fn behind_tls(certificates: &Certificates, upstream: &Upstream) -> Front {
    let (pem, to) = (Front::joined(&certificates.pair), upstream.address());
    Front::haproxy(|address| {
        format!("listen r\n  mode tcp\n  bind {address} ssl crt {}\n  server r {to}\n", pem.display())
    })
}

fn ask(answer: impl Into<Vec<u8>>) -> String {
    let certificates = Certificates::new();
    let upstream = Upstream::answering(answer);
    let front = behind_tls(&certificates, &upstream);
    let asked = Doctor::of(front.address()).trusting(&certificates.authority.certificate);
    let (_, text) = asked.user("alice", "a-secret-of-alice").writing().text();
    assert!(text.chars().all(|character| matches!(character, ' '..='~' | '\n')), "{text:?}");
    text
}

#[test]
fn nothing_of_it_moves_the_cursor() {
    let page = "<title>\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}evil</title>";
    let text = ask(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nServer: a\u{9b}b\r\nContent-Length: {}\r\n\r\n{page}",
        page.len()
    ));
    assert!(text.contains("\\u{1b}[2J"), "{text}");
    let text = ask(b"HTTP/1.1 302 Found\r\nLocation: https://a/\xff\xfe\x9b31m\r\nContent-Length: 0\r\n\r\n".to_vec());
    assert!(text.contains("FAIL  api"), "{text}");
}

#[test]
fn a_password_that_it_says_back_is_not_shown() {
    let challenge = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"r\"\r\nContent-Length: ";
    let body = "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"not a-secret-of-alice YWxpY2U6YS1zZWNyZXQtb2YtYWxpY2U=\"}]}";
    let text = ask(format!("{challenge}{}\r\n\r\n{body}", body.len()));
    assert!(text.contains("UNAUTHORIZED not *** ***"), "{text}");
}

#[test]
fn an_answer_without_an_end_takes_neither_time_nor_memory() {
    let certificates = Certificates::new();
    for head in ["HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", "HTTP/1.1 200 OK\r\n"] {
        let upstream = Upstream::scripted(move |connection| {
            connection.request()?;
            connection.send(head.as_bytes())?;
            loop {
                connection.send(&b"a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(100))?;
            }
        });
        let front = behind_tls(&certificates, &upstream);
        let start = Instant::now();
        let mut process = program("lockgate");
        process.arg("doctor").arg(format!("https://{}", front.address()));
        process.arg("--ca").arg(&certificates.authority.certificate);
        let done = finish(&mut process).failure();
        assert!(done.stdout.contains("FAIL  api"), "{done}");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }
}

#[test]
fn an_answer_that_never_comes_is_not_waited_for_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It takes connections and what is sent, and says nothing.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut { stream }, &mut std::io::sink()));
        }
    });
    let start = Instant::now();
    Doctor::of(address).ask().says("tls", "within 10s").finds(&[("tls", "fail")]);
    assert!(start.elapsed() < Duration::from_secs(40));
}

#[test]
fn a_wrong_command_line_is_told_by_64() {
    for arguments in [
        &["http://registry.example.com"][..],
        &["https://registry.example.com/registry/"],
        &["https://alice:secret@registry.example.com"],
        &["https://registry.example.com", "--stdin"],
        &["https://registry.example.com", "--write", "Team/App"],
        &[],
    ] {
        let done = finish(program("lockgate").arg("doctor").args(arguments)).failure();
        assert_eq!(done.status.code(), Some(64), "{done}");
    }
    let done = finish(program("lockgate").args(["doctor", "https://127.0.0.1:1", "--ca", "no-such-file"])).failure();
    assert!(done.stderr.contains("no-such-file"), "{done}");
}
