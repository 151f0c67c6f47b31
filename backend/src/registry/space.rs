//! What keeps a registry from growing for ever.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt as _;
use lockgate_oci::{Digest, RepositoryName, TrashId};

use super::store::ObjectStore;
use super::{collect, keys, trash, usage, verify};
use crate::metrics::METRICS;
use crate::objects::Alone;
use crate::store::{
    CollectOptions, Collected, Damage, Explained, Hit, Item, Plan, Result, Space, Thing, Trashed, Usage,
};

#[async_trait]
impl Space for ObjectStore {
    async fn free(&self) -> Result<Option<u64>> {
        self.node.run(|node| async move { Ok(node.objects.alone().map(Alone::free).transpose()?) }).await
    }

    async fn trash(&self, repository: Option<&RepositoryName>) -> Result<Vec<Trashed>> {
        let repository = repository.cloned();
        self.node.run(move |node| async move { trash::list(&node, repository.as_ref()).await }).await
    }

    async fn trashed(&self, repository: &RepositoryName, id: &TrashId) -> Result<Option<Trashed>> {
        let (repository, id) = (repository.clone(), *id);
        self.node.run(move |node| async move { trash::read(&node, &repository, &id).await }).await
    }

    async fn manifest_bytes(&self, digest: &Digest) -> Result<Option<Bytes>> {
        let digest = digest.clone();
        self.node.run(move |node| async move { trash::manifest(&node, &digest).await }).await
    }

    async fn relink_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.node
            .run(move |node| async move {
                if !node.is_kept(&digest).await? {
                    return Ok(false);
                }
                node.link_layer(&repository, &digest).await?;
                Ok(node.is_kept(&digest).await?)
            })
            .await
    }

    async fn forget(&self, trashed: &Trashed) -> Result<()> {
        let key = keys::trashed(&trashed.repository, &trashed.id);
        self.node.run(move |node| async move { Ok(node.objects.remove(&key).await?) }).await
    }

    async fn empty_trash(&self, older_than: Duration) -> Result<usize> {
        self.node.run(move |node| async move { trash::empty(&node, older_than).await }).await
    }

    async fn clean_up_after_collector(&self) -> Result<()> {
        self.node.run(move |node| async move { collect::clean_up(&node).boxed().await }).await
    }

    fn parts(&self) -> u16 {
        verify::PARTS
    }

    async fn mark(&self) -> Result<(u16, Vec<Digest>)> {
        self.node.run(move |node| async move { verify::mark(&node).await }).await
    }

    async fn set_mark(&self, part: u16, damaged: Vec<Digest>) -> Result<()> {
        self.node.run(move |node| async move { verify::set_mark(&node, part, damaged).await }).await
    }

    async fn blobs_of(&self, part: u16) -> Result<Vec<(Digest, u64)>> {
        self.node.run(move |node| async move { verify::blobs(&node, part).await }).await
    }

    async fn look_at(&self, digest: &Digest) -> Result<Option<Damage>> {
        verify::look_at(&self.node, digest).await
    }

    async fn set_aside(&self, damage: &Damage) -> Result<bool> {
        let damage = damage.clone();
        self.node.run(move |node| async move { collect::set_aside(&node, &damage).boxed().await }).await
    }

    async fn hits(&self, repository: &RepositoryName, damaged: &HashSet<Digest>) -> Result<Vec<Hit>> {
        let (repository, damaged) = (repository.clone(), damaged.clone());
        self.node.run(move |node| async move { verify::hits(&node, &repository, &damaged).boxed().await }).await
    }

    fn note_pull(&self, repository: &RepositoryName, digest: &Digest) {
        self.node.pulls.note(repository, digest);
    }

    async fn write_pulls(&self) -> Result<()> {
        self.node.run(move |node| async move { Ok(collect::write_pulls(&node).await?) }).await
    }

    fn note_push(&self, repository: &RepositoryName, bytes: u64) -> u64 {
        self.node.pushes.note(repository, bytes)
    }

    async fn write_pushes(&self) -> Result<()> {
        self.node.run(move |node| async move { Ok(usage::write(&node).await?) }).await
    }

    async fn usage(&self) -> Result<Usage> {
        self.node.run(move |node| async move { usage::known(&node).await }).await
    }

    async fn count(&self, options: &CollectOptions) -> Result<()> {
        let options = options.clone();
        self.node
            .run(move |node| async move {
                let counting = usage::Counting::begin(&node).await?;
                collect::count(&node, &options, counting).boxed().await
            })
            .await
    }

    async fn plan(&self, options: &CollectOptions) -> Result<Plan> {
        let options = options.clone();
        self.node.run(move |node| async move { collect::plan(&node, &options).boxed().await }).await
    }

    async fn explain(&self, options: &CollectOptions, thing: &Thing) -> Result<Explained> {
        let (options, thing) = (options.clone(), thing.clone());
        self.node.run(move |node| async move { collect::explain(&node, &options, thing).boxed().await }).await
    }

    async fn collect(&self, options: &CollectOptions, only: Option<&HashSet<Item>>) -> Result<Collected> {
        let (options, only) = (options.clone(), only.cloned());
        let run = self.node.run(move |node| async move { collect::run(&node, &options, only.as_ref()).boxed().await });
        let collected = run.await;
        METRICS.collected(collected.as_ref().ok().map(|collected| (collected.removed, collected.freed)));
        collected
    }
}
