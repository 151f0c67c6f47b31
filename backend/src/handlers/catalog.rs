//! `/v2/_catalog`: Docker's list of repositories, which crane, oras and others ask for.

use http::StatusCode;
use http::header::HeaderValue;
use lockgate_oci::Pagination;
use serde::Serialize;

use crate::http::{Outcome, Page, Reply};
use crate::registry::Registry;

/// Repositories on a page, at most; distribution has the same limit.
const PAGE: usize = 1000;

#[derive(Serialize)]
struct Catalog {
    repositories: Vec<String>,
}

/// `GET`: a page of the repositories, in lexical order.
pub(crate) async fn list(registry: &Registry, page: &Pagination) -> Outcome {
    let page = Page::new(page, PAGE)?;
    let repositories = registry.store.repositories(&page.after, page.lookup()).await?;
    let mut repositories: Vec<String> = repositories.iter().map(ToString::to_string).collect();
    let last = page.cut(&mut repositories);
    let catalog = serde_json::to_vec(&Catalog { repositories }).expect("texts always serialise");
    let reply = Reply::new(StatusCode::OK).bytes(HeaderValue::from_static("application/json"), catalog);
    Ok(page.link(reply, "/v2/_catalog", last.as_deref()))
}
