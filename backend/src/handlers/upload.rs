//! `/v2/<name>/blobs/uploads/` and below: how a blob comes in ([spec.md, "Pushing blobs"]).
//!
//! ```text
//!            POST                   PATCH: 202              PUT ?digest=D: 201
//!  (nothing) ────▶ session, 0 bytes ────▶ session, n bytes ────▶ blob D
//!      │                  ▲  GET: 204, where it stands  │             ▲
//!      │                  └─────────────────────────────┴─ DELETE: 204, PUT of a wrong digest: 400
//!      └── POST ?digest=D with the bytes, or ?mount=D&from=R: 201 ────┘
//! ```
//!
//! [spec.md, "Pushing blobs"]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs

use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_RANGE, HeaderName, RANGE};
use http::request::Parts;
use lockgate_oci::{Algorithm, Digest, ErrorCode, OciError, RepositoryName, UploadId};
use tokio::time::Instant;
use uuid::Uuid;

use super::room::{Pushed, Room, look_in_quotas, look_on_disk};
use crate::http::{Outcome, PieceRange, Refusal, Reply, RequestBody, header_value, upload_unknown};
use crate::metrics::METRICS;
use crate::registry::Registry;
use crate::store::{StoreError, Upload};

/// How long it is waited for a session that another request writes to, and how long from one look to the next.
const BUSY: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// `POST`: begins a session.
pub(crate) async fn begin(registry: &Registry, name: &RepositoryName, algorithm: Option<Algorithm>) -> Outcome {
    look_on_disk(registry).await?;
    look_in_quotas(registry, name, None)?;
    let id = registry.store.begin_upload(name, algorithm.unwrap_or(Algorithm::Sha256)).await?;
    Ok(standing(StatusCode::ACCEPTED, name, id, 0))
}

/// `POST ?mount=`: takes a blob over from another repository, or begins a session to push it.
pub(crate) async fn mount(
    registry: &Registry,
    name: &RepositoryName,
    digest: &Digest,
    from: Option<&RepositoryName>,
    algorithm: Option<Algorithm>,
) -> Outcome {
    let Some(from) = from else { return begin(registry, name, algorithm).await };
    let room = if registry.quotas.are_for(name) {
        let size = registry.store.blob(from, digest).await?.map_or(0, |blob| blob.size());
        Some(Room::of(registry, name, Pushed::Blob(digest), size).await?)
    } else {
        None
    };
    if registry.store.mount_blob(name, from, digest).await? {
        room.into_iter().for_each(Room::take);
        return Ok(created(name, digest));
    }
    begin(registry, name, algorithm).await
}

/// `POST ?digest=`: makes a blob of what comes along.
pub(crate) async fn push(
    registry: &Registry,
    body: &mut RequestBody,
    name: &RepositoryName,
    digest: &Digest,
) -> Outcome {
    let id = registry.store.begin_upload(name, digest.algorithm()).await?;
    let mut upload = registry.store.resume_upload(name, id).await?;
    if let Err(refusal) = receive(registry, name, upload.as_mut(), body, None).await {
        // Nobody knows of the session, so nobody would go on with it.
        drop(upload);
        let _ = registry.store.cancel_upload(name, id).await;
        return Err(refusal);
    }
    match commit(registry, name, upload, digest).await {
        Ok(()) => Ok(created(name, digest)),
        Err(refusal) => Err(making_room(registry, name, id, refusal).await),
    }
}

/// Makes a blob of what has come, where there is room for it.
async fn commit(
    registry: &Registry,
    name: &RepositoryName,
    upload: Box<dyn Upload>,
    digest: &Digest,
) -> Result<(), Refusal> {
    let room = Room::of(registry, name, Pushed::Blob(digest), upload.size()).await?;
    upload.commit(digest).await?;
    room.take();
    Ok(())
}

/// Takes a session to write to it. A client that was cut off and comes back at once may be ahead of the end of its
/// first request.
async fn take(
    registry: &Registry,
    name: &RepositoryName,
    id: Uuid,
    is_added_to: bool,
) -> Result<Box<dyn Upload>, StoreError> {
    let began = Instant::now();
    loop {
        let taken = if is_added_to {
            registry.store.resume_upload(name, id).await
        } else {
            registry.store.take_upload_to_commit(name, id).await
        };
        match taken {
            Err(StoreError::UploadBusy) if began.elapsed() < BUSY => tokio::time::sleep(PAUSE).await,
            upload => return upload,
        }
    }
}

fn session(id: &UploadId) -> Result<Uuid, OciError> {
    Uuid::try_parse(id.as_str()).map_err(|_| upload_unknown())
}

/// `GET` and `HEAD`: where a session stands.
pub(crate) async fn status(registry: &Registry, name: &RepositoryName, id: &UploadId) -> Outcome {
    let id = session(id)?;
    let size = registry.store.upload_size(name, id).await?;
    Ok(standing(StatusCode::NO_CONTENT, name, id, size))
}

/// `DELETE`: ends a session.
pub(crate) async fn cancel(registry: &Registry, name: &RepositoryName, id: &UploadId) -> Outcome {
    registry.store.cancel_upload(name, session(id)?).await?;
    Ok(Reply::new(StatusCode::NO_CONTENT))
}

