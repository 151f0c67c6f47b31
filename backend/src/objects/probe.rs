//! Tries whether a store keeps what is promised of it, before anything relies on it.

use bytes::Bytes;
use futures_util::future::join_all;
use uuid::Uuid;

use super::{BucketObjects, ObjectsError, Version};

/// How often a race is run: one that a store does not decide can be decided by chance. Some servers take seconds for each,
/// which whoever checks a configuration has, and a node that starts again has not.
pub(crate) const ROUNDS: usize = 4;

/// How many ask at once.
const RACERS: usize = 8;

/// What a store does not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    /// It cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// It does not keep conditions, so that one program at a time may use it.
    #[error("{0}")]
    Unconditional(String),
    /// It keeps what was deleted.
    #[error("{0}")]
    Wasteful(String),
}

impl From<ObjectsError> for Problem {
    fn from(error: ObjectsError) -> Self {
        Self::Unusable(error.to_string())
    }
}

/// What is wrong with a store, by so many rounds of races. It takes some 10 small requests and 25 a round, and leaves
/// nothing behind. `doors` are the ways to it, at least one: each may be a server that knows what it was asked itself.
pub(crate) async fn probe(doors: &[&dyn BucketObjects], rounds: usize) -> Vec<Problem> {
    let directory = format!(".lockgate/probe/{}/", Uuid::new_v4());
    let objects = doors[0];
    // What cannot be reached or read is told once.
    if let Err(error) = objects.names(&directory, "", 1).await {
        return vec![error.into()];
    }
    let mut problems = Vec::new();
    if let Err(problem) = tried(doors, &directory, rounds, &mut problems).await {
        problems.push(problem);
    }
    for name in ["object", "swapped", "created0", "created1", "created2", "created3"] {
        // What cannot be removed has been told, and harms nobody.
        let _ = objects.remove(&format!("{directory}{name}")).await;
    }
    problems
}

/// Until it cannot go on.
async fn tried(
    doors: &[&dyn BucketObjects],
    directory: &str,
    rounds: usize,
    problems: &mut Vec<Problem>,
) -> Result<(), Problem> {
    let (key, objects) = (format!("{directory}object"), doors[0]);
    objects.put(&key, Bytes::from_static(b"probe"), None).await?;
    let (mut is_listed, mut is_read, mut is_gone) = (true, true, true);
    for door in doors {
        is_listed &= door.names(directory, "", 10).await? == ["object"];
        is_read &= door.get(&key).await?.is_some_and(|object| object.bytes == "probe");
    }
    problems.extend(conditions(doors, directory, rounds).await?);
    objects.remove(&key).await?;
    for door in doors {
        is_gone &= door.get(&key).await?.is_none();
    }
    for (is_so, what) in [
        (is_listed, "what was just written is not in a listing"),
        (is_read, "what was just written is not read back"),
        (is_gone, "what was just removed is still read"),
    ] {
        if !is_so {
            problems.push(Problem::Unusable(format!("{what}; no registry can rely on such a store")));
        }
    }
    Ok(())
}

/// The first condition that is not kept.
async fn conditions(doors: &[&dyn BucketObjects], directory: &str, rounds: usize) -> Result<Option<Problem>, Problem> {
    let objects = doors[0];
    let door = |number: usize| doors[number % doors.len()];
    let broken = |what: &str| Ok(Some(Problem::Unconditional(what.to_owned())));
    let racer = |number: usize| Bytes::from(format!("racer {number} {}", Uuid::new_v4()));
    let key = format!("{directory}swapped");
    if objects.swap(&key, &stale(objects, directory).await?, racer(0)).await?.is_some() {
        return broken("it writes under If-Match where there is no object");
    }
    let known = stale(objects, directory).await?;
    if objects.create(&format!("{directory}object"), racer(0)).await?.is_some() {
        return broken("it writes under If-None-Match: * where there is an object");
    }
    objects.put(&format!("{directory}object"), racer(1), None).await?;
    if objects.swap(&format!("{directory}object"), &known, racer(2)).await?.is_some() {
        return broken("it writes under If-Match though the object has changed");
    }
    for round in 0..rounds {
        let created = format!("{directory}created{round}");
        let told = join_all((0..RACERS).map(|number| door(number).create(&created, racer(number)))).await;
        if !has_one_winner(told)? {
            return broken("of several who create one object at once (If-None-Match: *) not exactly one wins");
        }
        objects.put(&key, racer(0), None).await?;
        let known = objects.get(&key).await?.ok_or_else(|| Problem::Unusable("what was written is gone".to_owned()))?;
        let told =
            join_all((0..RACERS).map(|number| door(number).swap(&key, &known.stat.version, racer(number)))).await;
        if !has_one_winner(told)? {
            return broken("of several who change one object at once (If-Match) not exactly one wins");
        }
        if objects.swap(&key, &known.stat.version, racer(0)).await?.is_some() {
            return broken("it writes under If-Match though the object has changed");
        }
    }
    Ok(None)
}

/// A version of some object.
async fn stale(objects: &dyn BucketObjects, directory: &str) -> Result<Version, Problem> {
    let stat = objects.stat(&format!("{directory}object")).await?;
    stat.map(|stat| stat.version).ok_or_else(|| Problem::Unusable("what was just written is not there".to_owned()))
}

/// Whether one has won. Of whom nobody knows whether it has, it cannot be told; that another has is enough.
fn has_one_winner(told: Vec<Result<Option<Version>, ObjectsError>>) -> Result<bool, Problem> {
    let winners = told.iter().filter(|told| matches!(told, Ok(Some(_)))).count();
    let error = told.into_iter().find_map(Result::err);
    match (winners, error) {
        (0, Some(error)) => Err(error.into()),
        (winners, _) => Ok(winners == 1),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;
    use crate::objects::{Forgotten, MemoryObjects};

    async fn left_in(objects: &dyn BucketObjects) -> usize {
        objects.scan("").try_collect::<Vec<_>>().await.unwrap().len()
    }

    #[tokio::test]
    async fn nothing_is_wrong_with_memory_and_nothing_is_left_in_it() {
        let objects = MemoryObjects::default();
        assert_eq!(probe(&[&objects], ROUNDS).await, []);
        assert_eq!(left_in(&objects).await, 0);
    }

    #[tokio::test]
    async fn two_doors_that_do_not_lead_to_one_store_are_told() {
        let stores = [MemoryObjects::default(), MemoryObjects::default()];
        let problems = probe(&[&stores[0], &stores[1]], ROUNDS).await;
        let told = |what: &str| problems.iter().any(|problem| problem.to_string().contains(what));
        assert!(told("not in a listing") && told("not read back") && told("not exactly one wins"), "{problems:?}");
        assert_eq!(probe(&[&stores[0], &stores[0]], ROUNDS).await, []);
    }

    #[tokio::test]
    async fn a_condition_that_is_not_kept_is_told() {
        for (forgotten, header) in [(Forgotten::Create, "If-None-Match"), (Forgotten::Swap, "If-Match")] {
            for rounds in [0, ROUNDS] {
                let objects = MemoryObjects::forgetting(forgotten);
                let problems = probe(&[&objects], rounds).await;
                assert!(
                    matches!(&problems[..], [Problem::Unconditional(what)] if what.contains(header)),
                    "{problems:?}"
                );
                assert_eq!(left_in(&objects).await, 0);
            }
        }
    }
}
