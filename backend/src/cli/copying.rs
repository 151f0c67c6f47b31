//! `lockgate-backend copy`: a registry from one place to another.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lockgate_settings::{Configuration as _, Problems, complain, raise_open_files};
use tokio::time::Instant;

use crate::config::{Config, Data, Storage};
use crate::{CopyError, Progress};

/// From one line of progress to the next, where it is written over the one before and where it is not.
const ON_TERMINAL: Duration = Duration::from_secs(1);
const ELSEWHERE: Duration = Duration::from_secs(10);

/// Moves the cursor to the start of an empty line.
const CLEARED: &str = "\r\x1b[K";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What is copied: a directory, or s3://bucket/prefix, as in storage.data. It is only read, and may be served
    /// meanwhile.
    #[arg(value_name = "FROM")]
    from: Data,

    /// Where it is copied to: the same. A directory must not be served meanwhile; a bucket may be, by Lockgate.
    #[arg(value_name = "TO")]
    to: Data,

    /// The configuration whose sections [s3] and [log] count, and storage.nodes for TO. By default, what the environment
    /// says alone.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// How many blobs are on their way at once. On its way to a bucket each takes memory for two parts (s3.part_size).
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    at_once: u8,
}

impl Arguments {
    pub(crate) fn configuration(&self) -> Result<Config, Problems> {
        match &self.config {
            Some(file) => Config::load(file),
            None => Config::from_environment(|_| true),
        }
    }

    pub(crate) fn run(self, config: Config) -> io::Result<()> {
        config.log.start(&["hyper"]);
        raise_open_files();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.copy(config))
    }

    async fn copy(self, config: Config) -> io::Result<()> {
        let from = crate::open_to_read(&self.from, &config.s3).await?;
        let storage = Storage { data: self.to, ..config.storage };
        let to = crate::open(&storage, &config.collect, &config.s3).await?;
        let is_terminal = io::stderr().is_terminal();
        let cleared = if is_terminal { CLEARED } else { "" };
        let progress = Arc::new(Progress::new(move |line| complain(format_args!("{cleared}{line}"))));
        let copied = {
            let copying = crate::copy(from, to, self.at_once.into(), Arc::clone(&progress));
            tokio::select! {
                copied = copying => copied,
                () = show(&progress, is_terminal) => unreachable!("it never ends"),
            }
        };
        if is_terminal {
            let _ = write!(io::stderr(), "{CLEARED}");
        }
        let counts = progress.counts();
        let interrupted = |error| match error {
            CopyError::Empty => error.to_string(),
            _ => format!("{error}; what was copied stays: run it again, and it goes on from there"),
        };
        copied.map_err(|error| io::Error::other(interrupted(error)))?;
        // Where nobody reads it, nobody misses it.
        let _ = writeln!(io::stdout(), "{}", counts.summary());
        match counts.failed {
            0 => Ok(()),
            failed => Err(io::Error::other(format!(
                "{failed} of the blobs and manifests could not be copied, which are named above; the rest is. Push them \
                 to FROM again, and run this again"
            ))),
        }
    }
}

/// Shows how far it is, at once and then now and then. Never ends.
async fn show(progress: &Progress, is_terminal: bool) {
    let period = if is_terminal { ON_TERMINAL } else { ELSEWHERE };
    let (mut bytes, mut since) = (0, Instant::now());
    loop {
        let (counts, elapsed) = (progress.counts(), since.elapsed());
        let rate = u128::from(counts.bytes - bytes) * 1000 / elapsed.as_millis().max(1);
        let line = counts.line(u64::try_from(rate).unwrap_or(u64::MAX));
        if is_terminal {
            // Whatever else is written begins at the start of this line.
            let _ = write!(io::stderr(), "{CLEARED}{line}\r");
        } else {
            complain(line);
        }
        (bytes, since) = (counts.bytes, Instant::now());
        tokio::time::sleep(period).await;
    }
}
