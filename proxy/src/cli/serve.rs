//! `lockgate serve`: the proxy alone, in front of any registry.

use std::future::Future;
use std::io;
use std::path::PathBuf;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::Error;
use crate::app::{App, StartError};
use crate::config::Config;
use crate::listener::EntranceError;
use crate::{logging, supervisor};

/// Run the proxy in front of a registry.
///
/// Nothing is made that is missing: a file that the configuration names and that is not there is an
/// error. Every key of the configuration can be overridden by the environment, as in
/// LOCKGATE_UPSTREAM_URL=http://registry:5000.
///
/// Where listen.handover is set and a process waits there, this one takes over from it once everything
/// is loaded: no connection is refused, and the other finishes what it has in hand. A socket that
/// systemd gives (LISTEN_FDS) is used in place of listen.https.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "conf/lockgate.toml")]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let given = supervisor::given_listener().map_err(EntranceError::Given).map_err(StartError::from)?;
    let config = Config::load(&args.config)?;
    logging::start(&config.log);
    runtime(&config)?.block_on(async {
        let stop = stop_signal().map_err(failed)?;
        App::start(&config, given).await?.serve(stop).await?;
        Ok(())
    })
}

/// The threads that everything runs on.
pub(super) fn runtime(config: &Config) -> Result<Runtime, Error> {
    // Before pingora installs ring: the first provider of a process stays.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.listen.threads.get())
        .enable_all()
        .build()
        .map_err(failed)
}

/// Resolves at the first SIGTERM or SIGINT.
pub(super) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping; transfers in flight may finish");
    })
}

fn failed(error: io::Error) -> Error {
    Error::Command(Box::new(error))
}
