//! Upload sessions: what clients send, and what must be so.

use std::sync::Arc;
use std::time::Duration;

use lockgate_oci::{Algorithm, Digest};

use super::client::{Answer, Client};
use super::explorer::{Claim, Program, World, runtime};
use crate::hasher::digest_of;
use crate::objects::MemoryObjects;

/// What is uploaded.
pub(super) const CONTENT: &[u8] = b"0123456789";

/// What a client sends of it.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    /// From here to there.
    Patch(usize, usize),
    /// Other bytes than it has there.
    Other(usize, &'static [u8]),
    /// All from here, which makes a blob.
    Finish(usize, Digest),
    /// All from where the session says that it is.
    GoOn,
    /// All of it, in a session of its own.
    Whole,
    Cancel,
}

/// When a session may be gone, or be none that takes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Never,
    /// When it has become a blob.
    Done,
    /// Somebody ends it.
    Cancelled,
    /// Somebody ends it as it was found, so that nothing may be acknowledged any more.
    Refused,
}

pub(super) fn digest() -> Digest {
    digest_of(Algorithm::Sha256, CONTENT)
}

/// A session that holds the beginning, which came in these pieces.
pub(super) fn session(part_size: u64, tails: (usize, usize), cuts: &[usize]) -> (MemoryObjects, String) {
    let objects = Arc::new(MemoryObjects::default());
    let client = Client::over(objects.clone(), part_size, tails, Arc::default());
    let session = runtime().block_on(async {
        client.index().await;
        let session = client.begin().await;
        for cut in [&[0], cuts].concat().windows(2) {
            assert_eq!(client.patch(&session, cut[0], &CONTENT[cut[0]..cut[1]]).await.status, 202);
        }
        // What was merged is removed beside.
        tokio::time::sleep(Duration::from_millis(1)).await;
        session
    });
    (objects.copied(), session)
}

/// One request after the other, each at the first node or at the second.
pub(super) fn program(session: &str, asks: &[(usize, Ask)]) -> Program {
    let (session, asks) = (session.to_owned(), asks.to_vec());
    Box::new(move |clients| {
        let (session, asks) = (session.clone(), asks.clone());
        Box::pin(async move {
            for (node, one) in asks {
                ask(&clients[node], &session, one).await;
            }
        })
    })
}

async fn ask(client: &Client, session: &str, ask: Ask) {
    match ask {
        Ask::Patch(from, to) => client.patch(session, from, &CONTENT[from..to]).await,
        Ask::Other(from, bytes) => client.patch(session, from, bytes).await,
        Ask::Finish(from, digest) => client.finish_from(session, from, &CONTENT[from..], &digest).await,
        Ask::GoOn => {
            let from = client.ask("GET", session, &[], "").await.offset() as usize;
            client.finish_from(session, from, &CONTENT[from..], &digest()).await
        }
        Ask::Whole => {
            let session = client.begin().await;
            if session.is_empty() {
                return;
            }
            client.finish(&session, CONTENT, &digest()).await
        }
        Ask::Cancel => client.ask("DELETE", session, &[], "").await,
    };
}

async fn whole(client: &Client, digest: &Digest) -> Result<(), String> {
    let blob = client.ask("GET", &format!("/v2/a/blobs/{digest}"), &[], "").await;
    let is_whole = blob.status == 200 && digest_of(digest.algorithm(), &blob.body) == *digest;
    if is_whole { Ok(()) } else { Err(format!("{digest} was answered by 201 and is not there: {blob:?}")) }
}

/// Nothing has another digest than that under which it is.
fn right(world: &World) -> Result<(), String> {
    for (key, bytes) in world.objects.everything() {
        // An upload that is not complete is none that anybody finds.
        let Some(path) = key.strip_prefix("docker/registry/v2/blobs/").filter(|path| !path.contains('#')) else {
            continue;
        };
        let algorithm = if path.starts_with("sha512") { Algorithm::Sha512 } else { Algorithm::Sha256 };
        if !path.contains(digest_of(algorithm, &bytes).hex()) {
            return Err(format!("{key} has the bytes {bytes:?}"));
        }
    }
    Ok(())
}

