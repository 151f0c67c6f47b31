//! Objects in memory, for tests: what S3 promises, and no more.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use lockgate_oci::Algorithm;

use super::{
    BucketObjects, Completed, Entry, Multipart, Object, Objects, ObjectsError, Opened, Part, Read, Result, Stat,
    Version, find, keep_aside,
};
use crate::hasher::digest_of;

/// Objects that are gone with their process. Two states with the same bytes have the same version, as on S3.
#[derive(Debug, Default)]
pub(crate) struct MemoryObjects {
    content: Mutex<Content>,
    forgets: Option<Forgotten>,
}

/// A condition that a store does not keep, as there are such servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forgotten {
    Create,
    Swap,
}

#[derive(Debug, Clone, Default)]
struct Content {
    objects: BTreeMap<String, Object>,
    /// By the number of the upload: its key, and its parts by their numbers.
    uploads: BTreeMap<u64, (String, BTreeMap<u16, Bytes>)>,
    uploads_begun: u64,
    last_write: Option<SystemTime>,
}

impl Content {
    /// The clock of this store: no two writes have one time.
    fn now(&mut self) -> SystemTime {
        let now = SystemTime::now();
        let now = self.last_write.map_or(now, |last| now.max(last + Duration::from_nanos(1)));
        self.last_write = Some(now);
        now
    }

    fn write(&mut self, key: &str, bytes: Bytes, mark: Option<&str>) -> Version {
        let version = version_of(&bytes);
        let (size, modified) = (bytes.len() as u64, self.now());
        let stat = Stat { size, modified, version: version.clone(), mark: mark.map(str::to_owned) };
        self.objects.insert(key.to_owned(), Object { bytes, stat });
        version
    }

    fn range(&self, key: &str, range: &Range<u64>) -> Result<Bytes> {
        let object = self.objects.get(key).ok_or_else(|| ObjectsError::Refused(format!("there is no {key}")))?;
        let range = (range.start as usize)..(range.end as usize);
        let within = range.start <= range.end && range.end <= object.bytes.len();
        if within { Ok(object.bytes.slice(range)) } else { Err(ObjectsError::Refused(format!("{key} is shorter"))) }
    }

    fn parts(&mut self, key: &str, upload: &Multipart) -> Option<&mut BTreeMap<u16, Bytes>> {
        let (of, parts) = self.uploads.get_mut(&upload.0.parse().ok()?)?;
        (of == key).then_some(parts)
    }

    fn add_part(&mut self, key: &str, upload: &Multipart, number: u16, bytes: Bytes) -> Result<Part> {
        let tag = version_of(&bytes).0;
        let parts = self.parts(key, upload).ok_or_else(|| ObjectsError::Refused(format!("no such upload of {key}")))?;
        parts.insert(number, bytes);
        Ok(Part { number, tag })
    }
}

fn version_of(bytes: &[u8]) -> Version {
    Version(digest_of(Algorithm::Sha256, bytes).to_string())
}

impl MemoryObjects {
    /// One that writes whatever the condition is.
    #[cfg(test)]
    pub(crate) fn forgetting(condition: Forgotten) -> Self {
        Self { forgets: Some(condition), ..Self::default() }
    }

    /// Lets time go by since everything here was written.
    #[cfg(test)]
    pub(crate) fn age(&self, by: Duration) {
        self.content().objects.values_mut().for_each(|object| object.stat.modified -= by);
    }

    /// Others that are as these are now.
    #[cfg(test)]
    pub(crate) fn copied(&self) -> Self {
        Self { content: Mutex::new(self.content().clone()), forgets: self.forgets }
    }

