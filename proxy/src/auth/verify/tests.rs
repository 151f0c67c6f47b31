use super::*;
use crate::auth::Policy;
use crate::config::Config;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

/// `htpasswd -nbB -C 4 alice correct-horse`.
const ALICE: &str = "alice:$2y$04$UMwEmLIncZ2ZMtJ7MV2Y2O0SUm0eGwKAhlV54TaBIn5mH.Oudc6Ou";
/// `htpasswd -nbs alice correct-horse`: the same password, another hash.
const ALICE_CHANGED: &str = "alice:{SHA}NstYn3QVe0WBGmkMWLQ0CV9I6fo=";
/// `htpasswd -nbm jürg été`.
const JUERG: &str = "jürg:$apr1$qLMAll0g$KutbFUPEVIutX2dbQda4/.";

fn users(lines: &[&str]) -> Users {
    Users::parse(lines.join("\n").as_bytes(), &Policy::default()).unwrap()
}

/// One that has patience with wrong passwords.
fn verifier(lines: &[&str]) -> Verifier {
    let patient = FailureLimit { failures: NonZeroU32::MAX, interval: Duration::from_secs(1) };
    let limits = VerifierLimits { per_user: patient, per_address: patient, ..Config::default().auth.limits() };
    Verifier::new(users(lines), limits).unwrap()
}

/// One that takes two wrong passwords of a user, and five from an address.
fn strict_verifier(lines: &[&str], threads: usize, queue: usize) -> Verifier {
    let allowance =
        |failures: u32| FailureLimit { failures: failures.try_into().unwrap(), interval: Duration::from_secs(60) };
    let limits = VerifierLimits {
        threads: threads.try_into().unwrap(),
        queue,
        per_user: allowance(2),
        per_address: allowance(5),
        ..Config::default().auth.limits()
    };
    Verifier::new(users(lines), limits).unwrap()
}

impl Verifier {
    /// Who it is, if this password was verified before.
    fn recall(&self, credentials: &Credentials) -> Option<Identity> {
        let claim = self.claim(credentials)?;
        claim.is_remembered().then(|| claim.account.identity.clone())
    }

    fn hashes_computed(&self) -> u64 {
        self.pool.computed()
    }
}

fn credentials(user: &str, password: &str) -> Credentials {
    Credentials::new(user.parse().unwrap(), password).unwrap()
}

fn alice() -> Credentials {
    credentials("alice", "correct-horse")
}

#[tokio::test]
async fn the_right_password_gives_the_identity_and_a_wrong_one_does_not() {
    let verifier = verifier(&[ALICE, JUERG]);
    assert_eq!(verifier.verify(&alice(), HERE).await.unwrap().as_str(), "alice");
    assert_eq!(verifier.verify(&credentials("jürg", "été"), HERE).await.unwrap().as_str(), "jürg");
    for (user, password) in [("alice", "wrong"), ("alice", "été"), ("jürg", "correct-horse"), ("bob", "été")] {
        assert_eq!(verifier.verify(&credentials(user, password), HERE).await, Err(Refused::Wrong), "{user}");
    }
}

#[tokio::test]
async fn a_verified_password_is_not_hashed_again() {
    let verifier = verifier(&[ALICE]);
    assert_eq!(verifier.recall(&alice()), None);
    for _ in 0..3 {
        assert!(verifier.verify(&alice(), HERE).await.is_ok());
    }
    assert_eq!(verifier.recall(&alice()).unwrap().as_str(), "alice");
    assert_eq!(verifier.hashes_computed(), 1);
}

#[tokio::test]
async fn failures_never_make_a_user_forgotten() {
    let verifier = verifier(&[ALICE]);
    assert!(verifier.verify(&alice(), HERE).await.is_ok());
    for number in 0..20 {
        let wrong = credentials("alice", &format!("wrong-{number}"));
        assert_eq!(verifier.verify(&wrong, HERE).await, Err(Refused::Wrong));
        assert_eq!(verifier.recall(&wrong), None);
    }
    assert_eq!(verifier.hashes_computed(), 21);
    assert!(verifier.verify(&alice(), HERE).await.is_ok());
    assert_eq!(verifier.hashes_computed(), 21);
}

