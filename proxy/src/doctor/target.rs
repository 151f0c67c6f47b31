//! The URL that is examined.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use rustls_pki_types::ServerName;

/// The port of https.
const HTTPS: u16 = 443;

/// `https://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    host: String,
    port: u16,
    name: ServerName<'static>,
}

/// Why a text is no such URL.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum TargetError {
    /// It cannot be read.
    #[error("this is no URL; write https://HOST or https://HOST:PORT")]
    NoUrl,
    /// Another scheme.
    #[error("docker asks registries by https, and so does this: write https://")]
    Scheme,
    /// A user or a password stands in it.
    #[error("no user and no password belongs into a URL: use --user")]
    UserInfo,
    /// There is a path.
    #[error("docker asks for /v2/ at the root of a host, and knows no path before it: write https://HOST:PORT alone")]
    Path,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let written = if text.contains("://") { text.to_owned() } else { format!("https://{text}/") };
        let uri: Uri = written.parse().map_err(|_| TargetError::NoUrl)?;
        if !matches!(uri.path(), "" | "/" | "/v2" | "/v2/") || uri.query().is_some() {
            return Err(TargetError::Path);
        }
        Self::of(&uri)
    }
}

impl Target {
    /// Where a URL leads to that has a path as well.
    pub(super) fn of(uri: &Uri) -> Result<Self, TargetError> {
        if uri.scheme_str() != Some("https") {
            return Err(TargetError::Scheme);
        }
        let authority = uri.authority().ok_or(TargetError::NoUrl)?;
        if authority.as_str().contains('@') {
            return Err(TargetError::UserInfo);
        }
        let host = authority.host().to_ascii_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare).map_err(|_| TargetError::NoUrl)?;
        let port = match authority.as_str().rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => port.parse().map_err(|_| TargetError::NoUrl)?,
            _ => HTTPS,
        };
        Ok(Self { host, port, name })
    }

    /// The host, an IPv6 address in brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The host as the resolver wants it.
    pub(super) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The name that a certificate must be for.
    pub(super) fn name(&self) -> &ServerName<'static> {
        &self.name
    }

    /// What `Host` says: the port stands there unless it is that of https.
    pub(super) fn authority(&self) -> String {
        if self.port == HTTPS { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_and_a_port() {
        for (text, written) in [
            ("https://Registry.example.com", "https://registry.example.com"),
            ("https://registry.example.com:443/v2/", "https://registry.example.com"),
            ("registry.example.com:5043", "https://registry.example.com:5043"),
            ("https://[2001:db8::1]:5043/", "https://[2001:db8::1]:5043"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_docker_could_not_ask_is_refused_with_the_reason() {
        for (text, error) in [
            ("http://registry.example.com", TargetError::Scheme),
            ("https://alice:secret@registry.example.com", TargetError::UserInfo),
            ("https://registry.example.com/registry/", TargetError::Path),
            ("https://", TargetError::NoUrl),
            ("https://host:port", TargetError::NoUrl),
            ("https://host:70000", TargetError::NoUrl),
            ("", TargetError::NoUrl),
        ] {
            assert_eq!(text.parse::<Target>().unwrap_err(), error, "{text}");
        }
    }
}
