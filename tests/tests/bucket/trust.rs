//! Whose certificates are trusted of a bucket's server, and what is told where nobody's are.

use lockgate_e2e::{Api, Authority, Bucket, Gate, fresh_dir};
use std::fs;
use std::path::Path;

#[test]
fn a_server_is_trusted_by_the_authority_that_is_named_and_by_no_other() {
    let bucket = Bucket::fresh().over_tls();
    let elsewhere = fresh_dir();
    let other = Authority::new(elsewhere.path()).certificate;
    for gate in [Gate::on(&bucket), Gate::on(&bucket).set("s3.ca_file", other.display())] {
        let refused = gate.check().failure();
        let told = "has a certificate that is not trusted here";
        assert!(refused.stderr.contains(told) && refused.stderr.contains("in s3.ca_file"), "{refused}");
    }
    let gate = Gate::on(&bucket).set("s3.ca_file", Bucket::authority().display()).start();
    let api = Api::at(gate.door());
    let digest = api.push_blob("team/app", b"content");
    assert_eq!(api.blob("team/app", &digest).expect(200).body, b"content");
}

#[test]
fn who_has_no_authorities_is_told_where_to_get_them_and_needs_none_but_the_named_one() {
    let bucket = Bucket::fresh().over_tls();
    let nothing = fresh_dir();
    let bare = || Gate::on(&bucket).env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", nothing.path().display());
    let refused = bare().check().failure();
    assert!(refused.stderr.contains("install the package ca-certificates, or name a file"), "{refused}");
    bare().set("s3.ca_file", Bucket::authority().display()).start();
}

#[test]
fn a_file_that_has_no_authority_is_named_with_what_is_wrong_with_it() {
    let bucket = Bucket::fresh().over_tls();
    let dir = fresh_dir();
    let file = dir.path().join("ca.crt");
    let told = |file: &Path| Gate::on(&bucket).set("s3.ca_file", file.display()).check().failure().stderr;
    let missing = told(&file);
    assert!(missing.contains("s3.ca_file: ") && missing.contains("ca.crt: "), "{missing}");
    fs::write(&file, "no certificate").unwrap();
    let empty = told(&file);
    assert!(empty.contains("ca.crt: there is no certificate in it"), "{empty}");
    fs::write(&file, "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n").unwrap();
    let broken = told(&file);
    assert!(broken.contains("s3.ca_file: ") && broken.contains("certificate"), "{broken}");
}
