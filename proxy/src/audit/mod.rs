//! The audit log: a JSON object a line in a file of its own, for what was done and what was refused.
//!
//! | field | is |
//! |---|---|
//! | `time` | when, in UTC (RFC 3339) |
//! | `outcome` | `done`; `denied`: the gate did not let it happen; `failed`: the registry answered with an error or not at all, or the client left before it did: then the act may be done |
//! | `action` | `login`, `token`, `pull`, `pull_blob`, `list`, `catalog`, `extension`, `push`, `upload`, `mount`, `delete`, `delete_blob`, `reload`; `audit`: of this file lines are missing |
//! | `reason` | the grant that gives it, or why not |
//! | `user` | who; absent for strangers, whatever they claim to be |
//! | `token` | the id of the machine token that was shown |
//! | `client` | the client's address and port; of strangers the address alone, or the /64 of an IPv6 address |
//! | `user_agent` | the first 200 bytes of what the client says that it is |
//! | `repository` | the repository it is about |
//! | `from` | the repository from which a blob is mounted |
//! | `tags` | the tags it is about, a list |
//! | `digest` | the digest it is about |
//! | `status` | the status that the client was answered |
//! | `request_id` | the request's id, of which the first 200 bytes |
//! | `count`, `until` | how many events the line stands for, and when the last of them was; all else is the first one's |
//!
//! A field of which there is nothing to say is absent. Fields may be added, and none changes its meaning.
//!
//! **An act has one line**, which is written before its answer goes out: `push` and `pull` are those of the manifest.
//! A blob that somebody reads, or mounts elsewhere, without having read a manifest of that repository within the hour
//! has a line too; with `audit.level = "blobs"` all of them do. Every refusal is a line; what only asks whether
//! something is there is none.
//!
//! **No act begins without room for its line**, but with `audit.on_full = "drop"`: room for those that are under way is
//! kept behind the last line, and the next ones are refused, or wait, once it cannot be had (`AuditFile::keep_room`), or
//! once too many lines wait for a disk that is slow. A line that an act has is queued, whoever waits for it.
//!
//! **Strangers cannot fill the disk.** What is refused to them, and what is open to anybody, is counted by network and
//! minute, and may be lost (`strangers`). What is to happen where the file takes nothing (`audit.on_full`) is about the
//! acts of those who are known. Lost lines are counted; the log and the next line that is written say how many.

mod event;
mod file;
mod manifests_read;
mod strangers;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::Method;
use lockgate_oci::Action;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::config::{self, AuditLevel, OnFull};
use event::Weight;
pub(crate) use event::{Act, Event, Outcome};
use file::AuditFile;
use manifests_read::ManifestsRead;
pub(crate) use manifests_read::Reader;
pub(crate) use writer::Full;
use writer::{Job, Room, Shared};

/// How long a request waits for its line where it may go on without it, or be refused: a disk that takes nothing and
/// says nothing is full as well.
const PATIENCE: Duration = Duration::from_secs(5);

/// The audit log, where there is one.
pub(crate) struct Audit(Option<Open>);

struct Open {
    jobs: mpsc::UnboundedSender<Job>,
    shared: Arc<Shared>,
    on_full: OnFull,
    level: AuditLevel,
    manifests: ManifestsRead,
}

impl Audit {
    /// Opens the file and starts the thread that writes. Without `audit.file` there is none, and nothing is ever told.
    ///
    /// # Errors
    /// The file cannot be opened for writing, or the system has no more threads.
    pub(crate) fn start(config: &config::Audit) -> io::Result<Arc<Self>> {
        let Some(file) = &config.file else { return Ok(Arc::new(Self(None))) };
        let shared = Arc::new(Shared::default());
        let jobs = writer::start(AuditFile::open(file)?, config.on_full, Arc::clone(&shared))?;
        let manifests = ManifestsRead::default();
        Ok(Arc::new(Self(Some(Open { jobs, shared, on_full: config.on_full, level: config.level, manifests }))))
    }

