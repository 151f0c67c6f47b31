//! Lists that the gate reads of the registry for itself, a page at a time.

use bytes::Bytes;
use http::header::LINK;
use http::{HeaderMap, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;

use super::answer::Answer;

/// How many pages are read, at most: a registry that never ends is none.
pub(super) const MOST_PAGES: usize = 100_000;

/// How long one page may be, in bytes.
const MAX_PAGE: usize = 16 * 1024 * 1024;

/// A part of a list.
pub(super) struct Part {
    pub(super) names: Vec<String>,
    /// The target of the next part.
    pub(super) next: Option<String>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoList {
    /// Another answer than a list.
    #[error("the registry answered {0}")]
    Status(StatusCode),
    /// It is not to be read.
    #[error("the registry's list cannot be read")]
    Unreadable,
}

/// Reads `{"<key>": [...]}`, and where it goes on (OCI distribution specification, end-8b).
///
/// # Errors
/// Any [`NoList`].
pub(super) async fn read(answer: Response<Answer>, key: &str) -> Result<Part, NoList> {
    let (head, body) = answer.into_parts();
    if head.status != StatusCode::OK {
        return Err(NoList::Status(head.status));
    }
    let body: Bytes = Limited::new(body, MAX_PAGE).collect().await.map_err(|_| NoList::Unreadable)?.to_bytes();
    let mut list: Value = serde_json::from_slice(&body).map_err(|_| NoList::Unreadable)?;
    // Of a repository without tags, distribution says null.
    let names = match list.get_mut(key).map(Value::take) {
        Some(Value::Array(names)) => names,
        Some(Value::Null) | None => Vec::new(),
        Some(_) => return Err(NoList::Unreadable),
    };
    let names = names.into_iter().filter_map(|name| if let Value::String(name) = name { Some(name) } else { None });
    Ok(Part { names: names.collect(), next: next(&head.headers) })
}

/// The path and the query of the next page (RFC 8288). Whose server it names does not count.
fn next(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let next = links.flat_map(|value| value.split(',')).find(|link| {
        let relation = link.split(';').skip(1).any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"));
        relation && link.trim_start().starts_with('<')
    })?;
    let target = next.trim_start().strip_prefix('<')?.split('>').next()?;
    let target = target.parse::<Uri>().ok()?;
    target.path_and_query().map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_next_page_is_where_the_link_says_whatever_server_it_names() {
        for (link, target) in [
            ("</v2/_catalog?last=a&n=100>; rel=\"next\"", Some("/v2/_catalog?last=a&n=100")),
            ("<http://registry:5000/v2/_catalog?last=a%2Cb>; rel=\"next\"", Some("/v2/_catalog?last=a%2Cb")),
            ("</v2/x>; rel=\"prev\", </v2/y>; rel=\"next\"", Some("/v2/y")),
            ("</v2/x>; rel=\"prev\"", None),
            ("/v2/x; rel=\"next\"", None),
        ] {
            let headers = HeaderMap::from_iter([(LINK, HeaderValue::from_static(link))]);
            assert_eq!(next(&headers).as_deref(), target, "{link}");
        }
    }
}
