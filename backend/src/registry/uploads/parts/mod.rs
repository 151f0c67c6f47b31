//! Upload sessions in a bucket: each is an object that changes by comparing and swapping alone, its bytes go there in parts.
//!
//! ```text
//! settled    sessions that nothing is added to
//!   complete   from a session to a blob; finish: its end, wherever it was begun
//!     writer     bytes on their way, part by part
//!       session    one object, swapped
//!         store      what all sessions share; room: for what they have at hand
//!           hash       a digest in the making, written down; piece: a part of a tail
//! ```

mod complete;
mod finish;
mod hash;
mod piece;
mod room;
mod session;
mod settled;
mod state;
mod store;
mod writer;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lockgate_oci::{Algorithm, Digest, RepositoryName};
use uuid::Uuid;

use self::settled::{Finish, Whole};
use self::state::{Session, State};
use self::store::Known;
pub(in crate::registry) use self::store::{PartStore, Tails};
use self::writer::Writer;
use super::Uploads;
use crate::registry::keys;
use crate::store::{Result, StoreError, Upload};

/// How long a session that has become a blob is kept, for clients that ask again.
const DONE: Duration = Duration::from_secs(24 * 60 * 60);

#[async_trait]
impl Uploads for Arc<PartStore> {
    async fn begin(&self, repository: &RepositoryName, algorithm: Algorithm) -> Result<Uuid> {
        session::begin(self, repository, algorithm).await
    }

    async fn size(&self, repository: &RepositoryName, id: Uuid) -> Result<u64> {
        session::size(self, repository, id).await
    }

    async fn resume(&self, repository: &RepositoryName, id: Uuid) -> Result<Box<dyn Upload>> {
        let lease = self.sessions.take(id).ok_or(StoreError::UploadBusy)?;
        let (session, version) = session::read(self, repository, id).await?;
        let (store, repository) = (Arc::clone(self), repository.clone());
        if session.state != State::Open {
            return Ok(Box::new(Finish { store, repository, lease, session, version }));
        }
        let writer = Writer::new(store, repository, lease, session, version);
        Ok(Box::new(ObjectUpload(Some(writer))))
    }

    async fn take_to_commit(&self, repository: &RepositoryName, id: Uuid) -> Result<Box<dyn Upload>> {
        let lease = self.sessions.take(id).ok_or(StoreError::UploadBusy)?;
        let known = lease.known().filter(|known| known.session.repository == repository.as_str());
        let Some(Known { session, version, .. }) = known else {
            drop(lease);
            return self.resume(repository, id).await;
        };
        let mut writer = Writer::new(Arc::clone(self), repository.clone(), lease, session, version);
        writer.is_unread = true;
        Ok(Box::new(Whole(writer)))
    }

    async fn cancel(&self, repository: &RepositoryName, id: Uuid) -> Result<()> {
        session::cancel(self, repository, id).await
    }

    async fn remove_stale(&self, deadline: SystemTime) -> Result<usize> {
        let done = SystemTime::now() - DONE;
        let (mut removed, mut entries) = (0, self.objects.scan(keys::UPLOADS));
        while let Some(entry) = entries.try_next().await? {
            if entry.modified >= deadline.max(done) {
                continue;
            }
            match entry.key[keys::UPLOADS.len()..].split_once('/') {
                Some((id, "session")) => {
                    let Ok(id) = id.parse() else { continue };
                    let Some(lease) = self.sessions.take(id) else { continue };
                    let Some(object) = self.objects.get(&entry.key).await? else { continue };
                    let session = serde_json::from_slice::<Session>(&object.bytes).ok();
                    let is_done = session.as_ref().is_some_and(|session| matches!(session.state, State::Done(_)));
                    if object.stat.modified >= if is_done { done } else { deadline } {
                        continue;
                    }
                    lease.wake();
                    match session {
                        Some(session) => match session::end(self, id, &session, &object.stat.version).await {
                            Err(StoreError::UploadBusy) => continue,
                            ended => ended?,
                        },
                        None => self.objects.remove(&entry.key).await?,
                    }
                    removed += usize::from(!is_done);
                }
                // The session that named it has gone on without it, or is gone.
                _ if entry.modified < deadline => self.objects.remove(&entry.key).await?,
                _ => {}
            }
        }
        Ok(removed)
    }
}

