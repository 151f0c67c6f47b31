//! Where credentials for a bucket come from: the environment (as in every other test here), a file, or a role.

use lockgate_e2e::{Bucket, Finished, Gate, GateBuilder, Upstream, fresh_dir, ok};
use std::fs;
use std::io;
use std::path::Path;

/// A gate whose user has no home worth the name, and no role.
fn gate(bucket: &Bucket, home: &Path) -> GateBuilder {
    Gate::without_credentials_on(bucket).env("HOME", home.display()).env("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
}

fn file_of(key: &str, secret: &str) -> String {
    format!("aws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
}

/// What a service of roles hands out.
fn of_a_role() -> String {
    let [(_, key), (_, secret)] = Bucket::credentials();
    format!(
        r#"{{"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z", "AccessKeyId": "{key}",
            "SecretAccessKey": "{secret}", "Token": "", "Expiration": "2100-01-01T00:00:00Z"}}"#
    )
}

#[track_caller]
fn assert_refused(checked: &Finished, told: &str) {
    assert!(!checked.status.success() && checked.stderr.contains(told), "{checked}");
}

#[test]
fn they_are_read_of_a_profile_of_the_file_that_is_named_or_is_at_home() {
    let (bucket, dir) = (Bucket::fresh(), fresh_dir());
    let [(_, key), (_, secret)] = Bucket::credentials();
    let file = dir.path().join("credentials");
    fs::write(&file, format!("[default]\n{}[site]\n{}", file_of("x", "y"), file_of(key, secret))).unwrap();
    let named = || gate(&bucket, dir.path()).env("AWS_SHARED_CREDENTIALS_FILE", file.display());
    named().env("AWS_PROFILE", "site").start();
    assert_refused(&named().check(), "it does not take the credentials");
    assert_refused(&named().env("AWS_PROFILE", "none").check(), "[none] lacks aws_access_key_id");
    fs::create_dir(dir.path().join(".aws")).unwrap();
    fs::write(dir.path().join(".aws/credentials"), format!("[default]\n{}", file_of(key, secret))).unwrap();
    gate(&bucket, dir.path()).start();
}

#[test]
fn they_are_those_of_the_machine_s_role_and_asked_for_with_a_token() {
    let (bucket, dir) = (Bucket::fresh(), fresh_dir());
    let service = Upstream::scripted(|connection| {
        while let Some(head) = connection.request()? {
            connection.body(&head, &mut io::sink())?;
            connection.send(&match (head.method(), head.target()) {
                ("PUT", "/latest/api/token") => ok("a-token"),
                ("GET", "/latest/meta-data/iam/security-credentials/") => ok("nodes"),
                ("GET", "/latest/meta-data/iam/security-credentials/nodes") => ok(of_a_role()),
                _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
            })?;
        }
        Ok(())
    });
    gate(&bucket, dir.path()).env("AWS_METADATA_ENDPOINT", service.url()).start();
    let asked = service.await_received("the role's credentials", |asked| asked.head.target().ends_with("/nodes"));
    assert_eq!(asked.head.one("x-aws-ec2-metadata-token"), "a-token");
}

#[test]
fn they_are_those_of_the_container_s_role() {
    let (bucket, dir) = (Bucket::fresh(), fresh_dir());
    let service = Upstream::answering(ok(of_a_role()));
    let token = dir.path().join("token");
    fs::write(&token, "of-the-container").unwrap();
    let gate = gate(&bucket, dir.path()).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/role", service.url()));
    gate.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.display()).start();
    let asked = service.await_received("the role", |asked| asked.head.target() == "/role");
    assert_eq!(asked.head.one("authorization"), "of-the-container");
}

#[test]
fn who_has_none_is_told_of_all_three() {
    let (bucket, dir) = (Bucket::fresh(), fresh_dir());
    let checked = gate(&bucket, dir.path()).check();
    for told in ["set AWS_ACCESS_KEY_ID", "AWS_SHARED_CREDENTIALS_FILE", "give this machine a role"] {
        assert_refused(&checked, told);
    }
}
