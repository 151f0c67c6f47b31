//! One node's calls, each of which waits at the gate.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use super::gate::{Gate, Kind};
use crate::objects::{
    BucketObjects, Completed, Entry, Multipart, Object, Objects, ObjectsError, Opened, Part, Read, Result, Stat,
    Version, find, keep_aside,
};

pub(super) struct Gated {
    pub(super) gate: Arc<Gate>,
    pub(super) node: usize,
}

/// Whether something was there long before anything was done here: for the collector, and whoever relies on it, that is all
/// that a time says, but for what the gate says.
fn is_old(modified: SystemTime) -> bool {
    modified.elapsed().is_ok_and(|age| age > Duration::from_secs(60 * 60))
}

/// A version is that of the bytes, and told with them.
fn object(found: &Option<Object>) -> Vec<u8> {
    found.as_ref().map_or(b"none".to_vec(), |object| {
        let is_old = if is_old(object.stat.modified) { b"old " } else { b"new " };
        [is_old, &object.bytes[..]].concat()
    })
}

fn stat(found: &Option<Stat>) -> Vec<u8> {
    let told = |stat: &Stat| format!("{} {:?} {}", stat.size, stat.mark, is_old(stat.modified)).into();
    found.as_ref().map_or(b"none".to_vec(), told)
}

fn is_some<T>(found: &Option<T>) -> Vec<u8> {
    vec![u8::from(found.is_some())]
}

fn nothing(_: &()) -> Vec<u8> {
    Vec::new()
}

fn debug(told: &impl std::fmt::Debug) -> Vec<u8> {
    format!("{told:?}").into()
}

impl Gated {
    fn aged(&self, key: &str, stat: &mut Stat) {
        stat.modified -= self.gate.age(key);
    }

    fn objects(&self) -> &dyn BucketObjects {
        self.gate.objects.as_ref()
    }
}

#[async_trait]
impl Objects for Gated {
    async fn get(&self, key: &str) -> Result<Option<Object>> {
        let mut found =
            self.gate.call(self.node, ("get", key, Kind::Read), &[], self.objects().get(key), object).await?;
        if let Some(object) = &mut found {
            self.aged(key, &mut object.stat);
        }
        Ok(found)
    }

    async fn get_unless(&self, key: &str, known: &Version) -> Result<Read> {
        Ok(match self.get(key).await? {
            None => Read::Absent,
            Some(object) if object.stat.version == *known => Read::Unchanged,
            Some(object) => Read::Changed(object),
        })
    }

    async fn stat(&self, key: &str) -> Result<Option<Stat>> {
        let mut found =
            self.gate.call(self.node, ("stat", key, Kind::Read), &[], self.objects().stat(key), stat).await?;
        if let Some(stat) = &mut found {
            self.aged(key, stat);
        }
        Ok(found)
    }

    async fn open(self: Arc<Self>, key: &str) -> Result<Option<Box<dyn Opened>>> {
        find(self, key).await
    }

    async fn put(&self, key: &str, bytes: Bytes, mark: Option<&str>) -> Result<()> {
        let written = bytes.clone();
        let put = self.objects().put(key, bytes, mark);
        self.gate.call(self.node, ("put", key, Kind::Write), &written, put, nothing).await
    }

    async fn renew(&self, key: &str, known: &Object) -> Result<bool> {
        let renew = self.objects().renew(key, known);
        self.gate.call(self.node, ("renew", key, Kind::Write), &known.bytes, renew, debug).await
    }

    async fn create(&self, key: &str, bytes: Bytes) -> Result<Option<Version>> {
        let written = bytes.clone();
        let create = self.objects().create(key, bytes);
        self.gate.call(self.node, ("create", key, Kind::Write), &written, create, is_some).await
    }

    async fn swap(&self, key: &str, known: &Version, bytes: Bytes) -> Result<Option<Version>> {
        let written = bytes.clone();
        let swap = self.objects().swap(key, known, bytes);
        self.gate.call(self.node, ("swap", key, Kind::Write), &written, swap, is_some).await
    }

