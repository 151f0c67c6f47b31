//! One check's visit to a registry: a connection, a repository of its own, and requests.

use crate::answer::Answer;
use crate::targets::{Entrance, Setting, Target, entrance};
use lockgate_e2e::{Client, RequestBody, sha256};
use std::cell::RefCell;
use std::net::SocketAddr;

/// A visit.
pub(crate) struct Visit {
    pub(crate) target: Option<Target>,
    entrance: Entrance,
    client: RefCell<Client>,
    /// The repository that no other check touches.
    pub(crate) repository: String,
}

/// Content that was pushed.
pub(crate) struct Blob {
    pub(crate) content: Vec<u8>,
    pub(crate) digest: String,
}

impl Blob {
    /// Its path below a repository.
    pub(crate) fn path(&self) -> String {
        format!("blobs/{}", self.digest)
    }
}

/// A request in the making.
pub(crate) struct Request<'a> {
    visit: &'a Visit,
    method: &'a str,
    target: String,
    headers: Vec<String>,
    body: Option<Vec<u8>>,
    chunked: bool,
}

impl Visit {
    /// A visit to a target as it is usually set.
    pub(crate) fn to(target: Target, check: &str) -> Self {
        Self::enter(Some(target), entrance(target, Setting::Usual), check.to_owned())
    }

    /// A visit to a server that is no registry.
    pub(crate) fn to_stranger(address: SocketAddr, check: &str) -> Self {
        Self::enter(None, Entrance::Open(address), check.to_owned())
    }

    fn enter(target: Option<Target>, entrance: Entrance, repository: String) -> Self {
        let client = RefCell::new(entrance.client());
        Self { target, entrance, client, repository }
    }

    /// A visit to the same registry, set otherwise.
    pub(crate) fn set(&self, setting: Setting) -> Self {
        let entrance = self.target.map_or_else(|| self.entrance.clone(), |target| entrance(target, setting));
        Self::enter(self.target, entrance, self.repository.clone())
    }

    /// Another connection to the same registry.
    pub(crate) fn another(&self) -> Self {
        Self::enter(self.target, self.entrance.clone(), self.repository.clone())
    }

    /// A repository below that of the check, in full.
    pub(crate) fn below(&self, name: &str) -> String {
        format!("{}/{name}", self.repository)
    }

    /// A request. `path` is one below the check's repository, or begins with `/`.
    pub(crate) fn request<'a>(&'a self, method: &'a str, path: impl AsRef<str>) -> Request<'a> {
        let path = path.as_ref();
        let target = if path.starts_with('/') { path.to_owned() } else { format!("/v2/{}/{path}", self.repository) };
        Request { visit: self, method, target, headers: Vec::new(), body: None, chunked: false }
    }

    pub(crate) fn get(&self, path: impl AsRef<str>) -> Request<'_> {
        self.request("GET", path)
    }

    pub(crate) fn head(&self, path: impl AsRef<str>) -> Request<'_> {
        self.request("HEAD", path)
    }

    pub(crate) fn post(&self, path: impl AsRef<str>) -> Request<'_> {
        self.request("POST", path).body("")
    }

    pub(crate) fn patch(&self, path: impl AsRef<str>) -> Request<'_> {
        self.request("PATCH", path).header("Content-Type", "application/octet-stream")
    }

    pub(crate) fn put(&self, path: impl AsRef<str>) -> Request<'_> {
        self.request("PUT", path).body("")
    }

    pub(crate) fn delete(&self, path: impl AsRef<str>) -> Request<'_> {
        self.request("DELETE", path)
    }

    /// Begins an upload; where it goes on.
    pub(crate) fn begin(&self) -> String {
        self.post("blobs/uploads/").expect(202).location()
    }

    /// Pushes a blob to the check's repository.
    pub(crate) fn push(&self, content: impl AsRef<[u8]>) -> Blob {
        self.push_to(&self.repository, content)
    }

    /// Pushes a blob.
    pub(crate) fn push_to(&self, repository: &str, content: impl AsRef<[u8]>) -> Blob {
        let content = content.as_ref().to_vec();
        let digest = sha256(content.as_slice());
        let location = self.post(format!("/v2/{repository}/blobs/uploads/")).expect(202).location();
        self.put(closing(&location, &digest)).body(&content).expect(201);
        Blob { content, digest }
    }

    /// Where an upload stands, by its `Range`.
    pub(crate) fn standing(&self, location: &str) -> String {
        self.get(location).expect(204).header("range").to_owned()
    }

    /// Whether the repository holds a blob.
    pub(crate) fn holds(&self, digest: &str) -> bool {
        match self.head(format!("blobs/{digest}")).send().status() {
            200 => true,
            404 => false,
            status => panic!("HEAD of a blob gives {status}"),
        }
    }
}

/// An upload's location with the digest that closes it: appended, whatever is there.
pub(crate) fn closing(location: &str, digest: &str) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}

impl Request<'_> {
    pub(crate) fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.headers.push(format!("{name}: {value}"));
        self
    }

    /// A body with its length.
    pub(crate) fn body(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.body = Some(bytes.as_ref().to_vec());
        self
    }

    /// A body without its length.
    pub(crate) fn streamed(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.chunked = true;
        self.body(bytes)
    }

    pub(crate) fn send(self) -> Answer {
        let body = match &self.body {
            None => RequestBody::Absent,
            Some(bytes) if self.chunked => RequestBody::Chunked(bytes),
            Some(bytes) => RequestBody::Sized(bytes),
        };
        let asked = format!("{} {} {:?}", self.method, self.target, self.headers);
        let response = self.visit.client.borrow_mut().send(self.method, &self.target, &self.headers, body);
        Answer { asked, response }
    }

    /// Sends it, and wants this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Answer {
        self.send().with_status(&[status])
    }

    /// Sends it, and wants to be refused in the registry's own language.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Answer {
        let is_head = self.method == "HEAD";
        let answer = self.expect(status);
        if is_head { answer } else { answer.with_error(code) }
    }
}
