//! `lockgate-backend`: reads the command line and runs the command.

use std::process::ExitCode;

use clap::Parser as _;
use lockgate_backend::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
