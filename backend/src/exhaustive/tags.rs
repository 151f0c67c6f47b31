//! Tags: what was pushed is there until somebody deletes it, whoever does what beside.

use std::sync::Arc;

use lockgate_oci::Algorithm;

use super::client::Client;
use super::explorer::{Claim, Program, Scenario, World, holds, runtime};
use super::gate::ASIDE;
use super::orders::{Act, There, explained};
use crate::hasher::digest_of;
use crate::objects::MemoryObjects;

/// Two images without anything in them.
const MANIFESTS: [&str; 2] = [
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[ ]}"#,
];

fn digest(manifest: usize) -> String {
    digest_of(Algorithm::Sha256, MANIFESTS[manifest].as_bytes()).to_string()
}

async fn act(client: &Client, act: Act) {
    match act {
        Act::Push(manifest) => client.push("v1", MANIFESTS[manifest], &[]).await,
        Act::PushNew(manifest) => client.push("v1", MANIFESTS[manifest], &[("if-none-match", "*")]).await,
        Act::DeleteTag => client.delete("v1").await,
        Act::DeleteManifest(manifest) => client.delete(digest(manifest)).await,
    };
}

async fn there(client: &Client) -> Result<There, String> {
    let mut there = There::default();
    for manifest in 0..MANIFESTS.len() {
        if client.manifest(digest(manifest)).await.status == 200 {
            there.manifests.insert(manifest);
        }
    }
    let tagged = client.manifest("v1").await;
    there.tag = MANIFESTS.iter().position(|manifest| tagged.status == 200 && tagged.body == *manifest);
    if there.tag.is_some() {
        let list = client.ask("GET", "/v2/a/tags/list", &[], "").await;
        if !list.body.windows(4).any(|four| four == b"\"v1\"") {
            return Err(format!("a tag that is there is not in the list: {list:?}"));
        }
    }
    Ok(there)
}

async fn in_some_order(found: &There, programs: &[Vec<Act>], world: &World) -> Result<(), String> {
    let there = there(&world.client).await?;
    if let Some(answer) = world.answers.iter().flatten().find(|answer| answer.status >= 500 && !world.has_faults) {
        return Err(format!("an error without a cause: {answer:?}"));
    }
    if explained(found, programs, &world.answers, &there) {
        Ok(())
    } else {
        Err(format!("no order explains that there is {there:?}"))
    }
}

/// No tag is left behind that would come back with its manifest, unless whoever deletes has died.
fn stands(world: &World) -> Result<(), String> {
    let there = world.objects.everything();
    let tag = there.iter().find(|(key, _)| key.ends_with("/tags/v1/current/link"));
    let Some((_, link)) = tag.filter(|_| !world.has_faults) else { return Ok(()) };
    let hex = String::from_utf8_lossy(link).replace("sha256:", "");
    let has_revision = there.iter().any(|(key, _)| key.contains("/revisions/") && key.contains(&hex));
    if has_revision { Ok(()) } else { Err(format!("the tag stands on {hex}, which is gone")) }
}

