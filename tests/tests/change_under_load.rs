//! Promise: certificates and users change while the gate is used, and nobody who is let in notices; nobody else comes in.

use lockgate_e2e::{
    Capture, Ending, Gate, PATIENCE, Pair, Pattern, Process, Scheme, Signal, Upstream, Wire, eventually, htpasswd_line,
    ok, rename_over, tool,
};
use std::cell::RefCell;
use std::fs;
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Changes of the certificate and of the users, as many of each.
const CHANGES: usize = 100;

/// Every so many changes one is awaited, so that at least `CHANGES / EACH` of them are really taken: the gate looks once
/// a second, and of what changes more often it sees the last.
const EACH: usize = 10;

/// The change of a round that leaves half a certificate, and the one that leaves half a line of users.
const HALF_CERTIFICATE: usize = 1;
const HALF_LINE: usize = 4;

/// How long a change may take to hold, under all this load.
const PROMISED: Duration = Duration::from_secs(2);

const CERTIFICATE_TAKEN: &str = "new handshakes get the certificate";
const CERTIFICATE_REFUSED: &str = "the certificate on disk is refused";
const USERS_TAKEN: &str = "the users are those that are now on disk";
const USERS_REFUSED: &str = "the users on disk are refused";
const NOTICES: [&str; 4] = [CERTIFICATE_TAKEN, CERTIFICATE_REFUSED, USERS_TAKEN, USERS_REFUSED];

const ALICE: &str = "Authorization: Basic YWxpY2U6Y29ycmVjdC1ob3JzZQ==";

/// How long wrk would go on if it were not told to end.
const WRK_SECONDS: u32 = 300;

/// wrk, which asks as fast as it is answered.
struct Wrk(Process);

impl Wrk {
    fn start(gate: &Gate, connections: usize, headers: &[&str]) -> Self {
        let mut wrk = tool("wrk");
        wrk.args(["--threads=1", &format!("--connections={connections}"), &format!("--duration={WRK_SECONDS}s")]);
        for header in headers {
            wrk.args(["--header", header]);
        }
        Self(Process::start(wrk.arg(gate.door().url("/v2/"))))
    }

    /// How many of its requests were answered, every one of them with 200.
    fn end(mut self) -> usize {
        // It prints its report and ends.
        self.0.signal(Signal::Interrupt);
        assert!(self.0.wait(PATIENCE).success());
        let report = String::from_utf8(self.0.stdout().to_end()).expect("wrk writes ASCII");
        for trouble in ["Socket errors", "Non-2xx"] {
            assert!(!report.contains(trouble), "{report}");
        }
        let line = report.lines().find(|line| line.contains(" requests in ")).expect("wrk says how many");
        line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("it is a number")
    }
}

/// How often the gate said something; each part of its log is read once.
struct Notices {
    log: Capture,
    read: RefCell<(usize, Vec<String>)>,
}

impl Notices {
    fn of(gate: &Gate) -> Self {
        Self { log: gate.log().clone(), read: RefCell::default() }
    }

    fn seen(&self, what: &str) -> usize {
        let (position, notices) = &mut *self.read.borrow_mut();
        let lines = self.log.lines_since(position);
        notices.extend(lines.into_iter().filter(|line| NOTICES.iter().any(|notice| line.contains(notice))));
        notices.iter().filter(|line| line.contains(what)).count()
    }
}

/// The clients, and what they met.
struct Load<'a> {
    gate: &'a Gate,
    over: AtomicBool,
    /// Requests on new connections that were answered.
    handshakes: AtomicUsize,
    /// Requests on one kept connection that were answered.
    on_kept: AtomicUsize,
    troubles: Mutex<Vec<String>>,
}

