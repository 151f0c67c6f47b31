//! Where the registry behind the gate listens.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use http::HeaderValue;
use lockgate_settings::{Endpoint, EndpointError};

/// `http://host:port`, or `unix:/path`. Its text holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Plain HTTP over TCP.
    Tcp {
        /// A DNS name, or an IP address; IPv6 without brackets.
        host: String,
        /// Not zero.
        port: u16,
    },
    /// Plain HTTP over a Unix socket, by its absolute path.
    Unix(PathBuf),
}

/// Why a text is no [`Origin`]. No message repeats the text: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// `https://`.
    #[error(
        "the upstream is spoken to in plain HTTP, on a private network; write http:// and let it listen without TLS"
    )]
    Tls,
    /// `http://unix:`, as nginx writes it.
    #[error("a Unix socket is written without http://, as in \"unix:/run/lockgate/backend.sock\"")]
    HttpUnix,
    /// Neither `http://` nor `unix:`.
    #[error("write \"http://host:port\", as in \"http://registry:5000\", or \"unix:/path\"")]
    Scheme,
    /// `user:password@`.
    #[error(
        "a user or password does not belong here; remove what stands before the @ (auth.htpasswd has the users, upstream.forward_authorization hands their passwords on)"
    )]
    Userinfo,
    /// A path, a query or a fragment.
    #[error("only a host and a port belong here, as in \"http://registry:5000\"; a request keeps its own path")]
    Path,
    /// Nothing that names a machine.
    #[error("the host is a DNS name, an IPv4 address, or an IPv6 address in brackets, as in \"http://[::1]:5000\"")]
    Host,
    /// Out of range, or not a number.
    #[error("the port is a number from 1 to 65535")]
    Port,
    /// No path of a socket.
    #[error(transparent)]
    Socket(#[from] EndpointError),
}

impl Origin {
    /// The value of a request's `Host` (RFC 9110, 7.2).
    pub(crate) fn host(&self) -> HeaderValue {
        let text = self.to_string();
        let host = text.strip_prefix("http://").unwrap_or("localhost");
        HeaderValue::try_from(host).expect("a DNS name and an IP address are visible ASCII")
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text.starts_with("unix:") {
            return match text.parse()? {
                Endpoint::Unix(path) => Ok(Self::Unix(path)),
                Endpoint::Tcp(_) => Err(OriginError::Scheme),
            };
        }
        let (scheme, rest) = text.split_once("://").ok_or(OriginError::Scheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(OriginError::Tls),
            _ => return Err(OriginError::Scheme),
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        // A host may be called `unix`.
        if authority == "unix:" || authority.starts_with("unix:/") {
            Err(OriginError::HttpUnix)
        } else if authority.contains('@') {
            Err(OriginError::Userinfo)
        } else if authority.contains(['/', '?', '#', '\\']) {
            Err(OriginError::Path)
        } else {
            let (host, port) = host_and_port(authority)?;
            Ok(Self::Tcp { host, port })
        }
    }
}

fn host_and_port(authority: &str) -> Result<(String, u16), OriginError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(OriginError::Host)?;
            (address.parse::<Ipv6Addr>().map_err(|_| OriginError::Host)?.to_string(), port)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            if !is_name(host) || port.matches(':').count() > 1 {
                return Err(OriginError::Host);
            }
            (host.to_ascii_lowercase(), port)
        }
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok((host, 80)),
        None => Err(OriginError::Host),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            let port = digits.parse().ok().filter(|port| *port != 0).ok_or(OriginError::Port)?;
            Ok((host, port))
        }
        Some(_) => Err(OriginError::Port),
    }
}

/// An IPv4 address, or what a resolver takes: a compose service may have underscores in its name.
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels = host.strip_suffix('.').unwrap_or(host);
    let is_numeric = labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if is_numeric { host.parse::<Ipv4Addr>().is_ok() } else { host.len() <= 253 && labels.split('.').all(is_label) }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