/// `PATCH`: adds to a session.
pub(crate) async fn append(
    registry: &Registry,
    request: &Parts,
    body: &mut RequestBody,
    name: &RepositoryName,
    id: &UploadId,
) -> Outcome {
    let id = session(id)?;
    let mut upload = take(registry, name, id, true).await?;
    if upload.is_finished() {
        return Err(upload_unknown().into());
    }
    let piece = piece(request, body, upload.as_ref(), name, id)?;
    let received = receive(registry, name, upload.as_mut(), body, piece).await;
    // What has come is kept, also when it is not all: the client goes on from there.
    let suspended = upload.suspend().await;
    match received.and(suspended.map_err(Refusal::from)) {
        Ok(size) => Ok(standing(StatusCode::ACCEPTED, name, id, size)),
        Err(refusal) => Err(making_room(registry, name, id, refusal).await),
    }
}

/// `PUT ?digest=`: adds the last of a session, and makes a blob of it.
pub(crate) async fn finish(
    registry: &Registry,
    request: &Parts,
    body: &mut RequestBody,
    name: &RepositoryName,
    id: &UploadId,
    digest: &Digest,
) -> Outcome {
    let id = session(id)?;
    let is_added_to = body.announced() != Some(0) || request.headers.contains_key(CONTENT_RANGE);
    let mut upload = take(registry, name, id, is_added_to).await?;
    if upload.is_finished() {
        return Ok(upload.commit(digest).await.map(|()| created(name, digest))?);
    }
    let piece = piece(request, body, upload.as_ref(), name, id)?;
    let done = match receive(registry, name, upload.as_mut(), body, piece).await {
        Ok(()) => commit(registry, name, upload, digest).await,
        Err(refusal) => {
            // Where this fails too, it is for the same reason.
            let _ = upload.suspend().await;
            Err(refusal)
        }
    };
    match done {
        Ok(()) => Ok(created(name, digest)),
        Err(refusal) => Err(making_room(registry, name, id, refusal).await),
    }
}

/// Where the storage is full, or a quota, what has come of an upload is not kept: clients begin anew rather than go
/// on, and its bytes would take the room that every other push needs.
async fn making_room(registry: &Registry, name: &RepositoryName, id: Uuid, refusal: Refusal) -> Refusal {
    if matches!(refusal.status(), StatusCode::INSUFFICIENT_STORAGE | StatusCode::FORBIDDEN) {
        let _ = registry.store.cancel_upload(name, id).await;
    }
    refusal
}

/// From one look for room to the next, in bytes that come.
const STRETCH: u64 = 64 << 20;

/// Reads a request's body into a session. Nothing of it, where it is said to be more than there is room for.
async fn receive(
    registry: &Registry,
    name: &RepositoryName,
    upload: &mut dyn Upload,
    body: &mut RequestBody,
    piece: Option<PieceRange>,
) -> Result<(), Refusal> {
    look_in_quotas(registry, name, Some(upload.size().saturating_add(body.announced().unwrap_or(0))))?;
    let _open = METRICS.upload();
    let mut looked_at = 0;
    while let Some(bytes) = body.next().await? {
        if body.received() >= looked_at {
            look_on_disk(registry).await?;
            look_in_quotas(registry, name, Some(upload.size() + bytes.len() as u64))?;
            looked_at = body.received() + STRETCH;
        }
        upload.append(bytes).await?;
    }
    match piece {
        Some(piece) if piece.length != body.received() => Err(length_differs().into()),
        _ => Ok(()),
    }
}

/// The `Content-Range` of a request, which must go on where the session stands.
fn piece(
    request: &Parts,
    body: &RequestBody,
    upload: &dyn Upload,
    name: &RepositoryName,
    id: Uuid,
) -> Result<Option<PieceRange>, Refusal> {
    let Some(header) = request.headers.get(CONTENT_RANGE) else { return Ok(None) };
    let size = upload.size();
    let out_of_order = |message: String| {
        let refusal = Refusal::from(OciError::new(ErrorCode::RangeInvalid, message));
        let place = place(name, id, size);
        place.into_iter().fold(refusal, |refusal, (name, value)| refusal.with_header(name, value))
    };
    let piece = header.to_str().ok().and_then(PieceRange::parse);
    let piece = piece.ok_or_else(|| out_of_order("Content-Range is written <first>-<last>, in digits".to_owned()))?;
    if piece.first != size {
        return Err(out_of_order(format!("the upload holds {size} bytes: go on with Content-Range: {size}-...")));
    }
    if body.announced().is_some_and(|length| length != piece.length) {
        return Err(length_differs().into());
    }
    Ok(Some(piece))
}

fn length_differs() -> OciError {
    let message = "the body is not as long as its Content-Range says: ask with GET where the upload stands";
    OciError::new(ErrorCode::SizeInvalid, message)
}

/// Where a session is, and where it stands. Of an empty one, the range is that of one byte, by the
/// specification.
fn place(name: &RepositoryName, id: Uuid, size: u64) -> [(HeaderName, http::HeaderValue); 3] {
    let id = id.hyphenated();
    [
        (http::header::LOCATION, header_value(format!("/v2/{name}/blobs/uploads/{id}"))),
        (RANGE, header_value(format!("0-{}", size.saturating_sub(1)))),
        (DOCKER_UPLOAD_UUID, header_value(id.to_string())),
    ]
}

fn standing(status: StatusCode, name: &RepositoryName, id: Uuid, size: u64) -> Reply {
    let reply = Reply::new(status);
    let reply = if status == StatusCode::NO_CONTENT { reply } else { reply.length(0) };
    place(name, id, size).into_iter().fold(reply, |reply, (name, value)| reply.header(name, value))
}

fn created(name: &RepositoryName, digest: &Digest) -> Reply {
    let reply = Reply::new(StatusCode::CREATED).location(format!("/v2/{name}/blobs/{digest}"));
    reply.digest(digest).length(0)
}
