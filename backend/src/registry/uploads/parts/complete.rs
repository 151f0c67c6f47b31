//! From a session to a blob: by a copy within the store, since the digest is known only at the end; a blob of less than a
//! part is written at its place.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use lockgate_oci::{Digest, RepositoryName};
use uuid::Uuid;

use super::hash::Hash;
use super::piece::Piece;
use super::session;
use super::state::{Completion, Session, State};
use super::store::{Lease, PartStore};
use super::writer::Writer;
use crate::hasher::digest_of;
use crate::objects::{Completed, ObjectsError, Version};
use crate::registry::keys;
use crate::registry::uploads::Uploads as _;
use crate::store::{Result, StoreError, Upload};

/// Up to so many bytes are copied by one request of a part. More are copied in parts of so many, as some stores want those of
/// one object to be equal; a tail that follows them is then a part of the upload itself.
const ONE_COPY: u64 = 64 << 20;

/// Makes a blob of what a session holds; or of what came since it was taken, when that has the digest and all of it has
/// not.
pub(super) async fn commit(writer: Writer, digest: &Digest) -> Result<()> {
    let (store, repository, id) = (Arc::clone(&writer.store), writer.repository.clone(), writer.lease.id());
    let made = make(writer, digest).await;
    unless_done(&store, &repository, id, digest, made).await
}

async fn make(mut writer: Writer, digest: &Digest) -> Result<()> {
    writer.arrived().await?;
    if writer.session.parts.is_empty() {
        return commit_small(writer, digest).await;
    }
    let from = if digest.algorithm() == writer.session.hash.algorithm() {
        match beginning(&writer.session.hash, writer.since.as_ref(), writer.taken_at, digest) {
            Ok(from) => Some(from),
            Err(found) => return refuse(&writer, found).await,
        }
    } else {
        None
    };
    let is_short = writer.session.offset <= ONE_COPY;
    if !is_short || from != Some(0) || writer.only_piece().is_none() {
        writer.send_last().await?;
    }
    let completion =
        Completion { digest: digest.clone(), from, taken_at: writer.taken_at, size: writer.session.offset };
    writer.session.state = State::Completing(completion.clone());
    writer.version = session::write(&writer.store, writer.lease.id(), &writer.session, &writer.version).await?;
    writer.forget_replaced();
    writer.lease.wake();
    let Writer { store, repository, lease, session, version, .. } = writer;
    bring_to_its_end(&store, &repository, lease.id(), session, version, completion).await
}

/// Behind how many bytes that begins which has the digest.
fn beginning(all: &Hash, since: Option<&Hash>, taken_at: u64, digest: &Digest) -> Result<u64, Digest> {
    let found = all.clone().finish();
    let is_since = || since.is_some_and(|since| !is_empty(since) && since.clone().finish() == *digest);
    if found == *digest {
        Ok(0)
    } else if is_since() {
        Ok(taken_at)
    } else {
        Err(found)
    }
}

/// Whether nothing was hashed.
fn is_empty(hash: &Hash) -> bool {
    hash.clone().finish() == digest_of(hash.algorithm(), b"")
}

async fn refuse(writer: &Writer, found: Digest) -> Result<()> {
    writer.lease.wake();
    session::end(&writer.store, writer.lease.id(), &writer.session, &writer.version).await?;
    Err(StoreError::DigestMismatch(found))
}

