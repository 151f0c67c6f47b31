//! `lockgate health`: does the proxy of this configuration answer?

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lockgate_backend::admin;
use lockgate_settings::Configuration as _;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use super::Error;
use crate::config::Config;
use crate::tls::AnyCertificate;

/// How long each of connecting, writing and reading may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ask the running proxy whether it answers, for a container's health check.
///
/// It is asked at admin.listen, if there is one. Else this connects to listen.https of this machine and asks for /v2/
/// without a password: a 401 is the healthy answer. Any certificate will do, since nothing secret is sent. The upstream is
/// not asked.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file of the running proxy.
    #[arg(long, value_name = "FILE", default_value = "conf/lockgate.toml")]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let config = Config::load(&args.config)?;
    if let Some(endpoint) = &config.admin.listen {
        return admin::ask(endpoint, "/healthz").map_err(|error| Error::Command(Box::new(error)));
    }
    let status = ask(&config).map_err(|error| unhealthy(&config, &error.to_string()))?;
    if status.contains(" 401 ") { Ok(()) } else { Err(unhealthy(&config, &format!("it answered {status}"))) }
}

fn unhealthy(config: &Config, why: &str) -> Error {
    Error::Command(format!("no healthy answer from {}: {why}", config.listen.https).into())
}

/// The status line of `GET /v2/`.
fn ask(config: &Config) -> io::Result<String> {
    // An expired certificate is a matter for `lockgate check` and the log: a supervisor that restarts on
    // it would make an outage of a renewal that went wrong.
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate::new()))
        .with_no_client_auth();
    let address = lockgate_settings::reachable(config.listen.https);
    let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    if config.listen.speaks_proxy_protocol(address.ip()) {
        // It comes on nobody's behalf.
        (&socket).write_all(b"PROXY UNKNOWN\r\n")?;
    }
    let connection =
        ClientConnection::new(Arc::new(tls), ServerName::IpAddress(address.ip().into())).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, socket);
    write!(stream, "GET /v2/ HTTP/1.1\r\nHost: {address}\r\nUser-Agent: lockgate-health\r\nConnection: close\r\n\r\n")?;
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status)?;
    Ok(status.trim_end().to_owned())
}
