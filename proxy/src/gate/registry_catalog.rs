//! The registry's own list of repositories, read page by page.

use std::collections::BTreeSet;

use http::{Request, StatusCode, Uri};
use lockgate_oci::{ErrorCode, OciError, Pagination, RepositoryName};

use super::destination::Destination;
use super::listing::{self, NoList};
use crate::access::{Look, Permit};
use crate::client::Client;
use crate::upstream::RequestBody;

/// How many bytes of names are kept, at most.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The numbers of names that the registry is asked for, in turn: some refuse more than a hundred.
const ASKED: [usize; 2] = [1000, LEAST_ASKED];
pub(super) const LEAST_ASKED: usize = 100;

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoCatalog {
    #[error(transparent)]
    List(#[from] NoList),
    #[error("the registry behind cannot be asked")]
    Failed,
    #[error("the registry's pages lead in a circle")]
    Circle,
    #[error("it has more than {} MiB of names", MAX_BYTES / 1024 / 1024)]
    TooLarge,
}

impl NoCatalog {
    /// Where the registry has no such list, neither has the gate.
    fn status(&self) -> StatusCode {
        match self {
            Self::List(NoList::Status(status @ (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED))) => *status,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// What a client is told, and the log.
    pub(super) fn error(self) -> OciError {
        tracing::warn!(why = %self, "the list of repositories could not be read");
        let message = format!("the list of repositories cannot be shown: {self}");
        OciError::new(ErrorCode::Unavailable, message).with_status(self.status())
    }
}

/// All names that there are.
///
/// # Errors
/// Any [`NoCatalog`].
pub(super) async fn read_all(
    destination: &Destination,
    client: &Client,
) -> Result<BTreeSet<RepositoryName>, NoCatalog> {
    let mut all = BTreeSet::new();
    let mut bytes = 0;
    let mut asked = ASKED.iter();
    let mut target = first(asked.next());
    for _ in 0..listing::MOST_PAGES {
        let part = match part(&target, destination, client).await {
            // Too many at once: the beginning is asked for anew, in smaller parts.
            Err(NoCatalog::List(NoList::Status(StatusCode::BAD_REQUEST))) if asked.len() > 0 && all.is_empty() => {
                target = first(asked.next());
                continue;
            }
            part => part?,
        };
        for name in part.names.iter().filter_map(|name| name.parse::<RepositoryName>().ok()) {
            bytes += name.as_str().len();
            if bytes > MAX_BYTES {
                return Err(NoCatalog::TooLarge);
            }
            all.insert(name);
        }
        match part.next {
            None => return Ok(all),
            Some(next) if next == target => return Err(NoCatalog::Circle),
            Some(next) => target = next,
        }
    }
    Err(NoCatalog::Circle)
}

/// Where the list begins, so many names a page.
pub(super) fn first(asked: Option<&usize>) -> String {
    asked.map_or_else(|| "/v2/_catalog".to_owned(), |n| format!("/v2/_catalog?n={n}"))
}

/// One page of it.
///
/// # Errors
/// Any [`NoCatalog`] but [`NoCatalog::TooLarge`] and [`NoCatalog::Circle`].
pub(super) async fn part(target: &str, destination: &Destination, client: &Client) -> Result<listing::Part, NoCatalog> {
    let target = target.parse::<Uri>().map_err(|_| NoCatalog::Failed)?;
    let query = lockgate_oci::Query::parse(target.query().unwrap_or_default()).map_err(|_| NoCatalog::Failed)?;
    let permit = Permit::to_look(Look::Catalog(Pagination::of(&query)));
    let mut request = Request::new(RequestBody::empty());
    *request.uri_mut() = target;
    let answer = destination.ask(&permit, request, client).await.map_err(|_| NoCatalog::Failed)?;
    Ok(listing::read(answer, "repositories").await?)
}
