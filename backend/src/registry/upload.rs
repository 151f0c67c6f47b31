//! Upload sessions that are taken to write to them.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use lockgate_oci::{Digest, RepositoryName};
use uuid::Uuid;

use super::complete::{self, Finish};
use super::node::Node;
use super::session::{self, State};
use super::writer::Writer;
use crate::store::{Result, StoreError, Upload};

/// A session, taken.
pub(super) struct ObjectUpload(Option<Writer>);

/// Takes a session of a repository.
pub(super) async fn resume(node: &Arc<Node>, repository: &RepositoryName, id: Uuid) -> Result<Box<dyn Upload>> {
    let lease = node.sessions.take(id).ok_or(StoreError::UploadBusy)?;
    let (session, version) = session::read(node, repository, id).await?;
    let (node, repository) = (Arc::clone(node), repository.clone());
    if session.state != State::Open {
        return Ok(Box::new(Finish { node, repository, lease, session, version }));
    }
    let writer = Writer::new(node, repository, lease, session, version);
    Ok(Box::new(ObjectUpload(Some(writer))))
}

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
}
