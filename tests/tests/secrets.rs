//! Promise: no log at any level says a password, a hash or an `Authorization` value, and files with keys or hashes that
//! others may read are named with what to do.
//!
//! That no log says a secret is checked wherever the harness ends one of our programs, in every test of every file, and
//! they all run at the level `trace`; see `tests/src/secrets.rs`. Here is one run with all that a client can say.

use lockgate_e2e::{
    Backend, Gate, Http2, ImageLayout, PATIENCE, Process, Skopeo, Up, finish, fresh_dir, no_secret_in, program, tool,
};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const RIGHT: &str = "Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==";

#[test]
fn a_push_a_pull_and_logins_of_every_kind_leave_no_secret_in_a_trace() {
    let dir = fresh_dir();
    let backend = Backend::over(&dir.path().join("data"));
    let gate = Gate::before(backend.url()).set("listen.http2", true).env("RUST_LOG", "trace").start();
    let skopeo = Skopeo::at(gate.door());
    let image = ImageLayout::new(dir.path(), 1, 300_000);
    skopeo.push(&image.transport(), "team/app:v1").success();
    skopeo.pull("team/app:v1", &format!("oci:{}:v1", dir.path().join("pulled").display())).success();
    for version in ["--http1.1", "--http2"] {
        gate.curl("/v2/").arg(version).run().expect(200);
        gate.stranger("/v2/").user("alice:a wrong password").arg(version).run().oci_error(401);
        for authorization in [
            "Basic alice:not-in-base64",
            "Basic YWxpY2Vub2NvbG9uYXRhbGw=",
            "Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ",
            "Bearer YWxpY2U6Y29ycmVjdC1ob3JzZQ==",
            "YWxpY2U6Y29ycmVjdC1ob3JzZQ==",
            "Digest username=\"alice\",response=\"0123456789abcdef\"",
        ] {
            let header = format!("Authorization: {authorization}");
            let status = gate.stranger("/v2/").header(&header).arg(version).run().status();
            // Without padding it may be taken for what it is.
            assert!([200, 400, 401].contains(&status), "{status} for {authorization}");
        }
    }
    let mut http2 = Http2::open(gate.door());
    http2.request(1, "GET", "/v2/\u{1}", RIGHT, true);
    let mut wire = gate.wire();
    wire.send(format!("GET /v2/ HTTP/1.1\r\nHost: r\r\nHost: s\r\nAuthorization: {RIGHT}\r\n\r\n"));
    wire.await_any();
    gate.curl("/v2/last/manifests/x").run();
    gate.log().await_line(PATIENCE, "the last request", |line| line.contains("last/manifests"));
    assert!(gate.log().text().contains("/v2/team/app/manifests/v1"), "the log is that of all this");
    no_secret_in("the proxy", &gate.log().text());
    no_secret_in("the backend", &backend.process().stderr().text());
}

#[test]
#[should_panic(expected = "logged a secret")]
fn a_program_that_logged_a_password_would_be_found_out_at_the_end_of_any_test() {
    let gate = Gate::before("http://127.0.0.1:1");
    gate.start().curl("/v2/").run();
    // It counts as one of ours by its argument.
    let mut shell = tool("sh");
    let mut shell = Process::start(shell.args(["-c", "echo alice said correct-horse >&2", "lockgate"]));
    shell.wait(PATIENCE);
}

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, Permissions::from_mode(mode)).expect("the file is ours");
}

/// The lines that say that a file is open to others.
fn exposures(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("is open to others")).collect()
}

#[test]
fn a_key_and_hashes_that_others_may_read_are_warned_of_at_the_start_and_by_check() {
    let gate = Gate::before("http://127.0.0.1:1");
    let (key, htpasswd) = (gate.dir().join("domain.key"), gate.dir().join("htpasswd"));
    assert_eq!(exposures(&gate.check().success().output()), Vec::<&str>::new());
    set_mode(&key, 0o640);
    set_mode(&htpasswd, 0o644);
    let cures = [format!("`chmod go= {}`", key.display()), format!("`chmod o= {}`", htpasswd.display())];
    let checked = gate.check().success().output();
    let gate = gate.start();
    for cure in cures {
        assert!(
            exposures(&checked).iter().any(|line| line.starts_with("warning: ") && line.contains(&cure)),
            "{checked}"
        );
        gate.log().await_line(PATIENCE, &cure, |line| line.contains("WARN") && line.contains(&cure));
    }
    // A warning: it serves all the same.
    gate.stranger("/v2/").run().oci_error(401);
}

#[test]
fn the_group_may_read_the_users() {
    let gate = Gate::before("http://127.0.0.1:1");
    set_mode(&gate.dir().join("htpasswd"), 0o640);
    assert_eq!(exposures(&gate.check().success().output()), Vec::<&str>::new());
}

#[test]
fn what_our_commands_make_is_never_warned_of() {
    let dir = fresh_dir();
    let mut up = Up::in_fresh(dir.path());
    up.curl("/v2/").run();
    up.signal(lockgate_e2e::Signal::Terminate);
    up.wait(PATIENCE);
    assert_eq!(exposures(&up.process().stderr().text()), Vec::<&str>::new());

    let dir = fresh_dir();
    // Whatever the umask is.
    let made = |arguments: &str| {
        let script = format!("umask 000; exec \"$0\" {arguments}");
        let lockgate = program("lockgate").get_program().to_owned();
        finish(tool("bash").arg("-c").arg(script).arg(lockgate).current_dir(dir.path())).success();
    };
    made("certs certs --name localhost");
    made("htpasswd users alice --stdin <<< 'correct-horse'");
    made("init --dir other");
    for (name, certs, users) in [("a", "certs", "users"), ("b", "other/certs", "other/conf/htpasswd")] {
        let config = dir.path().join(format!("{name}.toml"));
        let text = format!(
            "tls.certificate = '{certs}/domain.crt'\ntls.key = '{certs}/domain.key'\nauth.htpasswd = '{users}'\n"
        );
        fs::write(&config, text).unwrap();
        let mut lockgate = program("lockgate");
        let checked = finish(lockgate.arg("check").arg("--config").arg(&config).current_dir(dir.path())).success();
        assert_eq!(exposures(&checked.output()), Vec::<&str>::new());
    }
    let mode = |file: &str| fs::metadata(dir.path().join(file)).unwrap().permissions().mode() & 0o777;
    for secret in ["certs/domain.key", "certs/devdockerCA.key", "users", "other/conf/htpasswd"] {
        assert_eq!(mode(secret), 0o600, "{secret}");
    }
}
