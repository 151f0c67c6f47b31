//! What comes of a command.

use crate::store::StoreError;

/// Why a command failed, in words that say what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OperationError(pub(crate) String);

impl From<StoreError> for OperationError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

/// Takes the lines that a command says.
pub type Say<'a> = &'a mut (dyn FnMut(String) + Send);
