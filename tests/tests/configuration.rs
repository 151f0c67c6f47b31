//! Promise: a wrong configuration is explained, all of it at once, and every key can come from the environment.

use lockgate_e2e::{Backend, Finished, Gate, PATIENCE, Process, Upstream, finish, fresh_dir, ok, program};
use std::fs;
use std::path::Path;

fn check(config: &Path) -> Finished {
    finish(program("lockgate").arg("check").arg("--config").arg(config))
}

#[test]
fn a_right_configuration_passes_the_check() {
    let checked = Gate::before("http://registry:5000").check().success();
    assert!(!checked.output().trim().is_empty(), "it should say so");
}

#[test]
fn every_problem_is_reported_at_once_with_line_and_column() {
    let dir = fresh_dir();
    let config = dir.path().join("lockgate.toml");
    let text = "\
[listen]
https = \"localhost\"
[upstream]
url = \"ftp://registry:5000\"
read_timeout = \"soon\"
[clients]
refuse = '^(docker'
[log]
format = \"xml\"
colour = true
[no_such_section]
x = 1
";
    fs::write(&config, text).unwrap();
    let checked = check(&config).failure();
    assert_eq!(checked.status.code(), Some(64), "{checked}");
    let at = |line: usize| format!("lockgate.toml:{line}:");
    let wrong = [
        (2, "https"),
        (4, "url"),
        (5, "read_timeout"),
        (7, "refuse"),
        (9, "format"),
        (10, "colour"),
        (11, "no_such_section"),
    ];
    for (line, key) in wrong {
        let found = checked.output().lines().any(|said| said.contains(&at(line)) && said.contains(key));
        assert!(found, "no problem with {key} in line {line}: {checked}");
    }
    // The column of the value: `https = "localhost"` has it at 9.
    assert!(checked.output().contains("lockgate.toml:2:9:"), "{checked}");
}

