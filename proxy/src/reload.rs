//! Certificates, users, tokens and grants kept in step with their files while the proxy runs.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;

use crate::audit::{Act, Audit, Event, Outcome};
use crate::auth::{HtpasswdError, Policy, Users, Verifier};
use crate::files::{INTERVAL, follow};
use crate::metrics::METRICS;
use crate::tls::CertificateStore;

/// How often certificates that clients refuse, or soon will, are logged again.
const REMINDER: Duration = Duration::from_secs(24 * 60 * 60);

/// Keeps a store in step with its files, and logs what it does. Ends only with its runtime.
///
/// The warnings of the store are logged at once, after each change, and daily, since a certificate that
/// was good at the start comes to its end in a process that runs for months.
pub(crate) async fn certificates(store: Arc<CertificateStore>) {
    let reloading = Arc::clone(&store);
    let reminders = async {
        let mut days = interval(REMINDER);
        loop {
            days.tick().await;
            log_warnings(&store);
        }
    };
    tokio::select! {
        () = follow(store.files(), INTERVAL, move || reload_certificates(&reloading)) => {}
        () = reminders => {}
    }
}

fn reload_certificates(store: &CertificateStore) {
    match store.reload() {
        Ok(false) => {}
        Ok(true) => {
            METRICS.reload("certificates", true);
            tracing::info!("new handshakes get the certificate that is now on disk");
            log_warnings(store);
        }
        Err(problems) => {
            METRICS.reload("certificates", false);
            tracing::error!(%problems, "the certificate on disk is refused; the one in use stays");
        }
    }
}

fn log_warnings(store: &CertificateStore) {
    for warning in store.warnings() {
        tracing::warn!("{warning}");
    }
}

/// A file of those that a judgement stands on, or several that are one.
pub(crate) struct Followed {
    /// What is followed.
    pub(crate) files: Vec<PathBuf>,
    /// What they hold, in the plural.
    pub(crate) what: &'static str,
    /// Who is told when they are read again.
    pub(crate) audit: Arc<Audit>,
}

/// Keeps what is made of files in step with them, and logs what it does: `load` reads them, with the warnings of what they
/// hold, and `take` uses it. What cannot be read changes nothing. Ends only with its runtime.
pub(crate) async fn judgement<T, E: Display>(
    Followed { files, what, audit }: Followed,
    load: impl Fn() -> Result<(T, Vec<String>), E> + Send + 'static,
    mut take: impl FnMut(T) + Send + 'static,
) {
    // The first call is for what changed since the start; mostly nothing did, and that is no news.
    let mut is_news = false;
    let reload = move || {
        let is_news = std::mem::replace(&mut is_news, true);
        match load() {
            Ok((loaded, warnings)) => {
                take(loaded);
                if is_news {
                    METRICS.reload(what, true);
                    tracing::info!("the {what} are those that are now on disk");
                    audit.note(&Event::new(Outcome::Done, Act::Reload, what));
                    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                }
            }
            Err(error) => {
                METRICS.reload(what, false);
                tracing::error!(%error, "the {what} on disk are refused; those in use stay");
                audit.note(&Event::new(Outcome::Failed, Act::Reload, what));
            }
        }
    };
    follow(files, INTERVAL, reload).await;
}

