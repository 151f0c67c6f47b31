//! Objects whose store keeps no conditions, for one process that uses them alone.
//!
//! Conditions are kept within the process. That it is alone cannot be enforced without them: it writes an object every few
//! seconds, does not start where another has just done so, and writes nothing when its own is late.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    BucketObjects, Completed, Entry, Multipart, Object, Objects, ObjectsError, Opened, Part, Read, Result, Stat,
    Version, find, keep_aside,
};

/// The object that says who uses the others.
const SIGN: &str = ".lockgate/node";

/// How often it is written, and when it is taken for that of a process which is gone.
const INTERVAL: Duration = Duration::from_secs(10);
const LIFETIME: Duration = Duration::from_secs(40);

/// Locks for keys: one is chosen by the hash of a key.
const LOCKS: usize = 64;

/// One process's objects.
pub(crate) struct OneNode {
    objects: Arc<dyn BucketObjects>,
    locks: [Mutex<()>; LOCKS],
    /// When the sign was last written.
    signed: watch::Receiver<Instant>,
    signing: AbortHandle,
}

impl OneNode {
    /// Takes the objects for this process.
    ///
    /// # Errors
    /// Another process has them, or they cannot be reached.
    pub(crate) async fn begin(objects: Arc<dyn BucketObjects>) -> Result<Self> {
        let mine = Bytes::from(Uuid::new_v4().to_string());
        let before = objects.get(SIGN).await?;
        let began = Instant::now();
        objects.put(SIGN, mine.clone(), None).await?;
        // Times are the store's: of what was there, and of what was written just now.
        let now = objects.stat(SIGN).await?;
        if let (Some(before), Some(now)) = (before, now)
            && now.modified.duration_since(before.stat.modified).unwrap_or_default() < LIFETIME
        {
            // Back to what it was: the other one goes on.
            objects.put(SIGN, before.bytes, None).await?;
            let message = format!(
                "another process uses this bucket (storage.nodes = \"one\"): stop it, and start this one {} s later",
                LIFETIME.as_secs()
            );
            return Err(ObjectsError::Refused(message));
        }
        let (sign, signed) = watch::channel(began);
        let signing = tokio::spawn(keep_signing(Arc::clone(&objects), mine, sign)).abort_handle();
        Ok(Self { objects, locks: std::array::from_fn(|_| Mutex::new(())), signed, signing })
    }

    fn may_write(&self) -> Result<()> {
        if self.signed.borrow().elapsed() < LIFETIME {
            return Ok(());
        }
        let message = "this process could not say for too long that it uses the bucket (storage.nodes = \"one\"): \
                       nothing is written until it can";
        Err(ObjectsError::Unavailable(message.to_owned()))
    }

    async fn lock(&self, key: &str) -> MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        self.locks[(hash % LOCKS as u64) as usize].lock().await
    }

    async fn write(&self, key: &str, bytes: Bytes) -> Result<Option<Version>> {
        self.may_write()?;
        self.objects.put(key, bytes, None).await?;
        let written = self.objects.stat(key).await?;
        let gone = || ObjectsError::Unavailable(format!("{key} was written, and is not there"));
        Ok(Some(written.ok_or_else(gone)?.version))
    }
}

impl Drop for OneNode {
    fn drop(&mut self) {
        self.signing.abort();
    }
}

