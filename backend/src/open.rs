//! From the configuration to a store.

use std::io;
use std::sync::Arc;

use crate::config::{Collect, Data, Nodes, S3, Storage};
use crate::objects::bucket;
use crate::objects::disk::{DirectoryObjects, StorageProblem};
use crate::objects::probe::{Problem, probe};
use crate::redirect;
use crate::registry::{Ages, ObjectStore};
use crate::store::Store;

/// Opens what `storage.data` names: a directory, of which this process is the only user until it ends, or a bucket, which
/// is tried first, as far as that takes no waiting.
///
/// # Errors
/// The directory or the bucket cannot be used; the message says which and why.
pub async fn open(storage: &Storage, collect: &Collect, s3: &S3) -> io::Result<Arc<dyn Store>> {
    let ages = Ages { grace: collect.grace.duration(), trash: storage.trash_age.duration() };
    match &storage.data {
        Data::Directory(path) => {
            let path = path.clone();
            let opened = tokio::task::spawn_blocking(move || ObjectStore::in_directory(&path)).await;
            Ok(Arc::new(opened.map_err(io::Error::other)??.keeping(ages)))
        }
        Data::Bucket(name) => {
            let objects = bucket::open(name, s3).map_err(io::Error::other)?;
            let problems = told(probe(&[&*objects], 0).await, storage.nodes);
            if !problems.is_empty() {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                return Err(io::Error::other(format!("{name}: {}", problems.join("; "))));
            }
            let (part_size, in_flight) = (s3.part_size.get() as u64, s3.parts_in_flight.get());
            let store = match storage.nodes {
                Nodes::Many => ObjectStore::over(objects, part_size, in_flight),
                Nodes::One => ObjectStore::alone_over(objects, part_size, in_flight).await.map_err(io::Error::other)?,
            };
            let store = store.keeping(ages);
            let Some(settings) = redirect::settings(storage, s3) else { return Ok(Arc::new(store)) };
            let objects = bucket::open(name, &settings).map_err(io::Error::other)?;
            Ok(Arc::new(store.redirecting(objects)))
        }
    }
}

/// Opens a place for reading alone, whoever else uses it meanwhile. Nothing in it is changed, and nothing asked of a bucket.
///
/// # Errors
/// There is no registry in the directory, or the bucket cannot be used; the message says which and why.
pub async fn open_to_read(data: &Data, s3: &S3) -> io::Result<Arc<dyn Store>> {
    match data {
        Data::Directory(path) => {
            let path = path.clone();
            let opened = tokio::task::spawn_blocking(move || ObjectStore::in_directory_to_read(&path)).await;
            Ok(Arc::new(opened.map_err(io::Error::other)??))
        }
        Data::Bucket(name) => {
            let objects = bucket::open(name, s3).map_err(io::Error::other)?;
            let (part_size, in_flight) = (s3.part_size.get() as u64, s3.parts_in_flight.get());
            Ok(Arc::new(ObjectStore::over_to_read(objects, part_size, in_flight)))
        }
    }
}

/// What is wrong with what `storage.data` names: a directory, or a bucket, of which it takes some seconds. It leaves nothing
/// there. Blocks.
pub fn problems(storage: &Storage, s3: &S3) -> Vec<StorageProblem> {
    let name = match &storage.data {
        Data::Directory(path) => return DirectoryObjects::problems(path),
        Data::Bucket(name) => name,
    };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => told(runtime.block_on(bucket::problems(name, s3)), storage.nodes),
        Err(error) => vec![format!("it cannot be tried: {error}").into()],
    }
}

/// What is a problem for so many nodes, and what to do.
fn told(problems: Vec<Problem>, nodes: Nodes) -> Vec<StorageProblem> {
    let found = problems.into_iter().filter_map(|problem| match problem {
        Problem::Unconditional(_) if nodes == Nodes::One => None,
        Problem::Unconditional(what) => {
            let advice = "so that one process at a time may use it: say so with storage.nodes = \"one\"";
            Some(format!("{what}, {advice}").into())
        }
        Problem::Unusable(what) => Some(what.into()),
        Problem::Wasteful(what) => Some(StorageProblem::warning(what)),
    });
    found.collect()
}
