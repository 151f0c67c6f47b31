//! `lockgate up`: a whole private registry in one process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lockgate_settings::Configuration as _;

use super::certs::SubjectName;
use super::output::say;
use super::{Error, init, serve};
use crate::config::{Config, Tls};
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
    let data = init::plain(&args.dir).join("data");
    let config = config(args, &data)?;
    let mut names = args.names.clone();
    if !args.listen.ip().is_unspecified() {
        names.push(SubjectName::from(args.listen.ip()));
    }
    init::make_missing(init::plain(&args.dir), &names)?;
    config.log.start(serve::TALKATIVE);
    serve::on_workers(
        &config.clone(),
        async move { serve::serve(&config, None, |address| welcome(address, &data)).await },
    )
}

/// The default configuration, with everything below the directory and the registry within the process.
fn config(args: &Args, data: &Path) -> Result<Config, Error> {
    let mut config = Config::from_environment()?;
    config.listen.https = args.listen;
    // Two processes over one storage would get in each other's way.
    config.listen.handover = None;
    let KeyPairFiles { certificate, key } = init::key_pair(init::plain(&args.dir));
    config.tls = Tls { certificate, key, additional: Vec::new(), ..config.tls };
    config.auth.htpasswd = init::htpasswd(init::plain(&args.dir));
    config.storage.get_or_insert_default().data = data.to_owned();
    Ok(config)
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
