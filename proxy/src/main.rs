//! `lockgate`: reads the command line, runs the command, and is the only place that chooses an exit
//! code: 0, 1 for what failed, 64 (`EX_USAGE`) for a configuration or command line that is wrong.

// `println!` and `eprintln!` panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::Parser as _;
use lockgate::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Where the terminal is gone there is nobody to tell.
            let _ = message.print();
            return if message.use_stderr() { ExitCode::from(cli::EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_told() {
                lockgate_settings::complain(format_args!("lockgate: {error}"));
            }
            ExitCode::from(error.exit_code())
        }
    }
}
