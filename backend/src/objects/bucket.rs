//! A bucket as the configuration names it.

use std::sync::Arc;

use super::probe::Problem;
use super::{BucketObjects, Result};
use crate::config::{Bucket, S3};

/// What is wrong with a bucket, its server, this machine's clock, or what the credentials are allowed. It takes some
/// seconds, and leaves nothing in the bucket.
#[cfg(feature = "s3")]
pub(crate) async fn problems(bucket: &Bucket, settings: &S3) -> Vec<Problem> {
    match super::S3Objects::open_at_each_address(bucket, settings).await {
        Ok(doors) => super::S3Objects::problems(&doors).await,
        Err(error) => vec![error.into()],
    }
}

/// The objects in it. Nothing is asked of it yet.
#[cfg(feature = "s3")]
pub(crate) fn open(bucket: &Bucket, settings: &S3) -> Result<Arc<dyn BucketObjects>> {
    Ok(Arc::new(super::S3Objects::open(bucket, settings)?))
}

/// What is wrong with it.
#[cfg(not(feature = "s3"))]
pub(crate) async fn problems(bucket: &Bucket, settings: &S3) -> Vec<Problem> {
    open(bucket, settings).err().into_iter().map(Problem::from).collect()
}

/// That there is nothing to open it with.
#[cfg(not(feature = "s3"))]
pub(crate) fn open(bucket: &Bucket, _: &S3) -> Result<Arc<dyn BucketObjects>> {
    let message = format!("{bucket}: this program was built without S3 (the cargo feature s3)");
    Err(super::ObjectsError::Refused(message))
}
