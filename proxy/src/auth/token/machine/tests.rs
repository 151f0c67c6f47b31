use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::rights::Right;

const HASH: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

/// A token of alice for `team/app`, which ends in an hour, and what she shows.
fn token() -> (MachineToken, MachineSecret) {
    let (secret, _) = MachineSecret::generate();
    let token = MachineToken {
        id: secret.id(),
        owner: user("alice"),
        expires: Some(now() + Duration::from_secs(3600)),
        narrowing: Narrowing { repositories: vec!["team/app".parse().unwrap()], rights: "push".parse().unwrap() },
        from: Vec::new(),
        note: "CI".into(),
        hash: secret.hash(),
    };
    (token, secret)
}

fn file_of(token: &MachineToken) -> MachineTokens {
    MachineTokens::parse(&add_token(b"", token)).unwrap()
}

fn parse(line: &str) -> Result<MachineTokens, MachineTokensDefect> {
    MachineTokens::parse(line.as_bytes())
}

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

#[test]
fn a_token_is_its_owner_s_and_nobody_else_s() {
    let (token, secret) = token();
    let tokens = file_of(&token);
    let found = tokens.find(&secret, &user("alice"), HERE, now()).unwrap();
    assert_eq!(*found, token);
    assert!(found.narrowing.permits(Right::Push, &"team/app".parse().unwrap()));
    assert!(!found.narrowing.permits(Right::Delete, &"team/app".parse().unwrap()));
    for other in ["bob", "Alice", "alic", "alice2"] {
        assert_eq!(tokens.find(&secret, &user(other), HERE, now()), None, "{other}");
    }
}

#[test]
fn another_secret_with_the_same_id_is_refused() {
    let (mut token, secret) = token();
    token.hash = MachineSecret::generate().0.hash();
    assert_eq!(file_of(&token).find(&secret, &user("alice"), HERE, now()), None);
    let (stranger, _) = MachineSecret::generate();
    assert_eq!(file_of(&token).find(&stranger, &user("alice"), HERE, now()), None);
}

#[test]
fn a_token_has_an_end_or_says_that_it_has_none() {
    let (mut token, secret) = token();
    let find = |token: &MachineToken, at| file_of(token).find(&secret, &user("alice"), HERE, at).is_some();
    let end = token.expires.unwrap();
    assert!(find(&token, end - Duration::from_secs(1)) && !find(&token, end));
    assert!(file_of(&token).by_id(token.id.as_str()).is_some(), "its sessions can be told why they end");
    token.expires = None;
    assert!(find(&token, end + Duration::from_secs(1_000_000_000)));
}

#[test]
fn a_token_is_good_from_its_networks_alone() {
    let (mut token, secret) = token();
    token.from = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let find = |address: &str| file_of(&token).find(&secret, &user("alice"), address.parse().unwrap(), now()).is_some();
    assert!(["192.0.2.9", "::ffff:192.0.2.9", "2001:db8::1"].into_iter().all(find));
    assert!(!["192.0.3.9", "2001:db9::1", "::1"].into_iter().any(find));
}

#[test]
fn what_a_line_may_hold_is_read_and_written_again() {
    let line = format!(
        "0000abcd\t{HASH}\tcarol smith\t2027-02-27T12:00:00Z\tpull, push\tteam/*,base/**\t10.0.0.0/8,::1\tthe night's build, no. 2"
    );
    let never = format!("0000abce\t{HASH}\tci\tnever\tall\t**\t-\t");
    let tokens = parse(&format!("# a comment\n\n{line}\r\n{never}")).unwrap();
    let token = tokens.by_id("0000abcd").unwrap();
    assert_eq!((token.owner.as_str(), &*token.note), ("carol smith", "the night's build, no. 2"));
    assert_eq!((token.narrowing.repositories.len(), token.from.len()), (2, 2));
    let other = tokens.by_id("0000abce").unwrap();
    assert_eq!((other.expires, other.narrowing.rights, other.from.len()), (None, Rights::ALL, 0));
    for token in tokens.sorted() {
        assert_eq!(file_of(token).by_id(token.id.as_str()), Some(token));
    }
    assert!(["", "0000abc", "0000abcf"].into_iter().all(|id| tokens.by_id(id).is_none()));
}

