//! Promise: behind a load balancer that is named every client is told apart from the others, and nobody else can say
//! who he is.

use lockgate_e2e::{Curl, Door, Front, Gate, GateBuilder, PATIENCE, Upstream, finish, ok, program};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

const ALICE: &str = "alice:correct-horse";

/// The same gate by way of a balancer.
fn through(gate: &Gate, front: &Front) -> Door {
    let own = gate.door();
    Door { address: front.address(), ca: own.ca.clone(), user: own.user.clone(), password: own.password.clone() }
}

/// A request that comes from another address of this machine.
fn from(address: &str, door: &Door, path: &str) -> Curl {
    Curl::new(&door.url(path)).trusting(&door.ca).args(&["--interface", address])
}

fn gate(upstream: &Upstream) -> GateBuilder {
    Gate::before(upstream.url()).set("log.format", "json")
}

fn haproxy(gate: &Gate, send: &str) -> Front {
    let to = gate.door().address;
    Front::haproxy(|address| {
        format!("listen registry\n  mode tcp\n  bind {address}\n  server gate {to} {send} check inter 200ms\n")
    })
}

fn nginx_stream(gate: &Gate) -> Front {
    let to = gate.door().address;
    Front::nginx(|address| {
        format!("events {{}}\nstream {{ server {{ listen {address}; proxy_pass {to}; proxy_protocol on; }} }}\n")
    })
}

/// nginx that ends TLS, and speaks it again to the gate.
fn nginx_http(gate: &Gate, forwarded_for: &str) -> Front {
    let to = gate.door().address;
    let (certificate, key) = (gate.pair.certificate.display(), gate.pair.key.display());
    Front::nginx(|address| {
        format!(
            "events {{}}\nhttp {{ server {{ listen {address} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};\n\
             location / {{ proxy_pass https://{to}; proxy_set_header Host $http_host;\n\
             proxy_set_header X-Forwarded-For {forwarded_for}; }} }} }}\n"
        )
    })
}

/// Has two clients ask through a balancer, and looks who is told to have been there.
fn each_client_is_told_apart(upstream: &Upstream, gate: &Gate, front: &Front, has_port: bool) {
    let door = through(gate, front);
    for address in ["127.0.0.2", "127.0.0.3"] {
        let path = format!("/v2/?from={address}");
        from(address, &door, &path).user(ALICE).header("X-Forwarded-For: 6.6.6.6").run().expect(200);
        let line = gate.access("path", &path);
        let client = line["client"].as_str().expect("a text");
        if has_port {
            assert_eq!(client.parse::<SocketAddr>().expect(client).ip().to_string(), address);
        } else {
            assert_eq!(client, address);
        }
        let head = upstream.received().last().expect("it came").head.clone();
        assert_eq!(head.all("x-forwarded-for"), [address]);
        assert_eq!(head.one("x-real-ip"), address);
        assert_eq!(head.one("x-forwarded-proto"), "https");
    }
}

#[test]
fn a_balancer_that_speaks_the_proxy_protocol_tells_who_is_there() {
    for balancer in ["send-proxy-v2", "send-proxy", "nginx"] {
        let upstream = Upstream::answering(ok("{}"));
        let gate = gate(&upstream).set("listen.proxy_protocol", "['127.0.0.1']").start();
        let front = if balancer == "nginx" { nginx_stream(&gate) } else { haproxy(&gate, balancer) };
        each_client_is_told_apart(&upstream, &gate, &front, true);
    }
}

#[test]
fn a_proxy_that_ends_tls_is_believed_where_it_is_named() {
    for forwarded_for in ["$proxy_add_x_forwarded_for", "$remote_addr"] {
        let upstream = Upstream::answering(ok("{}"));
        let gate = gate(&upstream).set("listen.trusted_proxies", "['127.0.0.1']").start();
        each_client_is_told_apart(&upstream, &gate, &nginx_http(&gate, forwarded_for), false);
    }
}

#[test]
fn a_proxy_behind_a_balancer_is_known_by_what_the_balancer_says() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = gate(&upstream)
        .set("listen.proxy_protocol", "['127.0.0.1']")
        .set("listen.trusted_proxies", "['127.0.0.9']")
        .start();
    let front = haproxy(&gate, "send-proxy-v2");
    let door = through(&gate, &front);
    let ask = |address: &str, path: &str| {
        from(address, &door, path).user(ALICE).header("X-Forwarded-For: 192.0.2.1").run().expect(200);
        gate.access("path", path)["client"].as_str().expect("a text").to_owned()
    };
    assert_eq!(ask("127.0.0.9", "/v2/?by=proxy"), "192.0.2.1");
    assert!(ask("127.0.0.2", "/v2/?by=stranger").starts_with("127.0.0.2:"));
}

#[test]
fn each_client_behind_a_balancer_has_its_own_share_of_connections() {
    let upstream = Upstream::answering(ok("{}"));
    let gate =
        gate(&upstream).set("listen.proxy_protocol", "['127.0.0.1']").set("limits.connections_per_address", 1).start();
    let front = haproxy(&gate, "send-proxy-v2");
    let door = through(&gate, &front);
    let mut kept = lockgate_e2e::Wire::open_with(&door, &["-bind", "127.0.0.2"]);
    kept.send("GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\n");
    assert_eq!(kept.response().head.status(), 401);
    from("127.0.0.3", &door, "/v2/").user(ALICE).run().expect(200);
    let refused = from("127.0.0.2", &door, "/v2/").user(ALICE).run();
    assert_ne!(refused.exit, 0, "it has its share");
    gate.log().await_line(PATIENCE, "the reason", |line| {
        line.contains("limits.connections_per_address") && line.contains("127.0.0.2")
    });
}