#[tokio::test]
async fn many_connections_with_one_password_cost_one_hash() {
    let verifier = Arc::new(verifier(&[ALICE]));
    let mut connections = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let verifier = Arc::clone(&verifier);
        connections.spawn(async move { verifier.verify(&alice(), HERE).await });
    }
    for answer in connections.join_all().await {
        assert_eq!(answer.unwrap().as_str(), "alice");
    }
    assert_eq!(verifier.hashes_computed(), 1);
}

#[tokio::test]
async fn an_unknown_or_refused_user_costs_a_hash_and_never_gets_in() {
    let verifier = verifier(&[ALICE, "nohash:", "plain:plain"]);
    assert!(verifier.verify(&alice(), HERE).await.is_ok());
    // Alice's own password would match the decoy's hash.
    for (user, password) in [("bob", "correct-horse"), ("nohash", ""), ("plain", "plain"), ("plain", "correct-horse")] {
        let before = verifier.hashes_computed();
        let claim = credentials(user, password);
        assert_eq!(verifier.verify(&claim, HERE).await, Err(Refused::Wrong), "{user}");
        assert_eq!(verifier.hashes_computed() - before, 1, "{user}");
        assert_eq!(verifier.verify(&claim, HERE).await, Err(Refused::Wrong), "{user}, the second time");
    }
}

#[test]
fn strangers_are_checked_against_the_commonest_scheme_and_the_costlier_of_two() {
    let scheme = |lines: &[&str]| Directory::new(users(lines), None).decoy.unwrap().hash.scheme();
    let sha = ALICE_CHANGED.strip_prefix("alice:").unwrap();
    let (bob, carol) = (format!("bob:{sha}"), format!("carol:{sha}"));
    assert_eq!(scheme(&[ALICE, &bob, &carol, JUERG]), Scheme::Sha1);
    assert_eq!(scheme(&[ALICE, &bob, JUERG]), Scheme::Bcrypt { cost: 4 });
}

