//! `lockgate certs`: a CA of one's own and a certificate that it signed, in the guides' file names.

mod authority;
mod subject_name;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use x509_parser::time::ASN1Time;

use super::Error;
use super::output::say;
use crate::files;
use crate::tls::{CertificateProblem, CertificateProblems, Chain, KeyPairFiles, Pair};
use authority::{Authority, open_or_make_key};
pub(crate) use subject_name::SubjectName;

/// The longest lifetime of a server's certificate that Apple's clients accept from a private CA; also the
/// default, since nothing renews it by itself.
const MAX_DAYS: u16 = 825;
/// How long a certificate lives when nobody says otherwise, in days.
pub(crate) const DEFAULT_DAYS: u16 = MAX_DAYS;
/// The names in a certificate when nobody says.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Make a CA and a certificate for this registry, and say where clients want the CA.
///
/// Four files are made in DIR: devdockerCA.crt and devdockerCA.key (the CA, for 10 years), domain.crt
/// and domain.key (the server's). A file that exists is never overwritten: an existing CA signs, an
/// existing domain.key is used, and an existing domain.crt is kept until --renew is given. Keep
/// devdockerCA.key to yourself: who has it can pretend to be any server to your clients.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the files are, or are made.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// A host name or IP address that clients use. Repeatable. [default: localhost, 127.0.0.1 and ::1]
    #[arg(long = "name", value_name = "HOST|IP", value_delimiter = ',')]
    names: Vec<SubjectName>,
    /// The certificate's lifetime; Apple's clients accept no more than 825 days.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_DAYS,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_DAYS)))]
    days: u16,
    /// Make domain.crt again, for its names and those given, with the same key. It has to be of this CA.
    #[arg(long)]
    renew: bool,
    /// The port that clients use, for the paths that are printed.
    #[arg(long, value_name = "PORT", default_value_t = 5043)]
    port: u16,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let made =
        if args.renew { renew(&args.dir, &args.names, args.days) } else { make(&args.dir, &args.names, args.days) };
    let made = made.map_err(|error| Error::Command(Box::new(error)))?;
    say(&made);
    say(made.trust(args.port));
    Ok(())
}

/// Makes what is missing of the four files below `dir`, and `dir` itself; nothing that exists is changed.
///
/// No names means localhost. `days` above 825 count as 825. Where both domain.crt and domain.key are
/// there, no CA is made: they may be somebody else's.
///
/// # Errors
/// What exists cannot be used (it does not parse, does not belong together, has expired), or the rest
/// cannot be written.
pub(crate) fn make(dir: &Path, names: &[SubjectName], days: u16) -> Result<Made, CertsError> {
    let place = Place::open(dir)?;
    let before = place.existing();
    if !place.server.certificate.exists() {
        let names = if names.is_empty() { local_names() } else { names.to_vec() };
        let certificate = place.sign(&names, days)?;
        let file = &place.server.certificate;
        files::create(file, certificate.as_bytes(), files::PUBLIC).map_err(CertsError::write(file))?;
    }
    place.summary(names, before, false)
}

/// Replaces domain.crt by one for its own names and for `names`, with the same key, from the same CA.
/// Where there is no domain.crt, the same as [`make`].
///
/// # Errors
/// As [`make`]; or domain.crt is of another CA, which this one must not supplant.
pub(crate) fn renew(dir: &Path, names: &[SubjectName], days: u16) -> Result<Made, CertsError> {
    let place = Place::open(dir)?;
    if !place.server.certificate.exists() {
        return make(dir, names, days);
    }
    let before = place.existing();
    let old = Chain::read(&place.server.certificate)?;
    if !place.has_issued(&old)? {
        return Err(CertsError::OfAnotherAuthority(place.server.certificate, place.authority.certificate));
    }
    let mut all = names_of(&old);
    all.extend(names.iter().filter(|name| !name.is_in(old.names())).cloned());
    if all.is_empty() {
        return Err(CertsError::NoNames(place.server.certificate));
    }
    let certificate = place.sign(&all, days)?;
    let file = &place.server.certificate;
    files::replace(file, certificate.as_bytes(), files::PUBLIC).map_err(CertsError::write(file))?;
    place.summary(names, before, true)
}

