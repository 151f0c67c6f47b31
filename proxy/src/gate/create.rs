//! Tags that a caller may make and not move. Registries move a tag without asking; so the gate looks first, and lets
//! nobody else write that tag meanwhile, whatever they may.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use bytes::BytesMut;
use http::header::{HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use http::{Request, StatusCode};
use lockgate_oci::{Action, Algorithm, Digest, ErrorCode, OciError, Reference, RepositoryName, Tag};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::destination::Destination;
use super::failed::words_for;
use super::tag_lookup::{NotKnown, there};
use super::whole_body::{self, NotWhole};
use crate::access::Permit;
use crate::client::Client;
use crate::listener::{self, Gone};
use crate::lock::lock;
use crate::refusal::{self, Refusal};
use crate::upstream::Failure;

/// The largest manifest that is looked at: what registries take at most ("Pushing Manifests" of the OCI distribution
/// specification asks for 4 MiB at least).
const MAX_MANIFEST: usize = 4 * 1024 * 1024;

/// How long a client waits whose tag could not be looked up, in seconds.
const RETRY_AFTER: u32 = 1;

/// A tag in its repository.
type Tagged = (RepositoryName, Tag);

/// How many bytes of a manifest wait for no place in memory, which is nearly all manifests as a whole: any connection may
/// pin as much.
const SMALL: usize = 64 * 1024;

/// How many larger manifests are in memory at once, and for how many requests tags are looked up: beyond that, clients
/// wait.
const AT_ONCE: usize = 32;

/// The tags that are being written.
pub(super) struct Creations {
    /// Each with its lock: who may move it shares it, and who may only make it has it alone. It has as many as requests
    /// are under way.
    tags: Mutex<HashMap<Tagged, Arc<RwLock<()>>>>,
    large: Semaphore,
    looks: Semaphore,
}

impl Default for Creations {
    fn default() -> Self {
        Self { tags: Mutex::default(), large: Semaphore::new(AT_ONCE), looks: Semaphore::new(AT_ONCE) }
    }
}

/// As long as it lives nobody makes these tags, and nobody moves those of them that must be new.
pub(super) struct Held<'a> {
    of: &'a Creations,
    places: Vec<Tagged>,
    shared: Vec<OwnedRwLockReadGuard<()>>,
    alone: Vec<OwnedRwLockWriteGuard<()>>,
}

/// A place in memory, and tags that nobody else writes, as long as it lives.
pub(super) struct Place<'a> {
    _large: Option<SemaphorePermit<'a>>,
    _looks: SemaphorePermit<'a>,
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
        let (mut head, mut body) = request.into_parts();
        let mut manifest = BytesMut::new();
        let mut large = None;
        if !read_on(&mut body, &mut manifest, SMALL, limit).await? {
            large = Some(place(&self.large).await);
            if !read_on(&mut body, &mut manifest, MAX_MANIFEST, limit).await? {
                return Err(NotWhole::TooLong.into());
            }
        }
        // Not before the manifest is there: a client that sends it slowly would keep the tag from all others. And who
        // waits for a tag does not keep others from theirs.
        let held = self.hold(permit).await;
        let looks = place(&self.looks).await;
        check(permit, &manifest, &mut head.headers, destination, client).await.map_err(|refusal| {
            // Else the registry has failed.
            let is_denied = refusal.error.status() == StatusCode::FORBIDDEN;
            if is_denied { NotAdmitted::Denied(refusal) } else { NotAdmitted::Failed(refusal) }
        })?;
        let request = Request::from_parts(head, listener::RequestBody::Bytes(manifest.freeze().into()));
        Ok((request, Place { _large: large, _looks: looks, _held: held }))
    }

    /// Waits until nobody makes one of the tags that a manifest is to have, nor moves one that must be new.
    pub(super) async fn hold(&self, permit: &Permit) -> Held<'_> {
        let mut held = Held { of: self, places: vec![], shared: vec![], alone: vec![] };
        let Action::PushManifest { repository, reference, tags } = permit.action() else { return held };
        let named = if let Reference::Tag(tag) = reference { Some(tag) } else { None };
        // In one order for all, so that no two wait for each other.
        for tag in named.into_iter().chain(tags).collect::<BTreeSet<_>>() {
            let place = (repository.clone(), tag.clone());
            let one = lock(&self.tags).entry(place.clone()).or_default().clone();
            held.places.push(place);
            if permit.only_new().contains(tag) {
                held.alone.push(one.write_owned().await);
            } else {
                held.shared.push(one.read_owned().await);
            }
        }
        held
    }
}

/// Waits for a place. It is given back when the request is over.
async fn place(places: &Semaphore) -> SemaphorePermit<'_> {
    places.acquire().await.expect("it is never closed")
}

/// Reads a manifest to its end, or until it is longer than `most`; whether it has come to its end. It is small, so that
/// all of it has the time that a piece of another body has.
async fn read_on(
    body: &mut listener::RequestBody,
    manifest: &mut BytesMut,
    most: usize,
    limit: Duration,
) -> Result<bool, NotAdmitted> {
    let too_slow = |_| NotAdmitted::Failed(Refusal::hanging_up(refusal::body_too_slow()));
    Ok(timeout(limit, whole_body::read_on(body, manifest, most)).await.map_err(too_slow)??)
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut all = lock(&self.of.tags);
        self.shared.clear();
        self.alone.clear();
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

fn not_known(tag: &Tag) -> Refusal {
    let message = format!("the registry does not say whether tag {tag} is there, which create may not move; try again");
    Refusal { retry_after: Some(RETRY_AFTER), ..OciError::new(ErrorCode::Unavailable, message).into() }
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
