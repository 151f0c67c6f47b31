//! What is being deleted, while others may write it anew.
//!
//! No store removes an object only if it is unchanged. So whoever deletes says so first, in an object, and whoever writes
//! waits until that is gone. One who died says so for ever: after [`DYING`] he is taken for gone, and whoever is only slow
//! stops in time.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use uuid::Uuid;

use super::node::Node;
use crate::objects::{Object, ObjectsError, REMOVAL, Result};

/// How long something may be in the state of being deleted, until whoever deletes it is taken for gone. The store's clock
/// is compared with this machine's, which `check` allows ten seconds.
const DYING: Duration = Duration::from_secs(60);

/// From one look at what is being deleted to the next.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// Whether whoever wrote this, in order to delete, may yet remove something.
pub(super) fn is_under_way(object: &Object) -> bool {
    SystemTime::now().duration_since(object.stat.modified).map_or(true, |age| age < DYING)
}

/// A deletion of one's own: when it began, where others could take it for given up.
pub(super) struct Deletion(Option<Instant>);

impl Deletion {
    /// Begins before it is said.
    pub(super) fn begin(node: &Node) -> Self {
        Self(node.objects.alone().is_none().then(Instant::now))
    }

    /// Fails when others will soon take it for given up: a removal that is sent now may arrive as late as [`REMOVAL`].
    pub(super) fn goes_on(&self) -> Result<()> {
        if self.0.is_none_or(|began| began.elapsed() < (DYING - REMOVAL) * 2 / 3) {
            return Ok(());
        }
        let message = "the storage was too slow to delete this at once; delete it again in a minute";
        Err(ObjectsError::Unavailable(message.to_owned()))
    }

    pub(super) async fn remove(&self, node: &Node, key: &str) -> Result<()> {
        self.goes_on()?;
        node.objects.remove(key).await
    }
}

/// Says that something is being deleted, once nobody else says so.
pub(super) async fn announce(node: &Node, key: &str) -> Result<Deletion> {
    loop {
        let found = node.objects.get(key).await?;
        let (deletion, nonce) = (Deletion::begin(node), Uuid::new_v4().to_string().into());
        let announced = match &found {
            Some(other) if is_under_way(other) => None,
            Some(over) => node.objects.swap(key, &over.stat.version, nonce).await?,
            None => node.objects.create(key, nonce).await?,
        };
        match announced {
            Some(_) => return Ok(deletion),
            None => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Waits until nobody deletes something. Returns whether somebody did.
pub(super) async fn has_waited(node: &Node, key: &str) -> Result<bool> {
    let mut has_waited = false;
    while node.objects.get(key).await?.as_ref().is_some_and(is_under_way) {
        has_waited = true;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(has_waited)
}