/// Of these programs, which begin at the same time over what an earlier one left, every schedule.
fn explore(found: &[Act], programs: &[&[Act]], (faults, stalls): (usize, usize)) {
    let objects = Arc::new(MemoryObjects::default());
    let client = Client::over(objects.clone(), 100, (64, 3), Arc::default());
    let before = runtime().block_on(async {
        client.index().await;
        for one in found {
            act(&client, *one).await;
        }
        there(&client).await.expect("what is there is listed")
    });
    let acts: Vec<Vec<Act>> = programs.iter().map(|acts| acts.to_vec()).collect();
    let claim = || -> Claim {
        let (before, acts) = (before.clone(), acts.clone());
        Box::new(move |world| {
            let (before, acts) = (before.clone(), acts.clone());
            Box::pin(async move { in_some_order(&before, &acts, &world).await })
        })
    };
    let pushed_again: Claim = Box::new(|world| {
        Box::pin(async move {
            stands(&world)?;
            act(&world.client, Act::Push(1)).await;
            let now = there(&world.client).await?;
            if now.tag == Some(1) { Ok(()) } else { Err(format!("a push leaves {now:?}")) }
        })
    });
    // The first requests of a program go to one node, the others to another.
    let program = |acts: &Vec<Act>| -> Program {
        let acts = acts.clone();
        Box::new(move |[client, other]| {
            let acts = acts.clone();
            Box::pin(async move {
                for (number, one) in acts.into_iter().enumerate() {
                    act(if number == 0 { &client } else { &other }, one).await;
                }
            })
        })
    };
    let scenario = Scenario {
        found: objects.copied(),
        part_size: 100,
        tails: (64, 3),
        aside: ASIDE,
        programs: acts.iter().map(program).collect(),
        faults,
        stalls,
        always: claim(),
        finally: pushed_again,
    };
    holds(&format!("{programs:?} over {found:?}"), &scenario);
}

#[test]
fn of_two_pushes_to_a_tag_one_comes_last() {
    explore(&[], &[&[Act::Push(0)], &[Act::Push(1)]], (1, 0));
    explore(&[Act::Push(0)], &[&[Act::Push(0)], &[Act::Push(1)]], (1, 0));
}

#[test]
fn of_two_pushes_that_must_be_new_one_is() {
    explore(&[], &[&[Act::PushNew(0)], &[Act::PushNew(1)]], (1, 0));
    explore(&[], &[&[Act::PushNew(0)], &[Act::PushNew(0)]], (1, 0));
}

#[test]
fn a_push_beside_the_deletion_of_its_tag_is_there_or_was_deleted_whole() {
    explore(&[Act::Push(0)], &[&[Act::Push(1)], &[Act::DeleteTag]], (1, 0));
    explore(&[Act::Push(0)], &[&[Act::Push(0)], &[Act::DeleteTag]], (1, 0));
    explore(&[Act::Push(0)], &[&[Act::PushNew(0)], &[Act::DeleteTag]], (1, 0));
}

#[test]
fn of_two_who_delete_a_tag_one_does() {
    explore(&[Act::Push(0)], &[&[Act::DeleteTag], &[Act::DeleteTag]], (1, 0));
    explore(&[Act::Push(0)], &[&[Act::DeleteTag, Act::Push(1)], &[Act::DeleteTag]], (1, 0));
}

#[test]
fn a_push_beside_the_deletion_of_its_manifest_is_there_or_was_deleted_whole() {
    explore(&[Act::Push(0)], &[&[Act::Push(0)], &[Act::DeleteManifest(0)]], (1, 0));
    explore(&[Act::Push(0), Act::Push(1)], &[&[Act::Push(0)], &[Act::DeleteManifest(0)]], (1, 0));
}

#[test]
fn a_tag_that_is_moved_while_its_manifest_is_deleted_stays_with_the_other() {
    explore(&[Act::Push(0)], &[&[Act::Push(1)], &[Act::DeleteManifest(0)]], (0, 0));
}

#[test]
fn a_deletion_takes_nothing_that_was_pushed_after_it() {
    explore(&[Act::Push(0)], &[&[Act::DeleteTag, Act::Push(0)]], (1, 1));
    explore(&[Act::Push(0)], &[&[Act::DeleteManifest(0), Act::Push(0)]], (1, 1));
    explore(&[Act::Push(0)], &[&[Act::DeleteManifest(0), Act::Push(0)], &[Act::Push(1)]], (0, 0));
}

#[test]
fn a_deletion_that_takes_more_than_a_minute_takes_nothing_that_was_pushed_meanwhile() {
    explore(&[Act::Push(0)], &[&[Act::DeleteTag], &[Act::Push(1)]], (0, 1));
    explore(&[Act::Push(0)], &[&[Act::DeleteManifest(0)], &[Act::Push(0)]], (0, 1));
}
