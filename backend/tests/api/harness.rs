//! A registry on a free port, and a small client.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body;
use hyper_util::rt::TokioIo;
use lockgate_backend::config::Config;
use lockgate_backend::{Listener, ObjectStore, Store, serve};
use lockgate_oci::{ErrorCode, RepositoryName};
use lockgate_settings::Period;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// No promise is waited for longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The headers of every answer.
pub(crate) const ON_EVERY_ANSWER: [(&str, &str); 4] = [
    ("docker-distribution-api-version", "registry/2.0"),
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// What a registry keeps its content in.
#[derive(Clone)]
pub(crate) enum Storage {
    /// The directory that the registry has for its own.
    Disk,
    /// This memory.
    Memory(ObjectStore),
}

impl Storage {
    async fn open(&self, data: &Path) -> Arc<dyn Store> {
        match self {
            Self::Disk => {
                // What a server before it does on other threads may be about to end.
                let mut opened = None;
                until(|| match ObjectStore::in_directory(data) {
                    Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => false,
                    store => opened.replace(store.unwrap()).is_none(),
                })
                .await;
                Arc::new(opened.unwrap())
            }
            Self::Memory(store) => Arc::new(store.clone()),
        }
    }
}

/// A registry that runs, over a directory of its own.
pub(crate) struct TestRegistry {
    pub(crate) address: std::net::SocketAddr,
    storage: Storage,
    directory: TempDir,
    server: Option<Server>,
}

struct Server {
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).to_str().unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of the one error that it is.
    pub(crate) fn error(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn expect_error(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.error(), code, "{answer:?}");
        answer
    }
}

impl TestRegistry {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        configure(&mut config);
        Self::launch(Storage::Disk, config).await
    }

    pub(crate) async fn start_over(storage: Storage) -> Self {
        Self::launch(storage, Config::default()).await
    }

    async fn launch(storage: Storage, config: Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (address, server) = launch(storage.open(directory.path()).await, config).await;
        Self { address, storage, directory, server: Some(server) }
    }

    /// Ends the server and starts another over the same storage, opened anew.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        let (address, server) = launch(self.storage.open(self.directory.path()).await, Config::default()).await;
        self.address = address;
        self.server = Some(server);
    }

    pub(crate) async fn stop(&mut self) {
        let server = self.server.take().unwrap();
        server.stop.send(()).unwrap();
        tokio::time::timeout(PATIENCE, server.served).await.unwrap().unwrap();
    }

    /// Says that it shall end; whoever awaits the handle sees when it has.
    pub(crate) fn begin_stop(&mut self) -> JoinHandle<()> {
        let server = self.server.take().unwrap();
        server.stop.send(()).unwrap();
        server.served
    }

    /// A path in the directory's `docker/registry/v2`.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join("docker/registry/v2").join(below)
    }

    /// Every file of the data directory but its lock, relative to it, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        collect_files(self.directory.path(), self.directory.path(), &mut files);
        files.retain(|file| file != ".lockgate/lock");
        files.sort();
        files
    }

    pub(crate) async fn send<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: std::error::Error + Send + Sync,
    {
        let head = request.method() == http::Method::HEAD;
        let answer = tokio::time::timeout(PATIENCE, send(self.address, request)).await.unwrap();
        check_what_holds_for_every_answer(&answer, head);
        answer
    }

    pub(crate) async fn call(&self, method: &str, path: &str) -> Answer {
        self.call_with(method, path, &[], "").await
    }

    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::new(body.into())).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).await
    }

    /// Begins an upload; its URL.
    pub(crate) async fn begin(&self, repository: &str) -> String {
        let answer = self.call("POST", &format!("/v2/{repository}/blobs/uploads/")).await.expect(202);
        answer.header("location").to_owned()
    }

    /// Pushes a blob; its digest.
    pub(crate) async fn push_blob(&self, repository: &str, content: impl Into<Bytes>) -> String {
        let content = content.into();
        let (url, digest) = (self.begin(repository).await, sha256(&content));
        self.call_with("PUT", &format!("{url}?digest={digest}"), &[], content).await.expect(201);
        digest
    }

    pub(crate) async fn put_manifest(&self, repository: &str, reference: &str, manifest: &serde_json::Value) -> Answer {
        let media_type = manifest["mediaType"].as_str().unwrap();
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.call_with("PUT", &path, &[("content-type", media_type)], manifest.to_string()).await
    }

    /// Pushes an image of one layer; its manifest's digest.
    pub(crate) async fn push_image(&self, repository: &str, tag: &str, layer: &str) -> String {
        let image = self.image_of(repository, layer).await;
        let answer = self.put_manifest(repository, tag, &image).await.expect(201);
        answer.header("docker-content-digest").to_owned()
    }

    /// Pushes the blobs of an image; its manifest.
    pub(crate) async fn image_of(&self, repository: &str, layer: &str) -> serde_json::Value {
        let config = self.push_blob(repository, "{}").await;
        let layer = self.push_blob(repository, layer.to_owned()).await;
        serde_json::json!({
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 },
            "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": 1 }],
        })
    }

    /// Sends bytes as they stand, then waits for the server to close, or closes.
    pub(crate) async fn raw(&self, bytes: &[u8], end: RawEnd) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        if matches!(end, RawEnd::CutOff) {
            stream.shutdown().await.unwrap();
        }
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Where an upload stands, once its size is `size`.
    pub(crate) async fn until_upload_has(&self, url: &str, size: u64) {
        let path = self.path(&upload_directory(url)).join("data");
        until(|| std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == size)).await;
    }
}