#[tokio::test]
async fn a_stranger_takes_as_long_as_a_wrong_password() {
    // Cost 8, so that the hash outweighs what else goes on.
    let verifier = verifier(&["alice:$2y$08$UMwEmLIncZ2ZMtJ7MV2Y2O0SUm0eGwKAhlV54TaBIn5mH.Oudc6Ou"]);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for number in 0..15 {
        let password = format!("wrong-{number}");
        for (user, times) in [("alice", &mut known), ("mallory", &mut unknown)] {
            let start = Instant::now();
            assert_eq!(verifier.verify(&credentials(user, &password), HERE).await, Err(Refused::Wrong));
            times.push(start.elapsed());
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    };
    let ratio = median(unknown) / median(known);
    assert!((0.5..2.0).contains(&ratio), "the median of strangers is {ratio:.2} of that of wrong passwords");
}

#[tokio::test]
async fn a_new_password_in_the_file_replaces_the_remembered_one() {
    let verifier = verifier(&[ALICE, JUERG]);
    assert!(verifier.verify(&alice(), HERE).await.is_ok());
    verifier.replace(users(&["alice:$apr1$qLMAll0g$KutbFUPEVIutX2dbQda4/.", JUERG]));
    assert_eq!(verifier.recall(&alice()), None);
    assert_eq!(verifier.verify(&alice(), HERE).await, Err(Refused::Wrong));
    assert_eq!(verifier.verify(&credentials("alice", "été"), HERE).await.unwrap().as_str(), "alice");
}

#[tokio::test]
async fn a_removed_user_is_refused_at_once_and_a_returning_one_is_hashed_again() {
    let verifier = verifier(&[ALICE, JUERG]);
    assert!(verifier.verify(&alice(), HERE).await.is_ok());
    verifier.replace(users(&[JUERG]));
    assert_eq!(verifier.recall(&alice()), None);
    assert_eq!(verifier.verify(&alice(), HERE).await, Err(Refused::Wrong));
    verifier.replace(users(&[ALICE, JUERG]));
    assert_eq!(verifier.recall(&alice()), None);
    assert!(verifier.verify(&alice(), HERE).await.is_ok());
}

#[tokio::test]
async fn users_whose_line_did_not_change_stay_remembered_over_a_reload() {
    let verifier = verifier(&[ALICE]);
    assert!(verifier.verify(&alice(), HERE).await.is_ok());
    verifier.replace(users(&["# another order", JUERG, ALICE]));
    assert!(verifier.recall(&alice()).is_some());
    verifier.replace(users(&[ALICE_CHANGED]));
    assert_eq!(verifier.recall(&alice()), None, "the hash changed, if not the password");
    assert!(verifier.verify(&alice(), HERE).await.is_ok());
}

#[tokio::test]
async fn a_user_removed_while_the_password_is_hashed_does_not_get_in() {
    let verifier = verifier(&[ALICE, JUERG]);
    let alice = alice();
    let mut verifying = std::pin::pin!(verifier.verify(&alice, HERE));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(verifying.as_mut().poll(&mut context).is_pending());
    verifier.replace(users(&[JUERG]));
    assert_eq!(verifying.await, Err(Refused::Wrong));
}

#[tokio::test]
async fn where_there_are_no_users_everyone_is_refused() {
    let verifier = verifier(&["# nobody"]);
    assert_eq!(verifier.verify(&alice(), HERE).await, Err(Refused::Wrong));
}

#[tokio::test]
async fn more_passwords_than_can_wait_are_refused_as_busy_but_remembered_ones_pass() {
    let verifier = strict_verifier(&[ALICE], 1, 0);
    for _ in 0..10 {
        assert_eq!(verifier.verify(&alice(), HERE).await, Err(Refused::Busy), "what is not checked is not rationed");
    }
    let claim = verifier.claim(&alice()).unwrap();
    claim.account.remembered.set(claim.code).unwrap();
    assert!(verifier.verify(&alice(), HERE).await.is_ok());
    assert_eq!(verifier.verify(&credentials("alice", "wrong"), HERE).await, Err(Refused::Busy));
}

/// Sends wrong passwords of alice until they are not looked at any more.
async fn exhaust(verifier: &Verifier) {
    let mut passwords = (0..).map(|number| credentials("alice", &format!("wrong-{number}")));
    while !is_throttled(&verifier.verify(&passwords.next().unwrap(), HERE).await) {}
}

fn is_throttled(answer: &Result<Identity, Refused>) -> bool {
    matches!(answer, Err(Refused::Throttled(_)))
}

#[tokio::test]
async fn a_user_who_failed_too_often_is_throttled_without_a_hash_whether_there_is_one_or_not() {
    for user in ["alice", "mallory"] {
        let verifier = strict_verifier(&[ALICE], 1, 128);
        for number in 0..10 {
            let answer = verifier.verify(&credentials(user, &format!("wrong-{number}")), HERE).await;
            assert_eq!(is_throttled(&answer), number >= 2, "{user} {number}: {answer:?}");
        }
        assert_eq!(verifier.hashes_computed(), 2, "{user}");
    }
}

#[tokio::test]
async fn a_client_that_goes_on_with_its_old_password_does_not_keep_its_user_out() {
    let verifier = strict_verifier(&[ALICE], 1, 128);
    let old = credentials("alice", "old");
    while !is_throttled(&verifier.verify(&old, HERE).await) {}
    assert_eq!(verifier.hashes_computed(), 1);
    assert!(verifier.verify(&alice(), HERE).await.is_ok());
}

#[tokio::test]
async fn a_stranger_who_is_given_another_user_s_very_line_can_log_in() {
    let verifier = verifier(&[ALICE]);
    let bob = credentials("bob", "correct-horse");
    assert_eq!(verifier.verify(&bob, HERE).await, Err(Refused::Wrong));
    verifier.replace(users(&[ALICE, &ALICE.replace("alice", "bob")]));
    assert!(verifier.verify(&bob, HERE).await.is_ok());
}

#[tokio::test]
async fn a_remembered_password_passes_while_its_own_user_is_throttled_at_its_own_address() {
    let verifier = strict_verifier(&[ALICE], 1, 128);
    assert!(verifier.verify(&alice(), HERE).await.is_ok());
    exhaust(&verifier).await;
    assert!(verifier.verify(&alice(), HERE).await.is_ok());
}

#[tokio::test]
async fn a_first_login_elsewhere_passes_while_the_user_is_throttled_here() {
    let verifier = strict_verifier(&[ALICE], 1, 128);
    exhaust(&verifier).await;
    assert!(is_throttled(&verifier.verify(&alice(), HERE).await));
    assert!(verifier.verify(&alice(), ELSEWHERE).await.is_ok());
    assert!(verifier.verify(&alice(), HERE).await.is_ok(), "it is remembered for everywhere");
}

#[tokio::test]
async fn an_address_that_tries_many_users_is_throttled_and_no_other() {
    let verifier = strict_verifier(&[ALICE], 1, 128);
    for number in 0..10 {
        let answer = verifier.verify(&credentials(&format!("user-{number}"), "wrong"), HERE).await;
        assert_eq!(is_throttled(&answer), number >= 5, "{number}: {answer:?}");
    }
    assert_eq!(verifier.hashes_computed(), 5);
    assert!(verifier.verify(&alice(), ELSEWHERE).await.is_ok());
}

#[tokio::test]
async fn logins_that_succeed_are_not_rationed() {
    let verifier = strict_verifier(&[ALICE], 1, 128);
    for _ in 0..10 {
        assert!(verifier.verify(&alice(), HERE).await.is_ok());
        // Another hash of the same password: it has to be checked again.
        verifier.replace(users(&[ALICE_CHANGED]));
        assert!(verifier.verify(&alice(), HERE).await.is_ok());
        verifier.replace(users(&[ALICE]));
    }
}

#[tokio::test]
async fn as_many_connections_as_may_be_make_their_first_login_with_one_password_at_once() {
    let verifier = Arc::new(strict_verifier(&[ALICE], 1, 128));
    let mut connections = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let verifier = Arc::clone(&verifier);
        connections.spawn(async move { verifier.verify(&alice(), HERE).await });
    }
    for answer in connections.join_all().await {
        assert!(answer.is_ok(), "{answer:?}");
    }
}

