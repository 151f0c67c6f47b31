//! What no log may say: the passwords that the tests use, in every form in which they travel.
//!
//! The harness notes each password, hash and `Authorization` value that goes through its hands. What a program of ours
//! logged is searched for all of them when its process is dropped, so that every test makes this claim.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A shorter one could stand in a log by chance. Its form in an `Authorization` header is longer.
const UNMISTAKABLE: usize = 8;

static NOTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Notes a user's password, as it is and as Basic authentication sends it.
pub(crate) fn note_password(user: &str, password: &str) {
    note(password);
    note(&base64(format!("{user}:{password}").as_bytes()));
}

/// The same of `USER:PASSWORD`.
pub(crate) fn note_credentials(credentials: &str) {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    note_password(user, password);
}

/// Notes the hash in a line of an htpasswd file.
pub(crate) fn note_hash(line: &str) {
    note(line.split_once(':').map_or("", |(_, hash)| hash));
}

/// Notes the value of every `Authorization` header in these bytes, without its scheme.
pub(crate) fn note_authorizations(bytes: &[u8]) {
    for line in String::from_utf8_lossy(bytes).lines() {
        if let Some((name, value)) = line.split_once(':')
            && name.trim().eq_ignore_ascii_case("authorization")
        {
            note_authorization(value);
        }
    }
}

/// Notes the value of an `Authorization` header, without its scheme.
pub(crate) fn note_authorization(value: &str) {
    note(value.trim().rsplit(' ').next().unwrap_or_default());
}

/// Checks that `log` says nothing that was noted, and nothing that looks as if it should have been.
///
/// # Panics
/// When it does.
#[track_caller]
pub fn no_secret_in(name: &str, log: &str) {
    let said = noted().iter().find(|secret| log.contains(secret.as_str())).cloned();
    if let Some(secret) = said.or_else(|| credential_in(log)).or_else(|| token_in(log)) {
        let line = log.lines().find(|line| line.contains(&secret)).unwrap_or_default();
        panic!("{name} logged a secret, {secret:?}: {line}");
    }
}

/// `Basic` and what may be base64 of credentials, whoever made it.
fn credential_in(log: &str) -> Option<String> {
    const SCHEME: &str = "basic ";
    let lower = log.to_ascii_lowercase();
    lower.match_indices(SCHEME).find_map(|(at, _)| {
        let value = &log[at + SCHEME.len()..];
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        let end = value.find(|c| !is_base64(c)).unwrap_or(value.len());
        // `Basic realm="..."` is the challenge, which is no secret.
        (end >= UNMISTAKABLE && end % 4 == 0 && !value.starts_with("realm=")).then(|| value[..end].to_owned())
    })
}

/// A token, whoever made it: a machine's by its prefix, a session's by its version and the zeros before the time of its
/// end.
fn token_in(log: &str) -> Option<String> {
    const MACHINE: usize = "lkg_".len() + 8 + 1 + 27 + 6;
    const SHORTEST_SESSION: usize = 58;
    let is_base64url = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let found = |(at, start): (usize, &str)| {
        let rest = &log[at..];
        let text = &rest[..rest.find(|c| !is_base64url(c)).unwrap_or(rest.len())];
        let is_token = match start {
            "lkg_" => text.len() >= MACHINE && text.as_bytes()[MACHINE - 34] == b'_',
            _ => text.len() >= SHORTEST_SESSION,
        };
        is_token.then(|| text.to_owned())
    };
    ["lkg_", "AQAAAA"].into_iter().flat_map(|start| log.match_indices(start)).find_map(found)
}

fn note(secret: &str) {
    if secret.len() >= UNMISTAKABLE {
        noted().insert(secret.to_owned());
    }
}

fn noted() -> MutexGuard<'static, BTreeSet<String>> {
    NOTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As `Authorization` has it.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_caught(log: &str) -> bool {
        std::panic::catch_unwind(|| no_secret_in("a program", log)).is_err()
    }

    #[test]
    fn a_noted_secret_is_found_in_each_of_its_forms() {
        note_credentials("carol:found-in-a-log");
        note_hash("carol:$2y$04$found-hash");
        note_authorizations(b"GET / HTTP/1.1\r\nauthorization: Bearer found-token\r\n\r\n");
        for log in [
            "the password found-in-a-log is wrong",
            "header: Y2Fyb2w6Zm91bmQtaW4tYS1sb2c=",
            "carol has $2y$04$found-hash",
            "token=found-token",
        ] {
            assert!(is_caught(log), "{log}");
        }
        assert!(!is_caught("carol was let in"));
    }

    #[test]
    fn a_credential_that_nobody_noted_is_found_by_its_looks() {
        assert!(is_caught("[(\"authorization\", \"Basic bWFsbG9yeTpndWVzcw==\")]"));
        assert!(!is_caught("www-authenticate: Basic realm=\"Registry Realm\""));
    }

    #[test]
    fn a_token_that_nobody_noted_is_found_by_its_looks() {
        assert!(is_caught("password lkg_0000abcd_0123456789ABCDEFGHIJKLMNOPQabcdef is wrong"));
        let session = "AQAAAABrSdIAAQVhbGljZQAABnRlYW0vYXBw0123456789abcdefghijklmnopqrstuv-_wxyz";
        assert!(is_caught(&format!("{{\"token\":\"{session}\"}}")));
        assert!(!is_caught("token 0000abcd of ci: lkg_ID_... was revoked"));
        assert!(!is_caught(&session[..50]));
    }
}
