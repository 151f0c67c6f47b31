//! Promise: the registry behind the gate gets the request the client made, and knows who made it.

use lockgate_e2e::{Api, Backend, Curl, DockerRegistry, Gate, Pattern, Upstream, fresh_dir, ok, sha256};
use std::collections::BTreeSet;
use std::time::Duration;

const BLOB: &str = "/v2/a/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000";
const ALICE: &str = "Authorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==\r\n";

#[test]
fn the_registry_learns_the_client_s_host_address_and_scheme() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    gate.curl("/v2/").run().expect(200);
    let head = upstream.only().head;
    assert_eq!(head.one("host"), gate.door().address.to_string(), "with its port: Locations are made of it");
    assert_eq!(head.one("x-real-ip"), "127.0.0.1");
    assert_eq!(head.one("x-forwarded-for"), "127.0.0.1");
    assert_eq!(head.one("x-forwarded-proto"), "https");
}

#[test]
fn the_registry_is_told_who_asks_where_it_is_to_know() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("upstream.user_header", "X-WebAuth-User").start();
    let claims = ["X-WebAuth-User: root", "x-webauth-user: root", "X_WebAuth_User: root", "X-WebAuth_User: root"];
    let curl = claims.iter().fold(gate.curl("/v2/"), |curl, claim| curl.header(claim));
    curl.header("Connection: X-WebAuth-User").run().expect(200);
    let head = upstream.only().head;
    assert_eq!(head.one("x-webauth-user"), "alice");
    assert!(!String::from_utf8_lossy(&head.raw).contains("root"), "{head:#?}");
}

#[test]
fn without_a_header_for_it_the_registry_is_not_told_who_asks() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    gate.curl("/v2/").header("X-Forwarded-User: root").run().expect(200);
    let raw = upstream.only().head.raw;
    assert!(!String::from_utf8_lossy(&raw).to_ascii_lowercase().contains("user:"));
}

#[test]
fn the_host_is_forwarded_as_the_client_wrote_it() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    for host in ["registry.example.com:5043", "registry.example.com", "[::1]:5043", "registry.example.com:"] {
        gate.curl("/v2/").header(&format!("Host: {host}")).run().expect(200);
        assert_eq!(upstream.received().last().unwrap().head.one("host"), host);
    }
}

#[test]
fn a_target_in_absolute_form_is_forwarded_as_its_path() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let mut wire = gate.wire();
    let catalog = "/v2/_catalog?n=2&last=a%2Fb";
    for (line, host) in [
        (format!("GET https://r:5043{catalog} HTTP/1.1\r\nHost: r:5043\r\n"), "r:5043"),
        (format!("GET HTTPS://R{catalog} HTTP/1.1\r\nHost: r:443\r\n"), "r:443"),
        (format!("GET https://r:5043{catalog} HTTP/1.0\r\n"), "r:5043"),
    ] {
        wire.send(format!("{line}{ALICE}\r\n"));
        assert_eq!(wire.response().head.status(), 200, "{line}");
        let head = upstream.received().pop().expect("a request").head;
        assert_eq!((head.target(), head.one("host")), (catalog, host));
    }
}

/// Registries know more algorithms than others do (OCI image specification, "Digests").
#[test]
fn a_digest_of_any_algorithm_reaches_the_registry_and_what_is_none_does_not() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let blake3 = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    let targets = |digest: &str| {
        [
            ("GET", format!("/v2/a/blobs/{digest}")),
            ("HEAD", format!("/v2/a/manifests/{digest}")),
            ("PUT", format!("/v2/a/manifests/{digest}")),
            ("GET", format!("/v2/a/referrers/{digest}")),
            ("POST", format!("/v2/a/blobs/uploads/?mount={digest}&from=b")),
            ("PUT", format!("/v2/a/blobs/uploads/u?digest={digest}")),
        ]
    };
    for digest in [blake3, "md5:d41d8cd98f00b204e9800998ecf8427e", "a+b.c_d-e:LCa0a2j_xo-5m0U8HTBBNBNCLXBkg7-g="] {
        for (method, target) in targets(&digest.replace('+', "%2B")) {
            // A path has no escapes, and in a query a plus is a space.
            let target = if target.contains('?') { target } else { target.replace("%2B", "+") };
            let status = gate.curl(&target).method(method).run().status();
            assert_eq!(status, 200, "{method} {target}");
            assert_eq!(upstream.received().pop().expect("a request").head.target(), target);
        }
    }
    gate.curl("/v2/a/blobs/uploads/?digest-algorithm=blake3").method("POST").run().expect(200);
    let before = upstream.received().len();
    for none in ["BLAKE3:00", "blake3:", "blake3:0:0", "b--3:00", "blake3-:00", "sha256:00", "sha512:00", "blake3:a~"] {
        for (method, target) in targets(none) {
            // A mount whose digest is none is refused; a reference without an algorithm would be a tag.
            let status = gate.curl(&target).method(method).run().status();
            assert!([400, 404].contains(&status), "{method} {target}: {status}");
        }
    }
    assert_eq!(upstream.received().len(), before, "{:#?}", upstream.received().pop());
}

