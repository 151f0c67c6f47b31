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
    /// The image, if the layer is said to be there.
    Ask,
    /// The layer, in another repository.
    Mount,
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

async fn put(client: &Client) -> Answer {
    let (content, kind) = (image(), "application/vnd.oci.image.manifest.v1+json");
    client.ask("PUT", &format!("/v2/a/manifests/{}", digest(&content)), &[("content-type", kind)], content).await
}

async fn upload(client: &Client) {
    let session = client.begin().await;
    client.finish(&session, LAYER, &digest_of(Algorithm::Sha256, LAYER)).await;
}

async fn act(client: &Client, act: Act) {
    let layer = digest(LAYER);
    match act {
        Act::Ask => {
            if client.ask("HEAD", &format!("/v2/a/blobs/{layer}"), &[], "").await.status == 200 {
                put(client).await;
            }
        }
        Act::Mount => drop(client.ask("POST", &format!("/v2/b/blobs/uploads/?mount={layer}&from=a"), &[], "").await),
        // Another one goes on, perhaps, or it died.
        Act::Collect => drop(client.collect().await),
    }
}

/// What is acknowledged and is not there, if anything is. It looks past the registry, which would rely on what it reads.
fn lost(world: &World) -> Result<(), String> {
    let there = world.objects.everything();
    let is_there = |key: &str| there.iter().any(|(other, _)| other == key);
    let hex = |content: &[u8]| digest(content).replace("sha256:", "");
    let bytes =
        |content: &[u8]| format!("docker/registry/v2/blobs/sha256/{}/{}/data", &hex(content)[..2], hex(content));
    let link = |repository: &str, kind: &str, content: &[u8]| {
        format!("docker/registry/v2/repositories/{repository}/{kind}/sha256/{}/link", hex(content))
    };
    let image = image().into_bytes();
    let layer = vec![link("a", "_layers", LAYER), bytes(LAYER)];
    let of_image = [&layer[..], &[link("a", "_manifests/revisions", &image), bytes(&image)]].concat();
    for answer in world.answers.iter().flatten() {
        let needs = match () {
            () if answer.asked.contains(&digest(&image)) && answer.is("PUT", 201) => &of_image,
            () if answer.asked.contains("/uploads/") && answer.is("PUT", 201) || answer.is("HEAD", 200) => &layer,
            () if answer.asked.contains("mount=") && answer.status == 201 => {
                &vec![link("b", "_layers", LAYER), bytes(LAYER)]
            }
            () => continue,
        };
        if let Some(gone) = needs.iter().find(|key| !is_there(key)) {
            return Err(format!("{gone} is gone: {answer:?}"));
        }
    }
    Ok(())
}

/// After a run that condemns a layer that nothing names, every schedule of what a client does and of another run.
fn explore(client_does: Act) {
    let programs = [client_does, Act::Collect];
    let objects = Arc::new(MemoryObjects::default());
    let client = Client::over(objects.clone(), 100, (64, 3), Arc::default());
    runtime().block_on(async {
        client.index().await;
        upload(&client).await;
        objects.age(2 * DAY);
        let condemned = client.collect().await.expect("it runs").condemned;
        assert!(condemned >= 2, "the layer and its link");
    });
    let always: Claim = Box::new(|world| {
        let holds = lost(&world);
        Box::pin(async move { holds })
    });
    let finally: Claim = Box::new(|world| {
        Box::pin(async move {
            for _ in 0..2 {
                world.client.collect().await.map_err(|error| format!("nothing is collected: {error}"))?;
            }
            lost(&world)
        })
    });
    let program =
        |one: Act| -> Program { Box::new(move |[client, _]| Box::pin(async move { act(&client, one).await })) };
    let scenario = Scenario {
        found: objects.copied(),
        part_size: 100,
        tails: (64, 3),
        aside: ASIDE,
        programs: programs.into_iter().map(program).collect(),
        faults: 0,
        stalls: 0,
        always,
        finally,
    };
    holds(&format!("{programs:?}"), &scenario);
}

#[test]
fn what_is_said_to_be_there_beside_a_run_is_there_when_it_is_pushed() {
    explore(Act::Ask);
}

#[test]
fn a_mount_beside_a_run_that_takes_its_source_is_there_or_must_be_uploaded() {
    explore(Act::Mount);
}