/// How many bytes a client was told that the session has.
fn acknowledged(answers: &[Vec<Answer>]) -> u64 {
    let kept = answers.iter().flatten().filter(|answer| answer.is("PATCH", 202));
    kept.map(Answer::offset).max().unwrap_or_default()
}

/// The blobs that were answered by 201.
fn made(answers: &[Vec<Answer>]) -> impl Iterator<Item = Digest> {
    let made = answers.iter().flatten().filter(|answer| answer.is("PUT", 201));
    made.filter_map(|answer| answer.asked.split_once("?digest=")?.1.split(' ').next()?.parse().ok())
}

/// In each state: blobs are whole, and what was acknowledged is there.
pub(super) fn kept(session: &str, ends: Ends) -> Claim {
    let session = session.to_owned();
    Box::new(move |world| {
        let session = session.clone();
        Box::pin(async move {
            right(&world)?;
            for answer in world.answers.iter().flatten() {
                if answer.status >= 500 && !world.has_faults {
                    return Err(format!("an error without a cause: {answer:?}"));
                }
            }
            for digest in made(&world.answers) {
                whole(&world.client, &digest).await?;
            }
            let (told, now) = (acknowledged(&world.answers), world.client.ask("GET", &session, &[], "").await);
            match now.status {
                204 if now.offset() >= told => Ok(()),
                404 if matches!(ends, Ends::Done | Ends::Cancelled) || ends == Ends::Refused && told == 0 => Ok(()),
                _ => Err(format!("{told} bytes were acknowledged, and now: {now:?}")),
            }
        })
    })
}

/// In the end: a client goes on from where the session says that it is, or is told again what it has become; or else
/// begins anew.
pub(super) fn goes_on(session: &str, ends: Ends) -> Claim {
    let session = session.to_owned();
    Box::new(move |world| {
        let session = session.clone();
        Box::pin(async move {
            let now = world.client.ask("GET", &session, &[], "").await;
            if now.status == 204 {
                let at = now.offset() as usize;
                let answer = world.client.finish(&session, &CONTENT[at..], &digest()).await;
                if answer.status != 201 {
                    return Err(format!("a client cannot go on from {at}: {answer:?}"));
                }
            } else if let Some(done) = made(&world.answers).next().filter(|_| ends == Ends::Done) {
                let answer = world.client.finish(&session, CONTENT, &done).await;
                if answer.status != 201 {
                    return Err(format!("what was answered by 201 is not answered so again: {answer:?}"));
                }
            }
            world.client.begin_and_finish(CONTENT, &digest()).await?;
            whole(&world.client, &digest()).await?;
            right(&world)
        })
    })
}

/// In the end: who has sent all that there is, and nothing went wrong, was told that it is a blob.
pub(super) fn is_made() -> Claim {
    Box::new(move |world| {
        Box::pin(async move {
            let is_made = world.has_faults || made(&world.answers).any(|made| made == digest());
            if is_made { right(&world) } else { Err(format!("it is none: {:?}", world.answers)) }
        })
    })
}

/// In the end: if the bytes of the first program were acknowledged, it is they that the session has.
pub(super) fn are_those_of_the_first(session: &str) -> Claim {
    let session = session.to_owned();
    Box::new(move |world| {
        let session = session.clone();
        Box::pin(async move {
            let is_first = world.answers[0].iter().any(|answer| answer.is("PATCH", 202));
            let at = world.client.ask("GET", &session, &[], "").await.offset() as usize;
            let answer = world.client.finish(&session, &CONTENT[at..], &digest()).await;
            if answer.status != 201 && (is_first || answer.status != 400) {
                return Err(format!("the first was told that its bytes are there: {answer:?}"));
            }
            right(&world)
        })
    })
}
