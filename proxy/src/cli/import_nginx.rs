//! `lockgate import-nginx`: a configuration of nginx's, written as Lockgate's.

use std::io;
use std::path::{Path, PathBuf};

use lockgate_settings::complain;

use super::output::{say, show};
use super::{Error, init, token_key};
use crate::files::{PUBLIC, create};
use crate::import_nginx::{ACCESS, Imported, TOKEN_KEY, import};

/// The configuration that is written.
const CONFIG: &str = "lockgate.toml";
/// What tells of each directive.
const REPORT: &str = "import-report.txt";

/// Write lockgate.toml from an nginx configuration that proxies a registry.
///
/// The configuration is read with its includes. Without --out, lockgate.toml goes to standard output, and to standard error
/// what became of each directive. What may have kept people out and cannot be carried over is named, and then nobody gets
/// in until you have decided.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// nginx.conf, or the file of the registry's server alone.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The directory for lockgate.toml, import-report.txt and what they need beside them. No file is overwritten.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let dir = args.out.as_deref().map_or(Path::new(""), init::plain);
    let imported = import(&args.files, dir)?;
    if args.out.is_some() { write(dir, &imported) } else { print(&imported) }
}

fn print(imported: &Imported) -> Result<(), Error> {
    complain(imported.report.trim_end());
    if let Some(access) = &imported.access {
        complain(format_args!("\n{ACCESS}, which belongs beside {CONFIG}:\n\n{}", access.trim_end()));
    }
    show(imported.config.trim_end()).map_err(|error| Error::Command(Box::new(error)))
}

fn write(dir: &Path, imported: &Imported) -> Result<(), Error> {
    let files =
        [(CONFIG, Some(&imported.config)), (REPORT, Some(&imported.report)), (ACCESS, imported.access.as_ref())];
    let files = || files.iter().filter_map(|(name, text)| Some((dir.join(name), (*text)?)));
    // All of them are new, or none is written.
    if let Some((there, _)) = files().find(|(file, _)| file.exists()) {
        return Err(unwritable(&there, &io::ErrorKind::AlreadyExists.into()));
    }
    std::fs::create_dir_all(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })
        .map_err(|error| unwritable(dir, &error))?;
    for (file, text) in files() {
        create(&file, text.as_bytes(), PUBLIC).map_err(|error| unwritable(&file, &error))?;
        say(format_args!("{} (made now)", file.display()));
    }
    let key = dir.join(TOKEN_KEY);
    if imported.needs_token_key && !key.exists() {
        token_key::make(&key).map_err(|error| Error::Command(Box::new(error)))?;
        say(format_args!("{} (made now)", key.display()));
    }
    for line in &imported.grave {
        complain(line);
    }
    say(format_args!("next: lockgate check --config {}", dir.join(CONFIG).display()));
    Ok(())
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::Command(format!("cannot make {}: {error}", path.display()).into())
}