    /// Whether there is one.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a request is to have a line, now that it is known how it ended. It also remembers who reads manifests.
    pub(crate) fn wants(&self, action: &Action, method: &Method, outcome: Outcome, reader: Reader<'_>) -> bool {
        let Some(open) = &self.0 else { return false };
        if outcome == Outcome::Denied {
            return true;
        }
        let is_done = outcome == Outcome::Done;
        match Weight::of(action, method) {
            Weight::Act => true,
            Weight::Manifest(repository) => {
                if is_done {
                    open.manifests.remember(&reader, repository);
                }
                true
            }
            Weight::BlobOf(repository) => {
                open.level == AuditLevel::Blobs || is_done && !open.manifests.knows(&reader, repository)
            }
            Weight::Blob => open.level == AuditLevel::Blobs,
            Weight::Nothing => false,
        }
    }

    /// Lets an act of somebody known begin: not while there is no room for its line. `audit.on_full` says whether it waits
    /// for that, is refused, or begins all the same.
    ///
    /// # Errors
    /// [`Full`].
    pub(crate) async fn admit(&self) -> Result<(), Full> {
        let Some(open) = &self.0 else { return Ok(()) };
        match open.on_full {
            OnFull::Drop => Ok(()),
            OnFull::Wait => open.until(Room::is_left).await,
            OnFull::Refuse if open.shared.room.borrow().is_full => Err(Full),
            OnFull::Refuse => timeout(PATIENCE, open.until(Room::is_left)).await.unwrap_or(Err(Full)),
        }
    }

    /// Has the line of somebody known written, and waits until it is. `audit.on_full` says what happens where it cannot
    /// be: this waits on, is [`Full`], or goes on without the line.
    ///
    /// # Errors
    /// [`Full`].
    pub(crate) async fn write(&self, event: Event<'_>) -> Result<(), Full> {
        let Some(open) = &self.0 else { return Ok(()) };
        let (writer, written) = oneshot::channel();
        let job = Job::Line(event.line(SystemTime::now()), Some(writer));
        let told = async {
            if open.on_full == OnFull::Drop {
                // Whoever leaves meanwhile has lost the line.
                let lost = Lost(&open.shared);
                open.until(Room::is_left_in_the_queue).await?;
                std::mem::forget(lost);
            }
            open.queue(job);
            written.await.unwrap_or(Err(Full))
        };
        match open.on_full {
            OnFull::Wait => told.await,
            OnFull::Refuse => timeout(PATIENCE, told).await.unwrap_or(Err(Full)),
            OnFull::Drop => {
                let _ = timeout(PATIENCE, told).await;
                Ok(())
            }
        }
    }

    /// Has a line written for which nobody can wait: something that happened by itself, or the act of somebody known who
    /// has left.
    pub(crate) fn note(&self, event: &Event<'_>) {
        let Some(open) = &self.0 else { return };
        if open.on_full == OnFull::Drop && !open.shared.room.borrow().is_left_in_the_queue() {
            open.shared.lose(1);
        } else {
            open.queue(Job::Line(event.line(SystemTime::now()), None));
        }
    }

    /// Counts what somebody did, or was refused, who showed no good credentials. It never waits.
    pub(crate) fn stranger(&self, event: &Event<'_>) {
        if let Some(open) = &self.0 {
            open.shared.strangers.count(event, SystemTime::now());
        }
    }

    /// Before the process ends: what is queued and counted is written, if the file takes it within a few seconds.
    pub(crate) async fn end(&self) {
        let Some(open) = &self.0 else { return };
        let (done, all) = oneshot::channel();
        let end = async { open.jobs.send(Job::End(done)).is_ok() && all.await.is_ok() };
        if !timeout(PATIENCE, end).await.unwrap_or(false) {
            tracing::error!("the process ends with lines of the audit log that audit.file did not take");
        }
    }
}

impl Open {
    /// Waits for room.
    async fn until(&self, is_left: fn(&Room) -> bool) -> Result<(), Full> {
        if is_left(&self.shared.room.borrow()) {
            return Ok(());
        }
        self.shared.room.subscribe().wait_for(is_left).await.map(drop).map_err(|_| Full)
    }

    fn queue(&self, line: Job) {
        self.shared.queued();
        if self.jobs.send(line).is_err() {
            self.shared.lose(1);
        }
    }
}

/// Counts a line as lost when it is dropped.
struct Lost<'a>(&'a Shared);

impl Drop for Lost<'_> {
    fn drop(&mut self) {
        self.0.lose(1);
    }
}

#[cfg(test)]
mod tests;
