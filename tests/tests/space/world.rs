//! What the clients of the chaos share, and what happened to them.

use crate::commands::Site;
use crate::model::Layer;
use lockgate_e2e::Backend;
use std::sync::RwLock;
use std::time::Duration;

/// What all clients see.
pub(crate) struct World {
    pub(crate) site: Site,
    pub(crate) layers: Vec<Layer>,
    /// What was deleted more lately comes back.
    pub(crate) way_back: Duration,
    /// Where nodes listen, or did a moment ago.
    pub(crate) nodes: RwLock<Vec<String>>,
    /// Held by who runs a command: it may have the directory, and a node that is started then is refused.
    pub(crate) commands: RwLock<()>,
}

impl World {
    /// Starts a node.
    pub(crate) fn serve(&self) -> Backend {
        let _none = self.site.is_a_directory().then(|| self.commands.write().expect("no client has failed"));
        self.site.serve()
    }
}

/// What happened.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) pushed: u64,
    pub(crate) uploaded: u64,
    pub(crate) mounted: u64,
    pub(crate) moved: u64,
    pub(crate) deleted: u64,
    pub(crate) restored: u64,
    /// Pulls of images, each whole.
    pub(crate) pulled: u64,
    /// Pushes that were told that a layer is gone meanwhile, and began anew.
    pub(crate) again: u64,
    /// Answers of 503, as from one who waits for a collector that was killed.
    pub(crate) put_off: u64,
    /// Acts without an answer.
    pub(crate) unanswered: u64,
    /// What was asked back and was gone, in time.
    pub(crate) too_late: u64,
}