/// Localhost in its three spellings.
pub(crate) fn local_names() -> Vec<SubjectName> {
    LOCAL_NAMES.iter().map(|name| name.parse().expect("a host name or an address")).collect()
}

/// The names of a certificate, in its order.
fn names_of(chain: &Chain) -> Vec<SubjectName> {
    let names = chain.names();
    // What Lockgate would not write, such as a name with an empty label, matches no client's host either.
    let dns = names.dns.iter().filter_map(|name| name.parse().ok());
    dns.chain(names.addresses.iter().copied().map(SubjectName::from)).collect()
}

/// The four files, in the names of the tutorials that people come from.
struct Place {
    authority: KeyPairFiles,
    server: KeyPairFiles,
}

impl Place {
    fn open(dir: &Path) -> Result<Self, CertsError> {
        std::fs::create_dir_all(dir).map_err(CertsError::write(dir))?;
        let pair = |stem: &str| KeyPairFiles {
            certificate: dir.join(format!("{stem}.crt")),
            key: dir.join(format!("{stem}.key")),
        };
        Ok(Self { authority: pair("devdockerCA"), server: pair("domain") })
    }

    fn existing(&self) -> Vec<PathBuf> {
        let pairs = [&self.authority, &self.server];
        pairs
            .into_iter()
            .flat_map(|pair| [&pair.certificate, &pair.key])
            .filter(|file| file.exists())
            .cloned()
            .collect()
    }

    /// A certificate for the server's key, as PEM. CA and key are made as far as they are missing.
    fn sign(&self, names: &[SubjectName], days: u16) -> Result<String, CertsError> {
        let authority = Authority::open_or_make(&self.authority)?;
        let key = open_or_make_key(&self.server.key)?;
        authority.sign(&self.server.certificate, &key, names, days.clamp(1, MAX_DAYS))
    }

    /// Is the certificate of this directory's CA?
    fn has_issued(&self, certificate: &Chain) -> Result<bool, CertsError> {
        let authority = &self.authority.certificate;
        Ok(authority.exists() && certificate.is_issued_by(&Chain::read(authority)?))
    }

