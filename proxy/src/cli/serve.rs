//! `lockgate serve`: the gate, in front of a registry or with the registry within.

use std::future::Future;
use std::io::{self, IsTerminal as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use lockgate_backend::Rules;
use lockgate_settings::{Configuration as _, flush_log};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::Error;
use crate::app::{App, StartError};
use crate::config::Config;
use crate::listener::ListenError;
use crate::supervisor;

/// Run the gate, in front of a registry or with the registry within.
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

/// Libraries that say too much.
pub(super) const TALKATIVE: &[&str] = &["pingora_core", "pingora_pool", "h2", "hyper", "rustls"];

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let given = supervisor::given_listener().map_err(ListenError::Given).map_err(StartError::from)?;
    let config = Config::load(&args.config)?;
    config.log.start(TALKATIVE);
    let file = args.config.clone();
    let rules = Rules::read_again(config.blocks(), move || Config::load(&file).map(|config| config.blocks()));
    on_workers(&config.clone(), async move { serve(&config, rules, given, |_| {}).await })
}

/// Serves until a signal ends it; `welcome` is told the address once it is bound.
pub(super) async fn serve(
    config: &Config,
    rules: Rules,
    given: Option<TcpListener>,
    welcome: impl FnOnce(SocketAddr),
) -> Result<(), Error> {
    let (stop, stop_at_once) = stop_signals().map_err(failed)?;
    let hung_up = hung_up().map_err(failed)?;
    let app = App::start(config, rules, given).await?;
    welcome(app.address());
    tokio::select! {
        served = app.serve(stop) => drop(served?),
        () = stop_at_once => {}
        () = hung_up => {}
    }
    Ok(())
}

/// Runs a future to its end on the threads that everything runs on, as one of their tasks: what accepts
/// connections would otherwise wake another thread for each, and be woken by it.
pub(super) fn on_workers(
    config: &Config,
    future: impl Future<Output = Result<(), Error>> + Send + 'static,
) -> Result<(), Error> {
    let runtime = runtime(config)?;
    let task = runtime.spawn(future);
    let ended = runtime.block_on(task);
    drop(runtime);
    flush_log();
    ended.map_err(|ended| Error::Command(Box::new(ended)))?
}

/// The threads that everything runs on.
fn runtime(config: &Config) -> Result<Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.listen.threads().get())
        .enable_all()
        .on_thread_park(flush_log)
        .build()
        .map_err(failed)
}

/// Two futures: one resolves at the first SIGTERM or SIGINT, the other at the second.
fn stop_signals() -> io::Result<(impl Future<Output = ()>, impl Future<Output = ()>)> {
    let (first, second) = (signals(1)?, signals(2)?);
    let stop = async {
        let signal = first.await;
        tracing::info!(signal, "stopping; transfers in flight may finish, unless a second signal comes");
    };
    let stop_at_once = async {
        let signal = second.await;
        tracing::warn!(signal, "stopped; transfers in flight were cut");
    };
    Ok((stop, stop_at_once))
}

/// How often it is looked whether the terminal is still there.
const LOOK: Duration = Duration::from_secs(2);

/// Says that SIGHUP has certificates and users read again (`files::follow` does it). Resolves where it comes with the end
/// of the terminal of this process: nobody would be left to end it. Who goes on after that end was let go by its shell,
/// and a later SIGHUP is one as any.
fn hung_up() -> io::Result<impl Future<Output = ()>> {
    let mut hangups = signal(SignalKind::hangup())?;
    let mut had_terminal = has_terminal();
    let mut was_gone = false;
    Ok(async move {
        loop {
            tokio::select! {
                hangup = hangups.recv() => {
                    if hangup.is_none() || (had_terminal && !has_terminal()) {
                        return;
                    }
                    tracing::info!(signal = "SIGHUP", "certificates and users are read again");
                }
                () = tokio::time::sleep(LOOK), if had_terminal => {
                    let is_gone = !has_terminal();
                    if is_gone && was_gone {
                        tracing::info!("the terminal was closed, and nobody ended this process: it goes on without");
                        had_terminal = false;
                    }
                    was_gone = is_gone;
                }
            }
        }
    })
}

/// Whether one of the standard streams is a terminal that stands; the others may be files.
fn has_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

/// Resolves when SIGTERM and SIGINT have come so many times together, and tells which was the last.
fn signals(times: usize) -> io::Result<impl Future<Output = &'static str>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let mut last = "";
        for _ in 0..times {
            last = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
        }
        last
    })
}

fn failed(error: io::Error) -> Error {
    Error::Command(Box::new(error))
}
