//! What a token stands on ends while it is used, on connections that stay open.

use crate::{ALICE, GRANTS, push, with_grants};
use lockgate_e2e::{Gate, PATIENCE, Scheme, StrictClient, base64, eventually, fresh_dir, htpasswd_line, rename_over};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What is asked later than this is refused.
const PROMISED: Duration = Duration::from_secs(2);

/// The same, and what a machine that is busy with all these clients takes to notice.
const NOTICED: Duration = Duration::from_millis(3500);

const CONNECTIONS: usize = 16;

/// What is changed, and what the token's bearer is told from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    User,
    Password,
    Group,
    Grant,
    Machine,
}

impl Change {
    fn refusal(self) -> u16 {
        if matches!(self, Self::Group | Self::Grant) { 403 } else { 401 }
    }
}

/// One who asks without pause on one connection.
#[derive(Default)]
struct Asker {
    answered: AtomicUsize,
    refused: AtomicUsize,
    /// How often what was asked too late was not refused.
    late: AtomicUsize,
}

/// What is under way for all of them.
#[derive(Default)]
struct Course {
    changed: OnceLock<Instant>,
    is_over: AtomicBool,
}

impl Asker {
    /// Asks until it is over, and returns when it was first refused.
    fn ask(&self, client: &StrictClient, request: &str, refusal: u16, course: &Course) -> Option<Instant> {
        let mut connection = client.connect().expect("connected");
        let mut first = None;
        while !course.is_over.load(Ordering::SeqCst) {
            let is_late = course.changed.get().is_some_and(|changed| changed.elapsed() > PROMISED);
            let response = connection.exchange(request).expect("the connection is kept");
            let status = response.head.status();
            self.answered.fetch_add(1, Ordering::SeqCst);
            if status == 200 && is_late {
                self.late.fetch_add(1, Ordering::SeqCst);
            }
            if status != 200 || first.is_some() {
                assert_eq!(status, refusal, "it was refused: {first:?}");
                first.get_or_insert_with(Instant::now);
                self.refused.fetch_add(1, Ordering::SeqCst);
            }
        }
        first
    }
}

/// Ends the clients when the test fails, too.
struct Over<'a>(&'a Course);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

fn users(lines: &[(&str, &str)]) -> String {
    lines.iter().map(|(user, password)| htpasswd_line(Scheme::Bcrypt, user, password) + "\n").collect()
}

/// Half of them ask with a token for a session; where a machine's is revoked, the others ask with that itself.
fn ends_for_everybody(change: Change) {
    let data = fresh_dir();
    let gate = with_grants(Gate::over(data.path())).set("log.level", "info");
    let tokens = gate.dir().join("tokens");
    let gate = gate.set("auth.tokens", tokens.display()).start();
    push(&gate, "team/app", "v1", "x");
    let made =
        ["token", "create", "--for", "alice", "--repositories", "team/app", "--allow", "pull", "--expires", "1d"];
    let machine = gate.lockgate(&made).success().stdout.trim().to_owned();
    let by_machine = format!("alice:{machine}");
    let is_known = || gate.by(&by_machine, "GET", "/v2/").run().status() == 200;
    eventually(PATIENCE, "the machine's token", || is_known().then_some(()));
    let credentials = if change == Change::Machine { &*by_machine } else { ALICE };
    let session = format!("Bearer {}", gate.token(Some(credentials), "repository:team/app:pull"));
    let other = match change {
        Change::Machine => format!("Basic {}", base64(by_machine.as_bytes())),
        _ => format!("Bearer {}", gate.token(Some(credentials), "repository:team/app:pull,push")),
    };
    let requests = [session, other].map(|authorization| {
        let host = gate.door().address;
        format!("GET /v2/team/app/tags/list HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\n\r\n")
    });
    let without_alice = users(&[("bob", "x")]);
    let with_another_password = users(&[("alice", "another")]);

    let (course, client) = (Course::default(), StrictClient::at(gate.door()));
    let askers: Vec<Asker> = std::iter::repeat_with(Asker::default).take(CONNECTIONS).collect();
    let each = |what: &str, bound: Duration, is_so: &dyn Fn(&Asker) -> bool| {
        eventually(bound, &format!("{what}: {change:?}"), || askers.iter().all(is_so).then_some(()));
    };
    std::thread::scope(|scope| {
        let over = Over(&course);
        let threads: Vec<_> = askers
            .iter()
            .zip(requests.iter().cycle())
            .map(|(asker, request)| scope.spawn(|| asker.ask(&client, request, change.refusal(), &course)))
            .collect();
        each("answers", PATIENCE, &|asker| asker.answered.load(Ordering::SeqCst) >= 10);
        assert!(askers.iter().all(|asker| asker.refused.load(Ordering::SeqCst) == 0), "{change:?} was not made yet");
        match change {
            Change::User => rename_over(&gate.htpasswd, &without_alice),
            Change::Password => rename_over(&gate.htpasswd, &with_another_password),
            Change::Group => rename_over(&gate.dir().join("groups"), "team: bob\n"),
            Change::Grant => {
                rename_over(&gate.dir().join("access.toml"), GRANTS.replace("group:team", "user:carol"));
            }
            Change::Machine => {
                let id = machine.split('_').nth(1).expect("an id");
                gate.lockgate(&["token", "revoke", id]).success();
            }
        }
        let changed = *course.changed.get_or_init(Instant::now);
        each("the first refusal", NOTICED, &|asker| asker.refused.load(Ordering::SeqCst) >= 1);
        each("refusals ever after", PATIENCE, &|asker| asker.refused.load(Ordering::SeqCst) >= 50);
        drop(over);
        let ended = threads.into_iter().map(|thread| thread.join().expect("no other answer").expect("a refusal"));
        let last = ended.max().expect("there are connections").saturating_duration_since(changed);
        let late: usize = askers.iter().map(|asker| asker.late.load(Ordering::SeqCst)).sum();
        assert_eq!(late, 0, "{change:?}: asked two seconds later, and not refused; the last connection after {last:?}");
        let answered: usize = askers.iter().map(|asker| asker.answered.load(Ordering::SeqCst)).sum();
        println!("{change:?}: {answered} requests, the last connection's first refusal after {last:?}");
    });
}

#[test]
fn a_token_ends_on_every_connection_and_is_never_accepted_again() {
    for change in [Change::User, Change::Password, Change::Group, Change::Grant, Change::Machine] {
        ends_for_everybody(change);
    }
}
