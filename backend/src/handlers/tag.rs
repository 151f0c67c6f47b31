//! `/v2/<name>/tags/list`

use http::StatusCode;
use http::header::HeaderValue;
use lockgate_oci::{ErrorCode, OciError, RepositoryName};
use serde::Serialize;

use crate::http::{Call, Outcome, Page, Registry, Reply};

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a str,
    tags: Vec<String>,
}

/// `GET`: the tags in lexical order, all of them unless a page is asked for.
pub(crate) async fn list(registry: &Registry, call: &Call, name: &RepositoryName) -> Outcome {
    let page = Page::from_query(&call.query, usize::MAX)?;
    let Some(tags) = registry.store.tags(name, &page.after, page.lookup()).await? else {
        let error = OciError::new(ErrorCode::NameUnknown, "there is no such repository: push to it first");
        return Err(error.with_detail(name.as_str()).into());
    };
    let mut tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
    let last = page.cut(&mut tags);
    let list = serde_json::to_vec(&TagList { name: name.as_str(), tags }).expect("texts always serialise");
    let reply = Reply::new(StatusCode::OK).bytes(HeaderValue::from_static("application/json"), list);
    Ok(page.link(reply, &format!("/v2/{name}/tags/list"), last.as_deref()))
}