impl Load<'_> {
    fn is_on(&self) -> bool {
        !self.over.load(Ordering::SeqCst)
    }

    /// A request that must be answered with 200.
    fn request(&self, wire: &mut Wire, answered: &AtomicUsize) {
        wire.send(format!("GET /v2/ HTTP/1.1\r\nHost: r\r\n{ALICE}\r\n\r\n"));
        match wire.outcome(false) {
            Ending::Whole(response) if response.head.status() == 200 => {
                answered.fetch_add(1, Ordering::SeqCst);
            }
            trouble => self.troubles.lock().expect("nobody panics while holding it").push(format!("{trouble:?}")),
        }
    }

    fn on_new_connections(&self) {
        while self.is_on() {
            self.request(&mut self.gate.wire(), &self.handshakes);
        }
    }

    fn on_a_kept_connection(&self) {
        let mut wire = self.gate.wire();
        while self.is_on() {
            self.request(&mut wire, &self.on_kept);
        }
    }

    /// Whoever is in no good file stays out, whatever a bad one says.
    fn strangers(&self) {
        while self.is_on() {
            for credentials in ["mallory:open-sesame", "alice:wrong", ":"] {
                let status = self.gate.stranger("/v2/").user(credentials).run().status();
                if status != 401 {
                    self.troubles
                        .lock()
                        .expect("nobody panics while holding it")
                        .push(format!("{credentials} got {status}"));
                }
            }
        }
    }

    /// Awaits that more handshakes were done after this moment than were under way in it.
    fn await_handshakes(&self) {
        let before = self.handshakes.load(Ordering::SeqCst);
        eventually(Duration::from_secs(30), "handshakes", || {
            (self.handshakes.load(Ordering::SeqCst) > before + 2
                || !self.troubles.lock().expect("nobody panics while holding it").is_empty())
            .then_some(())
        });
    }
}

/// A body that ends when it is told to.
struct Until<'a>(&'a AtomicBool, Pattern);

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.load(Ordering::SeqCst) { Ok(0) } else { self.1.read(buffer) }
    }
}

/// Puts a pair in place, well or badly; the last of each round well.
fn change_certificate(gate: &Gate, pairs: &[Pair], number: usize) {
    let read = |path| fs::read(path).expect("it was made");
    let (pair, other) = (&pairs[number % pairs.len()], &pairs[(number + 1) % pairs.len()]);
    let (certificate, key) = (read(&pair.certificate), read(&pair.key));
    match number % EACH {
        HALF_CERTIFICATE | 6 => rename_over(&gate.pair.certificate, &certificate[..certificate.len() / 2]),
        3 => rename_over(&gate.pair.key, read(&other.key)),
        5 => fs::write(&gate.pair.key, &key[..key.len() / 3]).expect("the directory is ours"),
        8 => fs::remove_file(&gate.pair.certificate).expect("the directory is ours"),
        _ => {
            rename_over(&gate.pair.key, key);
            rename_over(&gate.pair.certificate, certificate);
        }
    }
}

/// Puts a file of users in place, well or badly; the last of each round well.
fn change_users(gate: &Gate, alice: &str, bobs: &[String], number: usize) {
    let good = format!("{alice}\n{}\n", bobs[number % bobs.len()]);
    match number % EACH {
        // A plain password closes the door to its user, and a line without a colon refuses the file.
        2 => rename_over(&gate.htpasswd, format!("{good}mallory:open-sesame\n")),
        HALF_LINE => rename_over(&gate.htpasswd, format!("{good}mallory:open-sesame\nhalf a li")),
        6 => fs::write(&gate.htpasswd, "").expect("the directory is ours"),
        8 => fs::remove_file(&gate.htpasswd).expect("the directory is ours"),
        _ => rename_over(&gate.htpasswd, good),
    }
}

