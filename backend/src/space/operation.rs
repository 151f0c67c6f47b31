//! A command, from what it asks for to what it says. It is the same wherever it runs: in a process of its own, or in the
//! one that has the directory.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::Duration;

use lockgate_oci::{Digest, RepositoryName, Tag};
use serde::{Deserialize, Serialize};

use super::outcome::{OperationError, Say};
use super::report;
use super::restore::{RestoreError, Restored, restore};
use super::verify::verify;
use crate::registry::Registry;
use crate::store::{Collected, Explained, Item, Plan, Taken, Thing, Trashed};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// List what was deleted.
    ListTrash {
        /// In this repository, or in all.
        repository: Option<RepositoryName>,
    },
    /// Bring back what was deleted.
    Restore {
        /// In this repository.
        repository: RepositoryName,
        /// What; everything where it is `None`.
        what: Option<Restorable>,
    },
    /// Give up the way back.
    EmptyTrash {
        /// Of what was deleted so long ago.
        older_than: Duration,
    },
    /// Tell what each repository takes.
    Usage {
        /// The largest first, in place of the order of their names.
        sort: bool,
    },
    /// Read everything, and tell what is damaged.
    Verify {
        /// Whether damaged bytes go out of the way.
        repair: bool,
    },
    /// Tell what a collection would remove.
    Plan,
    /// Tell why something stays, or goes.
    Explain {
        /// Of what.
        thing: Thing,
    },
    /// Remove what nobody needs.
    Collect {
        /// Only what is among these items, as a plan writes them.
        only: Option<Vec<String>>,
    },
}

/// What is brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restorable {
    /// The tag, with the image that it pointed at last.
    Tag(Tag),
    /// The manifest or the blob, with the tags that it had, where they are free.
    Digest(Digest),
}

impl From<RestoreError> for OperationError {
    fn from(error: RestoreError) -> Self {
        Self(error.to_string())
    }
}

impl Operation {
    /// Does it, and says line by line what comes of it.
    ///
    /// # Errors
    /// It could not be done, or not to its end.
    pub async fn run(self, registry: &Registry, say: Say<'_>) -> Result<(), OperationError> {
        match self {
            Self::ListTrash { repository } => {
                let records = registry.store.trash(repository.as_ref()).await?;
                for record in &records {
                    say(report::trashed(record));
                }
                if records.is_empty() {
                    say("the trash is empty".to_owned());
                }
                Ok(())
            }
            Self::Restore { repository, what } => bring_back(registry, &repository, what, say).await,
            Self::EmptyTrash { older_than } => {
                let removed = registry.store.empty_trash(older_than).await?;
                say(format!(
                    "forgot {}: what nobody needs of it goes with the next two collections",
                    report::count(removed as u64, "deletion")
                ));
                Ok(())
            }
            Self::Usage { sort } => {
                let Plan { usage, counts, .. } = registry.store.plan(&registry.collect_options().await?).await?;
                let mut usage: Vec<(RepositoryName, Taken)> = usage.into_iter().collect();
                usage.sort_by(|(one, _), (other, _)| one.cmp(other));
                if sort {
                    usage.sort_by_key(|(_, taken)| Reverse(taken.bytes()));
                }
                say(format!("{:>11}  {:>11}  repository", "own", "shared"));
                usage.iter().for_each(|(repository, taken)| say(report::usage(repository, *taken)));
                say(report::looked_at(&counts));
                Ok(())
            }
            Self::Verify { repair } => verify(registry, repair, say).await,
            Self::Plan => {
                let plan = registry.store.plan(&registry.collect_options().await?).await?;
                let bytes = plan.candidates.iter().map(|candidate| candidate.bytes).sum();
                let candidates = plan.candidates.len() as u64;
                say(format!("# {}", report::looked_at(&plan.counts)));
                say(format!("# {} that nobody needs, {}", report::count(candidates, "object"), report::size(bytes)));
                say("# Take out the lines of what is to stay, and run: lockgate-backend collect --apply FILE"
                    .to_owned());
                plan.candidates.iter().for_each(|candidate| say(report::candidate(candidate)));
                Ok(())
            }
            Self::Explain { thing } => explain(registry, &thing, say).await,
            Self::Collect { only } => collect(registry, only, say).await,
        }
    }
}

async fn explain(registry: &Registry, thing: &Thing, say: Say<'_>) -> Result<(), OperationError> {
    let Explained { is_there, goes, stays } = registry.store.explain(&registry.collect_options().await?, thing).await?;
    if !is_there {
        return Err(OperationError(format!("there is no {thing}, and the trash has none either")));
    }
    if !goes.is_empty() {
        say("this goes:".to_owned());
        goes.iter().for_each(|candidate| say(format!("  {}", report::candidate(candidate))));
    }
    if !stays.is_empty() {
        say(format!("{thing} stays:"));
        stays.iter().for_each(|reason| say(format!("  {reason}")));
    }
    if goes.is_empty() && stays.is_empty() {
        say(format!("nobody needs {thing}: it goes in one of the next runs, after what else goes"));
    }
    Ok(())
}

/// Two runs: the first finds, and the second removes what is needed still by nobody.
async fn collect(registry: &Registry, only: Option<Vec<String>>, say: Say<'_>) -> Result<(), OperationError> {
    let items = only.map(|only| only.iter().map(|line| line.parse::<Item>()).collect::<Result<HashSet<Item>, _>>());
    let items = items.transpose().map_err(|error| OperationError(error.to_string()))?;
    let options = registry.collect_options().await?;
    let first = registry.store.collect(&options, items.as_ref()).await?;
    say(report::looked_at(&first.counts));
    let second = registry.store.collect(&options, items.as_ref()).await?;
    let tags = first.tags + second.tags;
    let both = Collected { tags, removed: first.removed + second.removed, freed: first.freed + second.freed, ..second };
    say(report::collected(&both));
    // What it has made room for can be pushed at once.
    registry.refresh_quotas().await;
    Ok(())
}

async fn bring_back(
    registry: &Registry,
    repository: &RepositoryName,
    what: Option<Restorable>,
    say: Say<'_>,
) -> Result<(), OperationError> {
    let records = registry.store.trash(Some(repository)).await?;
    let is_meant = |record: &&Trashed| match &what {
        None => true,
        Some(Restorable::Tag(tag)) => record.deleted.tags.contains(tag),
        Some(Restorable::Digest(digest)) => record.deleted.digest == *digest,
    };
    let mut meant = records.iter().filter(is_meant).peekable();
    if meant.peek().is_none() {
        return Err(OperationError(format!(
            "the trash has no such thing of {repository}: lockgate-backend trash list {repository} shows what it has"
        )));
    }
    for record in meant {
        let Restored { tags, taken } = match &what {
            Some(Restorable::Tag(tag)) => restore(registry, record, std::slice::from_ref(tag), true, None).await?,
            _ => restore(registry, record, &record.deleted.tags, false, None).await?,
        };
        let named = if tags.is_empty() { String::new() } else { format!(" as {}", report::tags(&tags)) };
        say(format!("restored {repository}@{}{named}", record.deleted.digest));
        if !taken.is_empty() {
            say(format!("  without {}, which is another image by now", report::tags(&taken)));
        }
        // A tag was this image last.
        if what.is_some() {
            break;
        }
    }
    Ok(())
}
