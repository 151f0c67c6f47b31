//! A registry kept in objects.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, future};
use lockgate_oci::{Algorithm, Digest, Reference, RepositoryName, Tag};
use uuid::Uuid;

use super::links::Held;
use super::node::Node;
use super::session::{self, State};
use super::{keys, manifests, upload};
use crate::objects::{MemoryObjects, Objects, ObjectsError, OneNode};
use crate::store::{
    Blob, ByteStream, Links, NewManifest, Precondition, Result, Store, StoreError, StoredManifest, Upload,
};

/// How long a session that has become a blob is kept, for clients that ask again.
const DONE: Duration = Duration::from_secs(24 * 60 * 60);

/// A store whose bytes are objects: in memory, or in a bucket that several processes use at once.
#[derive(Clone)]
pub struct ObjectStore(pub(super) Arc<Node>);

impl ObjectStore {
    /// A store in this process's memory, with nothing in it. For tests.
    pub fn in_memory() -> Self {
        Self::over(Arc::new(MemoryObjects::default()), 16 << 20, 4)
    }

    /// A store over objects: a blob is sent in parts of `part_size` bytes, of which so many are on their way at once.
    pub(crate) fn over(objects: Arc<dyn Objects>, part_size: u64, parts_in_flight: usize) -> Self {
        Self(Arc::new(Node::new(objects, part_size, parts_in_flight)))
    }

    /// The same, which sends clients to where these objects can be read for large blobs.
    pub(crate) fn redirecting(self, to: Arc<dyn Objects>) -> Self {
        self.with(|node| node.redirects = Some(to))
    }

    /// The same, of which nothing is written where blobs are read.
    pub(crate) fn reading_alone(self) -> Self {
        self.with(|node| node.is_relied_on = false)
    }

    fn with(self, change: impl FnOnce(&mut Node)) -> Self {
        let mut node = Arc::into_inner(self.0).expect("a store is handed out only when it is complete");
        change(&mut node);
        Self(Arc::new(node))
    }

    /// The same, which keeps at most so many bytes of a tail in a session, and at most so many pieces of one.
    #[cfg(test)]
    pub(crate) fn with_tails(self, max_rest: usize, max_pieces: usize) -> Self {
        let mut node = Arc::into_inner(self.0).expect("a store is handed out only when it is complete");
        node.tails = super::node::Tails { max_rest, max_pieces };
        Self(Arc::new(node))
    }

    /// The same where no other process uses the objects, whose store keeps no conditions.
    ///
    /// # Errors
    /// Another process uses them, or they cannot be reached.
    pub(crate) async fn alone_over(
        objects: Arc<dyn Objects>,
        part_size: u64,
        parts_in_flight: usize,
    ) -> Result<Self, ObjectsError> {
        Ok(Self::over(Arc::new(OneNode::begin(objects).await?), part_size, parts_in_flight))
    }
}

#[async_trait]
impl Store for ObjectStore {
    async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Box<dyn Blob>>> {
        let held = self.0.rely(repository, digest).await?;
        let blob =
            |held: Held| ObjectBlob { node: Arc::clone(&self.0), key: keys::blob(&held.target), size: held.size };
        Ok(held.map(|held| Box::new(blob(held)) as Box<dyn Blob>))
    }

    async fn mount_blob(&self, repository: &RepositoryName, from: &RepositoryName, digest: &Digest) -> Result<bool> {
        let Some(held) = self.0.rely(from, digest).await? else { return Ok(false) };
        let _adding = self.0.lock(repository).read().await;
        let key = keys::layer(repository, digest);
        self.0.name_repository(repository).await?;
        self.0.write_link(&key, &held.target, None).await?;
        self.0.look(&[key, keys::blob(&held.target)]).await?;
        Ok(self.0.rely(repository, digest).await?.is_some())
    }

    async fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool> {
        let _alone = self.0.lock(repository).write().await;
        let key = keys::layer(repository, digest);
        let was_there = self.0.objects.stat(&key).await?.is_some();
        self.0.objects.remove(&key).await?;
        Ok(was_there)
    }

    async fn begin_upload(&self, repository: &RepositoryName, algorithm: Algorithm) -> Result<Uuid> {
        session::begin(&self.0, repository, algorithm).await
    }

    async fn upload_size(&self, repository: &RepositoryName, id: Uuid) -> Result<u64> {
        session::size(&self.0, repository, id).await
    }

    async fn resume_upload(&self, repository: &RepositoryName, id: Uuid) -> Result<Box<dyn Upload>> {
        upload::resume(&self.0, repository, id).await
    }

