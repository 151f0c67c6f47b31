//! The command line of `lockgate-backend`: arguments, configuration, log, serve; the only exit codes.

mod check;
mod copying;
mod operating;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use lockgate_settings::{Configuration as _, Problems, complain, raise_open_files};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::admin::{Admin, ask};
use crate::config::Config;
use crate::{Listener, Registry, Rules, serve_registry};

/// The configuration cannot be used (EX_USAGE of sysexits.h).
const BAD_CONFIGURATION: u8 = 64;

/// A small OCI registry on disk, in the directory layout of registry:2. It asks nobody for a
/// password: Lockgate stands in front of it.
#[derive(Parser)]
#[command(name = "lockgate-backend", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the registry until SIGTERM or SIGINT.
    Serve(ConfigFile),
    /// Tell everything that is wrong with a configuration and the data directory that it names, and start
    /// nothing: exit 0 if nothing is, 64 otherwise.
    Check(ConfigFile),
    /// Copy a registry from a directory to a bucket, or back, or to another directory.
    ///
    /// Every digest is verified on the way. What is there already is not copied again, so that a run that was cut off, or
    /// a second one after more was pushed, goes on where the first one ended. Tags that point elsewhere at TO are moved to
    /// where FROM has them; nothing is removed from TO. What is damaged at FROM is named, and the rest is copied:
    /// exit 0 if all is, 1 otherwise. docs/scale-out.md says how to move a site that is running.
    Copy(copying::Arguments),
    /// What was deleted, and the way back. Beside a registry that serves the same directory, it is that which is asked.
    #[command(subcommand)]
    Trash(operating::Trash),
    /// Remove what nobody needs, while everybody goes on: what no manifest names and nobody has asked for lately
    /// (collect.grace), and what was deleted so long ago that nobody can restore it (storage.trash_age).
    Collect(operating::Collect),
    /// How much each repository takes: what it has alone, and what others have, too.
    Usage(operating::Usage),
    /// Read everything again, and tell what is damaged and which images that hits: exit 1 if anything is. A run that was cut
    /// off goes on where it was.
    Verify(operating::Verify),
    /// Ask a running registry whether it answers, at admin.listen, or else at its own listening address: exit 0 if it
    /// does, 1 if not. For a container's health check.
    Health(ConfigFile),
}

#[derive(clap::Args)]
struct ConfigFile {
    /// The configuration (conf/backend.toml documents every key).
    #[arg(long = "config", value_name = "FILE")]
    path: PathBuf,
}

impl Cli {
    /// Runs the command to its end, and says how it ended.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Serve(file) => with_config(Config::load(&file.path), |config| run(config, file.path.clone())),
            Command::Copy(arguments) => with_config(arguments.configuration(), |config| arguments.run(config)),
            Command::Trash(trash) => with_config(Config::load(&trash.config().path), |config| trash.run(config)),
            Command::Collect(collect) => {
                with_config(Config::load(&collect.config().path), |config| collect.run(config))
            }
            Command::Usage(usage) => with_config(Config::load(&usage.config().path), |config| usage.run(config)),
            Command::Verify(verify) => with_config(Config::load(&verify.config().path), |config| verify.run(config)),
            Command::Health(file) => with_config(Config::load(&file.path), |config| match &config.admin.listen {
                Some(endpoint) => ask(endpoint, "/healthz"),
                None => ask(&config.listen.http, "/v2/"),
            }),
            Command::Check(file) => {
                let (problems, warnings) = check::findings(&file.path);
                for warning in warnings {
                    complain(format_args!("warning: {warning}"));
                }
                if !problems.is_empty() {
                    return unusable(&problems);
                }
                // Where nobody reads it, nobody misses it.
                let _ = writeln!(io::stdout(), "{}: ok", file.path.display());
                ExitCode::SUCCESS
            }
        }
    }
}

fn with_config(config: Result<Config, Problems>, run: impl FnOnce(Config) -> io::Result<()>) -> ExitCode {
    match config.map(run) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            complain(format_args!("lockgate-backend: {error}"));
            ExitCode::FAILURE
        }
        Err(problems) => unusable(&problems),
    }
}

fn unusable(problems: &Problems) -> ExitCode {
    complain(problems);
    ExitCode::from(BAD_CONFIGURATION)
}

fn run(config: Config, file: PathBuf) -> io::Result<()> {
    config.log.start(&["hyper"]);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hangup = signal(SignalKind::hangup())?;
        raise_open_files();
        if let Some(warning) = config.admin.warning() {
            tracing::warn!("{warning}");
        }
        let store = crate::open(&config.storage, &config.collect, &config.s3).await?;
        let listener = Listener::bind(&config.listen.http).await?;
        tracing::info!(address = %listener.local_endpoint()?, data = %config.storage.data, "listening");
        let shutdown = async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                    _ = hangup.recv() => tracing::info!("SIGHUP: nothing is read again; a change of the configuration needs a restart, but for [[retention]] and [[quota]], which count as soon as they change"),
                }
            }
            tracing::info!("stopping");
        };
        let rules = Rules::read_again(config.blocks(), move || Config::load(&file).map(|config| config.blocks()));
        let grace = config.shutdown.grace.duration();
        let registry = Registry::new(store, config.storage, config.limits).collecting(config.collect).ruled_by(rules).at(config.s3.endpoint);
        let mut admin = Admin::of("lockgate-backend", env!("CARGO_PKG_VERSION"));
        registry.tell(&mut admin);
        crate::tell(&mut admin);
        let admin = Arc::new(admin);
        let mut asked = JoinSet::new();
        if let Some(endpoint) = &config.admin.listen {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("admin.listen: {error}"));
            let listener = Listener::bind(endpoint).await.map_err(named)?;
            asked.spawn(Arc::clone(&admin).serve(listener));
        }
        let shutdown = async {
            shutdown.await;
            admin.health.end();
        };
        // What a supervisor starts after it finds it there: connections wait in the socket until they are accepted.
        if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
            tracing::warn!(%error, "the supervisor was not told that the registry is ready");
        }
        serve_registry(listener, registry, grace, shutdown).await;
        tracing::info!("stopped");
        Ok(())
    })
}
