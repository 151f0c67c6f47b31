//! What there is by name: repositories, their tags, and who refers to a manifest.

pub(super) mod markers;
pub(super) mod tree;

use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use lockgate_oci::{Digest, RepositoryName, Tag};

use crate::objects;
use crate::store::Result;

/// Lists, each in the order of the bytes of its names. One is made for what lies in a bucket, the other for a directory,
/// which is a list itself.
#[async_trait]
pub(super) trait Names: Send + Sync {
    /// The first `limit` repositories that sort after `after`.
    async fn repositories(&self, after: &str, limit: usize) -> Result<Vec<RepositoryName>>;

    /// The first `limit` tags that sort after `after`; `None` when there is no such repository.
    async fn tags(&self, repository: &RepositoryName, after: &str, limit: usize) -> Result<Option<Vec<Tag>>>;

    /// Of those that were put with this subject, the first `limit` that sort after `after`, be they there or not.
    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Digest>>;

    /// Every tag that somebody has put there, whoever it was, in no promised order.
    fn linked_tags(&self, repository: &RepositoryName) -> BoxStream<'static, Result<Tag>>;

    /// Whether looking at every tag costs next to nothing.
    async fn are_few(&self, _repository: &RepositoryName) -> Result<bool> {
        Ok(false)
    }

    /// Lists a repository.
    async fn add_repository(&self, _repository: &RepositoryName) -> objects::Result<()> {
        Ok(())
    }

    /// Lists a tag.
    async fn add_tag(&self, _repository: &RepositoryName, _tag: &Tag) -> objects::Result<()> {
        Ok(())
    }

    /// Lists what another program has put there since, and no more what it has removed: tags that were listed before
    /// `young`, by the store's clock.
    async fn mend(&self, _young: SystemTime) -> Result<()> {
        Ok(())
    }

    /// Lists what another program has put there.
    async fn index(&self) -> Result<()> {
        Ok(())
    }
}
