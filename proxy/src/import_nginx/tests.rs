//! Whole configurations, in `samples/`, with what is made of each; and what holds for any.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use expect_test::expect_file;
use lockgate_settings::Configuration as _;
use proptest::prelude::*;

use super::directive::Directive;
use super::*;
use crate::access::{Access, Asker, Groups};
use crate::auth::UserName;
use crate::config::Config;
use crate::rights::Wish;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/import_nginx/samples")
}

fn tree(text: &str) -> Tree {
    Tree::of(parse(text, Path::new("nginx.conf")).unwrap_or_else(|problem| panic!("{problem}\n{text}")))
}

fn imported(text: &str) -> Imported {
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

fn each(directives: &[Directive], look: &mut impl FnMut(&Directive)) {
    for directive in directives {
        look(directive);
        if !directive.is_data() {
            each(directive.children(), look);
        }
    }
}

fn access_of(imported: &Imported) -> Option<Access> {
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

#[test]
fn includes_are_read_as_nginx_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("nginx.conf", "include conf.d/*.conf; include none/*; include last.inc;");
    write("conf.d/b.conf", "b; include snippets/x.inc;");
    write("conf.d/a.conf", "a { include snippets/x.inc; }");
    write("conf.d/.hidden.conf", "hidden;");
    write("snippets/x.inc", "x;");
    write("last.inc", "last;");
    let names = |tree: &Tree| {
        let mut names = Vec::new();
        each(&tree.directives, &mut |directive| names.push(directive.name.clone()));
        names.retain(|name| name != "include");
        names.join(" ")
    };
    let read = |file: &str| Tree::read(&[dir.path().join(file)]);
    assert_eq!(names(&read("nginx.conf").unwrap()), "a x b x last");
    // Beside the nearest nginx.conf.
    assert_eq!(names(&read("conf.d/b.conf").unwrap()), "b x");
    let problem = |file: &str| read(file).unwrap_err().to_string().replace(&format!("{}/", dir.path().display()), "");
    write("conf.d/c", "\n  include gone.inc;");
    assert!(problem("conf.d/c").starts_with("conf.d/c:2:3: gone.inc cannot be read: "), "{}", problem("conf.d/c"));
    write("conf.d/d", "include conf.d/d;");
    assert!(problem("conf.d/d").contains("more than 32 deep"), "{}", problem("conf.d/d"));
    write("conf.d/e", "include conf.d/f; include conf.d/f;");
    write("conf.d/f", &"include snippets/x.inc;".repeat(1000));
    assert!(problem("conf.d/e").contains("more than 1000 files"), "{}", problem("conf.d/e"));
    assert!(problem("gone.conf").starts_with("gone.conf: "), "{}", problem("gone.conf"));
}

/// Rules of access as nginx has them, and whom they let in.
#[derive(Debug, Clone)]
struct Rules {
    /// Of `allow` (true) and `deny`: the last byte of an address, and the length of its network.
    addresses: Vec<(bool, u8, u8)>,
    asks_password: bool,
    either: bool,
}

impl Rules {
    fn text(&self) -> String {
        let word = |allows| if allows { "allow" } else { "deny" };
        let rules =
            self.addresses.iter().map(|(allows, low, length)| format!("{} 10.0.0.{low}/{length};", word(*allows)));
        let realm = if self.asks_password { "auth_basic R; auth_basic_user_file u;" } else { "auth_basic off;" };
        rules.collect::<String>() + realm
    }

    fn let_in(&self, address: Ipv4Addr, has_password: bool) -> bool {
        let bits = |low: u8, length: u8| {
            u32::from(Ipv4Addr::new(10, 0, 0, low)) & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
        };
        let fits = |(_, low, length): &&(bool, u8, u8)| {
            bits(*low, *length) == u32::from(address) & u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0)
        };
        let rule = self.addresses.iter().find(fits).map(|(allows, ..)| *allows);
        let knows = !self.asks_password || has_password;
        if self.either && self.asks_password {
            rule == Some(true) || has_password
        } else {
            rule != Some(false) && knows
        }
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    let addresses = proptest::collection::vec((any::<bool>(), 0_u8..4, prop_oneof![Just(0_u8), 30_u8..=32]), 0..4);
    (addresses, any::<bool>(), any::<bool>()).prop_map(|(addresses, asks_password, either)| Rules {
        addresses,
        asks_password,
        either,
    })
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
    fn nobody_gets_in_whom_nginx_kept_out(
        outer in rules(),
        writing in proptest::option::of(rules()),
        low in 0_u8..6,
        has_password: bool,
    ) {
        let either = if outer.either { "satisfy any;" } else { "" };
        let inner = writing.as_ref().map(|rules| format!("limit_except GET {{ {} }}", rules.text())).unwrap_or_default();
        let text = format!("server {{ location /v2/ {{ {either} {} {inner} proxy_pass http://r:5000; }} }}", outer.text());
        let imported = imported(&text);
        let grants = access_of(&imported);
        let user: UserName = "alice".parse().expect("a name");
        let address = Ipv4Addr::new(10, 0, 0, low);
        let asker = Asker { user: has_password.then_some(&user), address: IpAddr::V4(address), now: SystemTime::now() };
        let gives = |wish| grants.as_ref().map_or(has_password, |access| {
            access.grants.permits(&asker, wish, &"team/app".parse().expect("a name")).is_some()
        });
        // Rules in limit_except replace those around it, each kind by itself.
        let writing = writing.map(|inner| Rules {
            addresses: if inner.addresses.is_empty() { outer.addresses.clone() } else { inner.addresses },
            either: outer.either,
            ..inner
        });
        let may_read = outer.let_in(address, has_password);
        let may_write = writing.as_ref().unwrap_or(&outer).let_in(address, has_password);
        for (wish, may) in [(Wish::Pull, may_read), (Wish::Create, may_write), (Wish::Delete, may_write)] {
            prop_assert!(may || !gives(wish), "{text}\n{}", imported.report);
        }
        // And where somebody is asked for a password it is the same, unless a person has to decide.
        let asks = outer.asks_password || writing.as_ref().is_some_and(|rules| rules.asks_password);
        if asks && !imported.grave.iter().any(|line| line.starts_with("UNDECIDED")) {
            prop_assert_eq!((gives(Wish::Pull), gives(Wish::Delete)), (may_read, may_write), "{}\n{}", text, imported.report);
        }
    }

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
