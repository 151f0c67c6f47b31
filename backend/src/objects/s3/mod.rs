//! Objects in a bucket of S3, or of a server that speaks its protocol.
//!
//! `object_store` finds the credentials, signs, and has the HTTP client; the requests are made and their answers read
//! here. It has no expiring DELETE and no copy of a range, it sends conditional writes again without saying so, and its
//! errors do not tell a bucket that is missing from an object that is. Every request is signed by its URL, for a minute.

mod addresses;
mod answers;
mod client;
mod conditional;
mod credentials;
mod failure;
mod listing;
mod multipart;
mod open;
mod probe;
mod read;
mod request;
mod small;
#[cfg(test)]
pub(super) mod tests;

use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::Method;

use client::Client;
use conditional::Condition;
use multipart::CopySizes;
use request::Request;

use super::{
    BucketObjects, Completed, Entry, Multipart, Object, Objects, ObjectsError, Opened, Part, Read, Result, Stat,
    Version, find, keep_aside,
};
use crate::config::{Bucket, S3};

/// The objects below a prefix of a bucket.
#[derive(Debug)]
pub(crate) struct S3Objects {
    client: Arc<Client>,
    copies: CopySizes,
}

impl S3Objects {
    /// Asks nothing of the bucket yet.
    pub(crate) fn open(bucket: &Bucket, settings: &S3) -> Result<Self> {
        Self::open_at(bucket, settings, None)
    }

    /// One for each address of the server that takes connections; without an address where there is but one, or none.
    pub(crate) async fn open_at_each_address(bucket: &Bucket, settings: &S3) -> Result<Vec<Self>> {
        let addresses = addresses::reachable(&open::authority(bucket, settings)).await;
        let addresses = if addresses.len() > 1 { addresses.into_iter().map(Some).collect() } else { vec![None] };
        addresses.into_iter().map(|address| Self::open_at(bucket, settings, address)).collect()
    }

    fn open_at(bucket: &Bucket, settings: &S3, address: Option<IpAddr>) -> Result<Self> {
        let client =
            credentials::builder().and_then(|credentials| open::client(bucket, settings, credentials, address));
        let client = Arc::new(client.map_err(ObjectsError::Refused)?);
        Ok(Self { client, copies: CopySizes { whole: 64 << 20, part: 64 << 20 } })
    }
}

#[async_trait]
impl Objects for S3Objects {
    async fn get(&self, key: &str) -> Result<Option<Object>> {
        small::get(&self.client, key).await
    }

    async fn get_unless(&self, key: &str, known: &Version) -> Result<Read> {
        small::get_unless(&self.client, key, known).await
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>> {
        small::stat(&self.client, key).await
    }

    async fn open(self: Arc<Self>, key: &str) -> Result<Option<Box<dyn Opened>>> {
        find(self, key).await
    }

    async fn put(&self, key: &str, bytes: Bytes, mark: Option<&str>) -> Result<()> {
        small::put(&self.client, key, bytes, mark).await
    }

    async fn renew(&self, key: &str, Object { bytes, stat }: &Object) -> Result<bool> {
        let (mark, condition) = (stat.mark.as_deref(), Condition::Is(&stat.version));
        Ok(conditional::write(&self.client, key, bytes.clone(), mark, condition).await?.is_some())
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<Option<Version>> {
        conditional::write(&self.client, key, bytes, None, Condition::Absent).await
    }

    async fn swap(&self, key: &str, known: &Version, bytes: Bytes) -> Result<Option<Version>> {
        conditional::write(&self.client, key, bytes, None, Condition::Is(known)).await
    }

    async fn keep_aside(&self, key: &str, to: &str) -> Result<()> {
        keep_aside(self, key, to).await
    }

    async fn remove(&self, key: &str) -> Result<()> {
        small::remove(&self.client, key).await
    }

    fn scan(&self, prefix: &str) -> BoxStream<'static, Result<Entry>> {
        listing::scan(self.client.clone(), prefix)
    }
}

#[async_trait]
impl BucketObjects for S3Objects {
    fn read(&self, key: &str, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        read::read(self.client.clone(), key, range)
    }

    async fn names(&self, directory: &str, after: &str, limit: usize) -> Result<Vec<String>> {
        listing::names(&self.client, directory, after, limit).await
    }

    async fn begin(&self, key: &str) -> Result<Multipart> {
        multipart::begin(&self.client, key).await
    }

    async fn put_part(&self, key: &str, upload: &Multipart, number: u16, bytes: Bytes) -> Result<Part> {
        multipart::put_part(&self.client, key, upload, number, bytes).await
    }

    async fn copy_part(
        &self,
        key: &str,
        upload: &Multipart,
        number: u16,
        from: &str,
        range: Range<u64>,
    ) -> Result<Part> {
        multipart::copy_part(&self.client, key, upload, number, from, range).await
    }

    async fn complete(&self, key: &str, upload: &Multipart, parts: &[Part]) -> Result<Completed> {
        multipart::complete(&self.client, key, upload, parts).await
    }

    async fn abort(&self, key: &str, upload: &Multipart) -> Result<()> {
        multipart::abort(&self.client, key, upload).await
    }

    async fn copy(&self, from: &str, range: Range<u64>, to: &str) -> Result<()> {
        multipart::copy(&self.client, from, range, to, self.copies).await
    }

    async fn url(&self, key: &str, lifetime: Duration) -> Result<Option<String>> {
        Ok(Some(self.client.sign(&Request::new(Method::GET, key), lifetime).await?))
    }
}
