//! How connections learn that the process takes no more of them.
//!
//! Each finishes the request in hand, and its answer says `Connection: close`. A client between two
//! requests has not heard that, and may have sent its next one just when the connection is closed: so a
//! connection without a request is kept for a while, and answers what still comes.

use std::time::Duration;

use tokio::sync::watch;

/// The side that decides.
pub(super) struct Stop {
    patience: watch::Sender<Option<Duration>>,
}

/// The side of the connections.
#[derive(Debug, Clone)]
pub(super) struct Stopping {
    patience: watch::Receiver<Option<Duration>>,
}

impl Stop {
    /// Nothing stops yet.
    pub(super) fn new() -> (Self, Stopping) {
        let (patience, patience_seen) = watch::channel(None);
        (Self { patience }, Stopping { patience: patience_seen })
    }

    /// Every connection ends with the request in hand, and one that has none after `patience`.
    pub(super) fn begin(&self, patience: Duration) {
        self.patience.send_replace(Some(patience));
    }
}

impl Stopping {
    /// Whether an answer is the last one on its connection.
    pub(super) fn is_told(&self) -> bool {
        self.patience.borrow().is_some()
    }

    /// Resolves when that is so.
    pub(super) async fn told(&self) {
        // A sender that is gone stops as well.
        let _ = self.patience.clone().wait_for(Option::is_some).await;
    }

    /// Resolves when a client that says nothing was waited for long enough.
    pub(super) async fn silence(&self) {
        let mut told = self.patience.clone();
        loop {
            let patience = *told.borrow_and_update();
            let over = async {
                match patience {
                    Some(patience) => tokio::time::sleep(patience).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => return,
                () = changed(&mut told) => {}
            }
        }
    }
}

/// Resolves at the next change; never where none can come.
async fn changed(told: &mut watch::Receiver<Option<Duration>>) {
    if told.changed().await.is_err() {
        std::future::pending().await
    }
}