#[test]
fn what_a_client_makes_its_request_depend_on_goes_on_and_comes_back() {
    let upstream = Upstream::answering("HTTP/1.1 412 Precondition Failed\r\nEtag: \"a\"\r\nContent-Length: 0\r\n\r\n");
    let gate = Gate::before(upstream.url()).start();
    let conditions = [
        ("If-Match", "\"a\", W/\"b\""),
        ("If-None-Match", "*"),
        ("If-Range", "\"a\""),
        ("Range", "bytes=0-3, 10-, -5"),
        ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ];
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        let curl = gate.curl("/v2/a/manifests/x").method(method);
        let curl = conditions.iter().fold(curl, |curl, (name, value)| curl.header(&format!("{name}: {value}")));
        assert_eq!(curl.run().expect(412).head().one("etag"), "\"a\"");
        let head = upstream.received().pop().expect("a request").head;
        for (name, value) in conditions {
            assert_eq!(head.one(name), value, "{method}");
        }
    }
}

/// An upstream that does not heed `X-Forwarded-Proto`, or knows itself by its own name.
#[test]
fn an_upstream_that_sends_on_to_itself_sends_on_to_the_gate() {
    let upstream = Upstream::scripted(|connection| {
        while let Some(head) = connection.request()? {
            let own = connection.address();
            let told = head.one("host").to_owned();
            let location = match head.target() {
                "/v2/own/blobs/uploads/" => format!("http://{own}/v2/own/blobs/uploads/u?state=a%2Fb"),
                "/v2/told/blobs/uploads/" => format!("http://{told}/v2/told/blobs/uploads/u"),
                "/v2/path/blobs/uploads/" => "/v2/path/blobs/uploads/u".to_owned(),
                _ => format!("https://s3.example.com/layer?from=http://{own}/"),
            };
            let link = format!("Link: <http://{own}/v2/_catalog?last=a>; rel=\"next\"\r\n");
            connection.send(
                format!("HTTP/1.1 202 Accepted\r\nLocation: {location}\r\n{link}Content-Length: 0\r\n\r\n").as_bytes(),
            )?;
        }
        Ok(())
    });
    let gate = Gate::before(upstream.url()).start();
    let url = |path: &str| gate.door().url(path);
    for (repository, location) in [
        ("own", url("/v2/own/blobs/uploads/u?state=a%2Fb")),
        ("told", url("/v2/told/blobs/uploads/u")),
        ("path", "/v2/path/blobs/uploads/u".to_owned()),
        ("other", format!("https://s3.example.com/layer?from={}/", upstream.url())),
    ] {
        let answer = gate.curl(&format!("/v2/{repository}/blobs/uploads/")).method("POST").run().expect(202);
        assert_eq!(answer.head().one("location"), location);
        assert_eq!(answer.head().one("link"), format!("<{}>; rel=\"next\"", url("/v2/_catalog?last=a")));
    }
    let mut wire = gate.wire();
    wire.send(format!("POST /v2/own/blobs/uploads/ HTTP/1.0\r\n{ALICE}\r\n"));
    assert_eq!(wire.response().head.one("location"), "/v2/own/blobs/uploads/u?state=a%2Fb", "whatever its way here is");
}

