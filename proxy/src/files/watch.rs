//! Files followed by their content.
//!
//! The content is read once a second and compared by its hash. That is deliberate: inotify watches
//! inodes, and what has to be noticed here is that a *path* leads to something else. A rename puts a
//! new inode there, Kubernetes swaps a symlink of the parent directory, certbot one of the file, a
//! bind mount of a single file keeps the old inode for good, and network and overlay filesystems
//! deliver no events at all. Each of these is one more directory to watch and one more event to get
//! right; reading a few kilobytes a second is a few microseconds and has no such cases. Modification
//! times are not looked at, since rsync, tar and `cp -p` set them as they please.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use lockgate_settings::read_bounded;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// How often files are looked at. With the settling time a change is seen well within 2 s.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// Readings after a change until two agree: half an interval at most, for a writer that is slower.
const SETTLING_ROUNDS: u32 = 5;

/// Calls `on_change` when the files are first looked at and after each change of any of them, until the
/// future is dropped.
///
/// The first call is for what changed between their loading and now. After that there is one call for
/// one content, however often it is read: a loader that refuses what it finds has said so once, and is
/// asked again as soon as the content is another. A file that vanishes or comes back is a change too. At SIGHUP there
/// is a call whatever they hold.
/// `on_change` runs on a blocking thread, and may read and parse.
///
/// # Panics
/// As `on_change` does.
pub(crate) async fn follow(files: Vec<PathBuf>, every: Duration, on_change: impl FnMut() + Send + 'static) {
    let Err(stopped) = look_and_call(files, every, on_change).await;
    // What is not a panic is the runtime's end, which ends this as well.
    if let Ok(panic) = stopped.try_into_panic() {
        std::panic::resume_unwind(panic);
    }
}

async fn look_and_call<F>(mut files: Vec<PathBuf>, every: Duration, mut on_change: F) -> Result<Infallible, JoinError>
where
    F: FnMut() + Send + 'static,
{
    let mut seen = None;
    let mut now;
    // Without a handler none is told, and the look of each second remains.
    let mut hangups = signal(SignalKind::hangup()).ok();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            Some(_) = recv(&mut hangups) => true,
            _ = ticks.tick() => false,
        };
        (files, now) = read(files).await?;
        if !asked && seen.as_ref() == Some(&now) {
            continue;
        }
        (files, now) = settle(files, now, every / (2 * SETTLING_ROUNDS)).await?;
        seen = Some(now);
        on_change = spawn_blocking(move || {
            on_change();
            on_change
        })
        .await?;
    }
}

async fn recv(hangups: &mut Option<Signal>) -> Option<()> {
    hangups.as_mut()?.recv().await
}

/// One content apart from another, without a key or a password kept in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fingerprint {
    Content([u8; 32]),
    Unreadable(io::ErrorKind),
}

/// Reads again until nothing moves, so that a file written in place is not taken at its half.
async fn settle(
    mut files: Vec<PathBuf>,
    mut last: Vec<Fingerprint>,
    pause: Duration,
) -> Result<(Vec<PathBuf>, Vec<Fingerprint>), JoinError> {
    let mut now;
    for _ in 0..SETTLING_ROUNDS {
        sleep(pause).await;
        (files, now) = read(files).await?;
        if std::mem::replace(&mut last, now) == last {
            break;
        }
    }
    Ok((files, last))
}

async fn read(files: Vec<PathBuf>) -> Result<(Vec<PathBuf>, Vec<Fingerprint>), JoinError> {
    spawn_blocking(move || {
        let now = fingerprints(&files);
        (files, now)
    })
    .await
}

fn fingerprints(files: &[PathBuf]) -> Vec<Fingerprint> {
    files.iter().map(|file| Fingerprint::of(file)).collect()
}

