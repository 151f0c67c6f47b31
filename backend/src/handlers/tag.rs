//! `/v2/<name>/tags/list` ([spec.md, "Listing tags"])
//!
//! [spec.md, "Listing tags"]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::try_unfold;
use http::StatusCode;
use http::header::HeaderValue;
use lockgate_oci::{ErrorCode, OciError, Pagination, RepositoryName, Tag};
use serde::Serialize;

use crate::http::{Outcome, Page, Reply};
use crate::registry::Registry;
use crate::store::{ByteStream, Store};

/// Tags on a page, at most, where a client asks for a page: for what is left it gets a `Link`.
const PAGE: usize = 10_000;

/// Tags that are in memory at once, where a client asks for all of them.
const BATCH: usize = 1000;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a str,
    tags: Vec<String>,
}

/// `GET`: the tags in lexical order, all of them unless a page is asked for.
pub(crate) async fn list(registry: &Registry, name: &RepositoryName, asked: &Pagination) -> Outcome {
    let page = Page::new(asked, PAGE)?;
    let asked_for_all = asked.n.is_none();
    let most = if asked_for_all { BATCH } else { page.lookup() };
    let Some(tags) = registry.store.tags(name, &page.after, most).await? else {
        let error = OciError::new(ErrorCode::NameUnknown, "there is no such repository: push to it first");
        return Err(error.with_detail(name.as_str()).into());
    };
    if asked_for_all && tags.len() == BATCH {
        let rest = Rest::new(Arc::clone(&registry.store), name.clone(), tags);
        return Ok(Reply::new(StatusCode::OK).open_stream(JSON, rest.into_stream()));
    }
    let mut tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
    let last = page.cut(&mut tags);
    let list = serde_json::to_vec(&TagList { name: name.as_str(), tags }).expect("texts always serialise");
    let reply = Reply::new(StatusCode::OK).bytes(JSON, list);
    Ok(page.link(reply, &format!("/v2/{name}/tags/list"), last.as_deref()))
}

/// What is still to be sent of a long list.
struct Rest {
    store: Arc<dyn Store>,
    name: RepositoryName,
    /// What comes before the batch: the list's beginning, or a comma.
    before: String,
    /// The next to be sent; none when the list has been closed.
    batch: Vec<Tag>,
}

impl Rest {
    fn new(store: Arc<dyn Store>, name: RepositoryName, batch: Vec<Tag>) -> Self {
        let empty = TagList { name: name.as_str(), tags: Vec::new() };
        let empty = serde_json::to_string(&empty).expect("texts always serialise");
        let before = empty.trim_end_matches("]}").to_owned();
        Self { store, name, before, batch }
    }

    /// A tag that comes or goes meanwhile is listed or not; every other one is, once.
    fn into_stream(self) -> ByteStream {
        Box::pin(try_unfold(self, |mut rest| async move {
            let Some(last) = rest.batch.last().cloned() else { return Ok(None) };
            let listed: Vec<&str> = rest.batch.iter().map(Tag::as_str).collect();
            let listed = serde_json::to_string(&listed).expect("texts always serialise");
            let mut piece = std::mem::replace(&mut rest.before, ",".to_owned()) + &listed[1..listed.len() - 1];
            let next = rest.store.tags(&rest.name, last.as_str(), BATCH).await.map_err(io::Error::other)?;
            rest.batch = next.unwrap_or_default();
            if rest.batch.is_empty() {
                piece.push_str("]}");
            }
            Ok(Some((Bytes::from(piece), rest)))
        }))
    }
}
