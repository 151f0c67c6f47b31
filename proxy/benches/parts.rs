//! What the parts of a request cost, each alone: `cargo bench -p lockgate`. `cargo test` runs each once.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use divan::{Bencher, black_box};
use lockgate::access::{Access, Asker, Groups};
use lockgate::auth::{
    Credentials, MachineSecret, Policy, Scope, Session, SessionToken, Subject, TokenKeys, Users, Verifier,
};
use lockgate::config::Config;
use lockgate::rights::Wish;
use lockgate_oci::{RepositoryName, Route, Tag};
use tokio::runtime::{Builder, Runtime};

/// `alice:correct-horse` as a client sends it.
const AUTHORIZATION: &[u8] = b"Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==";
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn main() {
    divan::main();
}

/// Everything that a path may be.
#[divan::bench(args = [
    "/v2/",
    "/v2/team/app/manifests/v1.2.3",
    "/v2/team/app/blobs/sha256:4bcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789",
    "/v2/team/app/blobs/uploads/7b1c2f0e-7f3c-4c58-9d8e-0d8f0a4f7b11",
])]
fn route(path: &str) -> Route {
    Route::parse(black_box(path)).expect("an end-point")
}

/// The value of `Authorization`.
#[divan::bench]
fn credentials() -> Credentials {
    Credentials::parse(black_box(AUTHORIZATION)).expect("they are well-formed")
}

/// A login whose password was verified before, beside so many other users.
#[divan::bench(args = [10, 10_000])]
fn remembered_login(bencher: Bencher<'_, '_>, users: usize) {
    let runtime = runtime();
    let verifier = Verifier::new(users_with_alice(users), Config::default().auth.limits()).expect("threads");
    let credentials = credentials();
    let login = || runtime.block_on(verifier.verify(&credentials, CLIENT)).expect("the right password");
    login();
    bencher.bench_local(login);
}

/// A session token of a user for one repository, signed with the last of so many keys.
#[divan::bench(args = [1, 2])]
fn session_token(bencher: Bencher<'_, '_>, keys: usize) {
    let file: Vec<_> = (0..keys).map(|key| format!("{key:064x}\n")).rev().collect();
    let keys = TokenKeys::parse(file.concat().as_bytes()).expect("keys in hexadecimal");
    let signer = TokenKeys::parse("0".repeat(64).as_bytes()).expect("a key in hexadecimal");
    let subject = Subject::User("alice".parse().expect("a user name"));
    let scope = Scope::parse(["repository:team/app:pull,push"]).expect("a scope");
    let expires = SystemTime::now() + Duration::from_secs(900);
    let hash = bcrypt::hash("correct-horse", 4).expect("a cost that bcrypt has");
    let token = SessionToken::issue(&signer, "lockgate", &subject, &scope, expires, hash.as_bytes());
    let verify = || -> Session {
        let claims = SessionToken::read(black_box(&token)).expect("a token");
        claims.verify(&keys, "lockgate", hash.as_bytes()).expect("one of the keys signed it")
    };
    bencher.bench_local(verify);
}

/// A password that is a machine token.
#[divan::bench]
fn machine_token(bencher: Bencher<'_, '_>) {
    let (_, text) = MachineSecret::generate();
    bencher.bench_local(|| MachineSecret::parse(black_box(&text)).expect("a machine token"));
}

/// A file of users that is read anew.
#[divan::bench(args = [10, 10_000])]
fn htpasswd(bencher: Bencher<'_, '_>, users: usize) {
    let file = file(users);
    bencher.bench_local(|| Users::parse(black_box(file.as_bytes()), &Policy::default()).expect("a file of users"));
}

/// A push that is given by the last of so many grants, to a user of three groups, in a repository of six segments.
#[divan::bench(args = [10, 1000, 10_000])]
fn a_push_is_granted(bencher: Bencher<'_, '_>, grants: usize) {
    decision(bencher, grants, &format!("team-{}/a/b/c/d/e", grants - 1), true);
}

/// A push that none of so many grants gives.
#[divan::bench(args = [10, 1000, 10_000])]
fn a_push_is_refused(bencher: Bencher<'_, '_>, grants: usize) {
    decision(bencher, grants, "elsewhere/a/b/c/d/e", false);
}

fn decision(bencher: Bencher<'_, '_>, grants: usize, repository: &str, is_given: bool) {
    let access = access(grants);
    let repository: RepositoryName = repository.parse().expect("a name");
    let (alice, tag): (_, Tag) = ("alice".parse().expect("a user name"), "v1".parse().expect("a tag"));
    let asker = Asker { user: Some(&alice), address: CLIENT, now: SystemTime::now() };
    bencher.bench_local(|| {
        let given = access.grants.permits(black_box(&asker), Wish::MoveTag(&tag), black_box(&repository));
        assert_eq!(given.is_some(), is_given);
    });
}

/// A file of grants that is read anew.
#[divan::bench(args = [10, 10_000])]
fn access_file(bencher: Bencher<'_, '_>, grants: usize) {
    bencher.bench_local(|| access(black_box(grants)));
}

/// So many grants: to a group each, of which alice is in three, every other one for all repositories.
fn access(grants: usize) -> Access {
    let repositories = |grant| if grant % 2 == 0 { "**/app".to_owned() } else { format!("team-{grant}/**") };
    let grant = |grant: usize| {
        format!("[[grant]]\nrepositories = {:?}\nto = \"group:team-{grant}\"\nallow = \"push\"\n", repositories(grant))
    };
    let text: String = (0..grants).map(grant).collect();
    let groups = format!("team-{}: alice\nteam-3: alice\nteam-4: alice bob\n", grants - 1);
    let groups = Groups::parse(groups.as_bytes()).expect("a file of groups");
    Access::parse(&text, Path::new("access.toml"), groups).expect("a file of grants")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime of one thread")
}

fn users_with_alice(count: usize) -> Users {
    Users::parse(file(count).as_bytes(), &Policy::default()).expect("a file of users")
}

/// So many lines, the last of them alice's.
fn file(count: usize) -> String {
    let hash = bcrypt::hash("correct-horse", 4).expect("a cost that bcrypt has");
    let others = (1..count).map(|user| format!("user-{user}:{hash}\n"));
    others.chain([format!("alice:{hash}\n")]).collect()
}
