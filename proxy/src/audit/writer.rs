//! The thread that writes, so that no request's thread waits for a disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, interval_at, sleep};

use super::event::{Act, Event, Outcome, Tally};
use super::file::AuditFile;
use super::strangers::Strangers;
use crate::config::OnFull;
use crate::metrics::METRICS;
use crate::rate_limited::RateLimitedWarning;

/// How many lines wait for the thread, before the next act waits for them.
const QUEUE: usize = 1024;

/// Over what time the lines of strangers are summed up.
const MINUTE: Duration = Duration::from_secs(60);

/// How long after a failure the file is tried again where nothing else is to be written.
const RETRY: Duration = Duration::from_secs(1);

/// The line was not written, and nothing is to be done without one: `audit.on_full = "refuse"`. A 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written")]
pub(crate) struct Full;

/// What the thread is told.
pub(super) enum Job {
    /// Write it, and say so to whoever waits for it.
    Line(Vec<u8>, Option<oneshot::Sender<Result<(), Full>>>),
    /// Write what is counted of strangers, and say when all is done.
    End(oneshot::Sender<()>),
}

/// What the thread and those who write share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) strangers: Strangers,
    pub(super) room: watch::Sender<Room>,
    lost: AtomicU64,
    warning: RateLimitedWarning,
}

/// The room for lines. What is under way when there is none left still has its line, and there are no more of those than
/// requests.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// A line did not find room in the file, or the next ones have none.
    pub(super) is_full: bool,
    /// How many lines wait for the thread.
    pub(super) queued: usize,
}

impl Room {
    /// Whether there is any for an act that is to begin.
    pub(super) fn is_left(&self) -> bool {
        !self.is_full && self.is_left_in_the_queue()
    }

    /// Whether few lines wait for the thread.
    pub(super) fn is_left_in_the_queue(&self) -> bool {
        self.queued < QUEUE
    }
}

impl Shared {
    /// A line waits for the thread.
    pub(super) fn queued(&self) {
        self.room.send_if_modified(|room| {
            room.queued += 1;
            false
        });
    }

    /// The thread has a line in its hand.
    fn taken(&self) {
        self.room.send_if_modified(|room| {
            room.queued -= 1;
            room.queued + 1 == QUEUE
        });
    }

    /// Lines are not in the file, and will not be.
    pub(super) fn lose(&self, lines: u64) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
        METRICS.audit_lost.inc_by(lines);
        if self.warning.count().is_some() {
            let lines = self.lost.load(Ordering::Relaxed);
            tracing::error!(
                lines,
                "lines of the audit log are lost (audit.on_full); the next that is written says how many"
            );
        }
    }
}

/// Starts the thread. It ends when nobody can tell it anything any more.
pub(super) fn start(file: AuditFile, on_full: OnFull, shared: Arc<Shared>) -> io::Result<mpsc::UnboundedSender<Job>> {
    let (sender, jobs) = mpsc::unbounded_channel();
    let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
    let mut writer = Writer { file, on_full, shared, jobs, trouble: RateLimitedWarning::default() };
    writer.look_for_room();
    thread::Builder::new().name("audit".to_owned()).spawn(move || runtime.block_on(writer.work()))?;
    Ok(sender)
}

struct Writer {
    file: AuditFile,
    on_full: OnFull,
    shared: Arc<Shared>,
    jobs: mpsc::UnboundedReceiver<Job>,
    trouble: RateLimitedWarning,
}

impl Writer {
    async fn work(mut self) {
        let mut minutes = interval_at(Instant::now() + MINUTE, MINUTE);
        loop {
            let is_full = self.shared.room.borrow().is_full;
            tokio::select! {
                job = self.jobs.recv() => match job {
                    Some(Job::Line(line, writer)) => {
                        self.shared.taken();
                        let written = self.write(&line).await;
                        let _ = writer.map(|writer| writer.send(written));
                    }
                    Some(Job::End(done)) => {
                        self.tell_of_strangers();
                        let _ = done.send(());
                    }
                    None => break,
                },
                _ = minutes.tick() => {
                    self.tell_of_strangers();
                    self.tell_of_losses();
                }
                () = sleep(RETRY), if is_full => self.tell_of_losses(),
            }
        }
    }

    /// Writes a line.
    async fn write(&mut self, line: &[u8]) -> Result<(), Full> {
        match self.on_full {
            OnFull::Wait => {
                while self.attempt(|file| file.append(line)).is_err() {
                    self.pause().await?;
                }
                while self.attempt(AuditFile::finish).is_err() {
                    self.pause().await?;
                }
            }
            OnFull::Refuse | OnFull::Drop => {
                self.attempt(|file| file.append(line)).map_err(|_| {
                    self.shared.lose(1);
                    Full
                })?;
                // What was begun is finished when there is room.
                self.attempt(AuditFile::finish).map_err(|_| Full)?;
            }
        }
        self.tell_of_losses();
        Ok(())
    }

    /// Waits for room. Once nobody is there any more it is over.
    async fn pause(&self) -> Result<(), Full> {
        if self.jobs.is_closed() {
            self.shared.lose(1);
            return Err(Full);
        }
        sleep(RETRY).await;
        Ok(())
    }

    /// Writes what was counted of strangers, if there is room.
    fn tell_of_strangers(&mut self) {
        for (line, events) in self.shared.strangers.take() {
            match self.attempt(|file| file.append(&line)) {
                Ok(()) => self.tell_of_losses(),
                Err(_) => self.shared.lose(events),
            }
        }
    }

    /// Says in the file itself how many lines it lacks: an audit log is to show its gaps.
    fn tell_of_losses(&mut self) {
        let count = self.shared.lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            let now = SystemTime::now();
            let line = Event::new(Outcome::Failed, Act::Audit, "lines could not be written").line(now);
            let line = Tally { count, until: now }.added_to(line);
            if self.attempt(|file| file.append(&line)).is_err() {
                self.shared.lost.fetch_add(count, Ordering::Relaxed);
                return;
            }
        }
        self.look_for_room();
    }

    /// Says whether acts may begin: where they may not without a line, there has to be room for those that are under way.
    fn look_for_room(&mut self) {
        let keep_room = if self.on_full == OnFull::Drop { AuditFile::finish } else { AuditFile::keep_room };
        if self.attempt(keep_room).is_ok() {
            self.is_full(false);
        }
    }

    fn is_full(&self, now: bool) {
        self.shared.room.send_if_modified(|room| std::mem::replace(&mut room.is_full, now) != now);
    }

    fn attempt(&mut self, write: impl FnOnce(&mut AuditFile) -> io::Result<()>) -> io::Result<()> {
        let result = write(&mut self.file);
        if let Err(error) = &result {
            self.is_full(true);
            if self.trouble.count().is_some() {
                tracing::error!(%error, "audit.file cannot be written; make room for it (audit.on_full says what happens meanwhile)");
            }
        }
        result
    }
}