#[test]
fn a_client_that_guesses_passwords_does_not_stop_the_others_behind_the_balancer() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = gate(&upstream).set("listen.trusted_proxies", "['127.0.0.1']").start();
    let front = nginx_http(&gate, "$proxy_add_x_forwarded_for");
    let door = through(&gate, &front);
    let guess = |address: &str| from(address, &door, "/v2/").user("alice:wrong").run().status();
    let throttled = (0..100).find(|_| guess("127.0.0.2") == 429);
    assert!(throttled.is_some(), "it is throttled in the end");
    assert_eq!(guess("127.0.0.3"), 401);
    from("127.0.0.3", &door, "/v2/").user(ALICE).run().expect(200);
}

#[test]
fn a_header_of_the_proxy_protocol_is_there_where_it_must_and_nowhere_else() {
    let upstream = Upstream::answering(ok("{}"));
    let named = gate(&upstream).set("listen.proxy_protocol", "['127.0.0.1']").start();
    assert_ne!(named.curl("/v2/").run().exit, 0, "it sends none");
    named.log().await_line(PATIENCE, "the reason", |line| line.contains("it sent no PROXY protocol header"));
    named.curl("/v2/").arg("--haproxy-protocol").run().expect(200);
    let unnamed = gate(&upstream).start();
    assert_ne!(unnamed.curl("/v2/").arg("--haproxy-protocol").run().exit, 0, "nobody is to send one");
    unnamed.log().await_line(PATIENCE, "the reason", |line| line.contains("not in listen.proxy_protocol"));
}

#[test]
fn a_header_that_does_not_come_to_its_end_is_not_waited_for_longer_than_a_handshake() {
    let upstream = Upstream::answering(ok("{}"));
    let gate =
        gate(&upstream).set("listen.proxy_protocol", "['127.0.0.1']").set("limits.handshake_timeout", "1s").start();
    for begun in [&b"PROXY TCP4 192.0.2.1"[..], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\xff", b"PROXY UNKNOWN\r\n\x16\x03"] {
        let mut slow = TcpStream::connect(gate.door().address).expect("it listens");
        slow.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        slow.write_all(begun).expect("it is read");
        let mut nothing = Vec::new();
        // What is cut off may be reset.
        let _ = slow.read_to_end(&mut nothing);
        assert!(nothing.len() < 64, "an alert at most: {nothing:?}");
    }
    gate.curl("/v2/").arg("--haproxy-protocol").run().expect(200);
}

#[test]
fn a_balancer_that_is_not_named_is_told_of_and_its_word_is_thrown_away() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = gate(&upstream).start();
    let front = nginx_http(&gate, "$proxy_add_x_forwarded_for");
    let door = through(&gate, &front);
    from("127.0.0.2", &door, "/v2/").user(ALICE).run().expect(200);
    assert_eq!(upstream.only().head.all("x-forwarded-for"), ["127.0.0.1"]);
    gate.log().await_line(PATIENCE, "the advice", |line| line.contains("not in listen.trusted_proxies"));
}

#[test]
fn a_health_check_is_answered_behind_the_proxy_protocol() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = gate(&upstream).set("listen.proxy_protocol", "['127.0.0.1']").start();
    let config = gate.dir().join("lockgate.toml");
    let text = std::fs::read_to_string(&config).expect("it was written");
    let port = gate.door().address.to_string();
    std::fs::write(&config, text.replace("127.0.0.1:0", &port)).expect("the directory is ours");
    finish(program("lockgate").arg("health").arg("--config").arg(&config)).success();
}

#[test]
fn a_wide_range_of_balancers_is_warned_of() {
    let upstream = Upstream::answering(ok("{}"));
    let said = gate(&upstream)
        .set("listen.trusted_proxies", "['10.0.0.0/8', '10.0.0.7', '192.0.2.0/24', '2001:db8::/32']")
        .set("listen.proxy_protocol", "['0.0.0.0/0']")
        .check()
        .success()
        .output();
    for wide in [
        "listen.trusted_proxies: 10.0.0.0/8",
        "listen.trusted_proxies: 2001:db8::/32",
        "listen.proxy_protocol: 0.0.0.0/0",
    ] {
        assert!(said.contains(&format!("{wide} is wide")), "{said}");
    }
    assert_eq!(said.matches("is wide").count(), 3, "{said}");
    let refused = gate(&upstream).set("listen.trusted_proxies", "['10.0.0.5/8']").check().failure().output();
    assert!(refused.contains("write 10.0.0.0/8 for the network, 10.0.0.5 for the address"), "{refused}");
}

#[test]
fn plain_http_is_sent_to_https_for_names_of_ours_alone() {
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).set("listen.http", "127.0.0.1:0").start();
    let line = gate.log().await_line(PATIENCE, "where", |line| line.contains("plain HTTP is sent to https"));
    let (_, rest) = line.split_once("address=").expect("an address");
    let plain: SocketAddr = rest.split_whitespace().next().expect("it").parse().expect("an address");
    let port = gate.door().address.port();
    let ask = |host: &str, method: &str| {
        Curl::new(&format!("http://{plain}/v2/a/tags/list?n=1")).method(method).header(&format!("Host: {host}")).run()
    };
    let sent = ask("localhost", "GET").expect(308);
    assert_eq!(sent.head().one("location"), format!("https://localhost:{port}/v2/a/tags/list?n=1"));
    ask("localhost", "HEAD").expect(308);
    ask("evil.test", "GET").expect(400);
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        ask("localhost", method).expect(400);
    }
    let followed =
        Curl::new(&format!("http://localhost:{}/v2/", plain.port())).trusting(&gate.door().ca).arg("--location").run();
    assert_eq!(followed.statuses(), [308, 401]);
    assert!(upstream.received().is_empty());
}
