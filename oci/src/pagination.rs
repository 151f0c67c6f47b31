//! Parts of lists.

use crate::{ErrorCode, OciError, Query};

/// Which part of a list is asked for ([spec.md, "Listing Tags"]). Registries differ in what they take, so it is
/// as the client says it, decoded.
///
/// [spec.md, "Listing Tags"]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pagination {
    /// How many entries, at most: to be digits.
    pub n: Option<String>,
    /// The entry after which it begins.
    pub last: Option<String>,
}

impl Pagination {
    /// What a query says of it.
    pub fn of(query: &Query<'_>) -> Self {
        Self { n: query.get("n").map(str::to_owned), last: query.get("last").map(str::to_owned) }
    }

    /// How many entries a page has: `n`, or `most` where that is less or nothing is said.
    ///
    /// # Errors
    /// 400: `n` is no number.
    pub fn limit(&self, most: usize) -> Result<usize, OciError> {
        match self.n.as_deref() {
            None => Ok(most),
            Some(n) if !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(n.parse().unwrap_or(most).min(most))
            }
            Some(_) => {
                let message = "n is how many entries to list: 0 or more, in digits";
                Err(OciError::new(ErrorCode::PaginationNumberInvalid, message))
            }
        }
    }
}
