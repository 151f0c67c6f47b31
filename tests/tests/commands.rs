//! Promise: one command makes a registry and overwrites nothing; the other commands make its parts.

use lockgate_e2e::{Api, Curl, Finished, PATIENCE, Process, Signal, Up, finish, fresh_dir, program, tool};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

fn openssl(arguments: &[&str], file: &Path) -> String {
    finish(tool("openssl").args(arguments).arg("-in").arg(file)).success().stdout
}

fn certs(dir: &Path, names: &[&str]) -> Finished {
    let mut lockgate = program("lockgate");
    lockgate.arg("certs").arg(dir);
    for name in names {
        lockgate.args(["--name", name]);
    }
    finish(&mut lockgate)
}

#[test]
fn up_makes_what_is_missing_and_says_what_to_type_next() {
    let dir = fresh_dir();
    let up = Up::in_fresh(dir.path());
    up.curl("/v2/").run().expect(200);
    Curl::new(&up.door().url("/v2/")).trusting(&up.door().ca).run().oci_error(401);
    let said = up.process().stdout().text();
    assert!(said.contains("docker login") && said.contains(&up.door().address.port().to_string()), "{said}");
    for made in
        ["certs/devdockerCA.crt", "certs/domain.crt", "certs/domain.key", "conf/htpasswd", "conf/token.key", "data"]
    {
        assert!(dir.path().join(made).exists(), "{made} should be there");
    }
    let mode = |file: &str| fs::metadata(dir.path().join(file)).unwrap().permissions().mode() & 0o077;
    assert_eq!((mode("certs/domain.key"), mode("conf/htpasswd") & 0o007), (0, 0), "secrets are nobody else's");
    assert_eq!(mode("conf/token.key"), 0, "nor is the key");
    assert!(up.door().password.len() >= 16, "a password that cannot be guessed");
}

#[test]
fn up_again_overwrites_nothing_and_keeps_the_password_to_itself() {
    let dir = fresh_dir();
    let mut first = Up::in_fresh(dir.path());
    let digest = Api::at(first.door()).push_image("team/app", "v1", b"layer");
    first.signal(Signal::Terminate);
    assert!(first.wait(Duration::from_secs(10)).success());
    let files = ["certs/devdockerCA.crt", "certs/domain.crt", "certs/domain.key", "conf/htpasswd", "conf/token.key"];
    let contents = || files.map(|file| fs::read(dir.path().join(file)).unwrap());
    let before = contents();
    let second = Up::again(dir.path(), first.door());
    assert_eq!(contents(), before);
    assert!(!second.process().stdout().text().contains("password:"), "it is known once and never again");
    let manifest = Api::at(second.door()).manifest("team/app", "v1").expect(200);
    assert_eq!(manifest.head().one("docker-content-digest"), digest);
}

#[test]
fn up_uses_the_certificate_and_the_users_that_are_there() {
    let dir = fresh_dir();
    fs::create_dir_all(dir.path().join("conf")).unwrap();
    let line = lockgate_e2e::htpasswd_line(lockgate_e2e::Scheme::Apr1, "bob", "b");
    fs::write(dir.path().join("conf/htpasswd"), &line).unwrap();
    certs(&dir.path().join("certs"), &["localhost", "127.0.0.1"]).success();
    let door = lockgate_e2e::Door {
        address: ([127, 0, 0, 1], 0).into(),
        ca: dir.path().join("certs/devdockerCA.crt"),
        user: "bob".into(),
        password: "b".into(),
    };
    let up = Up::again(dir.path(), &door);
    up.curl("/v2/").run().expect(200);
    assert_eq!(fs::read_to_string(dir.path().join("conf/htpasswd")).unwrap(), line);
}

#[test]
fn certs_makes_an_authority_and_a_leaf_that_verifies_for_every_name() {
    let dir = fresh_dir();
    let made = certs(dir.path(), &["registry.example.com", "192.0.2.7"]).success();
    let ca = dir.path().join("devdockerCA.crt");
    let leaf = dir.path().join("domain.crt");
    for (flag, name) in [("-verify_hostname", "registry.example.com"), ("-verify_ip", "192.0.2.7")] {
        finish(tool("openssl").args(["verify", "-x509_strict", flag, name, "-CAfile"]).arg(&ca).arg(&leaf)).success();
    }
    finish(tool("openssl").args(["verify", "-verify_hostname", "other.test", "-CAfile"]).arg(&ca).arg(&leaf)).failure();
    assert_eq!(
        openssl(&["pkey", "-pubout"], &dir.path().join("domain.key")),
        openssl(&["x509", "-noout", "-pubkey"], &leaf)
    );
    for place in ["/etc/docker/certs.d", "/etc/containers/certs.d", "update-ca-certificates"] {
        assert!(made.output().contains(place), "where {place} wants the CA should be said: {made}");
    }
}

