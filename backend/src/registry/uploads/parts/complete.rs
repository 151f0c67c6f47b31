//! From a session to a blob: by a copy within the store, since the digest is known only at the end; a blob of less than a
//! part is written at its place.

use std::sync::Arc;

use lockgate_oci::Digest;

use super::finish::{bring_to_its_end, done, unless_done};
use super::hash::beginning;
use super::session;
use super::state::{Completion, State};
use super::writer::Writer;
use crate::hasher::digest_of;
use crate::registry::keys;
use crate::store::{Result, StoreError};

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
