//! From a request to an answer: what end-point it is for, and which handler has it.

mod body;
mod page;
mod query;
mod range;
mod reply;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{ALLOW, EXPECT, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use lockgate_oci::{ErrorCode, OciError, Route, RouteError};

pub(crate) use self::body::RequestBody;
pub(crate) use self::page::Page;
pub(crate) use self::query::Query;
pub(crate) use self::range::{Part, PieceRange, requested};
pub(crate) use self::reply::{Refusal, Reply, ReplyBody, entity_tag, header_value, upload_unknown};
use crate::handlers::{blob, catalog, manifest, referrer, tag, upload};
use crate::store::Store;

/// What a handler comes to.
pub(crate) type Outcome = Result<Reply, Refusal>;

/// How a registry behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whether manifests, tags and blobs may be deleted.
    pub delete: bool,
    /// The largest manifest that is accepted, in bytes.
    pub manifest_size: u64,
    /// Whether a manifest is accepted that names content which is not in its repository.
    pub sparse: bool,
    /// How long an upload that nobody goes on with is kept.
    pub upload_age: Duration,
    /// How long a connection may stay without a request.
    pub idle_timeout: Duration,
    /// How long a client may be silent within a request's body.
    pub body_timeout: Duration,
    /// How long requests may go on after the shutdown has begun.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            delete: true,
            manifest_size: 4 * 1024 * 1024,
            sparse: false,
            upload_age: Duration::from_secs(7 * 24 * 60 * 60),
            idle_timeout: Duration::from_secs(120),
            body_timeout: Duration::from_secs(300),
            grace: Duration::from_secs(30),
        }
    }
}

/// A store with the rules of the API around it.
pub(crate) struct Registry {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) options: Options,
}

/// A request, apart from its path.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Query,
    pub(crate) body: RequestBody,
}

impl Call {
    /// The value of a header, where it is readable text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn reads(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }
}

/// Answers one request.
pub(crate) async fn answer(
    registry: Arc<Registry>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    let began = Instant::now();
    let (parts, incoming) = request.into_parts();
    let expects_continue = parts.headers.contains_key(EXPECT);
    let mut call = Call {
        method: parts.method,
        headers: parts.headers,
        query: Query::parse(parts.uri.query().unwrap_or_default()),
        body: RequestBody::new(incoming, registry.options.body_timeout, expects_continue),
    };
    let path = parts.uri.path();
    let outcome = match Route::parse(path) {
        Ok(route) => dispatch(&registry, route, &mut call).await,
        Err(error) => Err(no_route(error).into()),
    };
    let reply = outcome.unwrap_or_else(|refusal| {
        if let Some(cause) = refusal.cause() {
            tracing::error!(method = %call.method, ?path, cause, "a request failed");
        }
        refusal.into_reply()
    });
    let (status, elapsed) = (reply.status().as_u16(), began.elapsed());
    tracing::debug!(method = %call.method, ?path, status, received = call.body.received(), ?elapsed, "answered");
    call.body.discard();
    Ok(reply.into_response())
}

async fn dispatch(registry: &Registry, route: Route, call: &mut Call) -> Outcome {
    if !allowed(&route).contains(&call.method) {
        return Err(wrong_method(&route));
    }
    if call.method == Method::DELETE && !matches!(route, Route::Upload(..)) && !registry.options.delete {
        return Err(no_deleting(&route));
    }
    let reads = call.reads();
    match route {
        Route::Base => Ok(base()),
        Route::Catalog => catalog::list(registry, call).await,
        Route::Tags(name) => tag::list(registry, call, &name).await,
        Route::Manifest(name, reference) if reads => manifest::get(registry, call, &name, &reference).await,
        Route::Manifest(name, reference) if call.method == Method::PUT => {
            manifest::put(registry, call, &name, reference).await
        }
        Route::Manifest(name, reference) => manifest::delete(registry, &name, &reference).await,
        Route::Blob(name, digest) if reads => blob::get(registry, call, &name, &digest).await,
        Route::Blob(name, digest) => blob::delete(registry, &name, &digest).await,
        Route::Uploads(name) => upload::begin(registry, call, &name).await,
        Route::Upload(name, id) => upload::go_on(registry, call, &name, &id).await,
        Route::Referrers(name, digest) => referrer::list(registry, call, &name, &digest).await,
        Route::Extension => Err(no_route(RouteError::Unknown).into()),
    }
}

/// The methods that an end-point knows.
fn allowed(route: &Route) -> &'static [Method] {
    const READ: &[Method] = &[Method::GET, Method::HEAD];
    match route {
        Route::Base | Route::Catalog | Route::Tags(_) | Route::Referrers(..) | Route::Extension => READ,
        Route::Manifest(..) => &[Method::GET, Method::HEAD, Method::PUT, Method::DELETE],
        Route::Blob(..) => &[Method::GET, Method::HEAD, Method::DELETE],
        Route::Uploads(_) => &[Method::POST],
        Route::Upload(..) => &[Method::GET, Method::PATCH, Method::PUT, Method::DELETE],
    }
}

fn allow(methods: impl Iterator<Item = &'static Method>) -> HeaderValue {
    header_value(methods.map(Method::as_str).collect::<Vec<_>>().join(", "))
}

fn wrong_method(route: &Route) -> Refusal {
    let message = "this path does not know the method: the Allow header says which it does";
    let error = OciError::new(ErrorCode::Unsupported, message);
    Refusal::from(error).with_header(ALLOW, allow(allowed(route).iter()))
}

fn no_deleting(route: &Route) -> Refusal {
    let message = "deleting is switched off in this registry: set storage.delete = true in its configuration";
    let error = OciError::new(ErrorCode::Unsupported, message);
    let others = allowed(route).iter().filter(|method| **method != Method::DELETE);
    Refusal::from(error).with_header(ALLOW, allow(others))
}

fn no_route(error: RouteError) -> OciError {
    let (code, status) = match error {
        RouteError::Unknown => (ErrorCode::Unsupported, StatusCode::NOT_FOUND),
        RouteError::Name(_) => (ErrorCode::NameInvalid, StatusCode::BAD_REQUEST),
        RouteError::Reference(lockgate_oci::ReferenceError::Tag(_)) => (ErrorCode::TagInvalid, StatusCode::BAD_REQUEST),
        RouteError::Reference(_) | RouteError::Digest(_) => (ErrorCode::DigestInvalid, StatusCode::BAD_REQUEST),
    };
    OciError::new(code, error.to_string()).with_status(status)
}

/// `GET /v2/`: yes, this is a registry.
fn base() -> Reply {
    Reply::new(StatusCode::OK).bytes(HeaderValue::from_static("application/json"), "{}")
}
