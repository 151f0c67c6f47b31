//! A name that a certificate can be for.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rcgen::SanType;

use crate::tls::Names;

/// A host name (in lower case, perhaps with `*.` in front) or an IP address, as a subjectAltName has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SubjectName(Kind);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Dns(String),
    Address(IpAddr),
}

/// Why a text is no [`SubjectName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SubjectNameError {
    /// It is a URL or has a path.
    #[error("give the host alone, without https:// and path")]
    Url,
    /// It has a port.
    #[error("give the host without its port; a certificate is for all ports")]
    Port,
    /// It is outside ASCII.
    #[error("give the name in its ASCII form, xn--...")]
    NotAscii,
    /// It is outside the grammar.
    #[error(
        "it is neither an IP address nor a host name (letters, digits and hyphens between dots, at most 253 in all and \
         63 between two dots; `*.` in front of two of them stands for any one)"
    )]
    Grammar,
}

impl SubjectName {
    /// Is it among the names of a certificate? A name is covered by the certificate's wildcard.
    pub(crate) fn is_in(&self, names: &Names) -> bool {
        match &self.0 {
            Kind::Address(address) => names.addresses.contains(address),
            Kind::Dns(name) => {
                let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
                names.dns.iter().any(|dns| dns == name || Some(dns) == wildcard.as_ref())
            }
        }
    }

    /// Stands it for many hosts?
    pub(crate) fn is_wildcard(&self) -> bool {
        matches!(&self.0, Kind::Dns(name) if name.starts_with("*."))
    }

    /// Is it this machine, whatever machine that is?
    pub(crate) fn is_loopback(&self) -> bool {
        match &self.0 {
            Kind::Address(address) => address.is_loopback(),
            Kind::Dns(name) => name == "localhost",
        }
    }

    /// `HOST:PORT`, as an image's name begins with it.
    pub(crate) fn with_port(&self, port: u16) -> String {
        match &self.0 {
            Kind::Address(IpAddr::V6(address)) => format!("[{address}]:{port}"),
            _ => format!("{self}:{port}"),
        }
    }

    /// The same for rcgen.
    pub(crate) fn to_san(&self) -> SanType {
        match &self.0 {
            Kind::Address(address) => SanType::IpAddress(*address),
            Kind::Dns(name) => SanType::DnsName(name.as_str().try_into().expect("a host name is ASCII")),
        }
    }
}

impl From<IpAddr> for SubjectName {
    fn from(address: IpAddr) -> Self {
        Self(Kind::Address(address.to_canonical()))
    }
}

impl FromStr for SubjectName {
    type Err = SubjectNameError;

    fn from_str(text: &str) -> Result<Self, SubjectNameError> {
        let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = unbracketed.parse::<IpAddr>() {
            return Ok(address.into());
        }
        if text.contains('/') {
            return Err(SubjectNameError::Url);
        }
        if text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            return Err(SubjectNameError::Port);
        }
        if !text.is_ascii() {
            return Err(SubjectNameError::NotAscii);
        }
        if is_host_name(text) { Ok(Self(Kind::Dns(text.to_ascii_lowercase()))) } else { Err(SubjectNameError::Grammar) }
    }
}

fn is_host_name(text: &str) -> bool {
    let (labels, least) = match text.strip_prefix("*.") {
        Some(parent) => (parent, 2),
        None => (text, 1),
    };
    let labels: Vec<_> = labels.split('.').collect();
    // A last label of digits is a mistyped address, for browsers and for curl.
    let last_is_number = labels.last().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= 253 && labels.len() >= least && !last_is_number && labels.iter().all(|label| is_label(label))
}

fn is_label(label: &str) -> bool {
    // Compose makes host names of service names, which may have underscores.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(allowed) && !label.starts_with('-') && !label.ends_with('-')
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Dns(name) => f.write_str(name),
            Kind::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_and_addresses_are_told_apart_and_written_one_way() {
        for (text, written, with_port) in [
            ("localhost", "localhost", "localhost:5043"),
            ("Registry.Example", "registry.example", "registry.example:5043"),
            ("my_registry", "my_registry", "my_registry:5043"),
            ("*.apps.example", "*.apps.example", "*.apps.example:5043"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", "xn--bcher-kva.example:5043"),
            ("10.0.0.7", "10.0.0.7", "10.0.0.7:5043"),
            ("::1", "::1", "[::1]:5043"),
            ("[0:0::1]", "::1", "[::1]:5043"),
            ("::ffff:10.0.0.7", "10.0.0.7", "10.0.0.7:5043"),
        ] {
            let name: SubjectName = text.parse().unwrap();
            assert_eq!(name.to_string(), written);
            assert_eq!(name.with_port(5043), with_port);
        }
    }

    #[test]
    fn a_mistake_is_told_by_its_kind() {
        use SubjectNameError::{Grammar, NotAscii, Port, Url};
        let long = "a".repeat(64);
        for (text, error) in [
            ("https://registry.example", Url),
            ("registry.example/v2/", Url),
            ("registry.example:5043", Port),
            ("[::1]:5043", Port),
            ("bücher.example", NotAscii),
            ("", Grammar),
            ("a..b", Grammar),
            ("registry.example.", Grammar),
            ("-a.example", Grammar),
            ("a b", Grammar),
            ("10.0.0.256", Grammar),
            ("*.example", Grammar),
            ("a.*.example", Grammar),
            ("*", Grammar),
            (&long, Grammar),
        ] {
            assert_eq!(text.parse::<SubjectName>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_name_is_covered_by_itself_and_by_a_wildcard_for_its_last_labels() {
        let names =
            Names { dns: vec!["a.example".into(), "*.b.example".into()], addresses: vec!["::1".parse().unwrap()] };
        let covered = |name: &str| name.parse::<SubjectName>().unwrap().is_in(&names);
        assert!(["A.example", "x.b.example", "*.b.example", "::1"].into_iter().all(covered));
        assert!(!["b.example", "x.y.b.example", "x.a.example", "127.0.0.1"].into_iter().any(covered));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_written_so_that_it_is_read_again(text in "\\PC{0,40}|[a-z*.:\\[\\]_0-9-]{0,12}") {
            if let Ok(name) = text.parse::<SubjectName>() {
                prop_assert_eq!(name.to_string().parse(), Ok(name.clone()));
                name.to_san();
            }
        }
    }
}
