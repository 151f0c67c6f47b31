//! An HTTP/1.1 client that asks as docker does, with a new connection for each request, and shows what happens between.

use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{Method, Request, Response, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::answer::Answer;
use super::connection::{connect, resolve, shake_hands};
use super::limits;
use super::target::Target;

/// A body that is sent.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// There is no connection.
    #[error("no connection: {0}")]
    Connect(#[from] io::Error),
    /// It broke.
    #[error("the connection was closed without an answer ({})", reason(.0))]
    Broken(#[from] hyper::Error),
    /// Nothing came in time.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Late(Duration),
}

/// The innermost reason: hyper's own words say at which step it was.
fn reason(error: &hyper::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// Asks one server.
#[derive(Debug, Clone)]
pub(super) struct Client {
    target: Target,
    addresses: Vec<SocketAddr>,
    tls: Arc<ClientConfig>,
}

impl Client {
    /// One for a server whose addresses are known.
    pub(super) fn new(target: Target, addresses: Vec<SocketAddr>, tls: Arc<ClientConfig>) -> Self {
        Self { target, addresses, tls }
    }

    /// One for wherever a URL leads.
    ///
    /// # Errors
    /// The URL is none of https, or its name has no address.
    pub(super) async fn of(uri: &Uri, tls: &Arc<ClientConfig>) -> io::Result<Self> {
        let target = Target::of(uri).map_err(io::Error::other)?;
        let addresses = resolve(&target).await?;
        Ok(Self::new(target, addresses, Arc::clone(tls)))
    }

    /// Whom it asks.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Asks, and reads the answer.
    ///
    /// # Errors
    /// There is none in time.
    pub(super) async fn ask(&self, request: Request<Body>) -> Result<Answer, AskError> {
        self.begin(request, limits::BODY_BYTES).answer(limits::ANSWER).await
    }

    /// Asks for what is long, of which so much is read.
    ///
    /// # Errors
    /// There is no answer in time.
    pub(super) async fn ask_long(&self, request: Request<Body>, bytes: usize) -> Result<Answer, AskError> {
        self.begin(request, bytes).answer(limits::TRANSFER).await
    }

    /// Sends a request, and leaves the rest to the caller. Of the answer's body `bytes` are read.
    pub(super) fn begin(&self, mut request: Request<Body>, bytes: usize) -> Exchange {
        let (tell, continued) = oneshot::channel();
        let tell = Arc::new(std::sync::Mutex::new(Some(tell)));
        hyper::ext::on_informational(&mut request, move |answer| {
            let tell = tell.lock().ok().and_then(|mut tell| tell.take());
            if let Some(tell) = tell.filter(|_| answer.status() == 100) {
                // Where nobody waits for it, it says nothing.
                let _ = tell.send(());
            }
        });
        let client = self.clone();
        Exchange { task: tokio::spawn(async move { client.exchange(request, bytes).await }), continued }
    }

    async fn exchange(&self, request: Request<Body>, bytes: usize) -> Result<Answer, AskError> {
        let stream = self.connect().await?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(limits::HEADER_BYTES).max_headers(limits::HEADER_FIELDS);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let start = Instant::now();
        let ask = async {
            let response = sender.send_request(request).await?;
            read(response, bytes, start).await
        };
        // The connection ends with this future, whatever the server still wants to say.
        let mut connection = std::pin::pin!(connection);
        let mut ask = std::pin::pin!(ask);
        tokio::select! {
            answer = &mut ask => answer,
            _ = &mut connection => ask.await,
        }
    }

    async fn connect(&self) -> io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
        let mut last = io::Error::other("there is no address");
        for address in &self.addresses {
            match connect(*address).await {
                Ok(stream) => return shake_hands(stream, &self.target, &self.tls).await,
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A request as docker sends it, without a body.
    pub(super) fn request(&self, method: Method, path: &str) -> Request<Body> {
        let mut request = Request::new(Empty::new().boxed_unsync());
        *request.method_mut() = method;
        // A path that is none is asked for as the root, where it gets the answer that it deserves.
        *request.uri_mut() = path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        let host = self.target.authority().try_into().expect("a host and a port are visible ASCII");
        headers.insert(header::HOST, host);
        headers.insert(header::USER_AGENT, const { http::HeaderValue::from_static("lockgate-doctor") });
        headers.insert(header::CONNECTION, const { http::HeaderValue::from_static("close") });
        request
    }
}

async fn read(response: Response<Incoming>, bytes: usize, start: Instant) -> Result<Answer, AskError> {
    let (head, mut incoming) = response.into_parts();
    let mut body = BytesMut::new();
    while body.len() < bytes {
        let Some(frame) = incoming.frame().await else { break };
        if let Ok(data) = frame?.into_data() {
            body.extend_from_slice(&data[..data.len().min(bytes - body.len())]);
        }
    }
    Ok(Answer { status: head.status, headers: head.headers, body: body.freeze(), took: start.elapsed() })
}

/// A request that is on its way. Dropped, it is broken off.
#[derive(Debug)]
pub(super) struct Exchange {
    task: JoinHandle<Result<Answer, AskError>>,
    continued: oneshot::Receiver<()>,
}

impl Exchange {
    /// The answer.
    ///
    /// # Errors
    /// There is none within that time.
    pub(super) async fn answer(mut self, within: Duration) -> Result<Answer, AskError> {
        match timeout(within, &mut self.task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(stopped)) => Err(AskError::Connect(io::Error::other(stopped))),
            Err(_) => Err(AskError::Late(within)),
        }
    }

    /// Whether `100 Continue` comes before the answer.
    pub(super) async fn continues(&mut self, within: Duration) -> bool {
        // The sender goes with the request.
        matches!(timeout(within, &mut self.continued).await, Ok(Ok(())))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A body whose length is said.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// A body that comes piece by piece: in chunks, unless the request has a `Content-Length`.
pub(super) fn pieces() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let frames = stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((Ok(Frame::data(piece)), receiver))
    });
    (sender, StreamBody::new(frames).boxed_unsync())
}
