//! Where everything is kept: a directory, or a bucket of S3 and the server that has it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::IntoDeserializer as _;
use serde::de::value::Error as PathError;

/// What `storage.data` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// A path, as a person writes it.
    Directory(PathBuf),
    /// `s3://bucket/prefix`
    Bucket(Bucket),
}

/// A bucket, and what all keys in it begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// 3 to 63 small letters, digits, `-` and `.`
    pub name: String,
    /// Without a `/` at either end; empty is the whole bucket.
    pub prefix: String,
}

/// Why a text is no [`Data`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DataError {
    /// Not as buckets are named.
    #[error("{0:?} is no name of a bucket, which has 3 to 63 small letters, digits, - and .; write s3://bucket/prefix")]
    Bucket(String),
    /// Not what every store takes for a key.
    #[error("{0:?} is no prefix of keys, which has letters, digits, !-_.*'() and a / between two of its parts")]
    Prefix(String),
    /// Another store than S3.
    #[error("{0}:// is not known here; write the path of a directory, or s3://bucket/prefix")]
    Scheme(String),
    /// Not a path.
    #[error("{0}")]
    Path(PathError),
}

impl Data {
    /// The directory, where it is one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) => Some(path),
            Self::Bucket(_) => None,
        }
    }
}

impl FromStr for Data {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        match text.split_once("://") {
            Some(("s3", bucket)) => bucket.parse().map(Self::Bucket),
            Some((scheme, _)) if !scheme.contains('/') => Err(DataError::Scheme(scheme.to_owned())),
            _ => {
                let path = lockgate_settings::path::deserialize(text.into_deserializer());
                path.map(Self::Directory).map_err(DataError::Path)
            }
        }
    }
}

impl FromStr for Bucket {
    type Err = DataError;

    /// Of what follows `s3://`.
    fn from_str(text: &str) -> Result<Self, DataError> {
        let (name, prefix) = text.split_once('/').unwrap_or((text, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_alphanumeric =
            |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let bytes = name.as_bytes();
        let is_name = (3..=63).contains(&name.len())
            && bytes.iter().all(|byte| is_alphanumeric(Some(byte)) || b"-.".contains(byte))
            && is_alphanumeric(bytes.first())
            && is_alphanumeric(bytes.last());
        let is_part = |part: &str| {
            let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"!-_.*'()".contains(&byte);
            !matches!(part, "" | "." | "..") && part.bytes().all(is_known)
        };
        if !is_name {
            Err(DataError::Bucket(name.to_owned()))
        } else if !prefix.is_empty() && (prefix.len() > 256 || !prefix.split('/').all(is_part)) {
            Err(DataError::Prefix(prefix.to_owned()))
        } else {
            Ok(Self { name: name.to_owned(), prefix: prefix.to_owned() })
        }
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{slash}{}", self.name, self.prefix)
    }
}

lockgate_settings::written_as_text!(Data, "the path of a directory, or \"s3://bucket/prefix\"");

/// The server that speaks S3's protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum S3Server {
    /// AWS, in the region of the configuration; written as the empty text.
    #[default]
    Aws,
    /// Another, by its URL.
    At {
        /// Whether it is spoken to over TLS.
        is_https: bool,
        /// Its name or address, and its port if it is not the scheme's.
        host: String,
    },
}

/// Why a text is no [`S3Server`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of an S3 server; write https://host or https://host:port, or nothing for AWS")]
pub struct S3ServerError(String);

impl FromStr for S3Server {
    type Err = S3ServerError;

    fn from_str(text: &str) -> Result<Self, S3ServerError> {
        if text.is_empty() {
            return Ok(Self::Aws);
        }
        let problem = || S3ServerError(text.to_owned());
        let (scheme, host) = text.strip_suffix('/').unwrap_or(text).split_once("://").ok_or_else(problem)?;
        let is_host = !host.contains('@') && host.parse::<http::uri::Authority>().is_ok();
        match scheme {
            "http" | "https" if is_host => Ok(Self::At { is_https: scheme == "https", host: host.to_owned() }),
            _ => Err(problem()),
        }
    }
}

impl fmt::Display for S3Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws => Ok(()),
            Self::At { is_https, host } => write!(f, "{}://{host}", if *is_https { "https" } else { "http" }),
        }
    }
}

lockgate_settings::written_as_text!(S3Server, "\"https://host:port\", or nothing for AWS");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_a_directory_or_a_bucket() {
        for text in ["/var/lib/registry", "data", "s3", "a/s3://x", "s3://bucket", "s3://my.bucket-1/a/b_c/d"] {
            assert_eq!(text.parse::<Data>().map(|data| data.to_string()), Ok(text.to_owned()));
        }
        let bucket = Bucket { name: "bucket".to_owned(), prefix: "a/b".to_owned() };
        assert_eq!("s3://bucket/a/b/".parse(), Ok(Data::Bucket(bucket)));
    }

    #[test]
    fn what_is_no_data_is_told_what_to_write() {
        for name in ["", "ab", "Bucket", "-bucket", "bucket.", "a_b", "a".repeat(64).as_str()] {
            assert_eq!(format!("s3://{name}/x").parse::<Data>(), Err(DataError::Bucket(name.to_owned())));
        }
        for prefix in ["a//b", "/a", "..", "a/./b", "a+b", "a:b", "a b", "ä"] {
            assert_eq!(format!("s3://bucket/{prefix}").parse::<Data>(), Err(DataError::Prefix(prefix.to_owned())));
        }
        for scheme in ["gs", "S3", "https", "file"] {
            assert_eq!(format!("{scheme}://bucket").parse::<Data>(), Err(DataError::Scheme(scheme.to_owned())));
        }
        assert!("~/data".parse::<Data>().unwrap_err().to_string().contains("write the whole path"));
        assert!("".parse::<Data>().is_err());
    }

    #[test]
    fn an_s3_server_is_a_url_without_a_path() {
        for text in ["", "https://s3.example.org", "http://127.0.0.1:8333", "https://[::1]:9000"] {
            assert_eq!(text.parse::<S3Server>().map(|server| server.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["s3.example.org", "ftp://x", "https://", "https://a/b", "https://u:p@host", "https://a b", "//host"]
        {
            assert_eq!(text.parse::<S3Server>(), Err(S3ServerError(text.to_owned())), "{text}");
        }
    }
}