#[test]
fn certs_never_overwrites() {
    let dir = fresh_dir();
    certs(dir.path(), &["localhost"]).success();
    let read = || ["devdockerCA.crt", "domain.crt", "domain.key"].map(|file| fs::read(dir.path().join(file)).unwrap());
    let before = read();
    certs(dir.path(), &["other.test"]);
    assert!(read() == before, "a second run should keep what is there");
}

#[test]
fn access_says_yes_or_no_and_why() {
    let dir = fresh_dir();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("htpasswd", &lockgate_e2e::htpasswd_line(lockgate_e2e::Scheme::Sha1, "alice", "a"));
    write("groups", "team: alice\n");
    write(
        "access.toml",
        "[[grant]]\nrepositories = 'public/**'\nto = 'anyone'\nallow = 'pull'\n\n\
         [[grant]]\nrepositories = '**'\nto = 'group:team'\nallow = 'push'\ntags = 'dev-*'\n",
    );
    write("lockgate.toml", "auth.htpasswd = 'htpasswd'\nauth.access = 'access.toml'\nauth.groups = 'groups'\n");
    let access = |arguments: &[&str]| {
        let mut lockgate = program("lockgate");
        lockgate.current_dir(dir.path()).args(["access", "--config", "lockgate.toml"]).args(arguments);
        let done = finish(&mut lockgate);
        (done.status.code(), done.stdout, done.stderr)
    };
    for (arguments, code, said) in [
        (&["alice", "push", "a:dev-1"][..], 0, "yes: grant 2 (line 6) lets alice push a:dev-1\n"),
        (
            &["alice", "push", "a"],
            1,
            "no: no grant lets alice push a\n    grant 2 (line 6) gives it for the tags dev-*\n",
        ),
        (&["-", "pull", "public/a"], 0, "yes: grant 1 (line 1) lets anyone pull public/a\n"),
        (
            &["anyone", "push", "public/a"],
            1,
            "no: no grant lets anyone push public/a\n    grant 1 (line 1) gives pull only\n",
        ),
        (
            &["--who", "public/a"],
            0,
            "anyone  pull                grant 1 (line 1)\nalice   pull, create, push  grant 2 (line 6)  tags dev-*\n",
        ),
    ] {
        assert_eq!(access(arguments), (Some(code), said.to_owned(), String::new()), "{arguments:?}");
    }
    for arguments in
        [&["alice", "push"][..], &["alice", "read", "a"], &["alice", "push", "A"], &["--who", "a", "alice"]]
    {
        assert_eq!(access(arguments).0, Some(64), "{arguments:?}");
    }
    write("access.toml", "[[grant]]\n");
    let (code, _, said) = access(&["alice", "pull", "a"]);
    assert!(code == Some(64) && said.contains("access.toml:1:1: grant[0]: repositories is missing"), "{said}");
}

#[test]
fn every_command_explains_itself() {
    let help = |arguments: &[&str]| finish(program("lockgate").args(arguments).arg("--help")).success().stdout;
    let all = help(&[]);
    for command in ["up", "serve", "check", "access", "htpasswd", "token", "token-key", "certs"] {
        assert!(all.contains(command), "{command} is not in {all}");
        assert!(help(&[command]).len() > 100, "the help of {command} is thin");
    }
    finish(program("lockgate-backend").arg("--help")).success();
    let version = finish(program("lockgate").arg("--version")).success().stdout;
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}

#[test]
fn a_wrong_command_line_exits_with_64() {
    for arguments in [&["no-such-command"][..], &["serve", "--no-such-option"], &["up", "--listen", "nowhere"]] {
        assert_eq!(finish(program("lockgate").args(arguments)).status.code(), Some(64), "{arguments:?}");
    }
}

/// `lockgate` where nobody takes what it says on these outputs, as a pipe whose reader has gone.
fn unheard(outputs: &str, arguments: &[&str], dir: &Path) -> std::process::Command {
    let mut sh = tool("sh");
    sh.args(["-c", &format!("exec \"$@\" {outputs}"), "sh"]).arg(program("lockgate").get_program());
    sh.args(arguments).current_dir(dir);
    sh
}

