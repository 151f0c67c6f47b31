//! The command line: one command a file.

mod access;
mod certs;
mod check;
mod doctor;
mod health;
mod htpasswd;
mod import_nginx;
mod init;
mod output;
mod serve;
mod token;
mod token_key;
mod up;

use std::io::ErrorKind;

use clap::{Parser, Subcommand};
use lockgate_settings::Problems;

use crate::app::StartError;

/// `EX_USAGE` of `sysexits.h`: the command line or the configuration is wrong.
pub const EXIT_USAGE: u8 = 64;
/// Something else failed.
const EXIT_FAILURE: u8 = 1;

/// The locked gate in front of a container registry.
///
/// Without a command it does `up`: a whole private registry on https://localhost:5043, with storage,
/// users and certificate in the current directory.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Serve(serve::Args),
    Check(check::Args),
    Access(access::Args),
    Htpasswd(htpasswd::Args),
    Token(token::Args),
    TokenKey(token_key::Args),
    Certs(certs::Args),
    Init(init::Args),
    ImportNginx(import_nginx::Args),
    Health(health::Args),
    Doctor(doctor::Args),
}

/// Why a command failed; its text is what the person reads.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error("the configuration is not usable:\n{0}")]
    Config(#[from] Problems),
    /// The proxy did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Anything else that a command reports.
    #[error(transparent)]
    Command(#[from] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is no, and was said.
    #[error("no")]
    No,
}

impl Error {
    /// 64 for a wrong configuration, files that it names included, and 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Start(StartError::Files(_) | StartError::SharedStorage) => EXIT_USAGE,
            Self::Start(StartError::Storage(error)) if error.kind() == ErrorKind::NotADirectory => EXIT_USAGE,
            Self::Start(_) | Self::Command(_) | Self::No => EXIT_FAILURE,
        }
    }

    /// Whether the person has read it already.
    pub fn is_told(&self) -> bool {
        matches!(self, Self::No)
    }
}

impl Cli {
    /// Runs the command to its end.
    ///
    /// # Errors
    /// What to tell the person, and the exit code.
    pub fn run(self) -> Result<(), Error> {
        match self.command.unwrap_or_else(|| Command::Up(up::Args::default())) {
            Command::Up(args) => up::run(&args),
            Command::Serve(args) => serve::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Access(args) => access::run(&args),
            Command::Htpasswd(args) => htpasswd::run(&args).map_err(|error| Error::Command(Box::new(error))),
            Command::Token(args) => token::run(&args),
            Command::TokenKey(args) => token_key::run(&args).map_err(|error| Error::Command(Box::new(error))),
            Command::Certs(args) => certs::run(&args),
            Command::Init(args) => init::run(&args),
            Command::ImportNginx(args) => import_nginx::run(&args),
            Command::Health(args) => health::run(&args),
            Command::Doctor(args) => doctor::run(args),
        }
    }
}