    async fn cancel_upload(&self, repository: &RepositoryName, id: Uuid) -> Result<()> {
        session::cancel(&self.0, repository, id).await
    }

    async fn remove_stale_uploads(&self, deadline: SystemTime) -> Result<usize> {
        let done = SystemTime::now() - DONE;
        let (mut removed, mut entries) = (0, self.0.objects.scan(keys::UPLOADS));
        while let Some(entry) = entries.try_next().await? {
            if entry.modified >= deadline.max(done) {
                continue;
            }
            match entry.key[keys::UPLOADS.len()..].split_once('/') {
                Some((id, "session")) => {
                    let Ok(id) = id.parse() else { continue };
                    let Some(_lease) = self.0.sessions.take(id) else { continue };
                    let Some(object) = self.0.objects.get(&entry.key).await? else { continue };
                    let session = serde_json::from_slice::<session::Session>(&object.bytes).ok();
                    let is_done = session.as_ref().is_some_and(|session| matches!(session.state, State::Done(_)));
                    if object.stat.modified >= if is_done { done } else { deadline } {
                        continue;
                    }
                    match session {
                        Some(session) => match session::end(&self.0, id, &session, &object.stat.version).await {
                            Err(StoreError::UploadBusy) => continue,
                            ended => ended?,
                        },
                        None => self.0.objects.remove(&entry.key).await?,
                    }
                    removed += usize::from(!is_done);
                }
                // The session that named it has gone on without it, or is gone.
                _ if entry.modified < deadline => self.0.objects.remove(&entry.key).await?,
                _ => {}
            }
        }
        Ok(removed)
    }

    async fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<StoredManifest>> {
        manifests::read(&self.0, repository, reference).await
    }

    async fn put_manifest(&self, repository: &RepositoryName, manifest: NewManifest) -> Result<()> {
        let lock = self.0.lock(repository);
        if manifest.precondition.is_some() {
            let _alone = lock.write().await;
            manifests::put(&self.0, repository, &manifest).await
        } else {
            let _adding = lock.read().await;
            manifests::put(&self.0, repository, &manifest).await
        }
    }

    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        subject: Option<&Digest>,
    ) -> Result<bool> {
        let _alone = self.0.lock(repository).write().await;
        manifests::delete(&self.0, repository, digest, subject).await
    }

    async fn delete_tag(&self, repository: &RepositoryName, tag: &Tag, precondition: &Precondition) -> Result<bool> {
        let _alone = self.0.lock(repository).write().await;
        manifests::delete_tag(&self.0, repository, tag, precondition).await
    }

    async fn tags(&self, repository: &RepositoryName, after: &str, limit: usize) -> Result<Option<Vec<Tag>>> {
        self.0.tags(repository, after, limit).await
    }

    async fn repositories(&self, after: &str, limit: usize) -> Result<Vec<RepositoryName>> {
        self.0.repositories(after, limit).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Digest>> {
        self.0.referrers(repository, subject, after, limit).await
    }

    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>> {
        manifests::current(&self.0, repository, tag).await
    }

    async fn linked(&self, repository: &RepositoryName, links: Links) -> Result<Vec<Digest>> {
        let prefix = keys::links(repository, links);
        let entries = self.0.objects.scan(&prefix);
        let digests = entries.try_filter_map(|entry| future::ok(keys::digest_of_link(&entry.key[prefix.len()..])));
        Ok(digests.try_collect().await?)
    }

    fn contents(&self) -> BoxStream<'static, Result<(Digest, u64)>> {
        let entries = self.0.objects.scan(keys::BLOBS);
        let digest = |key: &str| keys::digest_of_blob(&key[keys::BLOBS.len()..]);
        let known = entries.try_filter_map(move |entry| future::ok(digest(&entry.key).map(|it| (it, entry.size))));
        known.err_into().boxed()
    }

    async fn index(&self) -> Result<()> {
        if !self.0.names_are_complete().await? {
            self.0.name_everything().await?;
        }
        Ok(())
    }
}

/// A blob that is read from its object.
struct ObjectBlob {
    node: Arc<Node>,
    key: String,
    size: u64,
}

#[async_trait]
impl Blob for ObjectBlob {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, range: Range<u64>) -> ByteStream {
        self.node.objects.read(&self.key, range)
    }

    async fn url(&self, lifetime: Duration) -> Result<Option<String>> {
        match &self.node.redirects {
            Some(objects) => Ok(objects.url(&self.key, lifetime).await?),
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
    fn fetched(address: &str) -> std::io::Result<Vec<u8>> {
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