/// How a raw conversation ends.
pub(crate) enum RawEnd {
    /// The server closes, as it was asked to.
    Close,
    /// The client's half is closed after the last byte.
    CutOff,
}

/// Where an upload is in the data directory.
pub(crate) fn upload_directory(url: &str) -> String {
    let (repository, id) = url.strip_prefix("/v2/").unwrap().split_once("/blobs/uploads/").unwrap();
    repository.parse::<RepositoryName>().unwrap();
    format!("repositories/{repository}/_uploads/{id}")
}

/// Waits, within bounds, until something is so.
pub(crate) async fn until(mut so: impl FnMut() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

pub(crate) fn sha256(content: &[u8]) -> String {
    named("sha256", &aws_lc_rs::digest::SHA256, content)
}

pub(crate) fn sha512(content: &[u8]) -> String {
    named("sha512", &aws_lc_rs::digest::SHA512, content)
}

fn named(name: &str, algorithm: &'static aws_lc_rs::digest::Algorithm, content: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(algorithm, content);
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}:{hex}")
}

/// A setting that no test has to wait long for.
pub(crate) fn millis(millis: u64) -> Period {
    Duration::from_millis(millis).try_into().unwrap()
}

/// So many bytes, none like its neighbours.
pub(crate) fn content(length: usize) -> Vec<u8> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

async fn launch(store: Arc<dyn Store>, config: Config) -> (std::net::SocketAddr, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        let _ = stopped.await;
    };
    let served = tokio::spawn(serve(Listener::from(listener), store, config, shutdown));
    (address, Server { stop, served })
}

async fn send<B>(address: std::net::SocketAddr, mut request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    request.headers_mut().insert("host", "registry.test".parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    connection.abort();
    Answer { status: parts.status, headers: parts.headers, body }
}

fn check_what_holds_for_every_answer(answer: &Answer, head: bool) {
    for (name, value) in ON_EVERY_ANSWER {
        let values: Vec<_> = answer.headers.get_all(name).iter().collect();
        assert_eq!(values, [value], "{name}: {answer:?}");
    }
    assert_eq!(answer.headers.get_all("date").iter().count(), 1, "{answer:?}");
    if let Some(location) = answer.headers.get("location") {
        assert!(location.as_bytes().starts_with(b"/v2/"), "{answer:?}");
    }
    if (answer.status.is_client_error() || answer.status.is_server_error()) && !head {
        assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
        assert!(ErrorCode::ALL.iter().any(|code| code.as_str() == answer.error()), "{answer:?}");
        assert!(!answer.json()["errors"][0]["message"].as_str().unwrap().is_empty(), "{answer:?}");
    }
}

fn collect_files(root: &Path, directory: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(root, &path, files);
        } else {
            files.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}
