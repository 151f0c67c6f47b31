//! Whole configurations, in `samples/`, with what is made of each; and what holds for any.

use std::collections::BTreeSet;
use std::fs;

use expect_test::expect_file;
use lockgate_settings::Configuration as _;
use proptest::prelude::*;

use super::directive::Directive;
use super::*;
use crate::access::{Access, Groups};
use crate::config::Config;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/import_nginx/samples")
}

fn tree(text: &str) -> Tree {
    Tree::of(parse(text, Path::new("nginx.conf")).unwrap_or_else(|problem| panic!("{problem}\n{text}")))
}

pub(super) fn imported(text: &str) -> Imported {
    import_tree(&tree(text), Path::new("")).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn said(text: &str) -> String {
    import_tree(&tree(text), Path::new("")).expect_err(text).to_string()
}

/// A server of a registry, with more at each of its levels.
fn registry(http: &str, server: &str, location: &str) -> String {
    format!(
        "{http}\nserver {{ listen 443 ssl; auth_basic R; auth_basic_user_file u; {server}\n\
         location /v2/ {{ {location}\nproxy_pass http://r:5000; }} }}"
    )
}

/// What holds for whatever is made of a configuration: it is valid, and says of each directive what became of it.
fn assert_whole(tree: &Tree, imported: &Imported) {
    let config = Config::parse(&imported.config, Path::new("lockgate.toml"), []);
    let config = config.unwrap_or_else(|problems| panic!("{problems}\n{}", imported.config));
    assert_eq!(config.contradictions(), []);
    assert_eq!(config.auth.access.is_some(), imported.access.is_some());
    access_of(imported);
    let mut missing = Vec::new();
    each(&tree.directives, &mut |directive| {
        let line = format!(" {}: {directive}: ", directive.place);
        if !imported.report.contains(&line) {
            missing.push(line);
        }
    });
    assert!(missing.is_empty(), "{missing:?} in\n{}", imported.report);
}

pub(super) fn each(directives: &[Directive], look: &mut impl FnMut(&Directive)) {
    for directive in directives {
        look(directive);
        if !directive.is_data() {
            each(directive.children(), look);
        }
    }
}

pub(super) fn access_of(imported: &Imported) -> Option<Access> {
    let text = imported.access.as_ref()?;
    let access = Access::parse(text, Path::new("access.toml"), Groups::default());
    Some(access.unwrap_or_else(|problems| panic!("{problems}\n{text}")))
}

/// Whether nobody gets in.
fn is_closed(imported: &Imported) -> bool {
    access_of(imported).is_some_and(|access| access.grants.as_slice().is_empty())
}

#[test]
fn each_sample_becomes_what_stands_beside_it() {
    let mut count = 0;
    for entry in fs::read_dir(samples()).unwrap() {
        let dir = entry.unwrap().path();
        let files = [dir.join("nginx.conf")];
        let tree = Tree::read(&files).unwrap_or_else(|problem| panic!("{problem}"));
        let imported = import_tree(&tree, Path::new("conf")).unwrap_or_else(|problems| panic!("{problems}"));
        assert_whole(&tree, &imported);
        let here = format!("{}/", dir.display());
        expect_file![dir.join("lockgate.toml")].assert_eq(&imported.config.replace(&here, ""));
        expect_file![dir.join("report.txt")].assert_eq(&imported.report.replace(&here, ""));
        let access = dir.join("access.toml");
        match &imported.access {
            Some(text) => expect_file![access].assert_eq(text),
            None => assert!(!access.exists(), "{} is not made", access.display()),
        }
        count += 1;
    }
    assert!(count >= 20, "{count}");
}

#[test]
fn what_may_have_kept_people_out_lets_nobody_in() {
    for (http, server, location) in [
        ("", "auth_request /auth;", ""),
        ("", "ssl_verify_client on;", ""),
        ("a_module_of_ours on;", "", ""),
        ("", "", "a_module_of_ours on;"),
        ("", "", "access_by_lua_file /x.lua;"),
        ("", "", "auth_ldap on;"),
        ("", "if ($http_x_key != a) { return 403; }", ""),
        ("", "set $no 1; if ($no) { return 403; }", ""),
        ("", "", "if ($request_uri ~ secret) { rewrite ^ /no break; }"),
        ("", "rewrite ^/v2/(.*)$ /$1;", ""),
        ("", "location /v2/secret/ { deny all; proxy_pass http://r:5000; }", ""),
        ("", "location ~ ^/v2/(?!open) { return 403; }", ""),
        ("", "location = /v2/_catalog { return 404; }", ""),
        (
            "",
            "location /v2/b/ { auth_basic_user_file few; auth_basic off; allow 10.0.0.1; deny all; proxy_pass http://r:5000; }",
            "",
        ),
        ("", "if ($http_user_agent !~ ^ours(?!x)) { return 403; }", ""),
        ("", "if ($http_user_agent !~ ^ours) { return 403; } if ($http_user_agent ~ old) { return 403; }", ""),
        ("", "location /v2/b/ { auth_basic_user_file few; proxy_pass http://r:5000; }", ""),
        ("", "location /v2/b/ { proxy_pass http://other:5000; }", ""),
        ("", "", "limit_except GET { auth_basic_user_file writers; }"),
        ("", "", "limit_except GET { proxy_pass http://other:5000; }"),
        ("", "location ~ ^/v2/.*/blobs/ { limit_except GET { deny all; } proxy_pass http://r:5000; }", ""),
        ("", "", "allow ::ffff:10.0.0.0/104; deny all;"),
        ("", "listen 8443 ssl proxy_protocol;", "satisfy any; allow 192.0.2.1; deny all;"),
        ("", "set_real_ip_from 10.0.0.1;", "allow 192.0.2.0/24; deny all;"),
        ("", "set_real_ip_from balancer.test; real_ip_header X-Forwarded-For;", "allow 192.0.2.0/24; deny all;"),
        ("", "set_real_ip_from 10.0.0.1; real_ip_header CF-Connecting-IP;", "allow 192.0.2.0/24; deny all;"),
        ("", "", "allow example.org; deny all;"),
        ("", "", "limit_except POST { deny all; }"),
        ("", "", "allow 192.0.2.1; deny all; limit_except GET { allow all; }"),
    ] {
        let text = registry(http, server, location);
        let imported = imported(&text);
        assert!(is_closed(&imported), "{text}\n{}", imported.report);
        assert!(imported.grave[0].starts_with("UNDECIDED: ") && imported.config.contains("UNDECIDED: "), "{text}");
    }
}

#[test]
fn what_kept_nobody_out_needs_no_grants() {
    for (http, server, location) in [
        ("gzip on; map $a $b { default 1; }", "error_page 497 https://$host$request_uri;", "proxy_buffering off;"),
        ("", "auth_request off; ssl_verify_client off;", "satisfy any; allow all;"),
        ("", "location = /v2 { return 301 /v2/; } location ~ \\.php$ { deny all; }", ""),
        ("", "location = /v2/ { proxy_pass http://r:5000; }", "allow 10.0.0.0/8;"),
        ("", "if ($request_method = TRACE) { return 405; } if ($a) { set $b 1; }", "limit_except GET { allow all; }"),
    ] {
        let text = registry(http, server, location);
        if location.starts_with("satisfy") {
            // Each address is allowed, which is enough: nobody is asked for a password.
            assert!(imported(&text).needs_token_key);
        } else {
            assert_eq!(imported(&text).access, None, "{}", imported(&text).report);
        }
    }
}

#[test]
fn what_cannot_become_a_configuration_is_told_its_place() {
    let other = "server { listen 80; location /v2/ { proxy_pass http://a; } }";
    for (text, expected) in [
        (
            "server { listen 80; root /x; }",
            "nginx.conf: no server passes /v2/team/app/manifests/latest to a registry by proxy_pass: there is nginx.conf:1: server with listen 80",
        ),
        ("events { }", "no server at all"),
        (
            &format!("{other}\n{other}"),
            "nginx.conf:1:1: this server with listen 80 may be the registry's, and so may another",
        ),
        ("server { location / { proxy_pass https://r:5000; } }", "nginx.conf:1:23: the registry is spoken to in TLS"),
        (
            "server { location / { proxy_pass http://$a:5000; } }",
            "nginx.conf:1:23: proxy_pass http://$a:5000 depends on variables",
        ),
        ("server { set $a b; if ($c) { set $a d; } location / { proxy_pass http://$a; } }", "depends on variables"),
        ("server { set $a $a; location / { proxy_pass http://$a; } }", "depends on variables"),
        (
            "server { location / { proxy_pass http://r:99999; } }",
            "nginx.conf:1:23: proxy_pass http://r:99999 cannot be upstream.url: the port is a number from 1 to 65535",
        ),
        (
            "upstream r { server a:1; server unix:/s; }\nserver { location / { proxy_pass http://r; } }",
            "nginx.conf:2:23: proxy_pass http://r cannot be upstream.url: sockets and addresses are mixed",
        ),
        (
            "upstream r { server a:1 down; }\nserver { location / { proxy_pass http://r; } }",
            "nginx.conf:1:1: this upstream has no server",
        ),
    ] {
        assert!(said(text).contains(expected), "{text}: {}", said(text));
    }
}

#[test]
fn of_several_servers_the_one_that_names_the_registry_is_taken_and_then_the_one_with_tls() {
    let server = |listen: &str, location: &str, port: u16| {
        format!("server {{ listen {listen}; location {location} {{ proxy_pass http://r:{port}; }} }}\n")
    };
    for (text, port) in [
        (server("80", "/", 1) + &server("80", "/v2/", 2), 2),
        (server("443 ssl", "/", 1) + &server("80", "/v2/", 2), 2),
        (server("80", "/v2/", 1) + &server("443 ssl", "/v2/", 2), 2),
        (server("80", "/", 1) + &server("443 ssl", "/", 2), 2),
        ("server { return 301 https://x; location / { proxy_pass http://x; } }".to_owned() + &server("80", "/", 2), 2),
    ] {
        let config = imported(&text).config;
        assert!(config.contains(&format!("url = \"http://r:{port}\"")), "{text}\n{config}");
    }
}

#[test]
fn clients_are_refused_by_all_rules_together() {
    let rule = |conditions: &[&str]| {
        let ifs: String =
            conditions.iter().map(|condition| format!("if ($http_user_agent {condition}) {{ return 403; }}")).collect();
        Config::parse(&imported(&registry("", &ifs, "")).config, Path::new("x"), []).expect("it is valid").clients
    };
    let old = r#"~ "^(docker\/1\.(3|4|5(?!\.[0-9]-dev))|Go ).*$" "#;
    assert_eq!(rule(&[old]), Config::default().clients);
    for conditions in [[old, "~* SCAN"], ["~* SCAN", old]] {
        let rule = rule(&conditions);
        let refused = ["docker/1.4", "a scanner"].map(|agent| rule.refuses(agent));
        let let_in = ["docker/1.5.0-dev", "docker/27.0"].map(|agent| rule.refuses(agent));
        assert_eq!((refused, let_in), ([true; 2], [false; 2]));
    }
    let empty_and_exact = rule(&["= ''", "= a.b"]);
    assert_eq!(
        ["", "a.b", "axb", "docker/1.4"].map(|agent| empty_and_exact.refuses(agent)),
        [true, true, false, false]
    );
    let alone = rule(&["!~ ^docker"]);
    assert_eq!(["docker/27", "curl", ""].map(|agent| alone.refuses(agent)), [false, true, true]);
}

#[test]
fn no_text_ends_its_comment() {
    let text = "server { location '/v2/\nlisten.http2 = true\n' { } location /v2/ { proxy_pass 'http://r:5000/a\nlisten.http2 = true\n'; } }";
    let imported = imported(text);
    let config = Config::parse(&imported.config, Path::new("x"), []).expect("it is valid");
    assert!(!config.listen.http2, "{}", imported.config);
}

#[test]
fn no_secret_is_repeated() {
    let imported = imported(&registry(
        "",
        "if ($http_x_token = hunter2) { return 403; } set $secret hunter2;",
        "proxy_set_header Authorization 'Basic aHVudGVyMg=='; add_header X-Key hunter2;",
    ));
    for text in [&imported.config, &imported.report, imported.access.as_ref().expect("it is closed")] {
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
    }
}

/// Directives of all kinds, some of which keep people out.
const PIECES: &[&str] = &[
    "deny 10.0.0.1;",
    "allow 10.0.0.0/8; deny all;",
    "satisfy any;",
    "auth_basic off;",
    "auth_basic $realm;",
    "auth_request /a;",
    "if ($request_method = POST) { return 403; }",
    "if ($a) { set $b c; }",
    "if ($b) { return 444; }",
    "limit_conn z 4;",
    "add_header Strict-Transport-Security \"max-age=9\";",
    "proxy_read_timeout 1y;",
    "proxy_read_timeout 99y;",
    "odd 'it is';",
    "client_max_body_size 1m;",
    "real_ip_header X-Forwarded-For;",
    "set_real_ip_from 10.0.0.5/8;",
    "set_real_ip_from unix:;",
    "proxy_set_header Authorization $http_authorization;",
    "location /v2/x/ { deny all; proxy_pass http://r:5000; }",
    "location ~ /tags/ { proxy_pass http://r:5000; }",
    "ssl_protocols TLSv1;",
    "ssl_protocols TLSv1.3;",
    "ssl_certificate '~/a b';",
    "if ($http_user_agent ~ ((a) { return 404; }",
    "large_client_header_buffers 999 999m;",
    "types { a b; }",
    "rewrite ^/x /y;",
];

proptest! {
    #[test]
    fn whatever_is_in_it_each_directive_is_told_of_and_the_result_is_valid(
        pieces in proptest::collection::vec((0..PIECES.len(), 0..3_usize), 0..8),
    ) {
        let mut at: [BTreeSet<&str>; 3] = Default::default();
        for (piece, level) in pieces {
            let is_location = PIECES[piece].starts_with("location");
            at[if is_location { 1 } else { level }].insert(PIECES[piece]);
        }
        let [http, server, location] = at.map(|pieces| pieces.into_iter().collect::<Vec<_>>().join(" "));
        let tree = tree(&registry(&http, &server, &location));
        let imported = import_tree(&tree, Path::new("")).expect("there is a registry");
        assert_whole(&tree, &imported);
        let has_odd = http.contains("odd") || server.contains("odd") || location.contains("odd");
        prop_assert!(!has_odd || is_closed(&imported));
    }
}