#[test]
fn a_file_that_is_no_toml_is_reported_with_line_and_column() {
    let dir = fresh_dir();
    let config = dir.path().join("lockgate.toml");
    fs::write(&config, "[listen]\nhttps = \n").unwrap();
    let checked = check(&config);
    assert_eq!(checked.status.code(), Some(64), "{checked}");
    assert!(checked.output().contains("lockgate.toml:2:"), "{checked}");
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let dir = fresh_dir();
    let config = dir.path().join("lockgate.toml");
    for command in ["check", "serve"] {
        let failed = finish(program("lockgate").arg(command).arg("--config").arg(&config)).failure();
        assert_eq!(failed.status.code(), Some(64), "{failed}");
        assert!(failed.stderr.contains("lockgate.toml"), "{failed}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "serve never makes anything");
}

#[test]
fn the_check_opens_the_files_that_the_configuration_names() {
    let gate = Gate::before("http://registry:5000").set("tls.certificate", "/nowhere/domain.crt");
    let checked = gate.set("auth.htpasswd", "/nowhere/htpasswd").check();
    assert_eq!(checked.status.code(), Some(64), "{checked}");
    for file in ["/nowhere/domain.crt", "/nowhere/htpasswd"] {
        assert!(checked.output().contains(file), "{file} should be reported: {checked}");
    }
}

#[test]
fn serve_refuses_what_the_check_refuses() {
    let failed =
        Gate::before("http://registry:5000").set("upstream.read_timeout", "soon").set("log.level", "loud").refused();
    assert_eq!(failed.status.code(), Some(64), "{failed}");
    assert!(failed.stderr.contains("read_timeout") && failed.stderr.contains("level"), "{failed}");
}

#[test]
fn the_environment_overrides_the_file() {
    let upstream = Upstream::answering(ok("from the environment"));
    let gate = Gate::before("http://127.0.0.1:1")
        .env("LOCKGATE_UPSTREAM_URL", upstream.url())
        .env("LOCKGATE_AUTH_REALM", "Another Realm")
        .env("LOCKGATE_LIMITS_HEADER_SIZE", "4KiB")
        .start();
    assert_eq!(gate.curl("/v2/").run().expect(200).text(), "from the environment");
    assert_eq!(gate.stranger("/v2/").run().head().one("www-authenticate"), r#"Basic realm="Another Realm""#);
    let large = format!("X: {}", "a".repeat(8000));
    assert_ne!(gate.curl("/v2/").header(&large).run().heads.last().map(lockgate_e2e::Head::status), Some(200));
}

#[test]
fn a_wrong_or_unknown_variable_is_a_problem_that_names_it() {
    let failed = Gate::before("http://registry:5000")
        .env("LOCKGATE_UPSTREAM_READ_TIMEOUT", "soon")
        .env("LOCKGATE_UPSTREAM_URI", "http://registry:5000")
        .refused();
    assert_eq!(failed.status.code(), Some(64), "{failed}");
    for name in ["LOCKGATE_UPSTREAM_READ_TIMEOUT", "LOCKGATE_UPSTREAM_URI"] {
        assert!(failed.stderr.contains(name), "{name} should be named: {failed}");
    }
}

#[test]
fn the_backend_s_environment_overrides_its_file_too() {
    let dir = fresh_dir();
    let config = dir.path().join("backend.toml");
    fs::write(&config, "listen.http = '127.0.0.1:0'\nstorage.data = '/nowhere'\n").unwrap();
    let mut backend = program("lockgate-backend");
    backend.arg("serve").arg("--config").arg(&config).env("LOCKGATE_BACKEND_STORAGE_DATA", dir.path().join("data"));
    let backend = Process::start(&mut backend);
    backend.stderr().await_line(PATIENCE, "the line that it listens", |line| line.contains("listening"));
}

#[test]
fn the_backend_explains_what_is_wrong_too() {
    let dir = fresh_dir();
    let config = dir.path().join("backend.toml");
    fs::write(&config, "[listen]\nhttp = 'nowhere'\n[storage]\ndelete = 'perhaps'\n").unwrap();
    let failed = finish(program("lockgate-backend").arg("serve").arg("--config").arg(&config));
    assert_eq!(failed.status.code(), Some(64), "{failed}");
    assert!(failed.stderr.contains("backend.toml:2:") && failed.stderr.contains("backend.toml:4:"), "{failed}");
}

#[test]
fn a_storage_that_is_no_directory_is_a_wrong_configuration() {
    let dir = fresh_dir();
    let data = dir.path().join("data");
    fs::write(&data, "").unwrap();
    let failed = Gate::over(&data).refused();
    assert_eq!(failed.status.code(), Some(64), "{failed}");
    assert!(
        failed.stderr.contains("storage.data: ") && failed.stderr.contains("data: it is not a directory"),
        "{failed}"
    );
}

#[test]
fn a_deployment_where_deleting_is_switched_off_refuses_deletes() {
    let dir = fresh_dir();
    let backend = Backend::over(dir.path());
    let gate = Gate::before(backend.url()).start();
    let api = lockgate_e2e::Api::at(gate.door());
    let digest = api.push_image("team/app", "v1", b"layer");
    api.request("DELETE", &format!("/v2/team/app/manifests/{digest}")).run().expect(202);
    assert_eq!(api.manifest("team/app", "v1").status(), 404);
    backend.stop();
    let read_only = Backend::without_delete_over(dir.path());
    let gate = Gate::before(read_only.url()).start();
    let api = lockgate_e2e::Api::at(gate.door());
    let digest = api.push_image("team/app", "v1", b"layer");
    api.request("DELETE", &format!("/v2/team/app/manifests/{digest}")).run().oci_error(405);
    assert_eq!(api.manifest("team/app", "v1").status(), 200);
}

#[test]
fn two_processes_are_not_let_to_one_storage() {
    let data = fresh_dir();
    let both = Gate::over(data.path()).set("listen.handover", data.path().join("handover").display());
    for refused in [both.check().failure(), both.refused()] {
        assert_eq!(refused.status.code(), Some(64), "{refused}");
        assert!(refused.stderr.contains("listen.handover and [storage] exclude each other"), "{refused}");
    }
}

#[test]
fn the_shipped_configurations_are_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let dir = fresh_dir();
    finish(program("lockgate").arg("certs").arg(dir.path()).args(["--name", "localhost"])).success();
    let htpasswd = dir.path().join("htpasswd");
    fs::write(&htpasswd, lockgate_e2e::htpasswd_line(lockgate_e2e::Scheme::Bcrypt, "alice", "pw")).unwrap();
    let mut lockgate = program("lockgate");
    lockgate.arg("check").arg("--config").arg(root.join("conf/lockgate.toml"));
    lockgate.env("LOCKGATE_TLS_CERTIFICATE", dir.path().join("domain.crt"));
    lockgate.env("LOCKGATE_TLS_KEY", dir.path().join("domain.key")).env("LOCKGATE_AUTH_HTPASSWD", htpasswd);
    finish(&mut lockgate).success();
}
