//! What the gate knows of one request, from its arrival to its line in the access log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::HeaderValue;
use http::{Method, Request, StatusCode, Uri, Version};
use lockgate_backend::admin::labels::{Asked, method_of};

use super::audit_record::{AuditRecord, Known};
use crate::access::Permit;
use crate::access_log::{self, Claims, Line};
use crate::audit::{Audit, Full};
use crate::auth::Caller;
use crate::client::Client;
use crate::metrics::{self, METRICS};
use crate::upstream::Progress;

/// A request on its way. Its line is written when it is dropped: with the last byte of the answer, or when the client
/// leaves.
pub(super) struct Passage {
    arrived: Instant,
    client: Client,
    method: Method,
    target: Uri,
    version: Version,
    /// What it is called, for all who see it.
    request_id: HeaderValue,
    claims: Claims,
    caller: Caller,
    permit: Option<Arc<Permit>>,
    /// What it wants, once that is known.
    action: &'static str,
    /// How much of its body has come, once it is forwarded.
    body: Option<Arc<Progress>>,
    forwarded: Option<Instant>,
    upstream_time: Option<Duration>,
    /// 0 until there is an answer.
    status: u16,
    bytes_out: u64,
    /// For the audit log, where there is one.
    pub(super) record: Option<Box<AuditRecord>>,
}

impl Passage {
    /// A request whose header is complete.
    pub(super) fn begin<B>(request: &Request<B>, client: Client, request_id: &HeaderValue, audit: &Arc<Audit>) -> Self {
        Self {
            arrived: Instant::now(),
            client,
            method: request.method().clone(),
            target: request.uri().clone(),
            version: request.version(),
            request_id: request_id.clone(),
            claims: Claims::of(request.headers()),
            caller: Caller::nobody(),
            permit: None,
            action: "none",
            body: None,
            forwarded: None,
            upstream_time: None,
            status: 0,
            bytes_out: 0,
            record: AuditRecord::begin(request.headers(), request_id, audit),
        }
    }

    /// It is known who asks.
    pub(super) fn comes_from(&mut self, caller: &Caller) {
        self.caller = caller.clone();
    }

    /// It is known what it wants.
    pub(super) fn wants(&mut self, action: &'static str) {
        self.action = action;
    }

    /// It may pass.
    pub(super) fn admit(&mut self, permit: &Arc<Permit>) {
        self.permit = Some(Arc::clone(permit));
    }

    /// The gate does not let it happen.
    pub(super) fn refuse(&mut self, why: &str) {
        if let Some(record) = &mut self.record {
            record.refuse(why);
        }
    }

    /// Tells the audit log how it ends, before anybody else hears of it. `digest` is what the registry answered with.
    ///
    /// # Errors
    /// Nothing can be written, and nobody is to be answered then.
    pub(super) async fn tell(&mut self, status: StatusCode, digest: Option<HeaderValue>) -> Result<(), Full> {
        let Self { client, method, caller, permit, forwarded, record: Some(record), .. } = self else { return Ok(()) };
        let known = Known { client, method, caller, permit: permit.as_deref(), is_forwarded: forwarded.is_some() };
        record.tell(known, status, digest).await
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
        let Self { client, method, caller, permit, forwarded, .. } = &*self;
        if let Some(record) = &self.record {
            record.end(Known { client, method, caller, permit: permit.as_deref(), is_forwarded: forwarded.is_some() });
        }
        let (received, duration) = (self.body.as_ref().map_or(0, |body| body.received()), self.arrived.elapsed());
        METRICS.request(&metrics::Request {
            asked: Asked { action: self.action, method: method_of(&self.method) },
            status: StatusCode::from_u16(self.status).ok(),
            duration,
            upstream_time: self.upstream_time,
            received,
            sent: self.bytes_out,
        });
        access_log::request(&Line {
            client: &self.client,
            user: self.caller.name(),
            repository: self.permit.as_deref().and_then(Permit::repository),
            method: &self.method,
            target: &self.target,
            version: self.version,
            request_id: &self.request_id,
            claims: &self.claims,
            status: self.status,
            bytes_in: received,
            bytes_out: self.bytes_out,
            duration,
            upstream_time: self.upstream_time,
        });
    }
}
