//! What listens beside the gate, in plain HTTP: for whoever runs it, and for who took the wrong port.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use lockgate_backend::Listener;
use lockgate_backend::admin::Admin;
use lockgate_backend::pages::{self, Budget};
use lockgate_settings::Endpoint;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::https_redirect::HttpsRedirect;

/// From one attempt to have the place of the process that served before to the next.
const PAUSE: Duration = Duration::from_millis(200);

/// Everybody may come there, and is sent away at once.
const REDIRECTS: Budget = Budget { key: "listen.http", connections: 256, longest: Duration::from_secs(15) };

/// Why one of them is not there.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {source}")]
pub struct BesideError {
    key: &'static str,
    source: io::Error,
}

/// Opens what is configured. It is closed when it is dropped.
pub(crate) async fn open(
    config: &Config,
    admin: &Arc<Admin>,
    redirect: HttpsRedirect,
) -> Result<JoinSet<()>, BesideError> {
    let mut beside = JoinSet::new();
    let is_patient = config.listen.handover.is_some();
    if let Some(endpoint) = config.admin.listen.clone() {
        let admin = Arc::clone(admin);
        let serve = |listener| admin.serve(listener);
        listen(&mut beside, endpoint, is_patient, serve).await.map_err(named("admin.listen"))?;
    }
    if let Some(endpoint) = config.listen.http.clone() {
        let answer = move |request| std::future::ready(redirect.answer(&request));
        let serve = |listener: Listener| {
            if let Ok(address) = listener.local_endpoint() {
                tracing::info!(%address, "plain HTTP is sent to https");
            }
            pages::serve(listener, REDIRECTS, answer)
        };
        listen(&mut beside, endpoint, is_patient, serve).await.map_err(named("listen.http"))?;
    }
    Ok(beside)
}

fn named(key: &'static str) -> impl Fn(io::Error) -> BesideError {
    move |source| BesideError { key, source }
}

/// Serves at `endpoint`. The process that served before may have the place until it hands over.
async fn listen<F: Future<Output = ()> + Send + 'static>(
    beside: &mut JoinSet<()>,
    endpoint: Endpoint,
    is_patient: bool,
    serve: impl FnOnce(Listener) -> F + Send + 'static,
) -> io::Result<()> {
    match Listener::bind(&endpoint).await {
        Ok(listener) => drop(beside.spawn(serve(listener))),
        Err(error) if is_patient && error.kind() == io::ErrorKind::AddrInUse => {
            beside.spawn(async move {
                let listener = loop {
                    tokio::time::sleep(PAUSE).await;
                    match Listener::bind(&endpoint).await {
                        Ok(listener) => break listener,
                        Err(error) => tracing::debug!(%error, "the place is not free yet"),
                    }
                };
                serve(listener).await;
            });
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
