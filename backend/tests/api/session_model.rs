//! The upload session as a state machine, run against a model of it that fits on a page: a session is
//! the bytes that were acknowledged, until it is gone.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Answer, Storage, TestRegistry, sha256, sha512};
use lockgate_backend::ObjectStore;

const REPOSITORIES: [&str; 2] = ["a", "team/b"];

/// What a client does. A session is drawn among those that were ever begun, gone or not.
#[derive(Debug, Clone)]
enum Step {
    Begin {
        repository: Index,
        sha512: bool,
    },
    Append {
        session: Index,
        bytes: Vec<u8>,
        offset: Offset,
    },
    Status {
        session: Index,
    },
    /// The session's name in a repository that it is not of.
    AskElsewhere {
        session: Index,
    },
    /// The client's half of the connection ends within the body.
    CutOff {
        session: Index,
        bytes: Vec<u8>,
    },
    /// The connection is gone within the body.
    Reset {
        session: Index,
        bytes: Vec<u8>,
    },
    Restart,
    Commit {
        session: Index,
        bytes: Vec<u8>,
        offset: Offset,
        digest: Named,
    },
    Cancel {
        session: Index,
    },
}

/// What the `Content-Range` says.
#[derive(Debug, Clone, Copy)]
enum Offset {
    Unsaid,
    Right,
    /// So many bytes too far.
    Ahead(u64),
    /// So many bytes again.
    Again(u64),
}

/// The digest that the last request names.
#[derive(Debug, Clone, Copy)]
enum Named {
    Sha256,
    Sha512,
    Wrong,
}

struct Session {
    repository: &'static str,
    url: String,
    /// `None` once it is gone.
    bytes: Option<Vec<u8>>,
    became: Option<String>,
}

#[derive(Default)]
struct Model {
    sessions: Vec<Session>,
    blobs: Vec<(&'static str, String, Vec<u8>)>,
    never: Vec<(&'static str, String)>,
}

/// None, a few, or more than the buffers that they pass through.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![1 => Just(0_usize), 4 => 1_usize..40, 2 => 100_000_usize..300_000];
    (length, any::<u8>()).prop_map(|(length, seed)| (0..length).map(|i| (i % 251) as u8 ^ seed).collect())
}

fn offset() -> impl Strategy<Value = Offset> {
    let wrong = prop_oneof![(1_u64..9).prop_map(Offset::Ahead), (1_u64..9).prop_map(Offset::Again)];
    prop_oneof![2 => Just(Offset::Unsaid), 2 => Just(Offset::Right), 1 => wrong]
}

fn step() -> impl Strategy<Value = Step> {
    let named = prop_oneof![3 => Just(Named::Sha256), 1 => Just(Named::Sha512), 2 => Just(Named::Wrong)];
    let session = any::<Index>;
    prop_oneof![
        3 => (any::<Index>(), any::<bool>()).prop_map(|(repository, sha512)| Step::Begin { repository, sha512 }),
        6 => (session(), bytes(), offset())
            .prop_map(|(session, bytes, offset)| Step::Append { session, bytes, offset }),
        2 => session().prop_map(|session| Step::Status { session }),
        1 => session().prop_map(|session| Step::AskElsewhere { session }),
        2 => (session(), bytes()).prop_map(|(session, bytes)| Step::CutOff { session, bytes }),
        2 => (session(), bytes()).prop_map(|(session, bytes)| Step::Reset { session, bytes }),
        1 => Just(Step::Restart),
        3 => (session(), bytes(), offset(), named)
            .prop_map(|(session, bytes, offset, digest)| Step::Commit { session, bytes, offset, digest }),
        1 => session().prop_map(|session| Step::Cancel { session }),
    ]
}

/// The range of a session of so many bytes; of an empty one, it is that of one byte.
fn range(size: usize) -> String {
    format!("0-{}", size.saturating_sub(1))
}

impl Offset {
    /// The header for a piece after `size` bytes, and whether it goes on where they end.
    fn header(self, size: usize, length: usize) -> (Option<String>, bool) {
        let (size, length) = (size as u64, length as u64);
        let first = match self {
            Self::Ahead(by) => size + by,
            Self::Again(by) if size >= by => size - by,
            Self::Right if length > 0 => size,
            // What has no bytes has no range.
            _ => return (None, true),
        };
        (Some(format!("{first}-{}", first + length.max(1) - 1)), first == size)
    }
}

impl Model {
    fn at(&self, index: &Index) -> Option<usize> {
        (!self.sessions.is_empty()).then(|| index.index(self.sessions.len()))
    }