#[test]
fn a_hundred_certificates_and_a_hundred_user_files_change_under_load_and_no_request_fails() {
    let upstream = Upstream::answering(ok("{}"));
    // The strangers come from the address of all others, and what is rationed for them is not asked here.
    let gate = Gate::before(upstream.url()).set("auth.failures", 1_000_000).set("auth.address_failures", 1_000_000);
    let gate = gate.start();
    let pairs: Vec<Pair> =
        (0..4).map(|n| gate.authority.issue(&format!("swap{n}"), &["localhost", "127.0.0.1"])).collect();
    let alice = fs::read_to_string(&gate.htpasswd).unwrap().trim().to_owned();
    let password = |number: usize| format!("bob-{number}");
    let bobs: Vec<String> = (0..CHANGES).map(|n| htpasswd_line(Scheme::Sha1, "bob", &password(n))).collect();
    let load = Load {
        gate: &gate,
        over: AtomicBool::new(false),
        handshakes: AtomicUsize::new(0),
        on_kept: AtomicUsize::new(0),
        troubles: Mutex::new(Vec::new()),
    };
    let notices = Notices::of(&gate);
    let seen = |what: &str| notices.seen(what);
    let status_of_bob = |number| gate.stranger("/v2/").user(&format!("bob:{}", password(number))).run().status();

    let on_kept = Wrk::start(&gate, 4, &[ALICE]);
    let on_new = Wrk::start(&gate, 2, &[ALICE, "Connection: close"]);
    let mut longest = Duration::ZERO;
    std::thread::scope(|scope| {
        // Ends the clients when a change is awaited in vain, too.
        let over = Over(&load.over);
        scope.spawn(|| load.on_new_connections());
        scope.spawn(|| load.on_a_kept_connection());
        scope.spawn(|| load.strangers());
        let push = scope.spawn(|| {
            let curl = gate.curl("/v2/a/blobs/uploads/u").method("PATCH").args(&["--limit-rate", "1M"]);
            curl.run_sending(Until(&load.over, Pattern::new(1, u64::MAX)))
        });
        for number in 0..CHANGES {
            let taken = seen(CERTIFICATE_TAKEN);
            let refused = (seen(CERTIFICATE_REFUSED), seen(USERS_REFUSED));
            change_certificate(&gate, &pairs, number);
            change_users(&gate, &alice, &bobs, number);
            let changed = Instant::now();
            load.await_handshakes();
            // Most of what is wrong is gone again before it is read. In the first round some of it stays.
            if number == HALF_CERTIFICATE {
                eventually(PROMISED, "a refusal", || (seen(CERTIFICATE_REFUSED) > refused.0).then_some(()));
            }
            if number == HALF_LINE {
                eventually(PROMISED, "a refusal", || (seen(USERS_REFUSED) > refused.1).then_some(()));
            }
            if number % EACH == EACH - 1 {
                let left = PROMISED.saturating_sub(changed.elapsed());
                eventually(left, "the new password", || (status_of_bob(number) == 200).then_some(()));
                longest = longest.max(changed.elapsed());
                assert_eq!(status_of_bob(number + 1 - EACH), 401, "an old password is refused");
                eventually(PROMISED, "the new certificate", || (seen(CERTIFICATE_TAKEN) > taken).then_some(()));
            }
        }
        drop(over);
        let push = push.join().unwrap();
        assert_eq!((push.exit, push.status()), (0, 200), "{}", push.stderr);
    });

    let (on_kept, on_new) = (on_kept.end(), on_new.end());
    let troubles = load.troubles.into_inner().unwrap();
    assert!(troubles.is_empty(), "{} requests failed, the first: {}", troubles.len(), troubles[0]);
    assert!(upstream.received().iter().any(|request| request.head.method() == "PATCH" && request.complete));
    for (what, at_least) in [
        (CERTIFICATE_TAKEN, CHANGES / EACH),
        (USERS_TAKEN, CHANGES / EACH),
        (CERTIFICATE_REFUSED, 1),
        (USERS_REFUSED, 1),
    ] {
        assert!(seen(what) >= at_least, "{what}: {} times, and not {at_least}", seen(what));
    }
    eprintln!(
        "wrk: {on_kept} requests on kept connections, {on_new} on new ones; besides {} handshakes, {} requests on a kept \
         connection; a new password held after {longest:?} at the latest; certificates taken {} refused {}, users taken {} refused {}",
        load.handshakes.into_inner(),
        load.on_kept.into_inner(),
        seen(CERTIFICATE_TAKEN),
        seen(CERTIFICATE_REFUSED),
        seen(USERS_TAKEN),
        seen(USERS_REFUSED)
    );
}

/// Says that it is over when it goes.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
