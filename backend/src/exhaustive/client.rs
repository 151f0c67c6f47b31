//! A client of one node, which remembers what it was answered.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use lockgate_oci::{Action, Digest};

use crate::config::{Limits, Storage};
use crate::lock::held;
use crate::objects::BucketObjects;
use crate::registry::{Ages, ObjectStore, Registry};
use crate::store::{CollectOptions, Collected, StoreError};

pub(super) type Answers = Arc<Mutex<Vec<Answer>>>;

#[derive(Clone)]
pub(super) struct Answer {
    pub(super) asked: String,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{} -> {} {}", self.asked, self.status, String::from_utf8_lossy(&self.body))
    }
}

impl Answer {
    /// How many bytes a session has, by its range.
    pub(super) fn offset(&self) -> u64 {
        let range = self.headers.get("range").and_then(|range| range.to_str().ok()).unwrap_or_default();
        let last: u64 = range.strip_prefix("0-").and_then(|last| last.parse().ok()).unwrap_or_default();
        if last == 0 { 0 } else { last + 1 }
    }

    pub(super) fn is(&self, method: &str, status: u16) -> bool {
        self.asked.starts_with(method) && self.status == status
    }
}

pub(super) struct Client {
    registry: Arc<Registry>,
    answers: Answers,
}

impl Client {
    pub(super) fn over(
        objects: Arc<dyn BucketObjects>,
        part_size: u64,
        (max_rest, max_pieces): (usize, usize),
        answers: Answers,
    ) -> Self {
        // A record of the trash is named by a time, which is another in each run.
        let ages = Ages { trash: Duration::ZERO, ..Ages::default() };
        let store = ObjectStore::with_tails(objects, part_size, 2, max_rest, max_pieces).keeping(ages);
        Self { registry: Arc::new(Registry::new(Arc::new(store), Storage::default(), Limits::default())), answers }
    }

    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&'static str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let asked = format!("{method} {path} {headers:?}");
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let action = Action::parse(&method, path, query).expect("an end-point");
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let (head, body) = self.registry.answer(action, request).await.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let answer = Answer { asked, status: head.status.as_u16(), headers: head.headers, body };
        held(self.answers.lock()).push(answer.clone());
        answer
    }

    /// Has the collector run once.
    pub(super) async fn collect(&self) -> Result<Collected, StoreError> {
        let terms = CollectOptions { max_delete: 1.0, rate: 1.0, retention: Vec::new() };
        self.registry.store.collect(&terms, None).await
    }

    /// Has listings made of names from now on.
    pub(super) async fn index(&self) {
        self.registry.store.index().await.expect("names are written");
    }

    /// Begins a session; returns where it is.
    pub(super) async fn begin(&self) -> String {
        let answer = self.ask("POST", "/v2/a/blobs/uploads/", &[], "").await;
        answer.headers.get("location").and_then(|at| at.to_str().ok()).unwrap_or_default().to_owned()
    }

    /// Adds bytes that go on at an offset.
    pub(super) async fn patch(&self, session: &str, from: usize, bytes: &'static [u8]) -> Answer {
        let range = format!("{from}-{}", from + bytes.len() - 1);
        self.ask("PATCH", session, &[("content-range", &range)], bytes).await
    }

    /// Makes a blob, of what is there and what comes along.
    pub(super) async fn finish(&self, session: &str, bytes: &'static [u8], digest: &Digest) -> Answer {
        self.ask("PUT", &format!("{session}?digest={digest}"), &[], bytes).await
    }

    /// The same with bytes that go on at an offset.
    pub(super) async fn finish_from(
        &self,
        session: &str,
        from: usize,
        bytes: &'static [u8],
        digest: &Digest,
    ) -> Answer {
        let path = format!("{session}?digest={digest}");
        if bytes.is_empty() {
            return self.ask("PUT", &path, &[], "").await;
        }
        let range = format!("{from}-{}", from + bytes.len() - 1);
        self.ask("PUT", &path, &[("content-range", &range)], bytes).await
    }

    /// Uploads all of a blob.
    pub(super) async fn begin_and_finish(&self, bytes: &'static [u8], digest: &Digest) -> Result<(), String> {
        let session = self.begin().await;
        let anew = self.finish(&session, bytes, digest).await;
        if anew.status == 201 { Ok(()) } else { Err(format!("a client cannot begin anew: {anew:?}")) }
    }

    pub(super) async fn push(
        &self,
        reference: &str,
        content: &'static str,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        let path = format!("/v2/a/manifests/{reference}");
        let kind = [("content-type", "application/vnd.oci.image.index.v1+json")];
        self.ask("PUT", &path, &[&kind[..], headers].concat(), content).await
    }

    pub(super) async fn delete(&self, reference: impl std::fmt::Display) -> Answer {
        self.ask("DELETE", &format!("/v2/a/manifests/{reference}"), &[], "").await
    }

    pub(super) async fn manifest(&self, reference: impl std::fmt::Display) -> Answer {
        self.ask("GET", &format!("/v2/a/manifests/{reference}"), &[], "").await
    }
}