    async fn apply(&mut self, registry: &mut TestRegistry, step: &Step) {
        match step {
            Step::Begin { repository, sha512 } => {
                self.begin(registry, REPOSITORIES[repository.index(2)], *sha512).await
            }
            Step::Restart => registry.restart().await,
            Step::Append { session, bytes, offset } => {
                let Some(at) = self.at(session) else { return };
                self.append(registry, at, bytes, *offset).await;
            }
            Step::Commit { session, bytes, offset, digest } => {
                let Some(at) = self.at(session) else { return };
                self.commit(registry, at, bytes, *offset, *digest).await;
            }
            Step::CutOff { session, bytes } => {
                let Some(at) = self.at(session) else { return };
                self.cut_off(registry, at, bytes).await;
            }
            Step::Reset { session, bytes } => {
                let Some(at) = self.at(session) else { return };
                self.reset(registry, at, bytes).await;
            }
            Step::Status { session } => {
                let Some(at) = self.at(session) else { return };
                self.check(registry, at).await;
            }
            Step::AskElsewhere { session } => {
                let Some(at) = self.at(session) else { return };
                let elsewhere = self.sessions[at].url.replacen(self.sessions[at].repository, "elsewhere", 1);
                for method in ["GET", "PATCH", "DELETE"] {
                    registry.call(method, &elsewhere).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
                }
                self.check(registry, at).await;
            }
            Step::Cancel { session } => {
                let Some(at) = self.at(session) else { return };
                let answer = registry.call("DELETE", &self.sessions[at].url).await;
                match self.sessions[at].bytes.take() {
                    Some(_) => drop(answer.expect(204)),
                    None => drop(answer.expect_error(404, "BLOB_UPLOAD_UNKNOWN")),
                }
            }
        }
    }

    async fn begin(&mut self, registry: &TestRegistry, repository: &'static str, sha512: bool) {
        let hint = if sha512 { "?digest-algorithm=sha512" } else { "" };
        let answer = registry.call("POST", &format!("/v2/{repository}/blobs/uploads/{hint}")).await.expect(202);
        let url = answer.header("location").to_owned();
        self.sessions.push(Session { repository, url, bytes: Some(Vec::new()), became: None });
    }

    /// A session that is gone is unknown, and one that is there stands where the model says.
    async fn check(&self, registry: &TestRegistry, at: usize) {
        let session = &self.sessions[at];
        let answer = registry.get(&session.url).await;
        match &session.bytes {
            Some(bytes) => assert_eq!(answer.expect(204).header("range"), range(bytes.len())),
            None => drop(answer.expect_error(404, "BLOB_UPLOAD_UNKNOWN")),
        }
    }

    async fn append(&mut self, registry: &TestRegistry, at: usize, piece: &[u8], offset: Offset) {
        let session = &mut self.sessions[at];
        let (header, right) = offset.header(session.bytes.as_ref().map_or(0, Vec::len), piece.len());
        let headers: Vec<_> = header.iter().map(|value| ("content-range", value.as_str())).collect();
        let answer = registry.call_with("PATCH", &session.url, &headers, Bytes::copy_from_slice(piece)).await;
        match &mut session.bytes {
            None => drop(answer.expect_error(404, "BLOB_UPLOAD_UNKNOWN")),
            Some(bytes) if right => {
                bytes.extend_from_slice(piece);
                assert_eq!(answer.expect(202).header("range"), range(bytes.len()));
            }
            Some(bytes) => assert_eq!(answer.expect(416).header("range"), range(bytes.len())),
        }
        self.check(registry, at).await;
    }

    async fn commit(&mut self, registry: &TestRegistry, at: usize, piece: &[u8], offset: Offset, named: Named) {
        let session = &mut self.sessions[at];
        let (header, right) = offset.header(session.bytes.as_ref().map_or(0, Vec::len), piece.len());
        let whole = [session.bytes.as_deref().unwrap_or_default(), piece].concat();
        let digest = match named {
            Named::Sha256 => sha256(&whole),
            Named::Sha512 => sha512(&whole),
            Named::Wrong => sha256(&[&whole, &b"and more"[..]].concat()),
        };
        let headers: Vec<_> = header.iter().map(|value| ("content-range", value.as_str())).collect();
        let url = format!("{}?digest={digest}", session.url);
        let answer = registry.call_with("PUT", &url, &headers, Bytes::copy_from_slice(piece)).await;
        let repository = session.repository;
        match (&session.bytes, named) {
            // A store that remembers what a session has become may say so again.
            (None, _) if answer.status == 201 => assert_eq!(session.became, Some(digest)),
            (None, _) => drop(answer.expect_error(404, "BLOB_UPLOAD_UNKNOWN")),
            (Some(bytes), _) if !right => assert_eq!(answer.expect(416).header("range"), range(bytes.len())),
            (Some(_), Named::Wrong) => {
                answer.expect_error(400, "DIGEST_INVALID");
                session.bytes = None;
                self.never.push((repository, digest));
            }
            (Some(_), _) => {
                answer.expect(201);
                session.bytes = None;
                session.became = Some(digest.clone());
                self.blobs.push((repository, digest, whole));
            }
        }
        self.check(registry, at).await;
    }

