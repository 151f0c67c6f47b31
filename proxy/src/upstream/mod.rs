//! Where to: the registry behind the gate.
//!
//! `pingora-load-balancing` finds its addresses ([`names`]), checks their health ([`health`]) and chooses one
//! ([`balancer`]); hyper speaks with it, over connections that wait in a pool between two requests ([`connection`],
//! [`idle_pool`]).

mod balancer;
mod connection;
mod failure;
mod health;
mod idle_pool;
mod names;
mod patience;
mod read_ahead;
mod request_body;
mod response_body;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};

use crate::access::Permit;
use crate::config;
use crate::metrics::METRICS;
use balancer::Balancer;
use connection::{Connection, NotAnswered, Timeouts};
pub(crate) use failure::Failure;
use idle_pool::IdlePool;
use pingora::protocols::l4::socket::SocketAddr;
use read_ahead::ReadAheadBudget;
pub(crate) use request_body::{Progress, RequestBody};
pub(crate) use response_body::ResponseBody;

/// How often a connect is tried where no other address is healthy: at the one that was known, and at what the resolver
/// says then.
const CONNECT_ATTEMPTS: usize = 2;

/// How many addresses are tried before one is waited for.
const MAX_PASSED_OVER: usize = 8;

/// How long a connection may take to stand before a healthy other address is tried: on a private network it takes a
/// millisecond, and a lost packet is sent again after a second.
const FAILOVER_AFTER: Duration = Duration::from_millis(500);

/// The upstream with the connections to it.
pub(crate) struct Upstream {
    balancer: Balancer,
    pool: Arc<IdlePool>,
    timeouts: Timeouts,
    read_ahead: ReadAheadBudget,
}

impl Upstream {
    /// An upstream whose name was not resolved yet.
    pub(crate) fn new(config: &config::Upstream) -> Self {
        Self {
            balancer: Balancer::new(config),
            pool: Arc::new(IdlePool::new(config.keepalive_connections.get(), config.idle_timeout.duration())),
            read_ahead: ReadAheadBudget::new(config.read_ahead.bytes()),
            timeouts: Timeouts {
                connect: config.connect_timeout.duration(),
                read: config.read_timeout.duration(),
                write: config.write_timeout.duration(),
            },
        }
    }

    /// An address that takes connections at this moment.
    ///
    /// # Errors
    /// None does, and why not.
    pub(crate) async fn reach(&self) -> Result<SocketAddr, Failure> {
        let connection = self.connect(None, None).await?;
        Ok(connection.address().clone())
    }

    /// How many addresses get requests, and how many do not.
    pub(crate) fn addresses(&self) -> (usize, usize) {
        self.balancer.counts()
    }

    /// Keeps the addresses, their health and the pool up to date, for ever.
    pub(crate) async fn keep_current(self: Arc<Self>) {
        self.balancer.keep_current(|| self.pool.close_unusable(|address| self.balancer.is_ready(address))).await;
    }

