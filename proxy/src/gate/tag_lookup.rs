//! What a tag points at, as the registry behind tells it.

use http::header::{ACCEPT, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use lockgate_oci::{Pagination, RepositoryName, Tag};

use super::answer::Answer;
use super::destination::Destination;
use super::headers::DOCKER_CONTENT_DIGEST;
use super::listing;
use crate::access::{Look, Permit};
use crate::client::Client;
use crate::upstream::RequestBody;

/// The types that a manifest may have. distribution says that a tag is not there to who does not name its manifest's.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, */*";

/// It could not be found out whether a tag is there.
#[derive(Debug)]
pub(super) struct NotKnown;

/// What a tag points at, by its digest as the registry tells it.
pub(super) async fn there(
    repository: &RepositoryName,
    tag: &Tag,
    destination: &Destination,
    client: &Client,
) -> Result<Option<HeaderValue>, NotKnown> {
    let target = format!("/v2/{repository}/manifests/{tag}");
    let permit = Permit::to_look(Look::Tag(repository.clone(), tag.clone()));
    let answer = look(&permit, Method::HEAD, &target, destination, client).await?;
    match answer.status() {
        StatusCode::OK => {
            let digest = answer.headers().get(DOCKER_CONTENT_DIGEST).cloned();
            Ok(Some(digest.unwrap_or(HeaderValue::from_static(""))))
        }
        StatusCode::NOT_FOUND if destination.is_foreign() => listed(repository, tag, destination, client).await,
        StatusCode::NOT_FOUND => Ok(None),
        _ => Err(NotKnown),
    }
}

/// Whether a tag of which no manifest was found stands in the list of tags: then it points at one of a type that the
/// registry does not tell of.
async fn listed(
    repository: &RepositoryName,
    tag: &Tag,
    destination: &Destination,
    client: &Client,
) -> Result<Option<HeaderValue>, NotKnown> {
    let mut target = format!("/v2/{repository}/tags/list");
    for _ in 0..listing::MOST_PAGES {
        let page = Pagination::default();
        let permit = Permit::to_look(Look::Tags(repository.clone(), page));
        let answer = look(&permit, Method::GET, &target, destination, client).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let page = listing::read(answer, "tags").await.map_err(|_| NotKnown)?;
        if page.names.iter().any(|name| name == tag.as_str()) {
            return Ok(Some(HeaderValue::from_static("")));
        }
        match page.next {
            None => return Ok(None),
            Some(next) if next == target => return Err(NotKnown),
            Some(next) => target = next,
        }
    }
    Err(NotKnown)
}

async fn look(
    permit: &Permit,
    method: Method,
    target: &str,
    destination: &Destination,
    client: &Client,
) -> Result<Response<Answer>, NotKnown> {
    let target = target.parse::<Uri>().map_err(|_| NotKnown)?;
    let mut request = Request::new(RequestBody::empty());
    *request.method_mut() = method;
    *request.uri_mut() = target;
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static(MANIFESTS));
    destination.ask(permit, request, client).await.map_err(|failure| {
        tracing::warn!(reason = %failure, "the registry could not be asked for a tag");
        NotKnown
    })
}