#[test]
fn an_upstream_that_asks_for_a_password_of_its_own_leaves_one_line_that_names_the_key() {
    let answer = "HTTP/1.1 401 Unauthorized\r\nWww-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";
    let upstream = Upstream::answering(answer);
    let lines = |gate: &Gate| gate.log().text().lines().filter(|line| line.contains("forward_authorization")).count();
    let gate = Gate::before(upstream.url()).start();
    for _ in 0..10 {
        let answer = gate.curl("/v2/").run().expect(502);
        assert!(answer.head().all("www-authenticate").is_empty(), "its challenge is none that the client could meet");
    }
    assert_eq!(lines(&gate), 1, "{}", gate.log().text());
    let forwarding = Gate::before(upstream.url()).set("upstream.forward_authorization", true).start();
    forwarding.curl("/v2/").run().expect(401);
    assert_eq!(lines(&forwarding), 0, "{}", forwarding.log().text());
}

#[test]
fn what_strangers_claim_is_dropped() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let claims = [
        "X-Forwarded-For: 10.0.0.1",
        "X-Real-IP: 10.0.0.2",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: evil.test",
        "Forwarded: for=10.0.0.3;host=evil.test;proto=http",
        "X_Forwarded_Proto: http",
        "X-FORWARDED-HOST: evil.test",
    ];
    claims.iter().fold(gate.curl("/v2/"), |curl, claim| curl.header(claim)).run().expect(200);
    let head = upstream.only().head;
    assert_eq!(head.one("x-forwarded-for"), "127.0.0.1");
    assert_eq!(head.one("x-real-ip"), "127.0.0.1");
    assert_eq!(head.one("x-forwarded-proto"), "https");
    let text = String::from_utf8_lossy(&head.raw).to_lowercase();
    assert!(!text.contains("evil.test") && !text.contains("forwarded:") && !text.contains("x_forwarded"), "{text}");
}

#[test]
fn what_belongs_to_one_connection_is_not_forwarded() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let mut wire = gate.wire();
    wire.send(format!(
        "GET /v2/ HTTP/1.1\r\nHost: registry.test\r\n{ALICE}Connection: keep-alive, X-Secret\r\nX-Secret: 1\r\n\
         Keep-Alive: timeout=5\r\nTE: trailers\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\nX-Kept: 1\r\n\r\n"
    ));
    assert_eq!(wire.response().head.status(), 200);
    let head = upstream.only().head;
    for name in ["x-secret", "keep-alive", "te", "proxy-connection", "upgrade"] {
        assert!(head.all(name).is_empty(), "{name}: {head:#?}");
    }
    assert_eq!(head.one("x-kept"), "1");
}

#[test]
fn credentials_stay_at_the_gate_unless_the_upstream_wants_them() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    gate.curl("/v2/").run().expect(200);
    assert!(upstream.only().head.all("authorization").is_empty());
    let forwarding = Gate::before(upstream.url()).set("upstream.forward_authorization", true).start();
    forwarding.curl("/v2/").run().expect(200);
    let head = upstream.received().remove(1).head;
    assert_eq!(head.one("authorization"), "Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==");
}

#[test]
fn every_method_of_the_registry_goes_through_and_back() {
    let upstream = Upstream::scripted(|connection| {
        while let Some(head) = connection.request()? {
            connection.body(&head, &mut std::io::sink())?;
            let status = match head.method() {
                "DELETE" | "PATCH" => "202 Accepted",
                "PUT" | "POST" => "201 Created",
                _ => "200 OK",
            };
            connection.send(
                format!("HTTP/1.1 {status}\r\nX-Was: {}\r\nContent-Length: 0\r\n\r\n", head.method()).as_bytes(),
            )?;
        }
        Ok(())
    });
    let gate = Gate::before(upstream.url()).start();
    let (manifest, uploads, upload) = ("/v2/a/manifests/x", "/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/u");
    for (method, path, status) in [
        ("GET", manifest, 200),
        ("HEAD", manifest, 200),
        ("PUT", manifest, 201),
        ("DELETE", manifest, 202),
        ("POST", uploads, 201),
        ("PATCH", upload, 202),
        ("HEAD", upload, 200),
    ] {
        let answer = gate.curl(path).method(method).run().expect(status);
        assert_eq!(answer.head().one("x-was"), method);
    }
}