    /// Sends a permitted request, and comes back with its answer's header.
    ///
    /// A connection that waited may have been closed at its other end just then. What was not sent on it is sent on
    /// another one; and so is, once, a request without a body that asks for nothing twice (RFC 9110, 9.2.2). Of several
    /// upstreams another one is asked then, and also where a new connection breaks off, or one that only reads is
    /// answered that the server has failed.
    ///
    /// # Errors
    /// There is no answer.
    pub(crate) async fn send(
        &self,
        _permit: &Permit,
        mut request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, Failure> {
        // Of one, the connection that was used last does, whosever turn it is.
        let chosen = self.balancer.next_of_several();
        loop {
            let kept = self.pool.take(|address| match &chosen {
                Some(chosen) => address == chosen,
                None => self.balancer.is_current(address),
            });
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connect(chosen.clone(), None).await?,
            };
            let may_ask_another = chosen.is_some() && self.balancer.has_other(connection.address());
            let again = ((is_kept || may_ask_another) && may_be_repeated(&request)).then(|| bodyless_copy(&request));
            let sent = if may_ask_another && again.is_some() {
                self.send_while_there(&mut connection, request).await
            } else {
                connection.send(request).await
            };
            match (sent, again) {
                (Ok(response), Some(again))
                    if may_ask_another && has_failed(response.status()) && again.method().is_safe() =>
                {
                    let other = self.send_anew(again, connection.address()).await;
                    return Ok(other.unwrap_or_else(|_| self.stream(response, connection)));
                }
                (Ok(response), _) => return Ok(self.stream(response, connection)),
                (Err(NotAnswered { unsent: Some(unsent), .. }), _) if is_kept => request = *unsent,
                (Err(NotAnswered { unsent: Some(unsent), .. }), _) if may_ask_another => {
                    return self.send_anew(*unsent, connection.address()).await;
                }
                (Err(NotAnswered { failure: Failure::BrokeOff(_), .. }), Some(again)) => {
                    // Once: it may be the request that the upstream breaks off for.
                    return self.send_anew(again, connection.address()).await;
                }
                (Err(NotAnswered { failure, .. }), _) => return Err(failure),
            }
        }
    }

    /// Sends what may be repeated. It ends where a check finds that nobody is there any more.
    async fn send_while_there(
        &self,
        connection: &mut Connection,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, NotAnswered> {
        let address = connection.address().clone();
        tokio::select! {
            biased;
            sent = connection.send(request) => sent,
            () = self.balancer.gone(&address) => {
                Err(NotAnswered { failure: Failure::BrokeOff("it is away".to_owned()), unsent: None })
            }
        }
    }

    /// Sends it for the last time: over a new connection, to another address than the one that `failed`, if there is
    /// one.
    async fn send_anew(
        &self,
        request: Request<RequestBody>,
        failed: &SocketAddr,
    ) -> Result<Response<ResponseBody>, Failure> {
        METRICS.retries.inc();
        // Of one address nothing is known that the resolver could tell better.
        let failed = self.balancer.is_several().then(|| failed.clone());
        let mut connection = self.connect(None, failed).await?;
        let response = connection.send(request).await.map_err(|failed| failed.failure)?;
        Ok(self.stream(response, connection))
    }

    /// No byte of a request was sent yet: whatever its method, another address may be tried. `next` is the one whose
    /// turn it is, if that is known.
    async fn connect(
        &self,
        mut next: Option<SocketAddr>,
        mut failed: Option<SocketAddr>,
    ) -> Result<Box<Connection>, Failure> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let address = match next.take() {
                Some(next) => Some(next),
                None => self.balancer.choose(failed.as_ref()).await,
            };
            let Some(address) = address else {
                return Err(Failure::Unreachable(std::io::Error::other("its name has no address")));
            };
            let has_other = attempt <= MAX_PASSED_OVER && self.balancer.has_other(&address);
            let mut timeouts = self.timeouts;
            if has_other {
                timeouts.connect = timeouts.connect.min(FAILOVER_AFTER);
            }
            let opened = Connection::open(address.clone(), timeouts, &self.read_ahead).await;
            METRICS.connect(opened.is_ok());
            match opened {
                Ok(connection) => return Ok(connection),
                Err(failure) => {
                    self.balancer.failed(&address, &failure);
                    if attempt >= CONNECT_ATTEMPTS && !has_other {
                        return Err(failure);
                    }
                    failed = Some(address);
                }
            }
        }
    }

    fn stream(&self, response: Response<Incoming>, connection: Box<Connection>) -> Response<ResponseBody> {
        response.map(|incoming| ResponseBody::new(incoming, connection, self.pool.clone()))
    }
}

/// Whether the server says that it could not do it, which another one may.
fn has_failed(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

fn may_be_repeated(request: &Request<RequestBody>) -> bool {
    request.method().is_idempotent() && request.body().is_end_stream()
}

fn bodyless_copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}