lockgate_settings::written_as_text!(Origin, "\"http://host:port\" or \"unix:/path\"");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp(host: &str, port: u16) -> Result<Origin, OriginError> {
        Ok(Origin::Tcp { host: host.to_owned(), port })
    }

    #[test]
    fn an_upstream_is_a_host_with_a_port_or_a_socket() {
        for (text, origin) in [
            ("http://registry:5000", tcp("registry", 5000)),
            ("http://registry:5000/", tcp("registry", 5000)),
            ("HTTP://Registry", tcp("registry", 80)),
            ("http://my_app-1.example.com.:65535", tcp("my_app-1.example.com.", 65535)),
            ("http://127.0.0.1:5000", tcp("127.0.0.1", 5000)),
            ("http://unix:5000", tcp("unix", 5000)),
            ("http://[::1]", tcp("::1", 80)),
            ("http://[2001:DB8:0::1]:5000", tcp("2001:db8::1", 5000)),
            ("unix:/run/lockgate/backend.sock", Ok(Origin::Unix("/run/lockgate/backend.sock".into()))),
        ] {
            assert_eq!(text.parse(), origin, "{text}");
        }
    }

    #[test]
    fn whatever_else_a_url_can_hold_is_refused_for_what_it_is() {
        let socket = EndpointError::Relative;
        for (text, error) in [
            ("", OriginError::Scheme),
            ("registry:5000", OriginError::Scheme),
            ("//registry:5000", OriginError::Scheme),
            ("ftp://registry", OriginError::Scheme),
            ("https://registry:5000", OriginError::Tls),
            ("http://unix:/run/registry.sock", OriginError::HttpUnix),
            ("http://unix:/run/registry.sock:/", OriginError::HttpUnix),
            ("http://unix:/", OriginError::HttpUnix),
            ("http://user:secret@registry:5000", OriginError::Userinfo),
            ("http://user:se/cret@registry:5000", OriginError::Userinfo),
            ("http://registry:5000/v2/", OriginError::Path),
            ("http://registry:5000//", OriginError::Path),
            ("http://registry?x", OriginError::Path),
            ("http://registry#x", OriginError::Path),
            ("http://", OriginError::Host),
            ("http://:5000", OriginError::Host),
            ("http://::1:5000", OriginError::Host),
            ("http://[::1", OriginError::Host),
            ("http://[registry]:5000", OriginError::Host),
            ("http://[::1]5000", OriginError::Host),
            ("http://regi stry", OriginError::Host),
            ("http://-registry", OriginError::Host),
            ("http://a..b", OriginError::Host),
            ("http://1.2.3", OriginError::Host),
            ("http://1.2.3.256", OriginError::Host),
            ("http://régistry", OriginError::Host),
            ("http://registry:", OriginError::Port),
            ("http://registry:0", OriginError::Port),
            ("http://registry:+80", OriginError::Port),
            ("http://registry:65536", OriginError::Port),
            ("http://registry:http", OriginError::Port),
            ("unix:run.sock", OriginError::Socket(socket.clone())),
            ("unix:", OriginError::Socket(socket)),
        ] {
            assert_eq!(text.parse::<Origin>(), Err(error.clone()), "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    proptest! {
        #[test]
        fn every_origin_reads_back_as_it_was_written(
            name in "[a-z_][a-z0-9_]{0,9}(\\.[a-z][a-z0-9]{0,5}){0,2}",
            v4: Ipv4Addr,
            v6: Ipv6Addr,
            port in 1_u16..,
            path in "/[!-~]{0,60}",
        ) {
            for host in [name, v4.to_string(), v6.to_string()] {
                let origin = Origin::Tcp { host, port };
                prop_assert_eq!(origin.to_string().parse(), Ok(origin));
            }
            let origin = Origin::Unix(path.into());
            prop_assert_eq!(origin.to_string().parse(), Ok(origin));
        }

        #[test]
        fn no_text_is_repeated_or_makes_the_parser_panic(text in "(http://|unix:|https:)?[\\[a0:@/.\\]-]{0,8}zqxj\\PC{0,8}") {
            if let Err(error) = text.parse::<Origin>() {
                prop_assert!(!error.to_string().contains("zqxj"));
            }
        }
    }
}
