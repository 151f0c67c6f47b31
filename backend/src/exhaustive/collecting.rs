//! The collector beside requests: what was answered is there whole, whatever a run removes meanwhile.
//!
//! A listing is one call here, so that a run sees links as they are at one moment; that they come one by one is in the
//! model of the protocol (`tests/collection_protocol`).

use std::sync::Arc;
use std::time::Duration;

use lockgate_oci::Algorithm;

use super::client::{Answer, Client};
use super::explorer::{Claim, Program, Scenario, World, holds, runtime};
use crate::hasher::digest_of;
use crate::objects::MemoryObjects;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LAYER: &[u8] = b"layer";

/// What the collector alone writes, and what nobody removes.
const ASIDE: &[&str] = &[
    ".lockgate/names/repositories/",
    ".lockgate/clock",
    ".lockgate/pulled",
    ".lockgate/pulls/",
    ".lockgate/trash/",
    ".lockgate/referrers/",
];

/// What a program does, in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// The image, and its layer where it is said to be missing.
    Push,
    /// The image, if the layer is said to be there.
    Ask,
    /// An index of the image, which is not.
    PushIndex,
    /// The layer, in another repository.
    Mount,
    DeleteImage,
    DeleteLayer,
    Collect,
}

fn digest(content: impl AsRef<[u8]>) -> String {
    digest_of(Algorithm::Sha256, content.as_ref()).to_string()
}

fn image() -> String {
    let (kind, layer) = ("application/vnd.oci.image", digest(LAYER));
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{kind}.manifest.v1+json","config":{{"mediaType":"{kind}.config.v1+json","digest":"{layer}","size":5}},"layers":[]}}"#
    )
}

fn index() -> String {
    let (kind, image) = ("application/vnd.oci.image", image());
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{kind}.index.v1+json","manifests":[{{"mediaType":"{kind}.manifest.v1+json","digest":"{}","size":{}}}]}}"#,
        digest(&image),
        image.len()
    )
}

async fn put(client: &Client, content: String) -> Answer {
    let kind = if content == image() { "manifest" } else { "index" };
    let kind = format!("application/vnd.oci.image.{kind}.v1+json");
    client.ask("PUT", &format!("/v2/a/manifests/{}", digest(&content)), &[("content-type", &kind)], content).await
}

async fn upload(client: &Client) {
    let session = client.begin().await;
    client.finish(&session, LAYER, &digest_of(Algorithm::Sha256, LAYER)).await;
}

async fn act(client: &Client, act: Act) {
    let layer = digest(LAYER);
    match act {
        Act::Push => {
            if put(client, image()).await.status == 400 {
                upload(client).await;
                put(client, image()).await;
            }
        }
        Act::Ask => {
            if client.ask("HEAD", &format!("/v2/a/blobs/{layer}"), &[], "").await.status == 200 {
                put(client, image()).await;
            }
        }
        Act::PushIndex => drop(put(client, index()).await),
        Act::Mount => drop(client.ask("POST", &format!("/v2/b/blobs/uploads/?mount={layer}&from=a"), &[], "").await),
        Act::DeleteImage => drop(client.delete(digest(image())).await),
        Act::DeleteLayer => drop(client.ask("DELETE", &format!("/v2/a/blobs/{layer}"), &[], "").await),
        // Another one goes on, perhaps, or it died.
        Act::Collect => drop(client.collect().await),
    }
}

