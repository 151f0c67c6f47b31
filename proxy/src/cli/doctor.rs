//! `lockgate doctor URL`: which hop between a client and a registry is broken?

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use lockgate_oci::RepositoryName;
use serde_json::json;
use zeroize::Zeroizing;

use super::Error;
use super::htpasswd::read_password;
use super::output::{say, show};
use crate::auth::UserName;
use crate::doctor::{Credentials, Examination, Finding, Target, Trust, Verdict};

/// Where what was seen begins.
const INDENT: &str = "                   ";

/// What explains a finding is broken into lines of so many characters.
const WIDTH: usize = 110;

/// Ask a registry as docker does, through its public URL, and name what is broken on the way
///
/// In the order in which a client would fail: DNS, TCP, TLS, whether a registry answers, in which language it refuses, the
/// login, and with --write each step of a push and a pull. Each check is one line with what was seen; where it fails, what it
/// means and what to change in nginx, Caddy, Traefik or Lockgate follow. Exit code 0 where nothing fails, 1 else.
///
/// A password is sent only where the certificate was verified. SSL_CERT_FILE names other authorities than the system's.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The registry, as https://HOST or https://HOST:PORT
    #[arg(value_name = "URL")]
    url: Target,

    /// Log in as this user; the password is asked for
    #[arg(long, value_name = "NAME")]
    user: Option<UserName>,

    /// Read the password from one line of standard input instead of asking for it
    #[arg(long, requires = "user")]
    stdin: bool,

    /// Push a small image to this repository, pull it, and delete it again, with the tag lockgate-doctor
    #[arg(long, value_name = "REPOSITORY")]
    write: Option<RepositoryName>,

    /// Trust this authority as well, a file of PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// How long an upload rests in its middle, with --write
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(0..=120))]
    rest: u64,

    /// Write what was found as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> Result<(), Error> {
    let failed = |error: io::Error| Error::Command(Box::new(error));
    let trust = Trust::load(args.ca.as_deref()).map_err(failed)?;
    let password = args.user.as_ref().map(|user| password(user, &args.url, args.stdin)).transpose()?;
    let credentials = args.user.zip(password).map(|(user, password)| Credentials::new(user.to_string(), password));
    let rest = Duration::from_secs(args.rest);
    let examination = Examination { target: args.url, trust, credentials, repository: args.write, rest };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
    let url = examination.target.to_string();
    let mut findings = Vec::new();
    let mut printer = Printer::default();
    if !args.json {
        say(format_args!("{url}\n"));
    }
    runtime.block_on(examination.run(&mut |finding| {
        if !args.json {
            printer.print(finding);
        }
        findings.push(finding.clone());
    }));
    // A lookup may still run on a thread of its own, and nobody waits for it.
    runtime.shutdown_background();
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let failures = count(Verdict::Fail);
    if args.json {
        show(json!({ "url": url, "ok": failures == 0, "findings": findings })).map_err(failed)?;
    } else {
        printer.end();
        let skipped = count(Verdict::Skip);
        let (right, warnings) = (count(Verdict::Ok), count(Verdict::Warn));
        say(format_args!("\n{failures} failed, {warnings} to look at, {right} right, {skipped} not looked at"));
    }
    if failures == 0 { Ok(()) } else { Err(Error::No) }
}

fn password(user: &UserName, url: &Target, stdin: bool) -> Result<Zeroizing<String>, Error> {
    if stdin {
        return read_password(io::stdin().lock()).map_err(|error| Error::Command(Box::new(error)));
    }
    let prompt = format!("Password of {user} at {url}: ");
    let asked = rpassword::prompt_password(prompt).map(Zeroizing::new);
    asked.map_err(|error| {
        Error::Command(format!("the password cannot be read: {error} (without a terminal, use --stdin)").into())
    })
}

/// Prints findings as lines. Those in a row that were skipped for one reason are one line.
#[derive(Debug, Default)]
struct Printer {
    skipped: Vec<&'static str>,
    reason: String,
}

impl Printer {
    fn print(&mut self, finding: &Finding) {
        if finding.verdict == Verdict::Skip {
            if self.reason != finding.seen {
                self.end();
            }
            self.skipped.push(finding.check.name());
            self.reason.clone_from(&finding.seen);
            return;
        }
        self.end();
        let verdict = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
            Verdict::Skip => "skip",
        };
        say(format_args!("{verdict:<4}  {:<11}  {}", finding.check, finding.seen));
        if let Some(remedy) = finding.remedy {
            tell(remedy.means, "");
            for (whose, words) in remedy.change {
                tell(&format!("{whose}: {words}"), "  ");
            }
        }
    }

    fn end(&mut self) {
        if !self.skipped.is_empty() {
            say(format_args!("skip  {}: {}", self.skipped.join(", "), self.reason));
            self.skipped.clear();
        }
    }
}

/// Says what belongs to the line above it; what follows its first line is indented once more.
fn tell(text: &str, hanging: &str) {
    let rest = format!("{INDENT}{hanging}");
    for line in textwrap::wrap(text, textwrap::Options::new(WIDTH).initial_indent(INDENT).subsequent_indent(&rest)) {
        say(line);
    }
}