#[test]
fn a_line_that_is_no_token_is_named_with_what_is_wrong_and_without_its_hash() {
    let good = format!("0000abcd\t{HASH}\talice\tnever\tpull\tteam/app\t-\t");
    for (was, is, told) in [
        ("\t-\t", "\t-", "eight fields separated by tabs"),
        ("\talice\t", " alice ", "eight fields"),
        ("0000abcd", "0000abc", "a token's id is 8"),
        ("sha256:9f86", "sha256:9f8", "64 lower-case"),
        ("alice", "", "a user name must not be empty"),
        ("never", "Never", "\"Never\" is no end"),
        ("never", "2027-02-27", "2027-02-27T12:00:00Z"),
        ("\tpull\t", "\tpul\t", "did you mean \"pull\"?"),
        ("\tpull\t", "\t\t", "is no action"),
        ("team/app", "Team/app", "lower case"),
        ("team/app", "team/app,", "must not be empty"),
        ("\t-\t", "\t10.0.0\t", "\"10.0.0\": it is no address"),
    ] {
        let line = good.replacen(was, is, 1);
        let error = parse(&format!("{}\n{line}\n", good.replace("abcd", "abce"))).unwrap_err().to_string();
        assert!(error.starts_with("line 2: ") && error.contains(told), "{line}: {error}");
        assert!(!error.contains("81884c7d"), "{error}");
    }
    let twice = parse(&format!("{good}\n{good}")).unwrap_err().to_string();
    assert!(twice.contains("line 2: the id 0000abcd is that of a line above"), "{twice}");
}

#[test]
fn a_file_of_nothing_has_no_tokens_and_a_missing_one_is_a_mistake() {
    for empty in ["", "\n", " \r\n", "# nothing\n"] {
        assert_eq!(parse(empty).unwrap().count(), 0, "{empty:?}");
    }
    let missing = MachineTokens::load(Path::new("no/such/tokens")).unwrap_err();
    assert!(missing.is_missing() && missing.to_string().contains("lockgate token create"), "{missing}");
}

#[test]
fn a_revoked_token_is_gone_and_everything_else_stays() {
    let (one, secret) = token();
    let (other, _) = token();
    let file = add_token(&add_token(b"# ours\n", &one), &other);
    let without = remove_token(&file, one.id).unwrap();
    assert_eq!(without, add_token(b"# ours\n", &other));
    assert_eq!(MachineTokens::parse(&without).unwrap().find(&secret, &user("alice"), HERE, now()), None);
    assert_eq!(remove_token(&without, one.id), None);
    let last = remove_token(&add_token(b"", &one).split_off(HEAD.len()), one.id).unwrap();
    assert_eq!(MachineTokens::parse(&last).unwrap().count(), 0, "a file without a token is read");
}

proptest! {
    #[test]
    fn every_token_is_read_as_it_was_written(
        owner in "[^:\\pC]{1,20}", seconds in proptest::option::of(0..200_000_000_000_u64), note in "[^\\pC]{0,20}",
        repositories in proptest::collection::vec("[a-c*]{1,2}/[a-c]{1,2}", 1..3), right in 0..4_usize,
        from in proptest::collection::vec("10\\.[1-9]\\.0\\.0/16|::[1-9]", 0..3),
    ) {
        let (mut written, _) = token();
        written.owner = user(&owner);
        written.expires = seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        written.narrowing.rights = Right::ALL[right].into();
        let patterns: Result<_, _> = repositories.iter().map(|text| text.parse::<Pattern>()).collect();
        prop_assume!(patterns.is_ok());
        written.narrowing.repositories = patterns.unwrap();
        written.from = from.iter().map(|text| text.parse().unwrap()).collect();
        written.note = note.into();
        let tokens = file_of(&written);
        prop_assert_eq!(&**tokens.by_id(written.id.as_str()).unwrap(), &written);
    }

    #[test]
    fn no_file_makes_it_panic(file: Vec<u8>, line in "(0000abcd)?\t(sha256:[0-9a-f]{62,65})?\t\\PC{0,4}(\t[a-z*/,-]{0,6}){4,6}") {
        let _ = MachineTokens::parse(&file);
        let _ = parse(&line);
    }
}
