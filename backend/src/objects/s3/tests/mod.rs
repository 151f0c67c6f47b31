//! S3 as it is, and as it is when something goes wrong.

mod failures;
mod faults;
mod lost;
mod probing;
mod weed;

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use object_store::aws::AmazonS3Builder;
use uuid::Uuid;

use self::faults::Faults;
use self::weed::{ACCESS_KEY, SECRET_KEY, Weed};
use super::client::Client;
use super::multipart::CopySizes;
use super::request::Request;
use super::{S3Objects, open};
use crate::config::{Bucket, S3};
use crate::objects::{BucketObjects, Objects as _};

/// How many requests in a thousand meet with a fault where chance decides.
const RATE: u64 = 60;

/// A bucket of its own, at a server or at what stands before it.
fn bucket_at(address: &str, name: &str) -> S3Objects {
    objects_at(address, Bucket { name: name.to_owned(), prefix: "some/site".to_owned() }, SECRET_KEY)
}

fn objects_at(address: &str, bucket: Bucket, secret: &str) -> S3Objects {
    let server = format!("http://{address}").parse().unwrap();
    let settings = S3 { endpoint: server, path_style: true, allow_http: true, ..S3::default() };
    let credentials = AmazonS3Builder::new().with_access_key_id(ACCESS_KEY).with_secret_access_key(secret);
    let client = open::client(&bucket, &settings, credentials, None).unwrap();
    // What 11 MiB of a test are copied by.
    let copies = CopySizes { whole: 8 << 20, part: 5 << 20 };
    S3Objects { client: Arc::new(Client { longest_wait: Duration::from_secs(30), ..client }), copies }
}

/// The same, which does not wait long for what has stalled.
fn impatient_at(address: &str, name: &str) -> S3Objects {
    let objects = bucket_at(address, name);
    let client = Arc::into_inner(objects.client).expect("nobody else has it");
    S3Objects { client: Arc::new(Client { longest_wait: Duration::from_secs(2), ..client }), ..objects }
}

/// Where a server is: `LOCKGATE_TEST_S3`, by which another one has its say, or a SeaweedFS of our own.
fn server() -> String {
    std::env::var("LOCKGATE_TEST_S3").unwrap_or_else(|_| Weed::shared().address.clone())
}

async fn new_bucket() -> String {
    let name = format!("test-{}", Uuid::new_v4());
    bucket_at(&server(), &name).client.send(&Request::of_bucket(Method::PUT)).await.unwrap();
    name
}

/// For the contract.
pub(crate) async fn objects() -> Arc<dyn BucketObjects> {
    Arc::new(bucket_at(&server(), &new_bucket().await))
}

/// The same for two nodes, and what they ask since they were asked the last time.
pub(crate) async fn counted() -> ([Arc<dyn BucketObjects>; 2], impl Fn() -> Vec<String>) {
    let faults = Faults::before(&Weed::shared().address, 0).await;
    let bucket = new_bucket().await;
    let nodes = [0, 1].map(|_| Arc::new(impatient_at(&faults.address, &bucket)) as Arc<dyn BucketObjects>);
    (nodes, move || faults.requests())
}

/// The same, where much goes wrong.
pub(in crate::objects) async fn objects_behind_faults() -> Arc<dyn BucketObjects> {
    let faults = Faults::before(&server(), RATE).await;
    Arc::new(impatient_at(&faults.address, &new_bucket().await))
}
