//! `/v2/<name>/_lockgate/usage`: how much a repository takes. It is an extension of Lockgate's.

use http::StatusCode;
use http::header::HeaderValue;
use lockgate_oci::{ErrorCode, OciError, RepositoryName};
use serde::Serialize;

use crate::config::Repositories;
use crate::http::{Outcome, Reply};
use crate::registry::Registry;
use crate::store::Taken;

/// Numbers are in bytes.
#[derive(Serialize)]
struct Usage<'a> {
    name: &'a str,
    /// RFC 3339; when `own` and `shared` were counted, if they ever were.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<String>,
    #[serde(flatten)]
    taken: Taken,
    /// What was pushed since.
    pushed: u64,
    /// Those that are for it.
    quotas: Vec<Share<'a>>,
}

/// What is taken of a quota by all repositories that it is for.
#[derive(Serialize)]
struct Share<'a> {
    repositories: &'a Repositories,
    bytes: u64,
    taken: u64,
}

/// `GET`: what the last collection has counted, and what was pushed since.
pub(crate) async fn of(registry: &Registry, name: &RepositoryName) -> Outcome {
    let usage = registry.store.usage().await?;
    let (taken, pushed) = (usage.taken.get(name).copied(), usage.pushed.get(name).copied());
    if taken.is_none() && pushed.is_none() {
        let message = "nothing is known of how much this repository takes: nothing was pushed to it since that was counted, \
                       which each collection does";
        return Err(OciError::new(ErrorCode::NameUnknown, message).into());
    }
    let quotas = registry.quotas.taken(name);
    let shares = quotas.iter().map(|(quota, taken)| Share {
        repositories: &quota.repositories,
        bytes: quota.bytes.bytes(),
        taken: *taken,
    });
    let usage = Usage {
        name: name.as_str(),
        counted: usage.counted.map(|time| humantime::format_rfc3339_seconds(time).to_string()),
        taken: taken.unwrap_or_default(),
        pushed: pushed.unwrap_or_default(),
        quotas: shares.collect(),
    };
    let usage = serde_json::to_vec(&usage).expect("texts and numbers always serialise");
    Ok(Reply::new(StatusCode::OK).bytes(HeaderValue::from_static("application/json"), usage))
}