/// A session, taken.
pub(super) struct ObjectUpload(Option<Writer>);

impl ObjectUpload {
    fn writer(&mut self) -> &mut Writer {
        self.0.as_mut().expect("it is there until it is given back")
    }
}

#[async_trait]
impl Upload for ObjectUpload {
    fn size(&self) -> u64 {
        self.0.as_ref().map_or(0, |writer| writer.size())
    }

    async fn append(&mut self, bytes: Bytes) -> Result<()> {
        self.writer().append(bytes).await
    }

    async fn suspend(mut self: Box<Self>) -> Result<u64> {
        let mut writer = self.0.take().expect("it is there until it is given back");
        writer.save().await
    }

    async fn commit(mut self: Box<Self>, digest: &Digest) -> Result<()> {
        let writer = self.0.take().expect("it is there until it is given back");
        complete::commit(writer, digest).await
    }
}

impl Drop for ObjectUpload {
    /// A client that was cut off goes on with what has come.
    fn drop(&mut self) {
        if let Some(mut writer) = self.0.take()
            && writer.is_changed()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                if let Err(error) = writer.save().await {
                    tracing::debug!(%error, "what came of an upload that was cut off is not kept");
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use lockgate_oci::Algorithm;

    use super::*;
    use crate::contract::{AnyStore, read};
    use crate::hasher::digest_of;
    use crate::objects::MemoryObjects;
    use crate::registry::ObjectStore;
    use crate::store::Store as _;

    /// More than stands in a session itself.
    const PIECE: usize = 70_000;

    #[tokio::test]
    async fn who_has_lost_a_session_to_another_node_changes_no_byte_of_it() {
        let objects = Arc::new(MemoryObjects::default());
        let [one, other] = [0, 1].map(|_| ObjectStore::over(objects.clone(), 16 << 20, 2));
        let (name, kept): (RepositoryName, _) = ("a".parse().unwrap(), Bytes::from(vec![b'k'; PIECE]));
        let id = one.begin_upload(&name, Algorithm::Sha256).await.unwrap();
        let mut late = one.resume_upload(&name, id).await.unwrap();
        late.append(vec![b'l'; PIECE].into()).await.unwrap();
        let mut first = other.resume_upload(&name, id).await.unwrap();
        first.append(kept.clone()).await.unwrap();
        assert_eq!(first.suspend().await.unwrap(), PIECE as u64);
        assert!(matches!(late.suspend().await, Err(StoreError::UploadBusy)));
        let digest = digest_of(Algorithm::Sha256, &kept);
        one.resume_upload(&name, id).await.unwrap().commit(&digest).await.unwrap();
        let store: AnyStore = Arc::new(other);
        assert!(read(&store, "a", &digest).await.unwrap() == kept, "the blob has other bytes");
    }

    #[tokio::test]
    async fn a_session_that_was_ended_at_another_node_is_not_made_a_blob_by_who_knows_it() {
        let objects = Arc::new(MemoryObjects::default());
        let [one, other] = [0, 1].map(|_| ObjectStore::over(objects.clone(), 16 << 20, 2));
        for size in [5, PIECE, 17 << 20] {
            let (name, content): (RepositoryName, _) = ("a".parse().unwrap(), Bytes::from(vec![b'c'; size]));
            let id = one.begin_upload(&name, Algorithm::Sha256).await.unwrap();
            let mut upload = one.resume_upload(&name, id).await.unwrap();
            upload.append(content.clone()).await.unwrap();
            upload.suspend().await.unwrap();
            other.cancel_upload(&name, id).await.unwrap();
            let upload = one.take_upload_to_commit(&name, id).await.unwrap();
            let made = upload.commit(&digest_of(Algorithm::Sha256, &content)).await;
            assert!(matches!(made, Err(StoreError::UploadUnknown)), "{size}: {made:?}");
        }
    }
}
