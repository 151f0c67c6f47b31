//! The admin listener: how a program tells whoever runs it how it is, over plain HTTP and never on its public port.
//!
//! The gate has one, too, and takes this one for it.
//!
//! ```text
//! mod        accept; a page a path
//!   health     the parts of a program, and whether each can do its work
//!   labels     by what requests are told apart in metrics
//! asking     the other side of it
//! ```

mod asking;
mod health;
pub mod labels;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::listener::{Listener, Stream};

pub use asking::ask;
pub use health::{Health, Part};

/// Connections at a time; more wait until one of them ends. A Prometheus keeps one.
const CONNECTIONS: usize = 16;

/// How long a connection may last, so that those who take nothing let others come in.
const LONGEST: Duration = Duration::from_secs(60);

/// How long a request may take to come.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The bytes that a request's header may have.
const HEADER: usize = 16 * 1024;

/// After an error to accept, usually that no file descriptor is left, trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const PLAIN: &str = "text/plain; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a program tells.
#[derive(Default)]
pub struct Admin {
    /// The metrics of all parts.
    pub metrics: Registry,
    /// The parts.
    pub health: Health,
}

impl Admin {
    /// One of this program, which has no parts yet.
    pub fn of(program: &'static str, version: &'static str) -> Self {
        let mut admin = Self::default();
        let build = Info::new([("program", program), ("version", version)]);
        admin.metrics.register("lockgate_build", "Which program this is", build);
        admin
    }

    /// Answers whoever comes, until it is dropped.
    pub async fn serve(self: Arc<Self>, listener: Listener) {
        if let Ok(address) = listener.local_endpoint() {
            tracing::info!(%address, "metrics and health are told");
        }
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        // What runs in it ends when it is dropped.
        let mut connections = JoinSet::new();
        loop {
            let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
            let stream = match listener.accept().await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection at admin.listen");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let admin = Arc::clone(&self);
            connections.spawn(async move {
                let _place = place;
                let served = async {
                    match stream {
                        Stream::Tcp(io) => admin.converse(io).await,
                        Stream::Unix(io) => admin.converse(io).await,
                    }
                };
                // Whoever is cut off asks again.
                let _ = tokio::time::timeout(LONGEST, served).await;
            });
            while connections.try_join_next().is_some() {}
        }
    }

    async fn converse<I: Read + Write + Unpin + 'static>(self: Arc<Self>, io: I) {
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let admin = Arc::clone(&self);
            async move {
                let (method, path) = (request.method(), request.uri().path());
                Ok::<_, Infallible>(admin.answer(method, path, request.headers()).await)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(HEADER)
            .serve_connection(io, service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to admin.listen ended early");
        }
    }

    async fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refusal = page(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET and HEAD are answered here\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match path {
            "/" => page(StatusCode::OK, "text/html; charset=utf-8", include_str!("index.html")),
            "/healthz" => page(StatusCode::OK, PLAIN, "ok\n"),
            "/readyz" => {
                let (is_ready, report) = self.health.look().await;
                let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                page(status, "application/json", report)
            }
            "/metrics" => {
                self.health.refresh().await;
                let open = headers
                    .get_all(ACCEPT)
                    .iter()
                    .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("application/openmetrics-text")));
                let mut metrics = String::new();
                let (kind, written) = if open {
                    (OPEN_METRICS, text::encode(&mut metrics, &self.metrics))
                } else {
                    (CLASSIC, prometheus_text::encode(&mut metrics, &self.metrics))
                };
                written.expect("a String takes whatever is written");
                page(StatusCode::OK, kind, metrics)
            }
            _ => page(StatusCode::NOT_FOUND, PLAIN, "there are /metrics, /healthz and /readyz\n"),
        }
    }
}

/// hyper leaves the content of an answer to HEAD out.
fn page(status: StatusCode, kind: &'static str, content: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut page = Response::new(Full::new(content.into()));
    *page.status_mut() = status;
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    page.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}

#[cfg(test)]
mod tests;
