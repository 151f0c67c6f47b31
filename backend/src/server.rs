//! Serving: the accept loop, a task a connection, and an end that cuts nobody off.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header::EXPECT;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use lockgate_oci::Action;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::Admin;
use crate::admin::labels::Asked;
use crate::config::Config;
use crate::connection::{Connection, Debt};
use crate::lingering::Lingering;
use crate::listener::{Listener, Stream};
use crate::measured::{Measured, OpenConnection};
use crate::metrics::METRICS;
use crate::registry::{Registry, Rules};
use crate::store::Store;

/// Bytes that a connection buffers of what it reads, at most. A request's head must fit.
const READ_BUFFER: usize = 64 * 1024;

/// After an error to accept, usually that no file descriptor is left, trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Has a program tell of the requests that [`serve_registry`] answers in it.
pub fn tell(admin: &mut Admin) {
    METRICS.tell_of_requests(&mut admin.metrics);
}

/// Serves a registry until `shutdown` is ready; then accepts no more, lets the requests that run come
/// to their end within `shutdown.grace`, and returns. It returns at once when none runs.
pub async fn serve(
    listener: impl Into<Listener>,
    store: Arc<dyn Store>,
    config: Config,
    shutdown: impl Future<Output = ()>,
) {
    let rules = Rules::fixed(config.blocks());
    let registry = Registry::new(store, config.storage, config.limits)
        .collecting(config.collect)
        .ruled_by(rules)
        .at(config.s3.endpoint);
    serve_registry(listener, registry, config.shutdown.grace.duration(), shutdown).await;
}

/// The same for a registry that is made already, whose requests may run so long after `shutdown` is ready.
pub async fn serve_registry(
    listener: impl Into<Listener>,
    registry: Registry,
    grace: Duration,
    shutdown: impl Future<Output = ()>,
) {
    let listener = listener.into();
    // What runs in it ends when it is dropped.
    let mut background = JoinSet::new();
    let registry = Arc::new(registry);
    background.spawn(registry.background());
    let (stop, stopping) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok(stream) => {
                    let (registry, stopping) = (Arc::clone(&registry), stopping.clone());
                    connections.spawn(async move {
                        match stream {
                            Stream::Tcp(io) => converse(io, registry, stopping).await,
                            Stream::Unix(io) => converse(io, registry, stopping).await,
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    drop(stop);
    drain(connections, grace).await;
    registry.finish().await;
}

async fn drain(mut connections: JoinSet<()>, grace: Duration) {
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), ?grace, "still running after the grace: cut off");
        connections.shutdown().await;
    }
}

/// Serves one connection, until the other side leaves or `stopping` changes and the request in hand
/// is answered.
async fn converse<I>(io: I, registry: Arc<Registry>, mut stopping: watch::Receiver<()>)
where
    I: Read + Write + Unpin + 'static,
{
    let idle_timeout = registry.limits.idle_timeout.duration();
    let _open = OpenConnection::new();
    let debt = Debt::default();
    let io = Connection::new(io, debt.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (registry, in_hand) = (Arc::clone(&registry), debt.request());
        async move {
            let action = Action::parse(request.method(), request.uri().path(), request.uri().query());
            let mut measured = Measured::of(Asked::of(action.as_ref(), request.method()));
            let expects_continue = request.headers().contains_key(EXPECT);
            let request = request.map(|body| Lingering::new(body, expects_continue));
            let response = registry.respond(action, request).await;
            measured.answered(response.status());
            Ok::<_, Infallible>(response.map(|body| in_hand.answer(body, measured)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle_timeout)
        .max_buf_size(READ_BUFFER)
        // As distribution writes them: names have no case, but scripts that look for them do.
        .title_case_headers(true)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        // It is never sent, only dropped.
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}