    async fn keep_aside(&self, key: &str, to: &str) -> Result<()> {
        keep_aside(self, key, to).await
    }

    async fn remove(&self, key: &str) -> Result<()> {
        self.gate.call(self.node, ("remove", key, Kind::Remove), &[], self.objects().remove(key), nothing).await
    }

    fn scan(&self, prefix: &str) -> BoxStream<'static, Result<Entry>> {
        let (gate, node, prefix) = (Arc::clone(&self.gate), self.node, prefix.to_owned());
        let scan = async move {
            let objects = Arc::clone(&gate.objects);
            let seen = |found: &Vec<Entry>| {
                debug(&found.iter().map(|entry| (&entry.key, is_old(entry.modified))).collect::<Vec<_>>())
            };
            let scan = async { objects.scan(&prefix).try_collect::<Vec<_>>().await };
            let mut found = gate.call(node, ("scan", &prefix, Kind::Read), &[], scan, seen).await?;
            for entry in &mut found {
                entry.modified -= gate.age(&entry.key);
            }
            Ok::<_, ObjectsError>(stream::iter(found.into_iter().map(Ok)))
        };
        stream::once(scan).try_flatten().boxed()
    }
}

#[async_trait]
impl BucketObjects for Gated {
    fn read(&self, key: &str, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        let (gate, node, key) = (Arc::clone(&self.gate), self.node, key.to_owned());
        let read = async move {
            let objects = Arc::clone(&gate.objects);
            let read = async { Ok(objects.read(&key, range).try_collect::<Vec<_>>().await) };
            let told = gate.call(node, ("read", &key, Kind::Read), &[], read, debug).await.map_err(io::Error::other)?;
            told.map(|pieces| pieces.concat().into())
        };
        stream::once(read).boxed()
    }

    async fn names(&self, directory: &str, after: &str, limit: usize) -> Result<Vec<String>> {
        let names = self.objects().names(directory, after, limit);
        self.gate.call(self.node, ("names", directory, Kind::Read), &[], names, debug).await
    }

    async fn begin(&self, key: &str) -> Result<Multipart> {
        self.gate.call(self.node, ("begin", key, Kind::Write), &[], self.objects().begin(key), debug).await
    }

    async fn put_part(&self, key: &str, upload: &Multipart, number: u16, bytes: Bytes) -> Result<Part> {
        let what = format!("put_part {number}");
        let put = self.objects().put_part(key, upload, number, bytes);
        self.gate.call(self.node, (&what, key, Kind::Write), &[], put, debug).await
    }

    async fn copy_part(
        &self,
        key: &str,
        upload: &Multipart,
        number: u16,
        from: &str,
        range: Range<u64>,
    ) -> Result<Part> {
        let what = format!("copy_part {number}");
        let copy = self.objects().copy_part(key, upload, number, from, range);
        self.gate.call(self.node, (&what, key, Kind::Write), &[], copy, debug).await
    }

    async fn complete(&self, key: &str, upload: &Multipart, parts: &[Part]) -> Result<Completed> {
        let complete = self.objects().complete(key, upload, parts);
        self.gate.call(self.node, ("complete", key, Kind::Write), &[], complete, debug).await
    }

    async fn abort(&self, key: &str, upload: &Multipart) -> Result<()> {
        self.gate.call(self.node, ("abort", key, Kind::Write), &[], self.objects().abort(key, upload), nothing).await
    }

    async fn copy(&self, from: &str, range: Range<u64>, to: &str) -> Result<()> {
        let copy = self.objects().copy(from, range, to);
        self.gate.call(self.node, ("copy", to, Kind::Write), &[], copy, nothing).await
    }

    async fn url(&self, _: &str, _: Duration) -> Result<Option<String>> {
        Ok(None)
    }
}
