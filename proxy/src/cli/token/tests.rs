use super::*;
use crate::rights::Right;
use clap::Parser as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::time::UNIX_EPOCH;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[derive(Debug, clap::Parser)]
struct Program {
    #[command(flatten)]
    args: Args,
}

fn parse(words: &[&str]) -> Result<Command, clap::Error> {
    Program::try_parse_from([&["token"], words].concat()).map(|program| program.args.command)
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// Makes a token of `ci` for `team/app`, with further options.
fn made(file: &Path, words: &[&str]) -> (MachineToken, Zeroizing<String>) {
    let needed = ["create", "--for", "ci", "--repositories", "team/app,base/*", "--allow", "push", "--expires"];
    let Ok(Command::Create(args)) = parse(&[&needed, words].concat()) else { panic!("{words:?}") };
    let (token, text, _) = create(&args, file, now()).unwrap();
    (token, text)
}

#[test]
fn a_token_that_was_made_is_its_owner_s_password_until_its_end_or_until_it_is_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    let (token, text) = made(&file, &["90d", "--note", "the night's build"]);
    let (other, other_text) = made(&file, &["never"]);
    let find = |text: &str, at| {
        let secret = MachineSecret::parse(text).unwrap();
        MachineTokens::load(&file).unwrap().find(&secret, &"ci".parse().unwrap(), HERE, at)
    };
    let found = find(&text, now()).unwrap();
    assert!(found.narrowing.permits(Right::Push, &"base/x".parse().unwrap()));
    assert_eq!((found.id, found.end().as_str()), (token.id, "2027-04-15T08:00:00Z"));
    let day = Duration::from_secs(24 * 60 * 60);
    assert!(find(&text, now() + 89 * day).is_some() && find(&text, now() + 90 * day).is_none());
    assert!(find(&other_text, now() + 10_000 * day).is_some());
    remove(&file, other.id).unwrap();
    assert!(find(&other_text, now()).is_none() && find(&text, now()).is_some());
    assert!(matches!(remove(&file, other.id), Err(Error::NoSuchToken { .. })));
    remove(&file, token.id).unwrap();
    assert_eq!(MachineTokens::load(&file).unwrap().count(), 0, "the file is still one");
}

#[test]
fn the_file_is_for_its_owner_s_eyes_and_holds_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    let (_, text) = made(&file, &["90d"]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = &text["lkg_00000000_".len()..];
    assert!(!fs::read_to_string(&file).unwrap().contains(secret));
}

#[test]
fn a_list_says_what_each_token_is_for_and_which_have_ended() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    let (first, _) = made(&file, &["1h", "--note", "the night's build", "--from", "10.0.0.0/8"]);
    let (second, text) = made(&file, &["never"]);
    let lines = table(&MachineTokens::load(&file).unwrap(), now() + Duration::from_secs(7200));
    assert_eq!(lines.len(), 3);
    let words = |line: &str| {
        line.split("  ").map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(words(&lines[0]), ["ID", "OWNER", "END", "ALLOW", "REPOSITORIES", "FROM", "NOTE"]);
    let rights = first.narrowing.rights.to_string();
    let end = "2027-01-15T09:00:00Z (ended)";
    let id = first.id.to_string();
    assert_eq!(words(&lines[1]), [&id, "ci", end, &rights, "team/app,base/*", "10.0.0.0/8", "the night's build"]);
    assert_eq!(words(&lines[2]), [&second.id.to_string(), "ci", "never", &rights, "team/app,base/*", "-"]);
    assert!(!lines.concat().contains(&text[13..]));
}

#[test]
fn a_file_in_which_something_is_wrong_gets_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    fs::write(&file, "alice:correct-horse\n").unwrap();
    let Ok(Command::Create(args)) =
        parse(&["create", "--for", "ci", "--repositories", "a", "--allow", "pull", "--expires", "1h"])
    else {
        panic!("it is a command")
    };
    let error = create(&args, &file, now()).unwrap_err().to_string();
    assert!(error.contains("line 1: a token is eight fields") && !error.contains("horse"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "alice:correct-horse\n");
}

#[test]
fn an_end_has_to_be_said_and_what_is_no_token_is_told() {
    let good = ["create", "--for", "ci", "--repositories", "a", "--allow", "pull"];
    assert!(parse(&good).is_err(), "no end");
    for (words, told) in [
        (&["--expires", "90"][..], "as in 90d"),
        (&["--expires", "0s"], "as in 90d"),
        (&["--expires", "100y"], "ten years"),
        (&["--expires", "1d", "--from", "10.0.0"], "no address"),
        (&["--expires", "1d", "--allow", "pul"], "did you mean"),
        (&["--expires", "1d", "--repositories", "a//b"], "no two in a row"),
        (&["--expires", "1d", "--note", "a\tb"], "control"),
        (&["--expires", "1d", "--note", &"x".repeat(201)], "200 bytes"),
    ] {
        let error = parse(&[&good, words].concat()).expect_err(told).to_string();
        assert!(error.contains(told), "{error}");
    }
    assert!(parse(&["revoke", "lkg_0000abcd"]).unwrap_err().to_string().contains("between the underscores"));
    let Ok(Command::Create(args)) =
        parse(&[&good[..3], &["--repositories", "home/${user}", "--allow", "pull", "--expires", "1d"]].concat())
    else {
        panic!("it is a command")
    };
    let error = create(&args, Path::new("no/such"), now()).unwrap_err().to_string();
    assert!(error.contains("write the owner's name out"), "{error}");
}
