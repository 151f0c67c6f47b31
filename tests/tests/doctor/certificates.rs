//! What is broken before the first byte of HTTP.

use lockgate_e2e::{Clock, Front, Pair, nobody_at};

use crate::asked::{Doctor, Examined};
use crate::site::{Nginx, Site, backend};

const HERE: &[&str] = &["localhost", "127.0.0.1"];

/// Our registry behind nginx with the certificate that `make` makes.
fn with(make: impl Fn(&Site<lockgate_e2e::Backend>) -> Pair) -> Examined {
    let site = backend();
    let pair = make(&site);
    let front = Nginx::before(site.registry.url(), &pair).start();
    // Everything behind it is looked at all the same.
    let examined = site.ask(&front).writing().ask();
    examined.says("cleanup", "deleted");
    examined
}

#[test]
fn an_expired_certificate() {
    let examined = with(|site| site.certificates.authority.issue_on_day(-60, "old", HERE));
    examined.says("dates", "expired on").finds(&[("dates", "fail")]);
}

#[test]
fn a_certificate_of_tomorrow() {
    let examined = with(|site| site.certificates.authority.issue_on_day(3, "new", HERE));
    examined.says("dates", "not valid before").finds(&[("dates", "fail")]);
}

#[test]
fn a_certificate_that_ends_soon() {
    let examined = with(|site| site.certificates.authority.issue_on_day(-20, "ending", HERE));
    examined.finds(&[("dates", "warn")]);
}

#[test]
fn a_certificate_for_other_names() {
    let examined = with(|site| site.certificates.authority.issue("other", &["registry.example.com", "192.0.2.7"]));
    examined.says("name", "for registry.example.com, 192.0.2.7, and not for 127.0.0.1").finds(&[("name", "fail")]);
}

#[test]
fn a_certificate_that_vouches_for_itself() {
    let examined = with(|site| Pair::self_signed(site.certificates.dir.path(), "itself", HERE));
    examined.says("chain", "signed itself").finds(&[("chain", "fail")]);
}

#[test]
fn several_things_at_once_are_told_each() {
    let examined = with(|site| Pair::self_signed(site.certificates.dir.path(), "itself", &["other.example.com"]));
    examined.finds(&[("chain", "fail"), ("name", "fail")]);
}

#[test]
fn an_intermediate_certificate_that_is_not_sent() {
    let examined = with(|site| site.certificates.authority.subordinate("middle").issue("leaf", HERE));
    examined.says("chain", "neither presented nor trusted; it alone is presented").finds(&[("chain", "fail")]);
    // Nobody named an authority, and the certificate says itself that there is one above it.
    let site = backend();
    let pair = site.certificates.authority.issue_as_public("public", HERE);
    let front = Nginx::before(site.registry.url(), &pair).start();
    let examined = Doctor::of(front.address()).ask();
    examined.says("chain", "neither presented nor trusted").finds(&[("chain", "fail")]);
}

#[test]
fn an_intermediate_certificate_that_is_sent_is_right() {
    let examined = with(|site| {
        let middle = site.certificates.authority.subordinate("middle");
        middle.issue("leaf", HERE).followed_by(&middle.certificate)
    });
    examined.finds(&[]);
}

#[test]
fn an_intermediate_certificate_that_is_over() {
    let examined = with(|site| {
        let middle = site.certificates.authority.subordinate_on_day(-60, "middle");
        middle.issue("leaf", HERE).followed_by(&middle.certificate)
    });
    examined.says("dates", "CN=middle: expired on").finds(&[("dates", "fail")]);
}

#[test]
fn an_authority_of_one_s_own_that_is_not_trusted() {
    let site = backend();
    let front = site.nginx().start();
    let examined = Doctor::of(front.address()).ask();
    examined.says("chain", "of which nothing is known here").finds(&[("chain", "fail")]);
    let pair = site.certificates.pair.followed_by(&site.certificates.authority.certificate);
    let front = Nginx::before(site.registry.url(), &pair).start();
    let examined = Doctor::of(front.address()).ask();
    examined.says("chain", "which this machine does not trust").finds(&[("chain", "fail")]);
}

#[test]
fn the_environment_names_an_authority() {
    let site = backend();
    let front = site.nginx().start();
    let asked = Doctor::of(front.address()).trusting_by_environment(&site.certificates.authority.certificate);
    asked.ask().finds(&[]);
}

#[test]
fn a_clock_that_is_wrong() {
    let site = backend();
    let front = site.nginx().start();
    let clock = Clock::right();
    clock.set(7200);
    site.ask(&front).by_the(&clock).writing().ask().says("clock", "behind this machine's").finds(&[("clock", "fail")]);
    clock.set(90);
    site.ask(&front).by_the(&clock).ask().finds(&[("clock", "warn")]);
    // The certificate is valid for 30 days, and by the server's clock it is.
    clock.set(40 * 24 * 3600);
    let examined = site.ask(&front).by_the(&clock).ask();
    examined.says("dates", "this clock is wrong").finds(&[("clock", "fail"), ("dates", "fail")]);
}

#[test]
fn plain_http_on_the_port() {
    let site = backend();
    let front = site.nginx().without_tls().start();
    site.ask(&front).writing().ask().says("tls", "HTTP/1.1 200 OK").finds(&[("tls", "fail")]);
}

#[test]
fn no_version_in_common() {
    let site = backend();
    let old = "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;\n";
    let front = site.nginx().server(old).start();
    site.ask(&front).ask().says("tls", "ssl_protocols TLSv1.2 TLSv1.3").finds(&[("tls", "fail")]);
}

#[test]
fn a_header_that_clients_do_not_send() {
    let site = backend();
    let (pem, to) = (Front::joined(&site.certificates.pair), site.registry.url().replace("http://", ""));
    let front = Front::haproxy(|address| {
        format!("listen r\n  mode http\n  bind {address} accept-proxy ssl crt {}\n  server r {to}\n", pem.display())
    });
    site.ask(&front).ask().says("tls", "accept-proxy").finds(&[("tls", "fail")]);
}

#[test]
fn nobody_there_and_no_such_name() {
    Doctor::of(nobody_at("127.0.0.77")).ask().finds(&[("tcp", "fail")]);
    Doctor::of("registry.invalid").ask().finds(&[("dns", "fail")]);
}

#[test]
fn no_password_goes_to_a_server_whose_certificate_is_refused() {
    let upstream = lockgate_e2e::Upstream::answering(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"r\"\r\nContent-Length: 0\r\n\r\n",
    );
    let site = backend();
    let pair = Pair::self_signed(site.certificates.dir.path(), "itself", HERE);
    let front = Nginx::before(upstream.url(), &pair).start();
    let examined = site.ask(&front).user("alice", "never-to-be-sent").writing().ask();
    examined.says("login", "no password is sent").says("upload", "no password is sent");
    let received = upstream.await_received("the first question", |received| received.head.target() == "/v2/");
    assert_eq!(received.head.all("authorization"), [""; 0]);
    for received in upstream.received() {
        assert!(received.head.all("authorization").is_empty(), "{received:?}");
    }
}
