//! Where a server listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A socket to listen on: `127.0.0.1:5000`, `[::]:5000`, or `unix:/run/lockgate/backend.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// An IP address and a port; port 0 lets the system choose one.
    Tcp(SocketAddr),
    /// The absolute path of a Unix socket.
    Unix(PathBuf),
}

/// Why a text is no [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither form.
    #[error(
        "{0:?} is no address to listen on; write an IP address and a port, as in \"0.0.0.0:5043\" (every interface), \"127.0.0.1:5043\" (this machine only) or \"[::]:5043\""
    )]
    Address(String),
    /// A path from the root is needed, since programs start in different directories.
    #[error("the path of a Unix socket is absolute, as in \"unix:/run/lockgate/backend.sock\"")]
    Relative,
    /// Over [`Endpoint::MAX_PATH`].
    #[error("the path of a Unix socket has at most {} bytes", Endpoint::MAX_PATH)]
    TooLong,
    /// A NUL byte, which no path has.
    #[error("the path of a Unix socket holds no NUL")]
    Nul,
}

impl Endpoint {
    /// Bytes in a Unix socket's path: the kernel has room for 108 with the closing NUL.
    pub const MAX_PATH: usize = 107;
}

/// The path in `unix:/path`, once it is known to be one.
fn socket_path(path: &str) -> Result<PathBuf, EndpointError> {
    if !Path::new(path).is_absolute() {
        Err(EndpointError::Relative)
    } else if path.len() > Endpoint::MAX_PATH {
        Err(EndpointError::TooLong)
    } else if path.contains('\0') {
        Err(EndpointError::Nul)
    } else {
        Ok(path.into())
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        match text.strip_prefix("unix:") {
            Some(path) => socket_path(path).map(Self::Unix),
            None => text.parse().map(Self::Tcp).map_err(|_| EndpointError::Address(text.to_owned())),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

crate::written_as_text!(Endpoint, "an IP address and a port, or \"unix:/path\"");

/// For `#[serde(with = "...")]`: an endpoint, or none where the text is empty.
pub mod if_any {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Endpoint;

    /// # Errors
    /// It is no endpoint.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Endpoint>, D::Error> {
        let text = String::deserialize(deserializer)?;
        (!text.is_empty()).then(|| text.parse().map_err(D::Error::custom)).transpose()
    }

    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(endpoint: &Option<Endpoint>, serializer: S) -> Result<S::Ok, S::Error> {
        match endpoint {
            Some(endpoint) => serializer.collect_str(endpoint),
            None => serializer.serialize_str(""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_server_listens_on_an_address_or_a_unix_socket() {
        for text in ["0.0.0.0:5043", "127.0.0.1:0", "[::]:5043", "[::1]:65535", "unix:/run/lockgate/backend.sock"] {
            assert_eq!(text.parse::<Endpoint>().map(|e| e.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_name_a_bare_port_and_a_scheme_are_told_what_to_write() {
        for text in ["", "localhost:5043", ":5043", "5043", "0.0.0.0", "http://0.0.0.0:80", "::1:80:", "1.2.3.4:65536"]
        {
            assert_eq!(text.parse::<Endpoint>(), Err(EndpointError::Address(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn the_path_of_a_socket_is_one_that_the_kernel_takes() {
        assert_eq!("unix:".parse::<Endpoint>(), Err(EndpointError::Relative));
        assert_eq!("unix:run/x".parse::<Endpoint>(), Err(EndpointError::Relative));
        assert_eq!("unix:/a\0b".parse::<Endpoint>(), Err(EndpointError::Nul));
        let longest = format!("unix:/{}", "a".repeat(Endpoint::MAX_PATH - 1));
        assert!(longest.parse::<Endpoint>().is_ok());
        assert_eq!(format!("{longest}a").parse::<Endpoint>(), Err(EndpointError::TooLong));
    }

    proptest! {
        #[test]
        fn every_endpoint_reads_back_as_it_was_written(ip: std::net::IpAddr, port: u16, path in "/[ -~]{0,100}") {
            for endpoint in [Endpoint::Tcp(SocketAddr::new(ip, port)), Endpoint::Unix(path.into())] {
                prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "(unix:)?\\PC{0,120}") {
            let _ = text.parse::<Endpoint>();
        }
    }
}