impl Fingerprint {
    fn of(file: &Path) -> Self {
        match read_bounded(file) {
            Ok(content) => {
                let hash = digest(&SHA256, &content);
                Self::Content(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"))
            }
            Err(error) => Self::Unreadable(error.kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::task::JoinHandle;
    use tokio::time::{Instant, sleep_until, timeout};

    use super::*;

    /// A running watch after its first call. Its channel carries the content of the first file at each further one.
    struct Watched {
        calls: UnboundedReceiver<Option<String>>,
        task: JoinHandle<()>,
    }

    impl Watched {
        async fn start(files: &[PathBuf]) -> Self {
            let (reached, calls) = unbounded_channel();
            let first = files[0].clone();
            let task = tokio::spawn(follow(files.to_vec(), INTERVAL, move || {
                let _ = reached.send(fs::read_to_string(&first).ok());
            }));
            let mut watched = Self { calls, task };
            watched.next().await;
            watched
        }

        /// The next call; it has to come within 2 s of the (paused) clock.
        async fn next(&mut self) -> Option<String> {
            let since = Instant::now();
            let content = timeout(Duration::from_secs(60), self.calls.recv()).await.unwrap().unwrap();
            assert!(since.elapsed() <= Duration::from_secs(2), "seen after {:?}", since.elapsed());
            content
        }

        /// A minute in which nothing may be reported.
        async fn stays_silent(&mut self) {
            assert!(timeout(Duration::from_secs(60), self.calls.recv()).await.is_err());
            assert!(!self.task.is_finished());
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    fn file(dir: &TempDir, name: &str, content: &str) -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_rewritten_in_place_is_seen() {
        let dir = TempDir::new().unwrap();
        let path = file(&dir, "users", "old");
        let mut watch = Watched::start(std::slice::from_ref(&path)).await;
        watch.stays_silent().await;
        fs::write(&path, "new").unwrap();
        assert_eq!(watch.next().await.as_deref(), Some("new"));
        fs::write(&path, "newer").unwrap();
        assert_eq!(watch.next().await.as_deref(), Some("newer"));
        watch.stays_silent().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_renamed_over_the_old_one_is_seen() {
        let dir = TempDir::new().unwrap();
        let path = file(&dir, "users", "old");
        let mut watch = Watched::start(std::slice::from_ref(&path)).await;
        fs::rename(file(&dir, "temporary", "new"), &path).unwrap();
        assert_eq!(watch.next().await.as_deref(), Some("new"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_swapped_symlink_is_seen() {
        let dir = TempDir::new().unwrap();
        let (one, two) = (file(&dir, "one", "old"), file(&dir, "two", "new"));
        let (link, swap) = (dir.path().join("link"), dir.path().join("swap"));
        symlink(one, &link).unwrap();
        let mut watch = Watched::start(std::slice::from_ref(&link)).await;
        symlink(two, &swap).unwrap();
        fs::rename(&swap, &link).unwrap();
        assert_eq!(watch.next().await.as_deref(), Some("new"));
    }

    /// As Kubernetes does it: `tls.crt -> ..data/tls.crt`, `..data -> ..2026_01`, and `..data` is swapped.
    #[tokio::test(start_paused = true)]
    async fn a_swapped_symlink_of_the_parent_directory_is_seen() {
        let dir = TempDir::new().unwrap();
        for (version, content) in [("..2026_01", "old"), ("..2026_02", "new")] {
            fs::create_dir(dir.path().join(version)).unwrap();
            fs::write(dir.path().join(version).join("tls.crt"), content).unwrap();
        }
        let (data, swap) = (dir.path().join("..data"), dir.path().join("..data_tmp"));
        symlink("..2026_01", &data).unwrap();
        symlink("..data/tls.crt", dir.path().join("tls.crt")).unwrap();
        let mut watch = Watched::start(&[dir.path().join("tls.crt")]).await;
        symlink("..2026_02", &swap).unwrap();
        fs::rename(&swap, &data).unwrap();
        assert_eq!(watch.next().await.as_deref(), Some("new"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_vanishes_is_told_once_and_so_is_its_return() {
        let dir = TempDir::new().unwrap();
        let path = file(&dir, "users", "old");
        let mut watch = Watched::start(std::slice::from_ref(&path)).await;
        fs::remove_file(&path).unwrap();
        assert_eq!(watch.next().await, None);
        watch.stays_silent().await;
        fs::write(&path, "old").unwrap();
        assert_eq!(watch.next().await.as_deref(), Some("old"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_content_in_a_new_file_is_no_change() {
        let dir = TempDir::new().unwrap();
        let path = file(&dir, "users", "old");
        let mut watch = Watched::start(std::slice::from_ref(&path)).await;
        fs::rename(file(&dir, "temporary", "old"), &path).unwrap();
        watch.stays_silent().await;
    }

    /// Certificate first, key a minute later: one report each, not one a second.
    #[tokio::test(start_paused = true)]
    async fn a_half_written_pair_is_told_once_and_tried_again_when_its_other_half_comes() {
        let dir = TempDir::new().unwrap();
        let pair = [file(&dir, "domain.crt", "old"), file(&dir, "domain.key", "old")];
        let mut watch = Watched::start(&pair).await;
        fs::write(&pair[0], "new").unwrap();
        watch.next().await;
        watch.stays_silent().await;
        fs::write(&pair[1], "new").unwrap();
        watch.next().await;
        watch.stays_silent().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_still_being_written_is_waited_for() {
        let dir = TempDir::new().unwrap();
        let path = file(&dir, "users", "old");
        let start = Instant::now();
        let mut watch = Watched::start(std::slice::from_ref(&path)).await;
        sleep_until(start + Duration::from_millis(500)).await;
        fs::write(&path, "alice\n").unwrap();
        // It is read at 1.0 s and, since it changed, again at 1.1 s.
        sleep_until(start + Duration::from_millis(1050)).await;
        fs::write(&path, "alice\nbob\n").unwrap();
        assert_eq!(watch.next().await.as_deref(), Some("alice\nbob\n"));
        watch.stays_silent().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_panicking_callback_is_not_swallowed() {
        let watching = tokio::spawn(follow(Vec::new(), INTERVAL, || panic!("a bug")));
        assert!(watching.await.unwrap_err().is_panic());
    }
}