/// Writes the sign from time to time, as long as it is this process's.
async fn keep_signing(objects: Arc<dyn BucketObjects>, mine: Bytes, signed: watch::Sender<Instant>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let began = Instant::now();
        match objects.get(SIGN).await {
            Ok(Some(sign)) if sign.bytes != mine => {
                tracing::error!("another process has taken the bucket (storage.nodes = \"one\"): stop one of them");
                return;
            }
            Ok(_) if objects.put(SIGN, mine.clone(), None).await.is_ok() => {
                signed.send_replace(began);
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Objects for OneNode {
    async fn get(&self, key: &str) -> Result<Option<Object>> {
        self.objects.get(key).await
    }

    async fn get_unless(&self, key: &str, known: &Version) -> Result<Read> {
        self.objects.get_unless(key, known).await
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>> {
        self.objects.stat(key).await
    }

    async fn open(self: Arc<Self>, key: &str) -> Result<Option<Box<dyn Opened>>> {
        find(self, key).await
    }

    async fn put(&self, key: &str, bytes: Bytes, mark: Option<&str>) -> Result<()> {
        self.may_write()?;
        let _alone = self.lock(key).await;
        self.objects.put(key, bytes, mark).await
    }

    async fn renew(&self, key: &str, known: &Object) -> Result<bool> {
        self.may_write()?;
        let _alone = self.lock(key).await;
        if self.objects.stat(key).await?.is_none_or(|now| now.version != known.stat.version) {
            return Ok(false);
        }
        self.objects.put(key, known.bytes.clone(), known.stat.mark.as_deref()).await?;
        Ok(true)
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<Option<Version>> {
        let _alone = self.lock(key).await;
        if self.objects.stat(key).await?.is_some() { Ok(None) } else { self.write(key, bytes).await }
    }

    async fn swap(&self, key: &str, known: &Version, bytes: Bytes) -> Result<Option<Version>> {
        let _alone = self.lock(key).await;
        let now = self.objects.stat(key).await?;
        if now.is_some_and(|now| now.version == *known) { self.write(key, bytes).await } else { Ok(None) }
    }

    async fn keep_aside(&self, key: &str, to: &str) -> Result<()> {
        keep_aside(self, key, to).await
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.may_write()?;
        let _alone = self.lock(key).await;
        self.objects.remove(key).await
    }

    fn scan(&self, prefix: &str) -> BoxStream<'static, Result<Entry>> {
        self.objects.scan(prefix)
    }
}

#[async_trait]
impl BucketObjects for OneNode {
    fn read(&self, key: &str, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        self.objects.read(key, range)
    }

    async fn names(&self, directory: &str, after: &str, limit: usize) -> Result<Vec<String>> {
        self.objects.names(directory, after, limit).await
    }

    async fn begin(&self, key: &str) -> Result<Multipart> {
        self.may_write()?;
        self.objects.begin(key).await
    }

    async fn put_part(&self, key: &str, upload: &Multipart, number: u16, bytes: Bytes) -> Result<Part> {
        self.may_write()?;
        self.objects.put_part(key, upload, number, bytes).await
    }

    async fn copy_part(
        &self,
        key: &str,
        upload: &Multipart,
        number: u16,
        from: &str,
        range: Range<u64>,
    ) -> Result<Part> {
        self.may_write()?;
        self.objects.copy_part(key, upload, number, from, range).await
    }

    async fn complete(&self, key: &str, upload: &Multipart, parts: &[Part]) -> Result<Completed> {
        self.may_write()?;
        self.objects.complete(key, upload, parts).await
    }

    async fn abort(&self, key: &str, upload: &Multipart) -> Result<()> {
        self.may_write()?;
        self.objects.abort(key, upload).await
    }

    async fn copy(&self, from: &str, range: Range<u64>, to: &str) -> Result<()> {
        self.may_write()?;
        self.objects.copy(from, range, to).await
    }

    async fn url(&self, key: &str, lifetime: Duration) -> Result<Option<String>> {
        self.objects.url(key, lifetime).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::MemoryObjects;

    #[tokio::test]
    async fn a_second_process_is_refused_and_the_first_goes_on() {
        let objects: Arc<dyn BucketObjects> = Arc::new(MemoryObjects::default());
        let first = OneNode::begin(Arc::clone(&objects)).await.unwrap();
        let sign = objects.get(SIGN).await.unwrap().unwrap().bytes;
        let refused = OneNode::begin(Arc::clone(&objects)).await.err().unwrap().to_string();
        assert!(refused.contains("storage.nodes"), "{refused}");
        assert_eq!(objects.get(SIGN).await.unwrap().unwrap().bytes, sign);
        first.put("a", Bytes::from_static(b"1"), None).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_written_once_another_has_taken_over() {
        let objects: Arc<dyn BucketObjects> = Arc::new(MemoryObjects::default());
        let first = OneNode::begin(Arc::clone(&objects)).await.unwrap();
        objects.put(SIGN, Bytes::from_static(b"another"), None).await.unwrap();
        tokio::time::sleep(LIFETIME + INTERVAL).await;
        let refused = [
            first.put("a", Bytes::new(), None).await.err(),
            first.create("a", Bytes::new()).await.err(),
            first.remove("a").await.err(),
        ];
        assert!(refused.iter().all(|error| matches!(error, Some(ObjectsError::Unavailable(_)))), "{refused:?}");
        assert!(first.get("a").await.unwrap().is_none());
    }
}
