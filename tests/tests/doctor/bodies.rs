//! Small requests pass, and a push or a pull does not.

use lockgate_e2e::{DockerRegistry, Front, Gate, Tmpfs};

use crate::asked::Doctor;
use crate::site::{Certificates, backend, registry2, registry2_as};

#[test]
fn a_limit_of_bodies() {
    let site = backend();
    let front = site.nginx().set("client_max_body_size", "1m").start();
    let examined = site.ask(&front).writing().ask();
    examined.says("body-size", "413").says("body-size", "client_max_body_size 0;");
    // The rest is looked at with a smaller layer.
    examined.says("push", "64 KiB").says("cleanup", "deleted").finds(&[("body-size", "fail")]);
}

#[test]
fn a_limit_that_counts_what_arrives() {
    let site = backend();
    let (pair, to) = (&site.certificates.pair, site.registry.url());
    let front = Front::caddy(|address| {
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        format!(
            "https://{address} {{\n tls {certificate} {key}\n request_body {{\n  max_size 1MB\n }}\n reverse_proxy {to}\n}}\n"
        )
    });
    site.ask(&front).writing().ask().finds(&[("body-size", "fail")]);
}

#[test]
fn bodies_that_are_kept_back() {
    let site = backend();
    let front = site.nginx().set("proxy_request_buffering", "on").start();
    site.ask(&front).writing().ask().says("buffering", "proxy_request_buffering off").finds(&[("buffering", "warn")]);
}

#[test]
fn bodies_in_chunks_that_are_kept_back() {
    let site = backend();
    let front = site.nginx().set("proxy_http_version", "1.0").start();
    site.ask(&front).writing().ask().says("buffering", "in chunks").finds(&[("buffering", "warn")]);
}

#[test]
fn bodies_that_haproxy_keeps_back() {
    let site = backend();
    let (pem, to) = (Front::joined(&site.certificates.pair), site.registry.url().replace("http://", ""));
    let front = Front::haproxy(|address| {
        format!(
            "listen r\n  mode http\n  option http-buffer-request\n  bind {address} ssl crt {}\n  server r {to}\n",
            pem.display()
        )
    });
    site.ask(&front).writing().ask().says("buffering", "http-buffer-request").finds(&[("buffering", "warn")]);
}

#[test]
fn chunks_in_answers_are_not_needed() {
    let site = registry2();
    let front = site.nginx().set("chunked_transfer_encoding", "off").start();
    site.ask(&front).writing().ask().finds(&[]);
}

#[test]
fn bodies_that_are_kept_back_on_a_full_disk() {
    let site = backend();
    let disk = Tmpfs::new(1 << 20);
    let front = site
        .nginx()
        .set("proxy_request_buffering", "on")
        .set("client_body_temp_path", disk.path().to_str().unwrap())
        .start();
    let examined = site.ask(&front).writing().ask();
    examined.says("body-size", "500").says("body-size", "client_body_temp_path is");
    examined.finds(&[("body-size", "fail"), ("buffering", "warn")]);
}

#[test]
fn a_name_that_does_not_reach_the_registry() {
    let site = registry2();
    let front = site.nginx().without("proxy_set_header Host").start();
    let examined = site.ask(&front).writing().ask();
    examined.says("location", "proxy_set_header Host $http_host; in the same block").finds(&[("location", "fail")]);
}

#[test]
fn a_port_that_does_not_reach_the_registry() {
    let site = registry2();
    let front = site.nginx().set("proxy_set_header Host", "$host").start();
    site.ask(&front).writing().ask().says("location", "($host has no port)").finds(&[("location", "fail")]);
}

#[test]
fn a_scheme_that_does_not_reach_the_registry() {
    let site = registry2();
    let front = site.nginx().without("proxy_set_header X-Forwarded-Proto").start();
    let examined = site.ask(&front).writing().ask();
    examined.says("location", "X-Forwarded-Proto $scheme").finds(&[("location", "fail")]);
    let (pem, to) = (Front::joined(&site.certificates.pair), site.registry.address());
    let front = Front::haproxy(|address| {
        format!("listen r\n  mode http\n  bind {address} ssl crt {}\n  server r {to}\n", pem.display())
    });
    site.ask(&front).writing().ask().finds(&[("location", "fail")]);
}

