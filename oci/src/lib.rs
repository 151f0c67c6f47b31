//! The vocabulary of the [OCI distribution specification], shared by the proxy and the backend.
//!
//! Every type here exists only when it is right: a [`Digest`], a [`RepositoryName`], a [`Tag`], an
//! [`UploadId`], a [`Route`] or an [`Action`] is made by parsing, and nothing downstream checks it again.
//! Nothing here does I/O.
//!
//! [OCI distribution specification]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md

mod action;
mod answer;
mod digest;
mod error;
mod pagination;
mod patterns;
mod query;
mod reference;
mod repository;
mod route;
mod text;
mod trash;

pub use action::{Action, NoAction};
pub use answer::{API_VERSION, set_common_headers};
pub use digest::{Algorithm, AnyAlgorithm, AnyDigest, Digest, DigestError};
pub use error::{ErrorCode, OciError};
pub use pagination::Pagination;
pub use patterns::{Pattern, PatternError, TagPattern, TagPatternError};
pub use query::{Query, is_form, without_mount};
pub use reference::{Reference, ReferenceError, Tag, TagError};
pub use repository::{RepositoryName, RepositoryNameError};
pub use route::{Route, RouteError, UploadId};
pub use trash::{TrashId, TrashIdError};
