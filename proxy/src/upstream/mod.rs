//! Where to: the registry behind the gate.
//!
//! `pingora-load-balancing` finds its addresses, checks their health and chooses one ([`balancer`]); hyper speaks
//! with it, over connections that wait in a pool between two requests ([`connection`], [`idle_pool`]).

mod balancer;
mod connection;
mod failure;
mod idle_pool;
mod patience;
mod read_ahead;
mod request_body;
mod response_body;
mod socket;

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::{Body as _, Incoming};

use crate::access::Permit;
use crate::config;
use balancer::Balancer;
use connection::{Connection, NotAnswered, Timeouts};
pub(crate) use failure::Failure;
use idle_pool::IdlePool;
use read_ahead::ReadAheadBudget;
pub(crate) use request_body::{Progress, RequestBody};
pub(crate) use response_body::ResponseBody;

/// How often a connect is tried: at the address that was known, and at what the resolver says then.
const CONNECT_ATTEMPTS: usize = 2;

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

    /// Keeps the addresses, their health and the pool up to date, for ever.
    pub(crate) async fn keep_current(self: Arc<Self>) {
        self.balancer.keep_current(|| self.pool.close_unusable()).await;
    }

    /// Sends a permitted request, and comes back with its answer's header.
    ///
    /// A connection that waited may have been closed at its other end just then. What was not sent on it is sent on
    /// another one; and so is, once, a request without a body that asks for nothing twice (RFC 9110, 9.2.2).
    ///
    /// # Errors
    /// There is no answer.
    pub(crate) async fn send(
        &self,
        _permit: &Permit,
        mut request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, Failure> {
        while let Some(mut connection) = self.pool.take(|address| self.balancer.is_current(address)) {
            let again = may_be_repeated(&request).then(|| bodyless_copy(&request));
            match connection.send(request).await {
                Ok(response) => return Ok(self.stream(response, connection)),
                Err(NotAnswered { unsent: Some(unsent), .. }) => request = *unsent,
                Err(NotAnswered { failure: failure @ Failure::BrokeOff(_), .. }) => {
                    // Once: it may be the request that the upstream breaks off for.
                    request = again.ok_or(failure)?;
                    break;
                }
                Err(NotAnswered { failure, .. }) => return Err(failure),
            }
        }
        let mut connection = self.connect().await?;
        let response = connection.send(request).await.map_err(|failed| failed.failure)?;
        Ok(self.stream(response, connection))
    }

    /// No byte of a request was sent yet: whatever its method, another address may be tried.
    async fn connect(&self) -> Result<Box<Connection>, Failure> {
        let mut failed = None;
        for attempt in 1.. {
            let Some(address) = self.balancer.choose(failed.as_ref()).await else {
                return Err(Failure::Unreachable(std::io::Error::other("its name has no address")));
            };
            match Connection::open(address.clone(), self.timeouts, &self.read_ahead).await {
                Ok(connection) => return Ok(connection),
                Err(failure) if attempt == CONNECT_ATTEMPTS => return Err(failure),
                Err(_) => failed = Some(address),
            }
        }
        unreachable!("the last attempt returns")
    }

    fn stream(&self, response: Response<Incoming>, connection: Box<Connection>) -> Response<ResponseBody> {
        response.map(|incoming| ResponseBody::new(incoming, connection, self.pool.clone()))
    }
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