#[test]
fn our_registry_s_locations_need_none_of_it() {
    let site = backend();
    let nginx = site.nginx().without("proxy_set_header Host").without("proxy_set_header X-Forwarded-Proto");
    site.ask(&nginx.start()).writing().ask().finds(&[]);
}

#[test]
fn an_upload_that_may_not_rest() {
    let site = backend();
    let front = site.nginx().set("client_body_timeout", "1s").start();
    site.ask(&front).resting(3).ask().says("idle", "rests for 3 s").finds(&[("idle", "fail")]);
    site.ask(&site.nginx().start()).resting(2).ask().finds(&[]);
}

#[test]
fn methods_that_are_refused() {
    let site = backend();
    let front = site.nginx().server("if ($request_method = PATCH) { return 405; }\n").start();
    site.ask(&front).writing().ask().says("methods", "405").finds(&[("methods", "fail")]);
    let front = site.nginx().set("limit_except GET { deny all; } #", "").start();
    site.ask(&front).writing().ask().says("upload", "limit_except").finds(&[("upload", "fail")]);
    let front = site.nginx().server("if ($request_method = PUT) { return 403; }\n").start();
    site.ask(&front).writing().ask().says("push", "403").finds(&[("push", "fail")]);
    let front = site.nginx().server("if ($request_method = HEAD) { return 403; }\n").start();
    site.ask(&front).writing().ask().says("pull", "HEAD").finds(&[("pull", "fail")]);
}

#[test]
fn chunks_that_are_refused() {
    let site = backend();
    let front = site.nginx().server("if ($http_transfer_encoding) { return 411; }\n").start();
    site.ask(&front).writing().ask().says("chunked", "411").finds(&[("chunked", "fail")]);
}

#[test]
fn a_question_that_is_refused() {
    let site = backend();
    let front = site.nginx().server("if ($http_expect) { return 417; }\n").start();
    site.ask(&front).writing().ask().says("continue", "417").finds(&[("continue", "fail")]);
}

#[test]
fn ranges_that_are_dropped() {
    let site = backend();
    let front = site.nginx().set("proxy_set_header Range", "''").start();
    site.ask(&front).writing().ask().says("ranges", "the whole, 200").finds(&[("ranges", "warn")]);
}

#[test]
fn fields_that_a_client_decides_by_are_lost() {
    let site = backend();
    let front = site.nginx().set("proxy_hide_header", "Docker-Content-Digest").start();
    site.ask(&front).writing().ask().says("pull", "Docker-Content-Digest none").finds(&[("pull", "fail")]);
}

#[test]
fn other_bytes_than_were_pushed() {
    let site = backend();
    let other = format!(
        "location ~ ^/v2/.*/blobs/sha256: {{ if ($request_method = GET) {{ return 200 other; }} proxy_pass {}; }}\n",
        site.registry.url()
    );
    let front = site.nginx().server(&other).start();
    let examined = site.ask(&front).writing().ask();
    examined.says("pull", "5 bytes came").finds(&[("pull", "fail"), ("ranges", "warn")]);
}

#[test]
fn what_cannot_be_deleted_is_told() {
    let site = registry2_as(|data, _: &Certificates| DockerRegistry::without_delete_over(data));
    let front = site.nginx().start();
    let examined = site.ask(&front).writing().ask();
    examined.says("cleanup", "team/doctor:lockgate-doctor and 8192 KiB stay").finds(&[("cleanup", "warn")]);
}

#[test]
fn a_user_who_may_not_push() {
    let site = backend();
    let grants = "[[grant]]\nrepositories = '**'\nto = 'user:alice'\nallow = 'pull'\n";
    let gate = Gate::before(site.registry.url()).access(grants).start();
    let door = gate.door();
    let asked = Doctor::of(door.address).trusting(&door.ca).user(&door.user, &door.password).writing();
    asked.ask().says("upload", "lockgate access USER push REPOSITORY").finds(&[("upload", "fail")]);
}