const NO_STDOUT: &str = ">/dev/full";
const NO_STDERR: &str = "2>/dev/full";

#[test]
fn a_first_user_whose_password_nobody_can_read_is_not_made() {
    let dir = fresh_dir();
    let failed = finish(&mut unheard(NO_STDOUT, &["init"], dir.path())).failure();
    assert_eq!(failed.status.code(), Some(1), "{failed}");
    assert!(failed.stderr.contains("password on standard output"), "{failed}");
    assert!(!dir.path().join("conf/htpasswd").exists());
    let made = finish(program("lockgate").arg("init").arg("--dir").arg(dir.path())).success();
    assert!(made.stdout.contains("password: "), "{made}");
    finish(&mut unheard(NO_STDOUT, &["init"], dir.path())).success();
}

#[test]
fn up_serves_where_nobody_reads_what_it_says() {
    let dir = fresh_dir();
    finish(program("lockgate").arg("init").arg("--dir").arg(dir.path())).success();
    let mut up = Process::start(&mut unheard(NO_STDOUT, &["up", "--listen", "127.0.0.1:0"], dir.path()));
    up.stderr().await_line(PATIENCE, "that it listens", |line| line.contains("listening"));
    up.signal(Signal::Terminate);
    assert!(up.wait(Duration::from_secs(10)).success());
}

#[test]
fn up_serves_where_nobody_reads_its_log() {
    let dir = fresh_dir();
    let made = finish(program("lockgate").arg("init").arg("--dir").arg(dir.path())).success().stdout;
    let password = made.lines().find_map(|line| line.trim().strip_prefix("password: ")).expect("it is printed").trim();
    let arguments = ["up", "--listen", "127.0.0.1:0"];
    let mut up = Process::start(&mut unheard(NO_STDERR, &arguments, dir.path()));
    let line = up.stdout().await_line(PATIENCE, "where it is", |line| line.contains("docker login"));
    let port: u16 = line.rsplit(':').next().and_then(|port| port.trim().parse().ok()).expect("a port");
    let door = lockgate_e2e::Door {
        address: ([127, 0, 0, 1], port).into(),
        ca: dir.path().join("certs/devdockerCA.crt"),
        user: "admin".into(),
        password: password.to_owned(),
    };
    // Each request is a line in the log that cannot be written.
    for _ in 0..3 {
        Curl::new(&door.url("/v2/")).trusting(&door.ca).run().oci_error(401);
        Curl::new(&door.url("/v2/")).trusting(&door.ca).user(&door.credentials()).run().expect(200);
    }
    up.signal(Signal::Terminate);
    assert!(up.wait(Duration::from_secs(10)).success());
}

#[test]
fn an_exit_code_tells_the_same_where_nobody_reads_why() {
    let dir = fresh_dir();
    finish(program("lockgate").arg("init").arg("--dir").arg(dir.path())).success();
    fs::write(dir.path().join("good"), "tls.key = 'certs/domain.key'").unwrap();
    fs::write(dir.path().join("bad"), "tls.key = 'none'").unwrap();
    fs::set_permissions(dir.path().join("conf/htpasswd"), fs::Permissions::from_mode(0o644)).unwrap();
    let exit_code =
        |outputs: &str, arguments: &[&str]| finish(&mut unheard(outputs, arguments, dir.path())).status.code();
    let warned = finish(&mut unheard("", &["check", "--config", "good"], dir.path())).success();
    assert!(warned.stderr.contains("warning: "), "{warned}");
    for outputs in [NO_STDOUT, NO_STDERR, ">/dev/full 2>/dev/full", ">&- 2>&-"] {
        assert_eq!(exit_code(outputs, &["check", "--config", "good"]), Some(0), "{outputs}");
        assert_eq!(exit_code(outputs, &["check", "--config", "bad"]), Some(64), "{outputs}");
        assert_eq!(exit_code(outputs, &["serve", "--config", "bad"]), Some(64), "{outputs}");
        assert_eq!(exit_code(outputs, &["no-such-command"]), Some(64), "{outputs}");
        assert_eq!(exit_code(outputs, &["--help"]), Some(0), "{outputs}");
        assert_eq!(exit_code(outputs, &["htpasswd", "conf/htpasswd", "nobody", "--delete"]), Some(1), "{outputs}");
    }
}

