//! Values of the configuration that are checked as they are read, so that a mistake is told with its line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use lockgate_settings::{ByteSize, Endpoint};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Within<const MIN: usize, const MAX: usize>(usize);

impl<const MIN: usize, const MAX: usize> Within<MIN, MAX> {
    /// One that is written in the program.
    pub(super) const fn of(number: usize) -> Self {
        assert!(MIN <= number && number <= MAX);
        Self(number)
    }

    pub(super) fn get(self) -> usize {
        self.0
    }
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Within<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = usize::deserialize(deserializer)?;
        if (MIN..=MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(D::Error::custom(format_args!("a whole number from {MIN} to {MAX} is wanted, not {number}")))
        }
    }
}

/// A file's path, relative to the directory in which the program runs unless it begins with `/`.
#[derive(Debug)]
pub(super) struct FilePath(PathBuf);

impl From<FilePath> for PathBuf {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

/// Why a text is no path.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilePathError {
    #[error("the path of a file is missing")]
    Empty,
    #[error("~ is not expanded here; write the whole path")]
    Tilde,
    #[error("a path holds no NUL")]
    Nul,
}

impl FromStr for FilePath {
    type Err = FilePathError;

    fn from_str(text: &str) -> Result<Self, FilePathError> {
        if text.is_empty() {
            Err(FilePathError::Empty)
        } else if text == "~" || text.starts_with("~/") {
            Err(FilePathError::Tilde)
        } else if text.contains('\0') {
            Err(FilePathError::Nul)
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lockgate_settings::parsed(deserializer)
    }
}

/// Where TLS is served.
pub(super) fn tcp_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    match Endpoint::deserialize(deserializer)? {
        Endpoint::Tcp(address) => Ok(address),
        Endpoint::Unix(_) => Err(D::Error::custom("TLS is served on an IP address and a port, as in \"0.0.0.0:5043\"")),
    }
}

/// A path, or nothing where the text is empty.
pub(super) fn path_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" => Ok(None),
        path => path.parse::<FilePath>().map(|path| Some(path.into())).map_err(D::Error::custom),
    }
}

/// What pingora can hold of a header.
pub(super) fn header_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    // The upper bound is pingora's own.
    const BOUNDS: (ByteSize, ByteSize) = (ByteSize::from_kib(1), ByteSize::from_mib(1));
    let size = ByteSize::deserialize(deserializer)?;
    if (BOUNDS.0..=BOUNDS.1).contains(&size) {
        Ok(size)
    } else {
        Err(D::Error::custom(format_args!("a size from {} to {} is wanted, not {size}", BOUNDS.0, BOUNDS.1)))
    }
}
