//! Why a request was not answered.

use crate::listener::BodyError;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The request did not come to its end, by its client's doing.
    #[error("{0}")]
    Client(#[from] BodyError),
    /// No connection could be made.
    #[error("it cannot be connected to: {0}")]
    Unreachable(std::io::Error),
    /// Nothing came within `upstream.connect_timeout`, `upstream.read_timeout` or `upstream.write_timeout`.
    #[error("it did not answer in time")]
    Silent,
    /// What came is no answer, or not all of one.
    #[error("it broke off: {0}")]
    BrokeOff(String),
}