#[test]
fn a_method_that_the_end_point_does_not_know_goes_nowhere() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    for (method, path, allowed) in [
        ("OPTIONS", "/v2/", "GET, HEAD"),
        ("POST", "/v2/a/manifests/x", "GET, HEAD, PUT, DELETE"),
        ("GET", "/v2/a/blobs/uploads/", "POST"),
        ("DELETE", "/v2/_catalog", "GET, HEAD"),
        ("OPTIONS", "/v2/_extension/x", "GET, HEAD, POST, PUT, PATCH, DELETE"),
    ] {
        let refused = gate.curl(path).method(method).run();
        assert_eq!(refused.head().one("allow"), allowed);
        refused.oci_error(405);
        gate.stranger(path).method(method).run().oci_error(401);
    }
    assert!(upstream.received().is_empty());
}

#[test]
fn a_query_that_two_readers_read_differently_goes_nowhere() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    for query in ["from=a&from=b", "from=a&%66rom=b", "n=1;last=a", "last=%zz", "last=%00", "last=%ff", "n=1&n=2"] {
        gate.curl(&format!("/v2/_catalog?{query}")).run().oci_error(400);
    }
    assert!(upstream.received().is_empty());
}

#[test]
fn a_digest_of_any_algorithm_goes_to_the_registry_that_may_know_it_and_what_is_none_goes_nowhere() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    for digest in ["md5:d41d8cd98f00b204e9800998ecf8427e", "blake3:af13", "sha256+b64u:LCa0a2j_xo-5m0U8="] {
        for path in [format!("blobs/{digest}"), format!("manifests/{digest}"), format!("referrers/{digest}")] {
            gate.curl(&format!("/v2/a/{path}")).run().expect(200);
            assert_eq!(upstream.received().last().unwrap().head.target(), format!("/v2/a/{path}"));
        }
    }
    let (query, uploads) = ("digest-algorithm=blake3&mount=blake3:af13&from=b", "/v2/a/blobs/uploads/");
    gate.curl(&format!("{uploads}?{query}")).method("POST").run().expect(200);
    let received = upstream.received().len();
    for path in ["/v2/a/blobs/MD5:00", "/v2/a/blobs/sha256:00", "/v2/a/referrers/md5:"] {
        gate.curl(path).run().oci_error(400);
    }
    assert_eq!(upstream.received().len(), received);
}

