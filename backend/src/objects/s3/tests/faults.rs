//! What goes wrong between a program and S3, on purpose and counted.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// What a request can meet with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is done, and the connection breaks before the answer.
    Lost,
    /// It is done, and the answer is 500.
    FailedAfter,
    /// The connection breaks before anything is done.
    Dropped,
    /// Nothing is done, and nothing answered.
    Stalled,
    /// Nothing is done: 500.
    Failed,
    /// Nothing is done: 503 SlowDown.
    SlowDown,
    /// It is done, and the answer ends in the middle of its body.
    Cut,
}

pub(crate) const EVERY_FAULT: [Fault; 7] =
    [Fault::Lost, Fault::FailedAfter, Fault::Dropped, Fault::Stalled, Fault::Failed, Fault::SlowDown, Fault::Cut];

/// A proxy before a server.
pub(crate) struct Faults {
    /// Where it listens.
    pub(crate) address: String,
    server: String,
    /// What the next requests meet with, before chance decides.
    script: Mutex<VecDeque<Option<Fault>>>,
    /// In a thousand requests.
    rate: u64,
    chance: Mutex<u64>,
    met: [AtomicUsize; EVERY_FAULT.len()],
    requests: Mutex<Vec<String>>,
}

type Answer = Response<BoxBody<Bytes, io::Error>>;

impl Faults {
    /// It goes on until the runtime ends.
    pub(crate) async fn before(server: &str, rate: u64) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let faults = Arc::new(Self {
            address: listener.local_addr().unwrap().to_string(),
            server: server.to_owned(),
            script: Mutex::default(),
            rate,
            chance: Mutex::new(0x5eed_0001),
            met: Default::default(),
            requests: Mutex::default(),
        });
        let accepting = faults.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let faults = accepting.clone();
                let service = service_fn(move |request| {
                    let faults = faults.clone();
                    async move { faults.answer(request).await }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        faults
    }

    /// The next requests meet with these, and then no others but by chance.
    pub(crate) fn next(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.script.lock().unwrap().extend(faults);
    }

    /// How many requests met with it.
    pub(crate) fn met(&self, fault: Fault) -> usize {
        self.met[fault as usize].load(Ordering::Relaxed)
    }

    /// What was asked since the last time: methods and targets without signatures.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    fn draw(&self) -> Option<Fault> {
        if let Some(scripted) = self.script.lock().unwrap().pop_front() {
            return scripted;
        }
        // SplitMix64.
        let mut chance = self.chance.lock().unwrap();
        *chance = chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*chance ^ (*chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let drawn = mixed ^ (mixed >> 31);
        (drawn % 1000 < self.rate).then(|| EVERY_FAULT[(drawn >> 32) as usize % EVERY_FAULT.len()])
    }

    async fn answer(&self, request: Request<Incoming>) -> io::Result<Answer> {
        let target = request.uri().to_string();
        let target = target.split(['?', '&']).filter(|part| !part.starts_with("X-Amz-")).collect::<Vec<_>>().join("&");
        self.requests.lock().unwrap().push(format!("{} {target}", request.method()));
        let fault = self.draw();
        if let Some(fault) = fault {
            self.met[fault as usize].fetch_add(1, Ordering::Relaxed);
        }
        // A client may hang up in the middle of its body; then nothing is forwarded.
        let (head, body) = request.into_parts();
        if matches!(head.method, Method::PUT | Method::POST) && !head.headers.contains_key(header::CONTENT_LENGTH) {
            // AWS asks for it, and SeaweedFS does not.
            return Ok(error(StatusCode::LENGTH_REQUIRED, "MissingContentLength"));
        }
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let broken = || io::Error::new(io::ErrorKind::ConnectionReset, "on purpose");
        match fault {
            Some(Fault::Dropped) => return Err(broken()),
            Some(Fault::Stalled) => std::future::pending().await,
            Some(Fault::Failed) => return Ok(error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")),
            Some(Fault::SlowDown) => return Ok(error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown")),
            _ => {}
        }
        let (answer, content) = self.forward(Request::from_parts(head, body)).await?;
        match fault {
            Some(Fault::Lost) => Err(broken()),
            Some(Fault::FailedAfter) => Ok(error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")),
            Some(Fault::Cut) if content.is_empty() => Err(broken()),
            Some(Fault::Cut) => {
                let half = content.slice(..content.len() / 2);
                // The server sends what it has when the body lets it wait, and not before an error.
                let end = stream::once(async move {
                    tokio::task::yield_now().await;
                    Err(broken())
                });
                let pieces = stream::iter([Ok(Frame::data(half))]).chain(end);
                Ok(Response::from_parts(answer, BodyExt::boxed(StreamBody::new(pieces))))
            }
            _ => Ok(Response::from_parts(answer, whole(content))),
        }
    }

    async fn forward(&self, request: Request<Bytes>) -> io::Result<(http::response::Parts, Bytes)> {
        let stream = TcpStream::connect(&self.server).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        let answer = sender.send_request(request.map(Full::new)).await.map_err(io::Error::other)?;
        let (head, body) = answer.into_parts();
        Ok((head, body.collect().await.map_err(io::Error::other)?.to_bytes()))
    }
}

pub(crate) fn whole(content: Bytes) -> BoxBody<Bytes, io::Error> {
    Full::new(content).map_err(|never: Infallible| match never {}).boxed()
}

/// An answer as S3 gives it.
pub(crate) fn error(status: StatusCode, code: &str) -> Answer {
    let body =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>x</Message></Error>");
    let mut answer = Response::new(whole(body.into()));
    *answer.status_mut() = status;
    answer
}

/// The address of a server that answers everything so.
pub(crate) async fn canned(answer: impl Fn(&Request<Incoming>) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let answered = answer(&request);
                async move {
                    // A client that is still sending takes a closed connection for the answer.
                    request.into_body().collect().await.map_err(io::Error::other)?;
                    io::Result::Ok(answered)
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}