/// Makes a blob of less than a part.
async fn commit_small(mut writer: Writer, digest: &Digest) -> Result<()> {
    let (id, piece) = (writer.lease.id(), writer.only_piece());
    let same = digest.algorithm() == writer.session.hash.algorithm();
    // What is not known by its hash is looked at, and so is what is not one piece of the store.
    let remainder = if same && piece.is_some() { None } else { Some(writer.remainder().await?) };
    let (bytes, _leaving) = remainder.unzip();
    // Nobody asks for its tail any more.
    writer.lease.wake();
    let taken_at = usize::try_from(writer.taken_at).expect("less than a part fits into memory");
    let from = match &bytes {
        Some(bytes) if !same => {
            let (found, since) = (digest_of(digest.algorithm(), bytes), bytes.slice(taken_at..));
            match found == *digest {
                true => Ok(0),
                false if !since.is_empty() && digest_of(digest.algorithm(), &since) == *digest => Ok(writer.taken_at),
                false => Err(found),
            }
        }
        _ => beginning(&writer.session.hash, writer.since.as_ref(), writer.taken_at, digest),
    };
    let from = match from {
        Ok(from) => from,
        Err(found) => return refuse(&writer, found).await,
    };
    writer.store.rules.link_layer(&writer.repository, digest).await?;
    match (bytes, piece) {
        (None, Some(piece)) => {
            let from = keys::piece(id, piece.name);
            if let Err(error) = writer.store.objects.copy(&from, 0..piece.size, &keys::blob(digest)).await {
                return Err(writer.gone().await.unwrap_or(error.into()));
            }
        }
        (bytes, _) => {
            let bytes = bytes.unwrap_or_default().slice(usize::try_from(from).expect("it is taken_at at most")..);
            writer.store.objects.put(&keys::blob(digest), bytes, None).await?;
        }
    }
    if done(&writer.store, id, writer.session.clone(), &writer.version, digest).await? {
        writer.replaced.append(&mut writer.session.pieces);
        writer.forget_replaced();
    } else if writer.is_unread {
        // It was none any more that becomes a blob, perhaps.
        return Err(StoreError::UploadBusy);
    }
    Ok(())
}