#[test]
fn a_mount_from_nowhere_reaches_the_upstream_as_an_ordinary_upload() {
    let upstream = Upstream::answering("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    let gate = Gate::before(upstream.url()).start();
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    gate.curl(&format!("/v2/a/blobs/uploads/?mount={digest}&x=%2F")).method("POST").run().expect(202);
    assert_eq!(upstream.only().head.target(), "/v2/a/blobs/uploads/?x=%2F");
}

/// Registries in Go read a form before the query: what is authorised would not be what is done.
#[test]
fn a_form_reaches_the_upstream_as_mere_bytes() {
    let upstream = Upstream::answering("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    let gate = Gate::before(upstream.url()).start();
    for form in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"] {
        let post = gate.curl("/v2/a/blobs/uploads/").method("POST").header(&format!("Content-Type: {form}"));
        post.body("from=secret/app&mount=sha256:00").run().expect(202);
        let received = upstream.received().pop().expect("a request");
        assert_eq!(received.head.all("content-type"), ["application/octet-stream"]);
        assert_eq!(received.body, b"from=secret/app&mount=sha256:00");
    }
}

/// The same with the registry that reads them so.
#[test]
fn a_form_mounts_nothing_from_a_repository_that_the_target_does_not_name() {
    let data = fresh_dir();
    let registry = DockerRegistry::over(data.path());
    let gate = Gate::before(registry.url()).start();
    let api = Api::at(gate.door());
    let digest = api.push_blob("secret/app", b"a private layer");
    let post = |door: Curl| {
        let form = "Content-Type: application/x-www-form-urlencoded";
        door.method("POST").header(form).body(format!("from=secret/app&mount={digest}")).run()
    };
    let around = post(Curl::new(&format!("{}/v2/open/x/blobs/uploads/", registry.url())));
    assert_eq!(around.status(), 201, "without the gate it is mounted: {}", around.text());
    assert_eq!(post(gate.curl("/v2/open/y/blobs/uploads/")).status(), 202);
    assert_eq!(api.blob("open/y", &digest).status(), 404);
}

#[test]
fn the_target_is_forwarded_byte_for_byte() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let targets = [
        ("GET", "/v2/"),
        ("GET", "/v2"),
        ("GET", "/v2/_catalog?n=2&last=a%2Fb"),
        ("GET", "/v2/a/b-c/d__e/tags/list?n=5&last=v1.0"),
        (
            "POST",
            "/v2/a/blobs/uploads/?from=a%2Fb&mount=sha256%3Ae3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        ("PATCH", "/v2/a/blobs/uploads/11111111-1111-4111-8111-111111111111?_state=a-_~%3D%3D&digest=sha256%3Aaa"),
        ("GET", "/v2/a/manifests/v1?x=%0d%0a&y"),
    ];
    for (method, target) in targets {
        let answer = gate.curl(target).method(method).run();
        assert_eq!(answer.status(), 200, "{target}: {}", answer.text());
        assert_eq!(upstream.received().last().unwrap().head.target(), target);
    }
}

#[test]
fn a_body_arrives_as_it_was_sent_with_a_length_and_in_chunks() {
    let upstream = Upstream::answering("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    let gate = Gate::before(upstream.url()).start();
    for size in [0, 1, 65_535, 65_536, 65_537, 900_001] {
        let content = Pattern::new(size, size).bytes();
        let patch = || gate.curl("/v2/a/blobs/uploads/u").method("PATCH");
        patch().body(&content).run().expect(202);
        patch().chunked_body(&content).run().expect(202);
        let received = upstream.received();
        let [.., with_length, chunked] = received.as_slice() else { panic!("two requests should have arrived") };
        assert!(with_length.body == content && chunked.body == content, "{size} bytes");
        assert_eq!(with_length.head.one("content-length"), size.to_string());
        assert!(with_length.head.all("transfer-encoding").is_empty());
        assert_eq!(chunked.head.one("transfer-encoding"), "chunked");
        assert!(chunked.head.all("content-length").is_empty());
    }
}

#[test]
fn a_body_is_streamed_and_not_gathered() {
    let upstream = Upstream::answering("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    let gate = Gate::before(upstream.url()).start();
    let mut wire = gate.wire();
    wire.send(format!(
        "PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\nHost: r\r\n{ALICE}Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
    ));
    upstream.await_received("the first chunk before the rest was sent", |request| request.body == b"first");
    wire.send("6\r\nsecond\r\n0\r\n\r\n");
    assert_eq!(wire.response().head.status(), 202);
    assert_eq!(upstream.only().body, b"firstsecond");
}

#[test]
fn an_answer_is_streamed_and_not_gathered() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::scripted(move |connection| {
        connection.request()?;
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfirst")?;
        let _ = wait.lock().unwrap().recv();
        connection.send(b"second")
    });
    let gate = Gate::before(upstream.url()).start();
    let mut wire = gate.wire();
    wire.send(format!("GET /v2/a/manifests/x HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n"));
    wire.await_text("first");
    go_on.send(()).unwrap();
    assert_eq!(wire.response().body, b"firstsecond");
}

#[test]
fn expect_100_continue_is_answered_after_the_password_was_checked_and_not_before() {
    let upstream = Upstream::answering("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    let gate = Gate::before(upstream.url()).start();
    let head = |authorization: &str| {
        format!(
            "PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\nHost: r\r\n{authorization}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut wire = gate.wire();
    wire.send(head(ALICE));
    assert_eq!(wire.response().head.status(), 100);
    wire.send("hello");
    assert_eq!(wire.response().head.status(), 202);
    assert_eq!(upstream.only().body, b"hello");
    wire.send(format!("GET /v2/ HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n"));
    assert_eq!(wire.response().head.status(), 202, "and the connection goes on");

    let mut stranger = gate.wire();
    stranger.send(head(""));
    assert_eq!(stranger.response().head.status(), 401, "a body nobody will read should not be asked for");
    assert_eq!(upstream.received().len(), 2);
}

/// It is the gate's own: an upstream's would be about another connection.
#[test]
fn a_100_continue_carries_no_registry_headers() {
    const API_VERSION: &str = "docker-distribution-api-version";
    let upstream = Upstream::scripted(|connection| {
        let Some(head) = connection.request()? else { return Ok(()) };
        connection.send(b"HTTP/1.1 100 Continue\r\nX-Said-By: upstream\r\n\r\n")?;
        connection.body(&head, &mut std::io::sink())?;
        connection.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
    });
    let gate = Gate::before(upstream.url()).start();
    let mut wire = gate.wire();
    wire.send(format!(
        "PATCH /v2/a/blobs/uploads/u HTTP/1.1\r\nHost: r\r\n{ALICE}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    ));
    let interim = wire.response().head;
    assert_eq!(interim.status(), 100);
    assert!(interim.all(API_VERSION).is_empty(), "{interim:#?}");
    wire.send("hello");
    let last = wire.response().head;
    assert_eq!((last.status(), last.one(API_VERSION)), (202, "registry/2.0"));
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks() {
    let chunks = "5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n";
    let upstream = Upstream::answering(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
    let gate = Gate::before(upstream.url()).start();
    for wish in ["", "Connection: keep-alive\r\n"] {
        let mut wire = gate.wire();
        wire.send(format!("GET /v2/a/manifests/x HTTP/1.0\r\nHost: r\r\n{ALICE}{wish}\r\n"));
        // Without a length, a response is whole when the connection has ended.
        let answer = wire.response();
        assert_eq!(answer.head.status(), 200);
        for framing in ["transfer-encoding", "content-length"] {
            assert!(answer.head.all(framing).is_empty(), "{:#?}", answer.head);
        }
        assert_eq!(String::from_utf8_lossy(&answer.body), "firstsecond", "{wish:?}");
        assert!(wire.closed_within(Duration::from_secs(10)).is_empty());
    }
}

#[test]
fn an_answer_comes_back_with_its_headers_and_bytes() {
    let body = Pattern::new(7, 300_000).bytes();
    let head = "HTTP/1.1 206 Partial Content\r\nContent-Length: 300000\r\nContent-Range: bytes 5-300004/400000\r\n\
        Docker-Content-Digest: sha256:aa\r\nEtag: \"sha256:aa\"\r\nLocation: https://registry.test:5043/v2/a\r\n\
        Link: </v2/_catalog?last=b&n=2>; rel=\"next\"\r\nContent-Type: application/octet-stream\r\n\
        X-Twice: 1\r\nX-Twice: 2\r\n\r\n";
    let upstream = Upstream::answering([head.as_bytes(), &body].concat());
    let gate = Gate::before(upstream.url()).start();
    let answer = gate.curl("/v2/a/blobs/sha256:aa").header("Range: bytes=5-300004").run();
    // The digest is no digest: only a path the registry knows is forwarded.
    assert_eq!(answer.status(), 400, "{}", answer.text());
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let answer = gate.curl(&format!("/v2/a/blobs/{digest}")).header("Range: bytes=5-300004").run().expect(206);
    assert_eq!(upstream.only().head.one("range"), "bytes=5-300004");
    assert_eq!(sha256(answer.body.as_slice()), sha256(body.as_slice()));
    for line in head.lines().skip(1).filter(|line| !line.is_empty() && !line.starts_with("X-Twice")) {
        let (name, value) = line.split_once(": ").unwrap();
        assert_eq!(answer.head().one(name), value);
    }
    assert_eq!(answer.head().all("x-twice"), ["1", "2"]);
}

#[test]
fn a_head_keeps_the_length_of_what_it_stands_for() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 5368709120\r\n\r\n");
    let gate = Gate::before(upstream.url()).start();
    let answer = gate.curl("/v2/a/manifests/x").method("HEAD").run().expect(200);
    assert_eq!(answer.head().one("content-length"), "5368709120");
}

#[test]
fn connections_to_the_upstream_are_kept_and_used_again() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    for _ in 0..10 {
        gate.curl("/v2/").run().expect(200);
    }
    let connections = upstream.received().iter().map(|request| request.connection).max().unwrap();
    assert!(connections < 5, "ten requests one after the other took {} connections", connections + 1);
}

#[test]
fn a_connection_over_which_a_layer_came_whole_is_kept_for_the_next_request() {
    let layer = vec![b'a'; 3 << 20];
    let upstream = Upstream::answering(ok(&layer));
    let gate = Gate::before(upstream.url()).start();
    let mut wire = gate.wire();
    for path in ["/v2/", BLOB, BLOB, "/v2/", BLOB] {
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n"));
        let response = wire.response();
        assert_eq!((response.head.status(), response.body.len()), (200, layer.len()));
    }
    let connections: BTreeSet<usize> = upstream.received().iter().map(|request| request.connection).collect();
    assert_eq!(connections.len(), 1);
}

#[test]
fn a_connection_whose_blob_was_not_taken_whole_or_had_no_length_serves_no_other_request() {
    let heads = ["Content-Length: 9000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n895440\r\n"];
    for (head, tail) in heads.into_iter().zip(["", "\r\n0\r\n\r\n"]) {
        let upstream = Upstream::scripted(move |connection| {
            while connection.request()?.is_some() {
                connection.send(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes())?;
                connection.send_all_of(&mut Pattern::new(1, 9_000_000))?;
                connection.send(tail.as_bytes())?;
            }
            Ok(())
        });
        let gate = Gate::before(upstream.url()).start();
        let mut leaving = gate.wire();
        leaving.send(format!("GET {BLOB} HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n"));
        upstream.await_received("the pull", |_| true);
        drop(leaving);
        for _ in 0..2 {
            let whole = gate.curl(BLOB).run().expect(200);
            assert!(whole.body == Pattern::new(1, 9_000_000).bytes(), "{} bytes", whole.body.len());
        }
        let connections: BTreeSet<usize> = upstream.received().iter().map(|request| request.connection).collect();
        assert!(connections.len() >= 2, "{connections:?}");
    }
}

#[test]
fn without_memory_to_read_ahead_a_blob_comes_over_any_connection() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("upstream.read_ahead", "0").start();
    for path in [BLOB, "/v2/", BLOB] {
        assert_eq!(gate.curl(path).run().expect(200).text(), "{}");
    }
    assert!(upstream.received().iter().all(|request| request.connection == upstream.received()[0].connection));
}

#[test]
fn a_slow_client_slows_the_upstream_down_and_costs_no_memory() {
    let size = 512 << 20;
    let upstream = Upstream::scripted(move |connection| {
        connection.request()?;
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").as_bytes())?;
        connection.send_all_of(&mut Pattern::new(1, size)).map(drop)
    });
    let gate = Gate::before(upstream.url()).start();
    let slow = gate.curl("/v2/a/manifests/x").args(&["--limit-rate", "4M", "--output", "/dev/null"]).spawn();
    upstream.await_received("the pull", |_| true);
    // A reader that takes all would have it within a second or two. This one has had its time when others were served.
    for _ in 0..60 {
        gate.stranger("/v2/").run().oci_error(401);
    }
    assert!(gate.process().peak_memory() < 64 << 20, "{} bytes", gate.process().peak_memory());
    drop(slow);
}

#[test]
fn a_unix_socket_is_an_upstream_too() {
    let dir = fresh_dir();
    let socket = dir.path().join("backend.sock");
    let backend = Backend::on_socket(&dir.path().join("data"), &socket);
    let gate = Gate::before(backend.url()).start();
    gate.curl("/v2/").run().expect(200);
    let api = Api::at(gate.door());
    let digest = api.push_blob("team/app", b"hello");
    assert_eq!(api.blob("team/app", &digest).expect(200).body, b"hello");
    backend.stop();
    gate.curl("/v2/").run().oci_error(502);
    gate.curl(BLOB).run().oci_error(502);
    let _backend = Backend::on_socket(&dir.path().join("data"), &socket);
    gate.curl("/v2/").run().expect(200);
}

#[test]
fn a_hundred_clients_at_once_are_all_served() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).start();
    let mut clients: Vec<_> = (0..100).map(|_| gate.wire()).collect();
    for client in &mut clients {
        client.send(format!("GET /v2/ HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n"));
    }
    for client in &mut clients {
        assert_eq!(client.response().head.status(), 200);
    }
    for client in &mut clients {
        client.send(format!("GET /v2/ HTTP/1.1\r\nHost: r\r\n{ALICE}Connection: close\r\n\r\n"));
        assert_eq!(client.response().head.status(), 200);
        client.closed_within(Duration::from_secs(10));
    }
}
