//! `lockgate up`: a whole private registry in one process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio::sync::oneshot;

use super::certs::SubjectName;
use super::output::say;
use super::{Error, init, serve};
use crate::app::App;
use crate::config::{Config, Destination, Origin, Tls, Upstream};
use crate::logging;
use crate::tls::KeyPairFiles;

/// Bring up a whole private registry: proxy, storage, certificate and first user.
///
/// What is missing below DIR is made: certs/ with a CA and a certificate, conf/htpasswd with a first
/// user whose password is printed once, data/ for the images. What exists is used as it is. The
/// environment can override what is not about these files, as in LOCKGATE_LOG_LEVEL=debug.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value_t = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// Where certs/, conf/ and data/ are, or are made.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,
    /// A further host name or IP address for a certificate that is made. Repeatable.
    #[arg(long = "name", value_name = "HOST|IP", value_delimiter = ',')]
    names: Vec<SubjectName>,
}

/// Loopback only: a first try is nobody else's business.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5043);
const DEFAULT_DIR: &str = ".";

impl Default for Args {
    fn default() -> Self {
        Self { listen: DEFAULT_LISTEN, dir: DEFAULT_DIR.into(), names: Vec::new() }
    }
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    // The socket's directory is private to this user, and its path short enough for a Unix socket.
    let private = tempfile::Builder::new().prefix("lockgate-").tempdir().map_err(boxed)?;
    let socket = private.path().join("backend.sock");
    let config = config(args, &socket)?;
    let mut names = args.names.clone();
    if !args.listen.ip().is_unspecified() {
        names.push(SubjectName::from(args.listen.ip()));
    }
    init::make_missing(init::plain(&args.dir), &names)?;
    logging::start(&config.log);
    let data = init::plain(&args.dir).join("data");
    serve::on_workers(&config.clone(), both(data, config, socket))
}

/// The default configuration, with everything below the directory and the backend behind a socket.
fn config(args: &Args, socket: &Path) -> Result<Config, Error> {
    let mut config = Config::from_environment()?;
    config.listen.https = args.listen;
    // Two processes over one storage would get in each other's way.
    config.listen.handover = None;
    let KeyPairFiles { certificate, key } = init::key_pair(init::plain(&args.dir));
    config.tls = Tls { certificate, key, additional: Vec::new(), ..config.tls };
    config.auth.htpasswd = init::htpasswd(init::plain(&args.dir));
    let behind = match config.destination {
        Destination::Upstream(upstream) => upstream,
        Destination::Storage(_) => Upstream::default(),
    };
    config.destination = Destination::Upstream(Upstream { url: Origin::Unix(socket.to_owned()), ..behind });
    Ok(config)
}

async fn both(data: PathBuf, config: Config, socket: PathBuf) -> Result<(), Error> {
    let (stop, stop_at_once) = serve::stop_signals().map_err(boxed)?;
    let options = lockgate_backend::Options::default();
    let store = lockgate_backend::DiskStore::open(&data).map_err(boxed)?;
    let listener = UnixListener::bind(socket).map_err(boxed)?;
    let (stop_backend, backend_stops) = oneshot::channel::<()>();
    let backend = tokio::spawn(lockgate_backend::serve(listener, Arc::new(store), options, async {
        // A dropped sender means the same: stop.
        let _ = backend_stops.await;
    }));
    let app = App::start(&config, None).await?;
    welcome(app.address(), &data);
    tokio::select! {
        served = app.serve(stop) => drop(served?),
        () = stop_at_once => {}
    }
    // The proxy's last transfer is over, so nobody asks the backend any more.
    let _ = stop_backend.send(());
    backend.await.map_err(boxed)?;
    Ok(())
}

fn welcome(address: SocketAddr, data: &Path) {
    let host = if address.ip().is_loopback() || address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    };
    say(format_args!("storage      {}", data.display()));
    say(format_args!("\nA private registry is at https://{host}. In another terminal:"));
    say(format_args!("  docker login {host}"));
    say(format_args!("  docker tag IMAGE {host}/IMAGE"));
    say(format_args!("  docker push {host}/IMAGE\n"));
}

fn boxed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Command(Box::new(error))
}
