//! A registry kept in objects.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, future};
use lockgate_oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use uuid::Uuid;

use super::keys::Layout;
use super::links::Held;
use super::names::markers::Markers;
use super::names::tree::Tree;
use super::node::{Ages, Node};
use super::uploads::Uploads;
use super::uploads::files::FileStore;
use super::uploads::parts::{PartStore, Tails};
use super::{keys, manifests, removal};
#[cfg(test)]
use crate::objects::Objects;
use crate::objects::disk::DirectoryObjects;
use crate::objects::{BucketObjects, MemoryObjects, ObjectsError, OneNode, Opened};
use crate::store::{Blob, ByteStream, Cause, Links, NewManifest, Precondition, Result, Store, StoredManifest, Upload};

/// A store whose bytes are objects: in memory, in a directory, or in a bucket that several processes use at once.
#[derive(Clone)]
pub struct ObjectStore {
    pub(super) node: Arc<Node>,
    uploads: Arc<dyn Uploads>,
    /// Where clients are sent for blobs, if they are.
    redirects: Option<Arc<dyn BucketObjects>>,
}

impl ObjectStore {
    /// A store in this process's memory, with nothing in it. For tests.
    pub fn in_memory() -> Self {
        Self::over(Arc::new(MemoryObjects::default()), 16 << 20, 4)
    }

    /// Opens the store in `data`, the directory that `registry:2` calls its `rootdirectory`, and makes what is missing. No
    /// other process can open it until this one ends. What of it cannot be written, or all of it on a read-only file
    /// system, is logged: the rest is of use without. Blocks.
    ///
    /// # Errors
    /// The directory cannot be made, cannot be written to, or is another process's; the message names it.
    pub fn in_directory(data: &Path) -> io::Result<Self> {
        Ok(Self::over_directory(DirectoryObjects::open(data)?, true))
    }

    /// Opens a directory for reading alone, whoever else uses it meanwhile. Changes nothing. Blocks.
    ///
    /// # Errors
    /// There is no registry in it, or not all of it may be read.
    pub fn in_directory_to_read(data: &Path) -> io::Result<Self> {
        Ok(Self::over_directory(DirectoryObjects::open_to_read(data)?, false))
    }

    /// The same with other ages.
    pub fn keeping(self, ages: Ages) -> Self {
        self.node.set_ages(ages);
        self
    }

    fn over_directory(directory: DirectoryObjects, is_relied_on: bool) -> Self {
        let directory = Arc::new(directory);
        let names = Box::new(Tree(directory.clone()));
        let node = Arc::new(Node::new(directory.clone(), names, Layout::Directory, is_relied_on));
        let uploads = Arc::new(Arc::new(FileStore::new(Arc::clone(&node), directory)));
        Self { node, uploads, redirects: None }
    }

    /// A store over a bucket: a blob is sent in parts of `part_size` bytes, of which so many are on their way at once.
    pub(crate) fn over(objects: Arc<dyn BucketObjects>, part_size: u64, parts_in_flight: usize) -> Self {
        Self::over_bucket(objects, part_size, parts_in_flight, true, Tails::default())
    }

    /// The same, of which nothing is written where blobs are read.
    pub(crate) fn over_to_read(objects: Arc<dyn BucketObjects>, part_size: u64, parts_in_flight: usize) -> Self {
        Self::over_bucket(objects, part_size, parts_in_flight, false, Tails::default())
    }

    /// The same, which keeps at most so many bytes of a tail in a session, and at most so many pieces of one.
    #[cfg(test)]
    pub(crate) fn with_tails(
        objects: Arc<dyn BucketObjects>,
        part_size: u64,
        parts_in_flight: usize,
        max_rest: usize,
        max_pieces: usize,
    ) -> Self {
        Self::over_bucket(objects, part_size, parts_in_flight, true, Tails { max_rest, max_pieces })
    }

    #[cfg(test)]
    pub(super) fn objects(&self) -> &Arc<dyn Objects> {
        &self.node.objects
    }