    /// Everything that is here, the parts of uploads under names of their own.
    #[cfg(test)]
    pub(crate) fn everything(&self) -> Vec<(String, Bytes)> {
        let content = self.content();
        let objects = content.objects.iter().map(|(key, object)| (key.clone(), object.bytes.clone()));
        let uploads = content.uploads.iter().flat_map(|(upload, (key, parts))| {
            let part = move |(number, bytes): (&u16, &Bytes)| (format!("{key}#{upload}/{number}"), bytes.clone());
            parts.iter().map(part).chain([(format!("{key}#{upload}"), Bytes::new())])
        });
        objects.chain(uploads).collect()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Objects for MemoryObjects {
    async fn get(&self, key: &str) -> Result<Option<Object>> {
        Ok(self.content().objects.get(key).cloned())
    }

    async fn get_unless(&self, key: &str, known: &Version) -> Result<Read> {
        Ok(match self.content().objects.get(key) {
            None => Read::Absent,
            Some(object) if object.stat.version == *known => Read::Unchanged,
            Some(object) => Read::Changed(object.clone()),
        })
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>> {
        Ok(self.content().objects.get(key).map(|object| object.stat.clone()))
    }

    async fn open(self: Arc<Self>, key: &str) -> Result<Option<Box<dyn Opened>>> {
        find(self, key).await
    }

    async fn put(&self, key: &str, bytes: Bytes, mark: Option<&str>) -> Result<()> {
        self.content().write(key, bytes, mark);
        Ok(())
    }

    async fn renew(&self, key: &str, Object { bytes, stat }: &Object) -> Result<bool> {
        let mut content = self.content();
        let is_known = content.objects.get(key).is_some_and(|object| object.stat.version == stat.version);
        if is_known {
            content.write(key, bytes.clone(), stat.mark.as_deref());
        }
        Ok(is_known)
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<Option<Version>> {
        let mut content = self.content();
        let is_new = !content.objects.contains_key(key) || self.forgets == Some(Forgotten::Create);
        Ok(is_new.then(|| content.write(key, bytes, None)))
    }

    async fn swap(&self, key: &str, known: &Version, bytes: Bytes) -> Result<Option<Version>> {
        let mut content = self.content();
        let is_known = content.objects.get(key).is_some_and(|object| object.stat.version == *known)
            || self.forgets == Some(Forgotten::Swap);
        Ok(is_known.then(|| content.write(key, bytes, None)))
    }

    async fn keep_aside(&self, key: &str, to: &str) -> Result<()> {
        keep_aside(self, key, to).await
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.content().objects.remove(key);
        Ok(())
    }

    fn scan(&self, prefix: &str) -> BoxStream<'static, Result<Entry>> {
        let content = self.content();
        let below = content.objects.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        let entry = |(key, object): (&String, &Object)| {
            Ok(Entry { key: key.clone(), size: object.stat.size, modified: object.stat.modified })
        };
        stream::iter(below.map(entry).collect::<Vec<_>>()).boxed()
    }
}

#[async_trait]
impl BucketObjects for MemoryObjects {
    fn read(&self, key: &str, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        let bytes = self.content().range(key, &range).map_err(io::Error::other);
        stream::iter([bytes]).boxed()
    }

    async fn names(&self, directory: &str, after: &str, limit: usize) -> Result<Vec<String>> {
        let content = self.content();
        let below =
            content.objects.range(format!("{directory}{after}")..).map_while(|(key, _)| key.strip_prefix(directory));
        Ok(below.filter(|name| *name > after && !name.contains('/')).take(limit).map(str::to_owned).collect())
    }

    async fn begin(&self, key: &str) -> Result<Multipart> {
        let mut content = self.content();
        content.uploads_begun += 1;
        let number = content.uploads_begun;
        content.uploads.insert(number, (key.to_owned(), BTreeMap::new()));
        Ok(Multipart(number.to_string()))
    }

    async fn put_part(&self, key: &str, upload: &Multipart, number: u16, bytes: Bytes) -> Result<Part> {
        self.content().add_part(key, upload, number, bytes)
    }

    async fn copy_part(
        &self,
        key: &str,
        upload: &Multipart,
        number: u16,
        from: &str,
        range: Range<u64>,
    ) -> Result<Part> {
        let mut content = self.content();
        let bytes = content.range(from, &range)?;
        content.add_part(key, upload, number, bytes)
    }

    async fn complete(&self, key: &str, upload: &Multipart, parts: &[Part]) -> Result<Completed> {
        let mut content = self.content();
        let Some(kept) = content.parts(key, upload) else { return Ok(Completed::Unknown) };
        let mut bytes = Vec::new();
        for part in parts {
            let known = kept.get(&part.number).filter(|bytes| version_of(bytes).0 == part.tag);
            let known =
                known.ok_or_else(|| ObjectsError::Refused(format!("{key} has no such part {}", part.number)))?;
            bytes.extend_from_slice(known);
        }
        content.uploads.retain(|number, _| number.to_string() != upload.0);
        content.write(key, bytes.into(), None);
        Ok(Completed::Done)
    }

    async fn abort(&self, key: &str, upload: &Multipart) -> Result<()> {
        let mut content = self.content();
        if content.parts(key, upload).is_some() {
            content.uploads.retain(|number, _| number.to_string() != upload.0);
        }
        Ok(())
    }

    async fn copy(&self, from: &str, range: Range<u64>, to: &str) -> Result<()> {
        let mut content = self.content();
        let bytes = content.range(from, &range)?;
        content.write(to, bytes, None);
        Ok(())
    }

    async fn url(&self, _: &str, _: Duration) -> Result<Option<String>> {
        Ok(None)
    }
}