/// Writes down what a session has become, so that who asks for it again is told the same. False: it has gone on
/// elsewhere, with the bytes that it had.
async fn done(store: &PartStore, id: Uuid, session: Session, version: &Version, digest: &Digest) -> Result<bool> {
    let session = Session {
        state: State::Done(digest.clone()),
        multipart: None,
        parts: Vec::new(),
        pieces: Vec::new(),
        rest: Vec::new(),
        ..session
    };
    match session::write(store, id, &session, version).await {
        Ok(_) => Ok(true),
        Err(StoreError::UploadBusy) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What became of a session. Another node may have been at it, too: whose steps then had no effect is told what it is
/// by now.
async fn unless_done(
    store: &PartStore,
    repository: &RepositoryName,
    id: Uuid,
    digest: &Digest,
    made: Result<()>,
) -> Result<()> {
    match made {
        Err(StoreError::UploadUnknown | StoreError::UploadBusy | StoreError::Objects(_) | StoreError::Io(_)) => {
            match session::read(store, repository, id).await {
                Ok((Session { state: State::Done(blob), .. }, _)) if blob == *digest => Ok(()),
                // Somebody has ended it, and its tail is gone.
                Ok((Session { state: State::Ended, .. }, _)) | Err(StoreError::UploadUnknown) => {
                    Err(StoreError::UploadUnknown)
                }
                _ => made,
            }
        }
        made => made,
    }
}

/// Brings a session to its end whose list of parts is settled, wherever it was begun.
async fn bring_to_its_end(
    store: &Arc<PartStore>,
    repository: &RepositoryName,
    id: Uuid,
    session: Session,
    version: Version,
    completion: Completion,
) -> Result<()> {
    let (data, Completion { digest, from, taken_at, size }) = (keys::upload_data(id), completion);
    let Some(multipart) = &session.multipart else { return Err(StoreError::UploadUnknown) };
    let (pieces, in_parts) = (session.pieces.clone(), size - session.tail());
    store.rules.link_layer(repository, &digest).await?;
    if store.objects.complete(&data, multipart, &session.parts).await? == Completed::Unknown {
        // It was completed, perhaps, by somebody whose answer was lost.
        match store.objects.stat(&data).await? {
            Some(stat) if stat.size == in_parts => {}
            _ => return Err(StoreError::UploadUnknown),
        }
    }
    let from = match from {
        Some(from) => from,
        None => match look_again(store, &data, size, taken_at, &digest).await? {
            Ok(from) => from,
            Err(found) => {
                store.objects.remove(&data).await?;
                return match session::end(store, id, &session, &version).await {
                    // Busy: somebody else has found the same.
                    Ok(()) | Err(StoreError::UploadBusy) => Err(StoreError::DigestMismatch(found)),
                    Err(error) => Err(error),
                };
            }
        },
    };
    match pieces[..] {
        [tail] if from == 0 => join(store, id, in_parts, tail, &digest).await?,
        _ => store.objects.copy(&data, from..size, &keys::blob(&digest)).await?,
    }
    // Where it is done already, the blob is there all the same.
    done(store, id, session, &version, &digest).await?;
    if let Err(error) = store.objects.remove(&data).await {
        tracing::debug!(%error, "an upload's bytes stay until its session is swept");
    }
    session::forget_pieces(store, id, &pieces).await;
    Ok(())
}

/// Makes a blob of what an upload has in parts and of the tail that follows them, each copied once.
async fn join(store: &PartStore, id: Uuid, in_parts: u64, tail: Piece, digest: &Digest) -> Result<()> {
    let (to, data, piece) = (keys::blob(digest), keys::upload_data(id), keys::piece(id, tail.name));
    let (objects, upload) = (&store.objects, store.objects.begin(&to).await?);
    let copied = futures_util::try_join!(
        objects.copy_part(&to, &upload, 1, &data, 0..in_parts),
        objects.copy_part(&to, &upload, 2, &piece, 0..tail.size),
    );
    let joined = match copied {
        Ok((first, last)) => objects.complete(&to, &upload, &[first, last]).await,
        Err(error) => Err(error),
    };
    match joined {
        Ok(Completed::Done) => Ok(()),
        // Its answer was lost, perhaps.
        Ok(Completed::Unknown) => match objects.stat(&to).await? {
            Some(stat) if stat.size == in_parts + tail.size => Ok(()),
            _ => Err(ObjectsError::Unavailable(format!("{to} was joined, and is not there")).into()),
        },
        Err(error) => {
            // What cannot be ended is removed by the bucket's rule for abandoned uploads.
            let _ = objects.abort(&to, &upload).await;
            Err(error.into())
        }
    }
}

/// Reads what was uploaded, in another algorithm than the session's.
async fn look_again(
    store: &PartStore,
    data: &str,
    size: u64,
    taken_at: u64,
    digest: &Digest,
) -> Result<Result<u64, Digest>> {
    let (mut all, mut since, mut read) = (Hash::new(digest.algorithm()), Hash::new(digest.algorithm()), 0_u64);
    let mut pieces = store.objects.read(data, 0..size);
    while let Some(bytes) = pieces.next().await {
        let bytes = bytes?;
        all.update(&bytes);
        let skipped = taken_at.saturating_sub(read).min(bytes.len() as u64);
        since.update(&bytes[usize::try_from(skipped).expect("it is no more than there are bytes")..]);
        read += bytes.len() as u64;
    }
    Ok(beginning(&all, (taken_at > 0).then_some(&since), taken_at, digest))
}

/// A session that nothing is added to, as this process knows it.
pub(super) struct Whole(pub(super) Writer);

#[async_trait]
impl Upload for Whole {
    fn size(&self) -> u64 {
        self.0.size()
    }

    /// What is added is added to a session that was read.
    async fn append(&mut self, _bytes: Bytes) -> Result<()> {
        Err(StoreError::UploadBusy)
    }

    async fn suspend(self: Box<Self>) -> Result<u64> {
        Ok(self.0.size())
    }

    /// Where it has gone on elsewhere, it is read.
    async fn commit(self: Box<Self>, digest: &Digest) -> Result<()> {
        let (store, repository, id) = (Arc::clone(&self.0.store), self.0.repository.clone(), self.0.lease.id());
        match commit(self.0, digest).await {
            Err(StoreError::UploadBusy) => store.resume(&repository, id).await?.commit(digest).await,
            made => made,
        }
    }
}

/// A session that takes no more bytes: it is on its way to a blob, or is one.
pub(super) struct Finish {
    pub(super) store: Arc<PartStore>,
    pub(super) repository: RepositoryName,
    pub(super) lease: Lease,
    pub(super) session: Session,
    pub(super) version: Version,
}

#[async_trait]
impl Upload for Finish {
    fn size(&self) -> u64 {
        self.session.offset
    }

    fn is_finished(&self) -> bool {
        true
    }

    /// What is sent again is there.
    async fn append(&mut self, _bytes: Bytes) -> Result<()> {
        Ok(())
    }

    async fn suspend(self: Box<Self>) -> Result<u64> {
        Err(StoreError::UploadUnknown)
    }

    async fn commit(self: Box<Self>, digest: &Digest) -> Result<()> {
        let Self { store, repository, lease, session, version } = *self;
        match session.state.clone() {
            State::Completing(completion) if completion.digest == *digest => {
                let (store, id) = (&store, lease.id());
                let made = bring_to_its_end(store, &repository, id, session, version, completion).await;
                unless_done(store, &repository, id, digest, made).await
            }
            State::Done(blob) if blob == *digest => Ok(()),
            _ => Err(StoreError::UploadUnknown),
        }
    }
}