    fn over_bucket(
        objects: Arc<dyn BucketObjects>,
        part_size: u64,
        parts_in_flight: usize,
        is_relied_on: bool,
        tails: Tails,
    ) -> Self {
        let names = Box::new(Markers::new(Arc::clone(&objects)));
        let node = Arc::new(Node::new(Arc::clone(&objects) as _, names, Layout::Bucket, is_relied_on));
        let uploads = PartStore::new(Arc::clone(&node), objects, part_size, parts_in_flight, tails);
        Self { node, uploads: Arc::new(Arc::new(uploads)), redirects: None }
    }

    fn opened(&self, Held { target, content }: Held) -> Box<dyn Blob> {
        let redirect = self.redirects.clone().map(|objects| (objects, keys::blob(&target)));
        Box::new(ObjectBlob { content, redirect })
    }

    /// The same, which sends clients to where these objects can be read for large blobs.
    pub(crate) fn redirecting(self, to: Arc<dyn BucketObjects>) -> Self {
        Self { redirects: Some(to), ..self }
    }

    /// The same where no other process uses the bucket, whose store keeps no conditions.
    ///
    /// # Errors
    /// Another process uses it, or it cannot be reached.
    pub(crate) async fn alone_over(
        objects: Arc<dyn BucketObjects>,
        part_size: u64,
        parts_in_flight: usize,
    ) -> Result<Self, ObjectsError> {
        Ok(Self::over(Arc::new(OneNode::begin(objects).await?), part_size, parts_in_flight))
    }
}

#[async_trait]
impl Store for ObjectStore {
    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Box<dyn Blob>>> {
        let (repository, digest) = (repository.clone(), digest.clone());
        let held = self.node.run(move |node| async move { Ok(node.rely(&repository, &digest).await?) }).await?;
        Ok(held.map(|held| self.opened(held)))
    }

    async fn blob_if_there(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Box<dyn Blob>>> {
        let (repository, digest) = (repository.clone(), digest.clone());
        let held =
            self.node.run(move |node| async move { Ok(node.rely_if_there(&repository, &digest).await?) }).await?;
        Ok(held.map(|held| self.opened(held)))
    }

    async fn mount_blob(&self, repository: &RepositoryName, from: &RepositoryName, digest: &Digest) -> Result<bool> {
        let (repository, from, digest) = (repository.clone(), from.clone(), digest.clone());
        let mount = |node: Arc<Node>| async move {
            let Some(held) = node.rely(&from, &digest).await? else { return Ok(false) };
            let _adding = node.lock(&repository).read().await;
            let key = keys::layer(&repository, &digest);
            node.names.add_repository(&repository).await?;
            node.link_blob(&key, &held.target).await?;
            Ok(node.rely(&repository, &digest).await?.is_some())
        };
        self.node.run(mount).await
    }

    async fn delete_blob(&self, repository: &RepositoryName, digest: &Digest, cause: &Cause) -> Result<bool> {
        let (repository, digest, cause) = (repository.clone(), digest.clone(), cause.clone());
        let delete = |node: Arc<Node>| async move {
            let _alone = node.lock(&repository).write().await;
            removal::delete_blob(&node, &repository, &digest, &cause).await
        };
        self.node.run(delete).await
    }

    fn may_lose_bytes(&self) -> bool {
        self.node.objects.alone().is_some()
    }

    async fn forget_if_corrupt(&self, repository: &RepositoryName, digest: &Digest) -> Result<()> {
        let link = keys::layer(repository, digest);
        let Some(target) = self.node.run(move |node| async move { Ok(node.link(&link).await?) }).await? else {
            return Ok(());
        };
        Ok(Arc::clone(&self.node.objects).forget_if_corrupt(&keys::blob(&target), &target).await?)
    }

    async fn begin_upload(&self, repository: &RepositoryName, algorithm: Algorithm) -> Result<Uuid> {
        self.uploads.begin(repository, algorithm).await
    }

    async fn upload_size(&self, repository: &RepositoryName, id: Uuid) -> Result<u64> {
        self.uploads.size(repository, id).await
    }

    async fn resume_upload(&self, repository: &RepositoryName, id: Uuid) -> Result<Box<dyn Upload>> {
        self.uploads.resume(repository, id).await
    }

    async fn take_upload_to_commit(&self, repository: &RepositoryName, id: Uuid) -> Result<Box<dyn Upload>> {
        self.uploads.take_to_commit(repository, id).await
    }

    async fn cancel_upload(&self, repository: &RepositoryName, id: Uuid) -> Result<()> {
        self.uploads.cancel(repository, id).await
    }

    async fn remove_stale_uploads(&self, deadline: SystemTime) -> Result<usize> {
        self.uploads.remove_stale(deadline).await
    }

    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<StoredManifest>> {
        let (repository, reference) = (repository.clone(), reference.clone());
        self.node.run(move |node| async move { manifests::read(&node, &repository, &reference).await }).await
    }

    async fn put_manifest(&self, repository: &RepositoryName, manifest: NewManifest) -> Result<()> {
        let repository = repository.clone();
        let put = |node: Arc<Node>| async move {
            let lock = node.lock(&repository);
            if manifest.precondition.is_some() {
                let _alone = lock.write().await;
                manifests::put(&node, &repository, &manifest).await
            } else {
                let _adding = lock.read().await;
                manifests::put(&node, &repository, &manifest).await
            }
        };
        self.node.run(put).await
    }

    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        subject: Option<&Digest>,
        cause: &Cause,
    ) -> Result<bool> {
        let (repository, digest) = (repository.clone(), digest.clone());
        let (subject, cause) = (subject.cloned(), cause.clone());
        let delete = |node: Arc<Node>| async move {
            removal::delete(&node, &repository, &digest, subject.as_ref(), &cause).await
        };
        self.node.run(delete).await
    }

