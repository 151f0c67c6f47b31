//! What the gate knows of one request, from its arrival to its line in the access log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request, StatusCode, Uri};

use crate::access::Permit;
use crate::access_log::{self, Line};
use crate::client::Client;
use crate::upstream::Progress;

/// A request on its way. Its line is written when it is dropped: with the last byte of the answer, or when the client
/// leaves.
pub(super) struct Passage {
    arrived: Instant,
    client: Client,
    method: Method,
    target: Uri,
    permit: Option<Permit>,
    /// How much of its body has come, once it is forwarded.
    body: Option<Arc<Progress>>,
    forwarded: Option<Instant>,
    upstream_time: Option<Duration>,
    /// 0 until there is an answer.
    status: u16,
    bytes_out: u64,
}

impl Passage {
    /// A request whose header is complete.
    pub(super) fn begin<B>(request: &Request<B>, client: Client) -> Self {
        Self {
            arrived: Instant::now(),
            client,
            method: request.method().clone(),
            target: request.uri().clone(),
            permit: None,
            body: None,
            forwarded: None,
            upstream_time: None,
            status: 0,
            bytes_out: 0,
        }
    }

    /// It may pass.
    pub(super) fn admit(&mut self, permit: &Permit) {
        self.permit = Some(permit.clone());
    }

    /// It goes to the upstream.
    pub(super) fn forwarded(&mut self, body: Arc<Progress>) {
        self.body = Some(body);
        self.forwarded = Some(Instant::now());
    }

    /// The upstream's header is there.
    pub(super) fn upstream_answered(&mut self) {
        self.upstream_time = self.forwarded.map(|at| at.elapsed());
    }

    /// An answer with this status goes to the client.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    /// So many bytes of the answer's body go to the client.
    pub(super) fn sends(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        access_log::request(&Line {
            client: &self.client,
            permit: self.permit.as_ref(),
            method: &self.method,
            target: &self.target,
            status: self.status,
            bytes_in: self.body.as_ref().map_or(0, |body| body.received()),
            bytes_out: self.bytes_out,
            duration: self.arrived.elapsed(),
            upstream_time: self.upstream_time,
        });
    }
}
