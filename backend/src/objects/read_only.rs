//! Objects as somebody has them who must not write.

use std::sync::Arc;

use futures_util::stream::BoxStream;

use super::{Entry, Object, Objects, Result};

/// Objects without what writes.
pub(crate) struct ReadOnly(Arc<dyn Objects>);

impl ReadOnly {
    pub(crate) fn new(objects: &Arc<dyn Objects>) -> Self {
        Self(Arc::clone(objects))
    }

    /// As [`Objects::get`].
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Object>> {
        self.0.get(key).await
    }

    /// As [`Objects::scan`].
    pub(crate) fn scan(&self, prefix: &str) -> BoxStream<'static, Result<Entry>> {
        self.0.scan(prefix)
    }
}