    async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        precondition: &Precondition,
        cause: &Cause,
    ) -> Result<bool> {
        let (repository, tag) = (repository.clone(), tag.clone());
        let (precondition, cause) = (precondition.clone(), cause.clone());
        let delete = |node: Arc<Node>| async move {
            let _alone = node.lock(&repository).write().await;
            removal::delete_tag(&node, &repository, &tag, &precondition, &cause).await
        };
        self.node.run(delete).await
    }

    async fn tags(&self, repository: &RepositoryName, after: &str, limit: usize) -> Result<Option<Vec<Tag>>> {
        let (repository, after) = (repository.clone(), after.to_owned());
        self.node.run(move |node| async move { node.names.tags(&repository, &after, limit).await }).await
    }

    async fn repositories(&self, after: &str, limit: usize) -> Result<Vec<RepositoryName>> {
        let after = after.to_owned();
        self.node.run(move |node| async move { node.names.repositories(&after, limit).await }).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Digest>> {
        let (repository, subject, after) = (repository.clone(), subject.clone(), after.to_owned());
        let referrers = move |node: Arc<Node>| async move {
            manifests::referrers(&node, &repository, &subject, &after, limit).await
        };
        self.node.run(referrers).await
    }

    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>> {
        let (repository, tag) = (repository.clone(), tag.clone());
        self.node.run(move |node| async move { manifests::current(&node, &repository, &tag).await }).await
    }

    async fn linked(&self, repository: &RepositoryName, links: Links) -> Result<Vec<Digest>> {
        let prefix = keys::links(repository, links);
        let digests = |node: Arc<Node>| async move {
            let entries = node.objects.scan(&prefix);
            let digests = entries.try_filter_map(|entry| future::ok(keys::digest_of_link(&entry.key[prefix.len()..])));
            Ok(digests.try_collect().await?)
        };
        self.node.run(digests).await
    }

    fn contents(&self) -> BoxStream<'static, Result<(Digest, u64)>> {
        let entries = self.node.objects.scan(keys::BLOBS);
        let digest = |key: &str| keys::digest_of_blob(&key[keys::BLOBS.len()..]);
        let known = entries.try_filter_map(move |entry| future::ok(digest(&entry.key).map(|it| (it, entry.size))));
        self.node.stream(known.err_into().boxed())
    }

    async fn index(&self) -> Result<()> {
        self.node.names.index().await
    }
}

