//! `lockgate up`: a whole private registry in one process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lockgate_backend::Rules;
use lockgate_settings::{Configuration as _, complain};

use super::certs::SubjectName;
use super::output::say;
use super::{Error, init, serve};
use crate::config::{Config, Data, Tls};
use crate::tls::KeyPairFiles;

/// Bring up a whole private registry: proxy, storage, certificate and first user.
///
/// What is missing below DIR is made: certs/ with a CA and a certificate, conf/htpasswd with a first
/// user whose password is printed once, conf/token.key to sign tokens with, data/ for the images. What exists is used
/// as it is. The environment can override what is not about these files, as in LOCKGATE_LOG_LEVEL=debug; a variable that has no
/// effect here is named at the start.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The address and port to listen on; port 0 takes a free one. Else that of LOCKGATE_LISTEN_HTTPS, else
    /// 127.0.0.1:5043.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where certs/, conf/ and data/ are, or are made.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,
    /// A further host name or IP address for a certificate that is made. Repeatable.
    #[arg(long = "name", value_name = "HOST|IP", value_delimiter = ',')]
    names: Vec<SubjectName>,
}

/// Loopback only: a first try is nobody else's business.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5043);
/// What the address can be set by, too.
const LISTEN_VARIABLE: &str = "LOCKGATE_LISTEN_HTTPS";
/// The variables of keys that are set here.
const NOT_HEEDED: &[&str] = &[
    "LOCKGATE_LISTEN_HANDOVER",
    "LOCKGATE_TLS_CERTIFICATE",
    "LOCKGATE_TLS_KEY",
    "LOCKGATE_AUTH_HTPASSWD",
    "LOCKGATE_AUTH_TOKEN_KEY",
    "LOCKGATE_STORAGE_DATA",
];
const DEFAULT_DIR: &str = ".";

impl Default for Args {
    fn default() -> Self {
        Self { listen: None, dir: DEFAULT_DIR.into(), names: Vec::new() }
    }
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let data = init::plain(&args.dir).join("data");
    let config = config(args, &data)?;
    let mut names = args.names.clone();
    if !config.listen.https.ip().is_unspecified() {
        names.push(SubjectName::from(config.listen.https.ip()));
    }
    for variable in
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| is_not_heeded(name))
    {
        complain(format_args!(
            "note: {variable} has no effect here, where everything is below one directory; `lockgate serve` heeds it"
        ));
    }
    init::make_missing(init::plain(&args.dir), &names)?;
    config.log.start(serve::TALKATIVE);
    // There is no file that could change.
    let rules = Rules::fixed(config.blocks());
    serve::on_workers(&config.clone(), async move {
        serve::serve(&config, rules, None, |address| welcome(address, &data)).await
    })
}

/// The default configuration, with everything below the directory and the registry within the process.
fn config(args: &Args, data: &Path) -> Result<Config, Error> {
    let mut config = Config::from_environment(|variable| !is_not_heeded(variable))?;
    let listen = args.listen.or_else(|| std::env::var_os(LISTEN_VARIABLE).map(|_| config.listen.https));
    config.listen.https = listen.unwrap_or(DEFAULT_LISTEN);
    // Two processes over one storage would get in each other's way.
    config.listen.handover = None;
    let KeyPairFiles { certificate, key } = init::key_pair(init::plain(&args.dir));
    config.tls = Tls { certificate, key, ..config.tls };
    config.auth.htpasswd = init::htpasswd(init::plain(&args.dir));
    config.auth.token_key = Some(init::token_key(init::plain(&args.dir)));
    config.storage.get_or_insert_default().data = Data::Directory(data.to_owned());
    Ok(config)
}

/// Whether a variable is about what `config` sets.
fn is_not_heeded(variable: &str) -> bool {
    variable.starts_with("LOCKGATE_UPSTREAM_") || NOT_HEEDED.contains(&variable)
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
