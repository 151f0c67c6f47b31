//! The admin listener: how a program tells whoever runs it how it is, over plain HTTP and never on its public port.
//!
//! The gate has one, too, and takes this one for it.
//!
//! ```text
//! mod        a page a path
//!   health     the parts of a program, and whether each can do its work
//!   labels     by what requests are told apart in metrics
//! asking     the other side of it
//! ```

mod asking;
mod health;
pub mod labels;

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, ALLOW, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::listener::Listener;
use crate::pages::{self, Budget, Page, page};

pub use asking::ask;
pub use health::{Health, Part};

/// A Prometheus keeps one connection.
const BUDGET: Budget = Budget { key: "admin.listen", connections: 16, longest: Duration::from_secs(60) };

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
        let answer = move |request: Request<()>| {
            let admin = Arc::clone(&self);
            async move { admin.answer(request.method(), request.uri().path(), request.headers()).await }
        };
        pages::serve(listener, BUDGET, answer).await;
    }

    async fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Page {
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

#[cfg(test)]
mod tests;