/// A blob that was opened for reading.
struct ObjectBlob {
    content: Box<dyn Opened>,
    /// Where a client may read it by itself.
    redirect: Option<(Arc<dyn BucketObjects>, String)>,
}

#[async_trait]
impl Blob for ObjectBlob {
    fn size(&self) -> u64 {
        self.content.size()
    }

    fn is_recorded(&self) -> bool {
        self.content.is_recorded()
    }

    fn read(&self, range: Range<u64>) -> ByteStream {
        self.content.read(range)
    }

    async fn url(&self, lifetime: Duration) -> Result<Option<String>> {
        match &self.redirect {
            Some((objects, key)) => Ok(objects.url(key, lifetime).await?),
            None => Ok(None),
        }
    }
}

#[cfg(all(test, feature = "s3"))]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use bytes::Bytes;
    use http::{Method, Request};
    use http_body_util::Empty;
    use lockgate_oci::Action;

    use super::*;
    use crate::config::{Limits, Storage};
    use crate::hasher::digest_of;
    use crate::objects::in_a_bucket;
    use crate::registry::Registry;

    /// What anybody gets at an address, without any header.
    fn fetched(address: &str) -> io::Result<Vec<u8>> {
        let (host, path) = address.trim_start_matches("http://").split_once('/').expect("it has a path");
        let mut stream = TcpStream::connect(host)?;
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a header ends");
        Ok(answer.split_off(end + 4))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_is_sent_to_the_bucket_for_a_large_blob_unless_it_is_a_browser_or_shows_its_password_there() {
        let objects = in_a_bucket().await;
        let store = ObjectStore::over(Arc::clone(&objects), 16 << 20, 2).redirecting(objects);
        let (name, contents) = ("a".parse().unwrap(), [vec![7; (1 << 20) + 1], vec![7; 1 << 20]]);
        for content in &contents {
            let id = store.begin_upload(&name, Algorithm::Sha256).await.unwrap();
            let mut upload = store.resume_upload(&name, id).await.unwrap();
            upload.append(Bytes::copy_from_slice(content)).await.unwrap();
            upload.commit(&digest_of(Algorithm::Sha256, content)).await.unwrap();
        }
        let registry = Registry::new(Arc::new(store), Storage::default(), Limits::default());
        let ask = async |method: Method, content: &[u8], header: (&'static str, &str)| {
            let path = format!("/v2/a/blobs/{}", digest_of(Algorithm::Sha256, content));
            let action = Action::parse(&method, &path, None).unwrap();
            let request = Request::builder().method(method).uri(&path).header("host", "registry.test");
            let mut request = request.body(Empty::<Bytes>::new()).unwrap();
            request.headers_mut().insert(header.0, header.1.parse().unwrap());
            registry.answer(action, request).await
        };
        let ([large, small], plain) = (&contents, ("accept", "*/*"));
        let answer = ask(Method::GET, large, plain).await;
        assert_eq!(answer.status(), 307);
        let address = answer.headers()["location"].to_str().unwrap().to_owned();
        let store = address.trim_start_matches("http://").split('/').next().unwrap().to_owned();
        assert!(tokio::task::spawn_blocking(move || fetched(&address)).await.unwrap().unwrap() == *large);
        assert_eq!(ask(Method::GET, small, plain).await.status(), 200);
        assert_eq!(ask(Method::HEAD, large, plain).await.status(), 200);
        assert_eq!(ask(Method::GET, large, ("range", "bytes=0-9")).await.status(), 206);
        let browsers = [
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-site", "none"),
            ("sec-fetch-dest", "document"),
            ("origin", "https://elsewhere"),
            ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
        ];
        for mark in browsers {
            assert_eq!(ask(Method::GET, large, mark).await.status(), 200, "{mark:?}");
        }
        assert_eq!(ask(Method::GET, large, ("host", &store)).await.status(), 200, "it would be shown the password");
    }
}