/// Keeps a verifier's users in step with their file, and logs what it does. Ends only with its runtime.
pub(crate) async fn users(file: PathBuf, policy: Policy, verifier: Arc<Verifier>, audit: Arc<Audit>) {
    let followed = Followed { files: vec![file.clone()], what: "users", audit };
    let load = move || {
        let users = Users::load(&file, &policy)?;
        let warnings = users.warnings().iter().map(|warning| format!("{}: {warning}", file.display()));
        let warnings = warnings.collect();
        Ok::<_, HtpasswdError>((users, warnings))
    };
    judgement(followed, load, move |users| verifier.replace(users)).await;
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::io::{self, Write};
    use std::sync::Once;

    use tempfile::TempDir;
    use tokio::time::sleep;

    use super::*;
    use crate::config::Config;
    use crate::tls::samples::Samples;

    /// The store's leaf is new within 2 s, a bad pair changes nothing, and the next good one is served again.
    #[tokio::test(start_paused = true)]
    async fn a_certificate_replaced_on_disk_is_served_within_two_seconds() {
        let samples = Samples::new();
        let pair = samples.pair("a", &["a.example"]);
        let store = Arc::new(CertificateStore::load(std::slice::from_ref(&pair)).unwrap());
        let task = tokio::spawn(certificates(Arc::clone(&store)));
        for _ in 0..2 {
            fs::write(&pair.certificate, "half a certificate").unwrap();
            let before = store.default_leaf();
            sleep(Duration::from_secs(2)).await;
            assert_eq!(store.default_leaf(), before);
            samples.pair("a", &["a.example"]);
            sleep(Duration::from_secs(2)).await;
            assert_eq!(store.default_leaf(), samples.der(&pair));
            assert_ne!(store.default_leaf(), before);
        }
        assert!(!task.is_finished());
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn users_replaced_on_disk_log_in_within_two_seconds_and_a_bad_file_keeps_the_old_ones() {
        const NOBODY_KNOWS: &str = "$apr1$salt$Xxd1irWT9ycqoYxGFn4cb.";
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("htpasswd");
        fs::write(&path, format!("alice:{NOBODY_KNOWS}\n")).unwrap();
        let policy = Policy::default();
        let loaded = Users::load(&path, &policy).unwrap();
        let verifier = Arc::new(Verifier::new(loaded, Config::default().auth.limits()).unwrap());
        let task = tokio::spawn(users(
            path.clone(),
            policy,
            Arc::clone(&verifier),
            Audit::start(&Config::default().audit).expect("there is none"),
        ));
        for (content, expected) in [
            (format!("alice:{NOBODY_KNOWS}\nbob:{NOBODY_KNOWS}\n"), [true, true]),
            ("no colon\n".to_owned(), [true, true]),
            (format!("bob:{NOBODY_KNOWS}\n"), [false, true]),
        ] {
            fs::write(&path, content).unwrap();
            sleep(Duration::from_secs(2)).await;
            assert_eq!(["alice", "bob"].map(|user| verifier.knows(&user.parse().unwrap())), expected);
        }
        task.abort();
    }

    #[test]
    fn a_refused_certificate_is_one_line_in_the_log() {
        let samples = Samples::new();
        let (a, b) = (samples.pair("a", &["a.example"]), samples.pair("b", &["b.example"]));
        let store = CertificateStore::load(&[a.clone(), b.clone()]).unwrap();
        fs::write(&a.certificate, "half a certificate").unwrap();
        fs::remove_file(&b.key).unwrap();
        let log = logged(|| reload_certificates(&store));
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(["ERROR", "a.crt", "b.key", "the one in use stays"].iter().all(|part| log.contains(part)), "{log}");
    }

    #[test]
    fn a_new_certificate_is_told_with_its_warnings_and_an_unchanged_one_is_not() {
        let samples = Samples::new();
        let pair = samples.pair("a", &["a.example"]);
        let store = CertificateStore::load(std::slice::from_ref(&pair)).unwrap();
        assert_eq!(logged(|| reload_certificates(&store)), "");
        samples.pair("a", &[]);
        let log = logged(|| reload_certificates(&store));
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(log.contains("INFO") && log.contains("has no subjectAltName"), "{log}");
    }

    thread_local! {
        static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    /// Takes the lines of the thread that writes them.
    struct Lines;

    impl Write for Lines {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            LINES.with_borrow_mut(|lines| lines.write(text))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `act` logs on this thread. One subscriber is there for all: where each test has its own, what
    /// tracing remembers of who listens is behind for a moment, and a line is lost.
    fn logged(act: impl FnOnce()) -> String {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Lines).finish();
            tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");
        });
        LINES.take();
        act();
        String::from_utf8(LINES.take()).unwrap()
    }
}
