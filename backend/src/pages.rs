//! A small server of plain HTTP beside a registry, whose answers are short: for whoever runs it, and for who took the wrong
//! port.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::listener::{Listener, Stream};

/// How long a request may take to come.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The bytes that a request's header may have.
const HEADER: usize = 16 * 1024;

/// After an error to accept, usually that no file descriptor is left, trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A short answer.
pub type Page = Response<Full<Bytes>>;

/// What all who come may take together.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Which key of the configuration opens this.
    pub key: &'static str,
    /// Connections at a time; more wait until one of them ends.
    pub connections: usize,
    /// How long a connection may last, so that those who take nothing let others come in.
    pub longest: Duration,
}

/// Answers whoever comes, until it is dropped. No request's body is read.
pub async fn serve<A, F>(listener: Listener, budget: Budget, answer: A)
where
    A: Fn(Request<()>) -> F + Send + Sync + 'static,
    F: Future<Output = Page> + Send,
{
    let Budget { key, connections, longest } = budget;
    let (places, answer) = (Arc::new(Semaphore::new(connections)), Arc::new(answer));
    // What runs in it ends when it is dropped.
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection at {key}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let answer = Arc::clone(&answer);
        connections.spawn(async move {
            let _place = place;
            let served = async {
                match stream {
                    Stream::Tcp(io) => converse(io, key, &*answer).await,
                    Stream::Unix(io) => converse(io, key, &*answer).await,
                }
            };
            // Whoever is cut off asks again.
            let _ = tokio::time::timeout(longest, served).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse<I, F>(io: I, key: &str, answer: &(impl Fn(Request<()>) -> F + Sync))
where
    I: Read + Write + Unpin + 'static,
    F: Future<Output = Page> + Send,
{
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let page = answer(request.map(drop));
        async move { Ok::<_, Infallible>(page.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER)
        .serve_connection(io, service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to {key} ended early");
    }
}

/// An answer that nobody keeps. hyper leaves its content out where the request is HEAD.
pub fn page(status: StatusCode, kind: &'static str, content: impl Into<Bytes>) -> Page {
    let mut page = Response::new(Full::new(content.into()));
    *page.status_mut() = status;
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    page.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}
