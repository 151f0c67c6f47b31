//! Writes what a package has beside the programs and what is made of their command lines, below a directory: a man page
//! for each command in `man`, and completions in `bash`, `fish` and `zsh`. It is an example, so that neither program
//! carries what writes them.

use std::path::PathBuf;
use std::{env, fs, io};

use clap::CommandFactory as _;
use clap_complete::Shell;

fn main() -> io::Result<()> {
    let dir = env::args_os().nth(1).map(PathBuf::from).ok_or(io::Error::other("usage: manual DIR"))?;
    let pages = dir.join("man");
    fs::create_dir_all(&pages)?;
    for mut program in [lockgate::cli::Cli::command(), lockgate_backend::cli::Cli::command()] {
        let name = program.get_name().to_owned();
        // The `help` of each command is no page of its own.
        clap_mangen::generate_to(program.clone().disable_help_subcommand(true), &pages)?;
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            let completions = dir.join(shell.to_string());
            fs::create_dir_all(&completions)?;
            clap_complete::generate_to(shell, &mut program, &name, &completions)?;
        }
    }
    Ok(())
}