#[test]
fn up_heeds_the_environment_and_names_what_has_no_effect_on_it() {
    let dir = fresh_dir();
    let mut lockgate = program("lockgate");
    lockgate.env("LOCKGATE_LISTEN_HTTPS", "127.0.0.2:0").env("LOCKGATE_LISTEN_THREADS", "1");
    lockgate.env("LOCKGATE_TLS_KEY", "/elsewhere.key").env("LOCKGATE_UPSTREAM_URL", "http://registry:5000");
    // Beside a section of the other kind, and with a value that is none.
    lockgate.env("LOCKGATE_STORAGE_DELETE", "false").env("LOCKGATE_UPSTREAM_IDLE", "x");
    let up = Process::start(lockgate.arg("up").arg("--dir").arg(dir.path()));
    up.stderr().await_line(PATIENCE, "the address that it listens on", |line| line.contains("127.0.0.2:"));
    let said = up.stderr().text();
    for variable in ["LOCKGATE_TLS_KEY", "LOCKGATE_UPSTREAM_URL", "LOCKGATE_UPSTREAM_IDLE"] {
        assert!(said.contains(&format!("note: {variable} has no effect here")), "{said}");
    }
    assert!(!said.contains("LOCKGATE_LISTEN") && !said.contains("LOCKGATE_STORAGE"), "{said}");
}

/// A directory with users and a configuration that names a file of tokens.
fn site_with_tokens() -> tempfile::TempDir {
    let dir = fresh_dir();
    finish(program("lockgate").arg("init").arg("--dir").arg(dir.path())).success();
    let users = fs::read_to_string(dir.path().join("conf/htpasswd")).expect("the directory is ours");
    fs::write(dir.path().join("conf/htpasswd"), users + "ci:!\n").expect("the directory is ours");
    fs::write(dir.path().join("conf/lockgate.toml"), "auth.tokens = 'conf/tokens'\n").expect("the directory is ours");
    dir
}

const CREATE: [&str; 10] =
    ["token", "create", "--for", "ci", "--repositories", "team/app", "--allow", "push", "--expires", "90d"];

#[test]
fn a_token_is_all_of_standard_output_and_is_listed_without_its_secret_until_it_is_revoked() {
    let dir = site_with_tokens();
    let lockgate = |words: &[&str]| finish(program("lockgate").args(words).current_dir(dir.path()));
    let made = lockgate(&CREATE).success();
    let token = made.stdout.strip_suffix('\n').unwrap();
    assert!(token.starts_with("lkg_") && token.len() == 46 && !token.contains(char::is_whitespace), "{token}");
    let id = &token[4..12];
    assert!(made.stderr.contains(id) && !made.stderr.contains(token), "{}", made.stderr);
    let listed = lockgate(&["token", "list"]).success().stdout;
    assert!(listed.contains(id) && listed.contains("team/app") && !listed.contains(&token[13..]), "{listed}");
    let mode = fs::metadata(dir.path().join("conf/tokens")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    lockgate(&["token", "revoke", id]).success();
    assert!(!lockgate(&["token", "list"]).success().stdout.contains(id));
    assert!(lockgate(&["token", "revoke", id]).failure().stderr.contains("has no token"));
}

#[test]
fn a_token_that_nobody_can_read_or_of_nobody_is_not_made() {
    let dir = site_with_tokens();
    let failed = finish(&mut unheard(NO_STDOUT, &CREATE, dir.path())).failure();
    assert!(failed.stderr.contains("no token is made"), "{failed}");
    let of_nobody = CREATE.map(|word| if word == "ci" { "nobody" } else { word });
    let failed = finish(program("lockgate").args(of_nobody).current_dir(dir.path())).failure();
    assert!(failed.stderr.contains("has no user nobody") && failed.stderr.contains("`nobody:!`"), "{failed}");
    let listed = finish(program("lockgate").args(["token", "list"]).current_dir(dir.path())).success().stdout;
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

#[test]
fn a_token_key_is_made_once_and_changed_in_two_steps() {
    let dir = fresh_dir();
    let lockgate = |words: &[&str]| {
        finish(program("lockgate").args(["token-key", "token.key"]).args(words).current_dir(dir.path()))
    };
    let keys = || {
        let file = fs::read_to_string(dir.path().join("token.key")).unwrap();
        file.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    lockgate(&["--add"]).failure();
    lockgate(&[]).success();
    let first = keys();
    assert!(lockgate(&[]).failure().stderr.contains("--add appends"));
    assert_eq!(keys(), first);
    let added = lockgate(&["--add"]).success();
    lockgate(&["--promote"]).success();
    assert_eq!((keys().len(), &keys()[1]), (2, &first[0]));
    assert!(keys().iter().all(|key| !added.output().contains(key)), "a key is shown nowhere");
}
