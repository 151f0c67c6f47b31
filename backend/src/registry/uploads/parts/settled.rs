//! Sessions that nothing is added to any more.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use lockgate_oci::{Digest, RepositoryName};

use super::complete::commit;
use super::finish::{bring_to_its_end, unless_done};
use super::state::{Session, State};
use super::store::{Lease, PartStore};
use super::writer::Writer;
use crate::objects::Version;
use crate::registry::uploads::Uploads as _;
use crate::store::{Result, StoreError, Upload};

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