    /// Sends the head and the first bytes of a longer body, these once the server asks for them: then
    /// it has taken the session.
    async fn begin_to_send(&self, registry: &TestRegistry, at: usize, piece: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(registry.address).await.unwrap();
        let (url, length) = (&self.sessions[at].url, piece.len() + 5);
        let head =
            format!("PATCH {url} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut begun = [0; 12];
        stream.read_exact(&mut begun).await.unwrap();
        let expected = if self.sessions[at].bytes.is_some() { b"HTTP/1.1 100" } else { b"HTTP/1.1 404" };
        assert_eq!(&begun, expected);
        // Who is refused need not be read to the end.
        let _ = stream.write_all(piece).await;
        stream
    }

    /// All that came is kept.
    async fn cut_off(&mut self, registry: &TestRegistry, at: usize, piece: &[u8]) {
        let mut stream = self.begin_to_send(registry, at, piece).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        if let Some(bytes) = &mut self.sessions[at].bytes {
            bytes.extend_from_slice(piece);
        }
        self.check(registry, at).await;
    }

    /// Some of what came is kept, and all of what was there before.
    async fn reset(&mut self, registry: &TestRegistry, at: usize, piece: &[u8]) {
        let stream = self.begin_to_send(registry, at, piece).await;
        stream.set_zero_linger().unwrap();
        drop(stream);
        let answer = self.until_free(registry, at).await;
        let Some(bytes) = &mut self.sessions[at].bytes else { return };
        let answer = answer.expect(202);
        let kept = (bytes.len()..=bytes.len() + piece.len()).find(|size| range(*size) == answer.header("range"));
        let kept = kept.unwrap_or_else(|| panic!("{answer:?} after {} and {}", bytes.len(), piece.len()));
        // Of an empty session, and of one with a byte, the range is the same: their sizes are told apart below.
        let kept = if bytes.is_empty() && kept == 0 { self.size_of_little(registry, at).await } else { kept };
        let bytes = self.sessions[at].bytes.as_mut().expect("it was there a moment ago");
        let before = bytes.len();
        bytes.extend_from_slice(&piece[..kept - before]);
    }

    /// Whether a session whose range is `0-0` holds a byte.
    async fn size_of_little(&self, registry: &TestRegistry, at: usize) -> usize {
        let url = &self.sessions[at].url;
        let answer = registry.call_with("PATCH", url, &[("content-range", "7-7")], "x").await.expect(416);
        let message = answer.json()["errors"][0]["message"].as_str().unwrap().to_owned();
        usize::from(message.contains(" 1 bytes"))
    }

    /// A writer that was cut off may still be at its last piece: appends nothing until it is done.
    async fn until_free(&self, registry: &TestRegistry, at: usize) -> Answer {
        let free = async {
            loop {
                let answer = registry.call("PATCH", &self.sessions[at].url).await;
                if answer.status != 409 {
                    return answer;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(crate::harness::PATIENCE, free).await.unwrap()
    }

    async fn check_blobs(&self, registry: &TestRegistry) {
        for (repository, digest, content) in &self.blobs {
            let answer = registry.get(&format!("/v2/{repository}/blobs/{digest}")).await.expect(200);
            assert!(answer.body == content.as_slice(), "{digest}");
        }
        for (repository, digest) in &self.never {
            if !self.blobs.iter().any(|(of, blob, _)| (of, blob) == (repository, digest)) {
                registry.call("HEAD", &format!("/v2/{repository}/blobs/{digest}")).await.expect(404);
            }
        }
    }
}

fn behaves_as_the_model(storage: Storage, steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut registry, mut model) = (TestRegistry::start_over(storage).await, Model::default());
        for step in steps {
            model.apply(&mut registry, step).await;
        }
        for at in 0..model.sessions.len() {
            model.check(&registry, at).await;
        }
        model.check_blobs(&registry).await;
        registry.restart().await;
        model.check_blobs(&registry).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn an_upload_session_on_disk_is_what_was_acknowledged(steps in prop::collection::vec(step(), 1..30)) {
        behaves_as_the_model(Storage::Disk, &steps);
    }

    #[test]
    fn an_upload_session_in_memory_is_what_was_acknowledged(steps in prop::collection::vec(step(), 1..30)) {
        behaves_as_the_model(Storage::Memory(ObjectStore::in_memory()), &steps);
    }
}
