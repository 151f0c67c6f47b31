//! What answers is no registry, or not in its language.

use lockgate_e2e::{Gate, Upstream};

use crate::site::{Nginx, backend, registry2};

/// nginx that answers for the registry by these lines.
fn instead(lines: &str, expected: &str, says: &str) {
    let site = backend();
    let front = site.nginx().at("/other/").server(lines).start();
    site.ask(&front).writing().ask().says("api", says).finds(&[("api", expected)]);
}

#[test]
fn a_login_page_by_redirect() {
    let lines = "location / { return 302 https://auth.example.com/login?rd=$request_uri; }\n";
    instead(lines, "fail", "302 with HTML \\\"302 Found\\\" to https://auth.example.com/login");
}

#[test]
fn a_login_page_in_the_place_of_it() {
    let page = "<!DOCTYPE html><title>Sign in</title>";
    instead(
        &format!("location / {{ default_type text/html; return 200 '{page}'; }}\n"),
        "fail",
        "200 with HTML \\\"Sign in\\\"",
    );
}

#[test]
fn a_login_page_that_says_401() {
    instead("location / { return 401; }\n", "fail", "401 with HTML");
}

#[test]
fn a_rule_that_refuses_everybody() {
    instead("location / { deny all; }\n", "fail", "403");
}

#[test]
fn a_path_that_is_lost() {
    for pass in ["/", "/registry/"] {
        let site = registry2();
        let front = site.nginx().set("proxy_pass", &format!("{}{pass}", site.registry.url())).start();
        let examined = site.ask(&front).writing().ask();
        // The root of registry:2 is 200 with nothing.
        examined.says("api", "without a path").finds(&[("api", "fail")]);
    }
}

#[test]
fn a_registry_that_is_not_reached() {
    let site = backend();
    let nowhere = format!("http://{}", lockgate_e2e::nobody_at("127.0.0.78"));
    let front = site.nginx().set("proxy_pass", &nowhere).start();
    site.ask(&front).writing().ask().says("api", "502").finds(&[("api", "fail")]);
    let gate = Gate::before(&nowhere).start();
    let door = gate.door();
    let asked = crate::asked::Doctor::of(door.address).trusting(&door.ca).user(&door.user, &door.password);
    asked.writing().ask().says("login", "502").finds(&[("login", "fail")]);
}

#[test]
fn the_header_of_the_api_is_lost() {
    let site = backend();
    let front = site.nginx().set("proxy_hide_header", "Docker-Distribution-Api-Version").start();
    site.ask(&front).writing().ask().finds(&[("api-version", "warn")]);
}

#[test]
fn the_challenge_is_lost() {
    let site = backend();
    let gate = Gate::before(site.registry.url()).start();
    let front = site
        .nginx()
        .set("proxy_pass", &format!("https://{}", gate.door().address))
        .set("proxy_hide_header", "WWW-Authenticate")
        .start();
    site.ask(&front).writing().ask().finds(&[("challenge", "fail")]);
}

#[test]
fn the_way_to_the_tokens_is_not_there() {
    let site = backend();
    let grants = "[[grant]]\nrepositories = '**'\nto = 'user:alice'\nallow = 'push'\n";
    let gate = Gate::before(site.registry.url()).access(grants).start();
    let door = gate.door();
    // Below /v2/ alone.
    let front = site.nginx().set("proxy_pass", &format!("https://{}", door.address)).start();
    let examined = site.ask(&front).user(&door.user, &door.password).writing().ask();
    examined.says("challenge", "/token").finds(&[("challenge", "fail")]);
}

#[test]
fn the_name_does_not_reach_the_tokens() {
    let site = backend();
    let grants = "[[grant]]\nrepositories = '**'\nto = 'user:alice'\nallow = 'push'\n";
    let gate = Gate::before(site.registry.url()).access(grants).start();
    let door = gate.door();
    let nginx = site.nginx().at("/").set("proxy_pass", &format!("https://{}", door.address));
    let front = nginx.set("proxy_set_header Host", "nowhere.invalid").start();
    let examined = site.ask(&front).user(&door.user, &door.password).ask();
    examined.says("challenge", "nowhere.invalid").finds(&[("challenge", "fail")]);
}

#[test]
fn a_realm_without_tls_gets_no_password() {
    let realm = Upstream::answering(lockgate_e2e::ok("{\"token\":\"t\"}"));
    let challenge = format!("Bearer realm=\"{}/token\",service=\"r\"", realm.url());
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\n\
         Docker-Distribution-Api-Version: registry/2.0\r\n\r\n"
    ));
    let site = backend();
    let front = Nginx::before(upstream.url(), &site.certificates.pair).start();
    let examined = site.ask(&front).user("alice", "never-to-be-sent").writing().ask();
    examined.says("challenge", "no https URL").finds(&[("challenge", "fail")]);
    assert!(realm.received().is_empty());
}

#[test]
fn a_password_that_is_wrong_or_lost() {
    let site = backend();
    let gate = Gate::before(site.registry.url()).start();
    let door = gate.door();
    let to = format!("https://{}", door.address);
    let lost = site.nginx().set("proxy_pass", &to).set("proxy_set_header Authorization", "''").start();
    let examined = site.ask(&lost).user(&door.user, &door.password).writing().ask();
    examined.says("login", "$http_authorization").finds(&[("login", "fail")]);
    let right = site.nginx().set("proxy_pass", &to).start();
    let examined = site.ask(&right).user(&door.user, "something-else").writing().ask();
    examined.says("login", "lockgate htpasswd FILE USER").finds(&[("login", "fail")]);
}

#[test]
fn a_password_that_nobody_asks_for() {
    let site = backend();
    let front = site.nginx().start();
    site.ask(&front).user("alice", "not-asked-for").writing().ask().finds(&[("login", "warn")]);
}

#[test]
fn pages_in_the_place_of_errors() {
    let site = backend();
    let front = site.nginx().set("proxy_intercept_errors", "on").server("error_page 404 /404.html;\n").start();
    // What tells who keeps bodies back is such an error, too, and still one.
    let examined = site.ask(&front).writing().ask();
    examined.says("errors", "404 with HTML").finds(&[("errors", "fail")]);
}

#[test]
fn answers_that_are_compressed() {
    let site = backend();
    let front = site.nginx().set("gzip", "on").set("gzip_types", "*").set("gzip_min_length", "1").start();
    site.ask(&front).writing().ask().says("compression", "gzip off").finds(&[("compression", "warn")]);
    // The manifests alone.
    let types = "application/vnd.oci.image.manifest.v1+json";
    let front = site.nginx().set("gzip", "on").set("gzip_types", types).start();
    site.ask(&front).writing().ask().finds(&[("compression", "warn")]);
}
