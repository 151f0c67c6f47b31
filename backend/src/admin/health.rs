//! Whether a program can do its work: each of its parts says it of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde::Serialize;

/// How long a part is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A part of a program.
#[async_trait]
pub trait Part: Send + Sync {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Looks whether it can do its work.
    ///
    /// # Errors
    /// Why it cannot.
    async fn check(&self) -> Result<String, String>;

    /// Brings those of its metrics up to date that are not counted as it goes.
    async fn refresh(&self) {}
}

/// The parts of a program.
#[derive(Default)]
pub struct Health {
    parts: Vec<Arc<dyn Part>>,
    is_ending: AtomicBool,
}

/// What `/readyz` answers.
#[derive(Serialize)]
struct Report {
    ready: bool,
    /// Whether it ends, and takes nobody in any more.
    draining: bool,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    reason: String,
}

impl Health {
    /// Has this part looked at, too.
    pub fn watch(&mut self, part: impl Part + 'static) {
        self.parts.push(Arc::new(part));
    }

    /// The program takes nobody in from here on, and whoever sends it clients sends them elsewhere.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Whether all is well, and what each part says, as JSON.
    pub(super) async fn look(&self) -> (bool, String) {
        let draining = self.is_ending.load(Ordering::Relaxed);
        let checks = join_all(self.parts.iter().map(|part| check(&**part))).await;
        let ready = !draining && checks.iter().all(|check| check.ok);
        let report = Report { ready, draining, checks };
        let report = serde_json::to_string_pretty(&report).expect("texts and truth values are written as JSON");
        (ready, report + "\n")
    }

    pub(super) async fn refresh(&self) {
        // Of what does not come in time, the last is told.
        let _ = tokio::time::timeout(PATIENCE, join_all(self.parts.iter().map(|part| part.refresh()))).await;
    }
}

async fn check(part: &dyn Part) -> Check {
    let late = || Err(format!("nothing was heard within {} s", PATIENCE.as_secs()));
    let looked = tokio::time::timeout(PATIENCE, part.check()).await.unwrap_or_else(|_| late());
    let (ok, reason) = looked.map_or_else(|reason| (false, reason), |reason| (true, reason));
    Check { name: part.name(), ok, reason }
}
