//! Promise: certificates, keys and users are read as editors, shells and Docker leave them, or named for what they are.

use lockgate_e2e::{Authority, Gate, Scheme, Upstream, finish, fresh_dir, htpasswd_line, ok, program, tool};
use std::fs;
use std::path::Path;

const REGISTRY: &str = "http://registry:5000";

fn utf16(text: &str) -> Vec<u8> {
    let marked = format!("\u{feff}{text}");
    marked.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\r\n")).collect()
}

#[test]
fn a_byte_order_mark_and_indentation_do_not_keep_a_certificate_from_being_served() {
    let dir = fresh_dir();
    let pair = Authority::new(dir.path()).issue("a", &["localhost"]);
    for file in [&pair.certificate, &pair.key] {
        let pem = fs::read_to_string(file).unwrap();
        for changed in [format!("\u{feff}{pem}"), indented(&pem), format!("\u{feff}{}", indented(&pem))] {
            fs::write(file, changed).unwrap();
            Gate::before(REGISTRY).certificate(&pair).check().success();
        }
    }
}

/// What `lockgate check` says of a pair in which one of the files is changed.
#[track_caller]
fn refused(change: impl FnOnce(&Path, &Path)) -> String {
    let dir = fresh_dir();
    let pair = Authority::new(dir.path()).issue("a", &["localhost"]);
    change(&pair.certificate, &pair.key);
    Gate::before(REGISTRY).certificate(&pair).check().failure().output()
}

fn openssl(arguments: &[&str], file: &Path, out: &Path) {
    finish(tool("openssl").args(arguments).arg("-in").arg(file).arg("-out").arg(out)).success();
}

#[test]
fn what_looks_like_a_certificate_and_is_none_is_told_with_its_cure() {
    let trusted = refused(|certificate, _| {
        let plain = certificate.with_extension("plain");
        fs::rename(certificate, &plain).unwrap();
        openssl(&["x509", "-trustout"], &plain, certificate);
    });
    assert!(trusted.contains("openssl x509 -in"), "{trusted}");
    let request = refused(|certificate, _| {
        fs::copy(certificate.with_extension("csr"), certificate).unwrap();
    });
    assert!(request.contains("a request that a CA has yet to sign"), "{request}");
    let wide = refused(|certificate, _| fs::write(certificate, utf16("-----BEGIN CERTIFICATE-----\n")).unwrap());
    assert!(wide.contains("UTF-16") && wide.contains("save it as UTF-8"), "{wide}");
}

#[test]
fn a_certificate_whose_curve_is_written_out_is_told_so_with_the_command_that_names_it() {
    let said = refused(|certificate, key| {
        let generate = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-param_enc", "explicit", "-out"];
        finish(tool("openssl").args(generate).arg(key)).success();
        let sign =
            ["req", "-x509", "-new", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-key"];
        finish(tool("openssl").args(sign).arg(key).arg("-out").arg(certificate)).success();
    });
    assert!(said.contains("-param_enc named_curve"), "{said}");
    assert!(!said.contains("does not belong"), "{said}");
}

/// Where the host has no file to mount, Docker makes a directory.
#[test]
fn a_directory_in_the_place_of_a_file_is_told_so_and_nobody_is_sent_astray() {
    let dir = fresh_dir();
    let mut settings = Gate::before(REGISTRY);
    for key in ["tls.certificate", "tls.key", "auth.htpasswd"] {
        let path = dir.path().join(key);
        fs::create_dir(&path).unwrap();
        settings = settings.set(key, path.display());
    }
    let said = settings.check().failure().output();
    assert_eq!(
        said.matches("it is a directory; where the host had no file to mount, docker made one").count(),
        3,
        "{said}"
    );
    assert!(!said.contains("lockgate htpasswd FILE USER"), "that would not help: {said}");
    let config = finish(program("lockgate").args(["check", "--config"]).arg(dir.path())).failure().output();
    assert!(config.contains("it is a directory"), "{config}");
    let users = dir.path().join("auth.htpasswd");
    let edited = finish(program("lockgate").args(["htpasswd", "--delete"]).arg(&users).arg("alice")).failure().output();
    assert!(edited.contains("it is a directory"), "{edited}");
}

#[test]
fn a_users_file_in_utf_16_is_named_as_such_and_left_as_it_is() {
    let line = htpasswd_line(Scheme::Bcrypt, "alice", "correct-horse");
    let gate = Gate::before(REGISTRY).htpasswd(utf16(&line));
    let said = gate.check().failure().output();
    assert!(said.contains("UTF-16") && said.contains("save it as UTF-8"), "{said}");
    let file = gate.dir().join("htpasswd");
    let edited = finish(program("lockgate").args(["htpasswd", "--delete"]).arg(&file).arg("alice")).failure().output();
    assert!(edited.contains("UTF-16"), "{edited}");
    assert_eq!(fs::read(&file).unwrap(), utf16(&line));
}

#[test]
fn hashes_as_ansible_and_passlib_write_them_open_the_door() {
    // The rounds are those that the two write by default; the hashes of "secret" are crypt(3)'s.
    let users = "\
ansible:$6$rounds=656000$q0eBgGmNm5xuRSn0$YkBDXadrDLB67UhBZNUiFg/CITWN2qHOop.nlUsbRwUcSPfVGuI.qJVlUXoiRuMCnLk7fth32QMN1zo0ibPWQ0
passlib:$5$rounds=535000$gWNTHBbaHkQTjEKn$y4Ew9E1l3cPC0/xmtLCKcM5HNmXQHjDsrgOkq4s3Dv3
";
    let upstream = Upstream::answering(ok("{}"));
    let gate = Gate::before(upstream.url()).htpasswd(users).start();
    for user in ["ansible", "passlib"] {
        gate.stranger("/v2/").user(&format!("{user}:secret")).run().expect(200);
    }
}