#[tokio::test]
async fn many_users_behind_one_address_make_their_first_login_at_once_each_in_its_turn() {
    let lines: Vec<_> = (0..80).map(|number| ALICE.replace("alice", &format!("user-{number}"))).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let verifier = Arc::new(strict_verifier(&lines, 8, 128));
    let mut logins = tokio::task::JoinSet::new();
    for number in 0..80 {
        let verifier = Arc::clone(&verifier);
        logins.spawn(
            async move { verifier.verify(&credentials(&format!("user-{number}"), "correct-horse"), HERE).await },
        );
    }
    for answer in logins.join_all().await {
        assert!(answer.is_ok(), "{answer:?}");
    }
}

#[tokio::test]
async fn wrong_passwords_that_come_at_once_are_looked_at_no_more_often_than_one_after_the_other() {
    let verifier = Arc::new(strict_verifier(&[ALICE], 2, 128));
    let mut guesses = tokio::task::JoinSet::new();
    for number in 0..80 {
        let verifier = Arc::clone(&verifier);
        guesses.spawn(async move { verifier.verify(&credentials(&format!("user-{number}"), "guess"), HERE).await });
    }
    let answers = guesses.join_all().await;
    let wrong = answers.iter().filter(|answer| **answer == Err(Refused::Wrong)).count();
    assert!((5..=6).contains(&wrong), "{wrong}: the second thread may be at one more");
    assert!(answers.iter().all(|answer| *answer == Err(Refused::Wrong) || is_throttled(answer)), "{answers:?}");
}

#[tokio::test]
async fn a_password_that_waits_behind_wrong_ones_here_is_checked_for_another_address() {
    let verifier = strict_verifier(&[ALICE], 1, 128);
    let (release, released) = std::sync::mpsc::channel();
    let _held = verifier.pool.begin((HERE.into(), [0; 32]), move || Ok(released.recv().is_ok()));
    let (guesses, alice) = (["one", "two"].map(|guess| credentials("alice", guess)), alice());
    let (.., here, elsewhere, released) = tokio::join!(
        verifier.verify(&guesses[0], HERE),
        verifier.verify(&guesses[1], HERE),
        verifier.verify(&alice, HERE),
        verifier.verify(&alice, ELSEWHERE),
        async { release.send(()) },
    );
    released.unwrap();
    assert!(is_throttled(&here), "{here:?}");
    assert_eq!(elsewhere.unwrap().as_str(), "alice");
}
