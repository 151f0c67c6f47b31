//! `lockgate-backend trash`, `collect`: commands about space, beside a process that serves or without one.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Subcommand;
use lockgate_oci::RepositoryName;
use lockgate_settings::{PeriodOrZero, raise_open_files};

use super::ConfigFile;
use crate::config::Config;
use crate::{Operation, Registry, Restorable, Rules, Thing, ask, ask_node};

#[derive(Subcommand)]
pub(crate) enum Trash {
    /// List what was deleted, or replaced by another push, the newest first.
    List {
        /// In this repository alone.
        #[arg(value_name = "REPOSITORY")]
        repository: Option<RepositoryName>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Bring it back, byte for byte: a tag with the image that it pointed at last, an image with its tags, or all that was
    /// deleted in a repository. A tag that is another image by now stays what it is.
    Restore {
        /// What.
        #[arg(value_name = "REPOSITORY[:TAG|@DIGEST]")]
        what: Deleted,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Give up the way back: what nobody needs of it goes with the next two collections.
    Empty {
        /// Of what was deleted so long ago, as in "2d". By default, of everything.
        #[arg(long, value_name = "AGE", default_value = "0s")]
        older_than: PeriodOrZero,
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(clap::Args)]
pub(crate) struct Collect {
    /// Write to this file what would be removed, why, and how much that frees; remove nothing. "-" is standard output.
    #[arg(long, value_name = "FILE", conflicts_with = "apply")]
    plan: Option<PathBuf>,
    /// Tell why this stays, or goes; remove nothing.
    #[arg(long, value_name = "REPOSITORY:TAG|REPOSITORY@DIGEST|DIGEST", conflicts_with_all = ["plan", "apply"])]
    explain: Option<Thing>,
    /// Remove what stands in this plan, as far as nobody needs it still; and nothing else.
    #[arg(long, value_name = "FILE")]
    apply: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
}

/// Something that was deleted.
#[derive(Debug, Clone)]
pub(crate) struct Deleted {
    repository: RepositoryName,
    what: Option<Restorable>,
}

impl FromStr for Deleted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, what) = match (text.split_once('@'), text.split_once(':')) {
            (Some((name, digest)), _) => {
                (name, Some(Restorable::Digest(digest.parse().map_err(|error| format!("{error}"))?)))
            }
            (None, Some((name, tag))) => {
                (name, Some(Restorable::Tag(tag.parse().map_err(|error| format!("{error}"))?)))
            }
            (None, None) => (text, None),
        };
        Ok(Self { repository: name.parse().map_err(|error| format!("{error}"))?, what })
    }
}

#[derive(clap::Args)]
pub(crate) struct Verify {
    /// Take damaged bytes out of the way (to .lockgate/damaged), so that the next push of the same mends them.
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    config: ConfigFile,
}

impl Verify {
    pub(crate) fn config(&self) -> &ConfigFile {
        &self.config
    }

    pub(crate) fn run(self, config: Config) -> io::Result<()> {
        operate(config, Operation::Verify { repair: self.repair }, &mut print)
    }
}

#[derive(clap::Args)]
pub(crate) struct Usage {
    /// The largest first, in place of the order of their names.
    #[arg(long)]
    sort: bool,
    #[command(flatten)]
    config: ConfigFile,
}

impl Usage {
    pub(crate) fn config(&self) -> &ConfigFile {
        &self.config
    }

    pub(crate) fn run(self, config: Config) -> io::Result<()> {
        operate(config, Operation::Usage { sort: self.sort }, &mut print)
    }
}

impl Trash {
    pub(crate) fn config(&self) -> &ConfigFile {
        match self {
            Self::List { config, .. } | Self::Restore { config, .. } | Self::Empty { config, .. } => config,
        }
    }

    pub(crate) fn run(self, config: Config) -> io::Result<()> {
        let operation = match self {
            Self::List { repository, .. } => Operation::ListTrash { repository },
            Self::Restore { what: Deleted { repository, what }, .. } => Operation::Restore { repository, what },
            Self::Empty { older_than, .. } => Operation::EmptyTrash { older_than: older_than.duration() },
        };
        operate(config, operation, &mut print)
    }
}

impl Collect {
    pub(crate) fn config(&self) -> &ConfigFile {
        &self.config
    }

    pub(crate) fn run(self, config: Config) -> io::Result<()> {
        if let Some(thing) = self.explain {
            return operate(config, Operation::Explain { thing }, &mut print);
        }
        if let Some(file) = self.plan {
            if file.as_os_str() == "-" {
                return operate(config, Operation::Plan, &mut print);
            }
            let mut lines = Vec::new();
            operate(config, Operation::Plan, &mut |line| lines.push(line))?;
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
            fs::write(&file, lines.join("\n") + "\n").map_err(named)?;
            lines.iter().take_while(|line| line.starts_with('#')).for_each(|line| print(line[2..].to_owned()));
            return Ok(());
        }
        let mut only = None;
        if let Some(file) = self.apply {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
            let plan = fs::read_to_string(&file).map_err(named)?;
            let items = plan.lines().map(|line| line.split_once('#').map_or(line, |(item, _)| item).trim());
            only = Some(items.filter(|item| !item.is_empty()).map(str::to_owned).collect());
        }
        operate(config, Operation::Collect { only }, &mut print)
    }
}

fn print(line: String) {
    // Where nobody reads it, nobody misses it.
    let _ = writeln!(io::stdout(), "{line}");
}

/// Does it here, or has the process do it that has the directory.
fn operate(config: Config, operation: Operation, say: &mut (dyn FnMut(String) + Send)) -> io::Result<()> {
    config.log.start(&["hyper"]);
    raise_open_files();
    if let Some(data) = config.storage.data.directory().filter(|data| !data.is_dir()) {
        let message = format!("there is no registry in {}: storage.data says where it is", data.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if ask_node(&config.storage, &config.s3.endpoint, &operation, say).await? {
            return Ok(());
        }
        let store = crate::open(&config.storage, &config.collect, &config.s3).await;
        match (store, config.storage.data.directory()) {
            (Err(error), Some(data)) if error.kind() == io::ErrorKind::ResourceBusy => ask(data, &operation, say).await,
            (store, _) => {
                let rules = Rules::fixed(config.blocks());
                let registry =
                    Registry::new(store?, config.storage, config.limits).collecting(config.collect).ruled_by(rules);
                operation.run(&registry, say).await.map_err(io::Error::other)
            }
        }
    })
}
