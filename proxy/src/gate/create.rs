//! Tags that a caller may make and not move. Registries move a tag without asking; so the gate looks first, and lets
//! nobody else write that tag meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use http::header::{ACCEPT, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use http::{Request, Response, StatusCode, Uri};
use lockgate_oci::{Action, Algorithm, Digest, ErrorCode, OciError, Pagination, Reference, RepositoryName, Tag};
use tokio::sync::{OwnedMutexGuard, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::answer::Answer;
use super::destination::Destination;
use super::failed::words_for;
use super::headers::DOCKER_CONTENT_DIGEST;
use super::listing;
use super::whole_body::{self, NotWhole};
use crate::access::{Look, Permit};
use crate::client::Client;
use crate::listener::{self, Gone};
use crate::lock::lock;
use crate::refusal::{self, Refusal};
use crate::upstream::{Failure, RequestBody};

/// The largest manifest that is looked at: what registries take at most ("Pushing Manifests" of the OCI distribution
/// specification asks for 4 MiB at least).
const MAX_MANIFEST: usize = 4 * 1024 * 1024;

/// The types that a manifest may have. distribution says that a tag is not there to who does not name its manifest's.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, */*";

/// How long a client waits whose tag could not be looked up, in seconds.
const RETRY_AFTER: u32 = 1;

/// A tag in its repository.
type Tagged = (RepositoryName, Tag);

/// How many manifests are in memory at once, and how many tags are looked up: beyond that, clients wait.
const AT_ONCE: usize = 32;

/// The tags that are being made.
pub(super) struct Creations {
    /// Each with its lock. It has as many as requests are under way.
    tags: Mutex<HashMap<Tagged, Arc<tokio::sync::Mutex<()>>>>,
    room: Semaphore,
}

impl Default for Creations {
    fn default() -> Self {
        Self { tags: Mutex::default(), room: Semaphore::new(AT_ONCE) }
    }
}

/// Nobody else makes these tags as long as it lives.
struct Held<'a> {
    of: &'a Creations,
    places: Vec<Tagged>,
    guards: Vec<OwnedMutexGuard<()>>,
}

/// A place in memory, and tags that nobody else makes, as long as it lives.
pub(super) struct Place<'a> {
    _room: SemaphorePermit<'a>,
    _held: Held<'a>,
}

/// Why a request that makes tags goes no further.
pub(super) enum NotAdmitted {
    /// Its client has left.
    Gone,
    /// A tag is there.
    Denied(Refusal),
    /// Its manifest did not come, or the registry does not say what is there.
    Failed(Refusal),
}

impl From<NotWhole> for NotAdmitted {
    fn from(why: NotWhole) -> Self {
        match why {
            NotWhole::TooLong => Self::Failed(Refusal::hanging_up(too_large())),
            NotWhole::Broken(error) => match words_for(&Failure::Client(error)) {
                Ok(refusal) => Self::Failed(refusal),
                Err(Gone) => Self::Gone,
            },
        }
    }
}

impl Creations {
    /// Reads a manifest, within `limit`, and looks whether its tags may be made.
    ///
    /// # Errors
    /// Any [`NotAdmitted`].
    pub(super) async fn admit(
        &self,
        permit: &Permit,
        request: Request<listener::RequestBody>,
        limit: Duration,
        destination: &Destination,
        client: &Client,
    ) -> Result<(Request<listener::RequestBody>, Place<'_>), NotAdmitted> {
        let repository = permit.repository().expect("tags are of a repository");
        let (mut head, body) = request.into_parts();
        let room = self.room().await;
        // It is small, so that all of it has the time that a piece of another body has: others wait for its room.
        let manifest = timeout(limit, whole_body::read(body, MAX_MANIFEST)).await;
        let manifest = manifest.map_err(|_| NotAdmitted::Failed(Refusal::hanging_up(refusal::body_too_slow())))??;
        // Not before the manifest is there: a client that sends it slowly would keep the tag from all others.
        let held = self.hold(repository, permit.only_new()).await;
        check(permit, &manifest, &mut head.headers, destination, client).await.map_err(|refusal| {
            // Else the registry has failed.
            let is_denied = refusal.error.status() == StatusCode::FORBIDDEN;
            if is_denied { NotAdmitted::Denied(refusal) } else { NotAdmitted::Failed(refusal) }
        })?;
        let request = Request::from_parts(head, listener::RequestBody::Bytes(manifest.into()));
        Ok((request, Place { _room: room, _held: held }))
    }

