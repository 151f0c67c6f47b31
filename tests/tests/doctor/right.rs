//! What is right, is found right: nothing fails and nothing is warned of.

use lockgate_e2e::{DockerRegistry, Front, Gate, GateBuilder, Scheme, Up, fresh_dir, htpasswd_line};
use std::fs;

use crate::asked::Doctor;
use crate::site::{backend, registry2, registry2_as};

/// Where nobody is asked for a password.
const OPEN: &[&str] = &["challenge", "login"];

#[test]
fn nginx_before_our_registry() {
    let site = backend();
    site.ask(&site.nginx().start()).writing().ask().is_right_but_for(OPEN);
}

#[test]
fn nginx_before_registry2() {
    let site = registry2();
    site.ask(&site.nginx().start()).writing().ask().is_right_but_for(OPEN);
}

#[test]
fn nginx_that_checks_passwords_itself() {
    let site = registry2();
    let users = site.certificates.dir.path().join("users");
    fs::write(&users, htpasswd_line(Scheme::Apr1, "alice", "of-nginx-alone")).unwrap();
    let front = site
        .nginx()
        .set("auth_basic", "\"Registry\"")
        .set("auth_basic_user_file", users.to_str().unwrap())
        .set("add_header", "Docker-Distribution-Api-Version registry/2.0 always")
        .set("proxy_hide_header", "Docker-Distribution-Api-Version")
        .start();
    site.ask(&front).user("alice", "of-nginx-alone").writing().ask().is_right_but_for(&[]);
    // Its page for a 401 is HTML, which no client reads.
    site.ask(&front).ask().finds(&[]);
}

#[test]
fn caddy_before_registry2() {
    let site = registry2();
    let (pair, to) = (&site.certificates.pair, site.registry.address());
    let front = Front::caddy(|address| {
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        format!("https://{address} {{\n tls {certificate} {key}\n reverse_proxy {to}\n}}\n")
    });
    site.ask(&front).writing().ask().is_right_but_for(OPEN);
}

#[test]
fn haproxy_before_registry2() {
    let site = registry2();
    let (pem, to) = (Front::joined(&site.certificates.pair), site.registry.address());
    let front = Front::haproxy(|address| {
        format!(
            "listen registry\n  mode http\n  bind {address} ssl crt {}\n  http-request set-header X-Forwarded-Proto https\n  \
             server registry {to}\n",
            pem.display()
        )
    });
    site.ask(&front).writing().ask().is_right_but_for(OPEN);
}

#[test]
fn haproxy_that_hands_tls_on() {
    let site = backend();
    let gate = Gate::before(site.registry.url()).start();
    let to = gate.door().address;
    let front = Front::haproxy(|address| format!("listen tls\n  mode tcp\n  bind {address}\n  server gate {to}\n"));
    let door = gate.door();
    let asked = Doctor::of(front.address()).trusting(&door.ca).user(&door.user, &door.password);
    asked.writing().ask().is_right_but_for(&[]);
}

fn ask(gate: GateBuilder) {
    let gate = gate.start();
    let door = gate.door();
    let asked = Doctor::of(door.address).trusting(&door.ca).user(&door.user, &door.password).writing();
    asked.ask().is_right_but_for(&[]);
}

#[test]
fn lockgate_before_its_own_registry() {
    let site = backend();
    ask(Gate::before(site.registry.url()));
}

#[test]
fn lockgate_before_registry2() {
    let site = registry2();
    ask(Gate::before(site.registry.url()));
}

#[test]
fn lockgate_with_tokens() {
    let site = backend();
    let grants = "[[grant]]\nrepositories = 'team/**'\nto = 'user:alice'\nallow = ['push', 'delete']\n";
    ask(Gate::before(site.registry.url()).access(grants));
}

#[test]
fn lockgate_in_one_process() {
    let dir = fresh_dir();
    let up = Up::in_fresh(dir.path());
    let door = up.door();
    let asked = Doctor::of(door.address).trusting(&door.ca).user(&door.user, &door.password).writing();
    asked.ask().is_right_but_for(&[]);
}

#[test]
fn nginx_before_lockgate() {
    let site = backend();
    let gate = Gate::before(site.registry.url()).start();
    let door = gate.door();
    let nginx = site.nginx().set("proxy_pass", &format!("https://{}", door.address)).at("/");
    let front = nginx.start();
    site.ask(&front).user(&door.user, &door.password).writing().ask().is_right_but_for(&[]);
}

#[test]
fn blobs_that_come_from_a_store_elsewhere() {
    let site = backend();
    let gate = Gate::before(site.registry.url()).start();
    let (door, registry) = (gate.door(), site.registry.url());
    let to = format!("https://{}", door.address);
    // The store takes no password, as one behind signed URLs.
    let store = format!(
        "location ~ ^/v2/.*/blobs/sha256: {{ if ($request_method = GET) {{ return 307 https://$http_host/store$request_uri; }}\n\
         proxy_pass {to}; proxy_set_header Host $http_host; }}\n\
         location /store/ {{ if ($http_authorization) {{ return 400; }} proxy_pass {registry}/; }}\n"
    );
    let front = site.nginx().set("proxy_pass", &to).server(&store).start();
    site.ask(&front).user(&door.user, &door.password).writing().ask().is_right_but_for(&[]);
}

#[test]
fn registry2_with_tls_of_its_own() {
    let site = registry2_as(|data, certificates| DockerRegistry::with_tls_over(data, &certificates.pair));
    let asked = Doctor::of(site.registry.address()).trusting(&site.certificates.authority.certificate);
    asked.writing().ask().is_right_but_for(OPEN);
}

#[test]
fn what_people_read_is_a_line_for_each_check() {
    let site = backend();
    let (code, text) = site.ask(&site.nginx().start()).writing().text();
    assert_eq!(code, 0, "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("ok    ")).count(), 23, "{text}");
    assert!(text.contains("\nskip  challenge: no password is asked for\nskip  login: give --user\n"), "{text}");
    assert!(text.ends_with("\n0 failed, 0 to look at, 23 right, 2 not looked at\n"), "{text}");
}