/// What is acknowledged and is not there, if anything is. It looks past the registry, which would rely on what it reads.
fn lost(world: &World, acts: &[Vec<Act>]) -> Result<(), String> {
    let is_deleted = |act| acts.iter().flatten().any(|other| *other == act);
    let there = world.objects.everything();
    let is_there = |key: &str| there.iter().any(|(other, _)| other == key);
    let hex = |content: &[u8]| digest(content).replace("sha256:", "");
    let bytes =
        |content: &[u8]| format!("docker/registry/v2/blobs/sha256/{}/{}/data", &hex(content)[..2], hex(content));
    let link = |repository: &str, kind: &str, content: &[u8]| {
        format!("docker/registry/v2/repositories/{repository}/{kind}/sha256/{}/link", hex(content))
    };
    let [image, index] = [image(), index()].map(String::into_bytes);
    let layer = vec![link("a", "_layers", LAYER), bytes(LAYER)];
    let of_image = [&layer[..], &[link("a", "_manifests/revisions", &image), bytes(&image)]].concat();
    let of_index = [&of_image[..], &[link("a", "_manifests/revisions", &index), bytes(&index)]].concat();
    for answer in world.answers.iter().flatten() {
        let needs = match () {
            () if answer.asked.contains(&digest(&image)) && answer.is("PUT", 201) && !is_deleted(Act::DeleteImage) => {
                &of_image
            }
            () if answer.asked.contains(&digest(&index)) && answer.is("PUT", 201) => &of_index,
            () if answer.asked.contains("/uploads/") && answer.is("PUT", 201) || answer.is("HEAD", 200) => &layer,
            () if answer.asked.contains("mount=") && answer.status == 201 => {
                &vec![link("b", "_layers", LAYER), bytes(LAYER)]
            }
            () => continue,
        };
        let of_a = |key: &&String| !(is_deleted(Act::DeleteLayer) && **key == layer[0]);
        if let Some(gone) = needs.iter().filter(of_a).find(|key| !is_there(key)) {
            return Err(format!("{gone} is gone: {answer:?}"));
        }
    }
    Ok(())
}

/// After these acts and a run that condemns what is old and unneeded, every schedule of these programs.
fn explore(found: &[Act], programs: &[&[Act]], (faults, stalls): (usize, usize)) {
    let objects = Arc::new(MemoryObjects::default());
    let client = Client::over(objects.clone(), 100, (64, 3), Arc::default());
    runtime().block_on(async {
        client.index().await;
        upload(&client).await;
        for one in found {
            act(&client, *one).await;
        }
        objects.age(2 * DAY);
        let condemned = client.collect().await.expect("it runs").condemned;
        assert!(condemned >= 2, "the layer and its link");
    });
    let acts: Vec<Vec<Act>> = programs.iter().map(|acts| acts.to_vec()).collect();
    let always = || -> Claim {
        let acts = acts.clone();
        Box::new(move |world| {
            let holds = lost(&world, &acts);
            Box::pin(async move { holds })
        })
    };
    let collected: Claim = {
        let acts = acts.clone();
        Box::new(move |world| {
            let acts = acts.clone();
            Box::pin(async move {
                for _ in 0..2 {
                    world.client.collect().await.map_err(|error| format!("nothing is collected: {error}"))?;
                }
                lost(&world, &acts)
            })
        })
    };
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
        always: always(),
        finally: collected,
    };
    holds(&format!("{programs:?} over {found:?}"), &scenario);
}

#[test]
fn a_push_beside_a_run_that_takes_its_layer_is_whole() {
    explore(&[], &[&[Act::Push], &[Act::Collect]], (0, 0));
}

#[test]
fn what_is_said_to_be_there_beside_a_run_is_there_when_it_is_pushed() {
    explore(&[], &[&[Act::Ask], &[Act::Collect]], (0, 0));
}

#[test]
fn a_mount_beside_a_run_that_takes_its_source_is_there_or_must_be_uploaded() {
    explore(&[], &[&[Act::Mount], &[Act::Collect]], (0, 0));
}

#[test]
#[ignore = "takes many minutes"]
fn an_index_beside_a_push_of_its_image_and_a_run_is_whole() {
    explore(&[Act::Push, Act::DeleteImage], &[&[Act::Push], &[Act::PushIndex], &[Act::Collect]], (0, 0));
}

#[test]
#[ignore = "takes many minutes"]
fn what_is_deleted_beside_a_run_takes_nothing_that_was_pushed() {
    explore(&[], &[&[Act::Push], &[Act::DeleteLayer], &[Act::Collect]], (0, 0));
}
