//! Reading everything again, to find what is damaged.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::outcome::{OperationError, Say};
use super::report;
use crate::registry::Registry;
use crate::store::Hit;

/// From one line of progress to the next, and how often it is written down how far it is.
const INTERVAL: Duration = Duration::from_secs(10);

/// Reads all bytes at the pace of `collect.rate`, and says what is damaged and which images that hits. With `repair`, damaged
/// bytes go out of the way, so that the next push mends them.
pub(super) async fn verify(registry: &Registry, repair: bool, say: Say<'_>) -> Result<(), OperationError> {
    let (store, parts) = (&registry.store, registry.store.parts());
    let rate = registry.collect.rate.of_one();
    let (first, mut damaged) = store.mark().await?;
    if first > 0 {
        say(format!(
            "goes on where a run was cut off, {} in a hundred were read",
            u32::from(first) * 100 / u32::from(parts)
        ));
    }
    let (mut blobs, mut bytes, mut told) = (0, 0, Instant::now());
    for part in first..parts {
        for (digest, size) in store.blobs_of(part).await? {
            let began = Instant::now();
            if let Some(damage) = store.look_at(&digest).await? {
                say(format!("damaged: {digest} has {}", damage.found));
                if repair && store.set_aside(&damage).await? {
                    say("  it is out of the way: push it again".to_owned());
                }
                damaged.push(digest);
            }
            (blobs, bytes) = (blobs + 1, bytes + size);
            tokio::time::sleep(began.elapsed().mul_f64(1.0 / rate - 1.0)).await;
            if told.elapsed() > INTERVAL {
                store.set_mark(part, damaged.clone()).await?;
                let done = u32::from(part) * 100 / u32::from(parts);
                say(format!("{done} % read, {} ({})", report::count(blobs, "blob"), report::size(bytes)));
                told = Instant::now();
            }
        }
    }
    let damaged: HashSet<_> = damaged.into_iter().collect();
    let mut hits = Vec::new();
    let mut after = String::new();
    loop {
        let repositories = store.repositories(&after, 1000).await?;
        let Some(last) = repositories.last() else { break };
        last.as_str().clone_into(&mut after);
        for repository in &repositories {
            hits.extend(store.hits(repository, &damaged).await?);
        }
    }
    store.set_mark(parts, Vec::new()).await?;
    for Hit { repository, manifest, tags, lacks } in &hits {
        let tags = if tags.is_empty() { String::new() } else { format!(" ({})", report::tags(tags)) };
        let lacks: Vec<&str> = lacks.iter().map(lockgate_oci::Digest::as_str).collect();
        say(format!("not whole: {repository}@{manifest}{tags} lacks {}", lacks.join(", ")));
    }
    say(format!("read {} ({})", report::count(blobs, "blob"), report::size(bytes)));
    if damaged.is_empty() {
        return Ok(());
    }
    let what_to_do = if repair { "push the images that are named above again" } else { "run it with --repair" };
    Err(OperationError(format!("{} damaged: {what_to_do}", report::count(damaged.len() as u64, "blob"))))
}