    /// Waits until there is room for one more manifest. It is given back when the request is over.
    async fn room(&self) -> SemaphorePermit<'_> {
        self.room.acquire().await.expect("it is never closed")
    }

    /// Waits until nobody makes one of these tags.
    async fn hold(&self, repository: &RepositoryName, tags: &[Tag]) -> Held<'_> {
        // In one order for all, so that no two wait for each other.
        let mut tags = tags.to_vec();
        tags.sort_unstable();
        tags.dedup();
        let mut held =
            Held { of: self, places: Vec::with_capacity(tags.len()), guards: Vec::with_capacity(tags.len()) };
        for tag in tags {
            let place = (repository.clone(), tag);
            let one = lock(&self.tags).entry(place.clone()).or_default().clone();
            held.places.push(place);
            held.guards.push(one.lock_owned().await);
        }
        held
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut all = lock(&self.of.tags);
        self.guards.clear();
        for place in &self.places {
            // Who waits for it has it, too.
            if all.get(place).is_some_and(|one| Arc::strong_count(one) == 1) {
                all.remove(place);
            }
        }
    }
}

/// Looks whether the tags are new, or point at this very manifest, which docker and skopeo put again; and has the
/// registry keep to it, where it knows how to (RFC 9110, 13.1).
///
/// # Errors
/// 403: a tag is there. 503: that could not be found out.
async fn check(
    permit: &Permit,
    manifest: &[u8],
    headers: &mut HeaderMap,
    destination: &Destination,
    client: &Client,
) -> Result<(), Refusal> {
    let Action::PushManifest { repository, reference, .. } = permit.action() else { return Ok(()) };
    for tag in permit.only_new() {
        let there = there(repository, tag, destination, client).await.map_err(|NotKnown| not_known(tag))?;
        if let Some(there) = &there
            && !is_digest_of(there, manifest)
        {
            return Err(taken(permit, Some(tag)).into());
        }
        if matches!(reference, Reference::Tag(named) if named == tag) {
            headers.remove(IF_MATCH);
            headers.remove(IF_NONE_MATCH);
            match there {
                None => headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*")),
                Some(digest) => headers.insert(IF_MATCH, entity_tag(&digest)),
            };
        }
    }
    Ok(())
}

/// The refusal of a tag that is there, which one of several gates may have made in between.
pub(super) fn taken(permit: &Permit, tag: Option<&Tag>) -> OciError {
    let tag = tag.or_else(|| permit.only_new().first()).map_or("", Tag::as_str);
    let repository = permit.repository().map_or("", RepositoryName::as_str);
    let user = permit.caller().name().map_or("nobody", |user| user.as_str());
    let message = format!("tag {tag} exists and create may not move it: {user} has no push for {repository}:{tag}");
    OciError::new(ErrorCode::Denied, message)
        .with_detail(serde_json::json!({ "user": user, "action": "push", "repository": format!("{repository}:{tag}") }))
}

/// 413: no manifest is that large.
fn too_large() -> OciError {
    let message = format!("a manifest has at most {MAX_MANIFEST} bytes");
    OciError::new(ErrorCode::SizeInvalid, message).with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

/// It could not be found out whether a tag is there.
#[derive(Debug)]
struct NotKnown;

fn not_known(tag: &Tag) -> Refusal {
    let message = format!("the registry does not say whether tag {tag} is there, which create may not move; try again");
    Refusal { retry_after: Some(RETRY_AFTER), ..OciError::new(ErrorCode::Unavailable, message).into() }
}

/// What a tag points at, by its digest as the registry tells it.
async fn there(
    repository: &RepositoryName,
    tag: &Tag,
    destination: &Destination,
    client: &Client,
) -> Result<Option<HeaderValue>, NotKnown> {
    let target = format!("/v2/{repository}/manifests/{tag}");
    let permit = Permit::to_look(Look::Tag(repository.clone(), tag.clone()));
    let answer = look(&permit, http::Method::HEAD, &target, destination, client).await?;
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
        let answer = look(&permit, http::Method::GET, &target, destination, client).await?;
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
    method: http::Method,
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

fn is_digest_of(told: &HeaderValue, manifest: &[u8]) -> bool {
    let Some(told) = told.to_str().ok().and_then(|told| told.parse::<Digest>().ok()) else { return false };
    let algorithm = match told.algorithm() {
        Algorithm::Sha256 => &SHA256,
        Algorithm::Sha512 => &SHA512,
    };
    let hash = digest(algorithm, manifest);
    Digest::from_bytes(told.algorithm(), hash.as_ref()).is_ok_and(|digest| digest == told)
}

fn entity_tag(digest: &HeaderValue) -> HeaderValue {
    let quoted = [b"\"", digest.as_bytes(), b"\""].concat();
    HeaderValue::from_bytes(&quoted).expect("a digest in quotes is a header's value")
}