    /// Reads back the files that there are now: what is said to be good has been checked as at a start.
    fn summary(&self, asked: &[SubjectName], before: Vec<PathBuf>, renewed: bool) -> Result<Made, CertsError> {
        let pair = Pair::load(&self.server).map_err(|problems| CertsError::Unusable(problems.into()))?;
        let chain = pair.chain();
        let state = |file: &PathBuf| match before.contains(file) {
            false => State::Made,
            true if renewed && *file == self.server.certificate => State::Renewed,
            true => State::Kept,
        };
        let files = self.existing().into_iter().map(|file| (state(&file), file)).collect();
        Ok(Made {
            files,
            authority: self.has_issued(chain)?.then(|| self.authority.certificate.clone()),
            certificate: self.server.certificate.clone(),
            names: names_of(chain),
            not_after: chain.not_after(),
            uncovered: asked.iter().filter(|name| !name.is_in(chain.names())).cloned().collect(),
            warnings: pair.warnings(),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It did not exist.
    Made,
    /// It was replaced, as asked.
    Renewed,
    /// It was there and was not touched.
    Kept,
}

/// The files that are there now, and what they are good for. Its text is a few lines for a terminal.
#[derive(Debug)]
pub(crate) struct Made {
    files: Vec<(State, PathBuf)>,
    /// The CA's certificate, where it is the one that signed the server's.
    authority: Option<PathBuf>,
    certificate: PathBuf,
    names: Vec<SubjectName>,
    not_after: ASN1Time,
    /// Names that were asked for and that a kept certificate is not for.
    uncovered: Vec<SubjectName>,
    warnings: Vec<CertificateProblem>,
}

impl Made {
    /// Where docker, podman and the system want the CA, as commands to copy.
    pub(crate) fn trust(&self, port: u16) -> String {
        let Some(authority) = &self.authority else {
            return format!("{} was not signed by a CA of this directory.", self.certificate.display());
        };
        let authority = std::path::absolute(authority).unwrap_or_else(|_| authority.clone());
        let ca = quoted(&authority.display().to_string());
        // Nobody can list the hosts of a wildcard.
        let hosts = || self.names.iter().filter(|name| !name.is_wildcard());
        let into = |root: &str, host: &SubjectName| {
            let place = format!("{root}/{}/ca.crt", host.with_port(port));
            format!("  sudo install -D -m 644 {ca} {}\n", quoted(&place))
        };
        let docker: String =
            hosts().filter(|host| !host.is_loopback()).map(|host| into("/etc/docker/certs.d", host)).collect();
        let podman: String = hosts().map(|host| into("/etc/containers/certs.d", host)).collect();
        format!(
            "\nClients have to trust the CA. On another machine, copy it there first; never copy its key.\n\
             docker (trusts localhost and 127.0.0.0/8 without it):\n{docker}\
             podman, skopeo and buildah:\n{podman}\
             The system, and so curl, crane and oras (Debian, Ubuntu); docker too, once it is restarted:\n\
             \x20 sudo install -m 644 {ca} /usr/local/share/ca-certificates/devdockerCA.crt && sudo update-ca-certificates"
        )
    }
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:+,@%".contains(&byte);
    if text.bytes().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (state, file) in &self.files {
            let state = match state {
                State::Made => "made now",
                State::Renewed => "renewed",
                State::Kept => "kept",
            };
            let is_key = file.extension().is_some_and(|extension| extension == "key");
            writeln!(f, "{:12} {} ({state})", if is_key { "key" } else { "certificate" }, file.display())?;
        }
        let names: Vec<_> = self.names.iter().map(ToString::to_string).collect();
        let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
        write!(f, "valid for    {names}, until {}", self.not_after)?;
        let (file, dir) = (self.certificate.display(), self.certificate.parent().unwrap_or(Path::new(".")));
        let dir = quoted(&dir.display().to_string());
        for name in &self.uncovered {
            write!(
                f,
                "\nwarning      {file} is not for {name}: add it by `lockgate certs {dir} --renew --name {name}`"
            )?;
        }
        for warning in &self.warnings {
            write!(f, "\nwarning      {warning}")?;
        }
        Ok(())
    }
}

/// Why there is no usable certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertsError {
    /// A file or directory cannot be made.
    #[error("cannot make {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// A file that is there cannot be read as what it should be.
    #[error(transparent)]
    File(#[from] CertificateProblem),
    /// The CA that is there cannot sign.
    #[error(transparent)]
    Refused(CertificateProblems),
    /// The server's certificate and key that are there cannot be served.
    #[error("{0}; if it is of this directory's CA, `lockgate certs DIR --renew` makes it again")]
    Unusable(CertificateProblems),
    /// There is a CA whose key is elsewhere.
    #[error(
        "{} is missing, so that nothing can be signed: put it there, or move {} away to have a new CA made (which every \
         client then has to trust)",
        .0.key.display(), .0.certificate.display()
    )]
    AuthorityWithoutKey(KeyPairFiles),
    /// The certificate in the CA's place is an ordinary one.
    #[error(
        "{} is not a CA (it lacks basicConstraints CA:TRUE, or its keyUsage lacks keyCertSign): move it and its key away \
         to have a CA made",
        .0.display()
    )]
    NotAnAuthority(PathBuf),
    /// A renewal would replace somebody else's work.
    #[error("{} was not signed by {}: renew it where it came from, or move it away to have one made", .0.display(), .1.display())]
    OfAnotherAuthority(PathBuf, PathBuf),
    /// Nothing says what the certificate should be for.
    #[error("{} has no subjectAltName to take over: say what it is for with --name HOST", .0.display())]
    NoNames(PathBuf),
    /// The CA's subject cannot be written as an issuer.
    #[error(
        "the CA's subject repeats an attribute, which Lockgate cannot write: sign with openssl, or move the CA away"
    )]
    AuthorityName,
    /// rcgen refused.
    #[error("cannot sign a certificate: {0}")]
    Signing(rcgen::Error),
}

impl CertsError {
    fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }
}
