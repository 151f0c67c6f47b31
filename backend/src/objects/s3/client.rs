//! Requests to S3: signed by `object_store`, sent, and sent again where that is safe.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::{Method, StatusCode, header};
use object_store::aws::AmazonS3;
use object_store::client::{HttpClient, HttpError, HttpRequest};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use uuid::Uuid;

use super::answers;
use super::failure::{Asked, Failure, Kind};
use super::request::{Answer, Request, text};
use crate::admin::labels::{class_of, method_of};
use crate::metrics::{BucketRequest, METRICS};
use crate::objects::{MAX_SMALL, ObjectsError, Result};

/// How often a request is sent before it is given up.
const ATTEMPTS: u32 = 7;

/// After so long it is not sent another time.
const RETRY_TIME: Duration = Duration::from_secs(60);

/// The first pause before it is sent again; each further is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long a signature is good for.
const SIGNED_FOR: Duration = Duration::from_secs(60);

/// How long a body may say nothing in its middle.
const SILENCE: Duration = Duration::from_secs(30);

/// The longest body that is read whole.
const LARGEST: usize = MAX_SMALL as usize;

/// An answer within this time tells the store's clock.
const PROMPT: Duration = Duration::from_secs(2);

/// Sends requests for objects below a prefix of a bucket.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) signer: AmazonS3,
    pub(super) http: HttpClient,
    pub(super) endpoint: String,
    pub(super) bucket: String,
    /// Empty, or ends with `/`.
    pub(super) prefix: String,
    /// At most so long an answer is waited for, and the next piece of a body.
    pub(super) longest_wait: Duration,
    /// By how many seconds this machine's clock is ahead of the store's, at most.
    pub(super) ahead: AtomicI64,
}

/// An answer whose body is still to be read.
pub(super) struct Opened {
    pub(super) status: StatusCode,
    pub(super) headers: http::HeaderMap,
    pub(super) body: BoxStream<'static, Result<Bytes, HttpError>>,
}

/// When to send something again.
pub(super) struct Retries {
    begun: Instant,
    sent: u32,
}

impl Retries {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), sent: 0 }
    }

    /// Waits before the next attempt; `false` when there shall be none.
    pub(super) async fn next(&mut self) -> bool {
        self.sent += 1;
        if self.sent >= ATTEMPTS || self.begun.elapsed() > RETRY_TIME {
            return false;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << (self.sent - 1)).min(LONGEST_PAUSE);
        // Many who were refused together do not come back together.
        let share = 0.5 + f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX) / 2.0;
        tokio::time::sleep(pause.mul_f64(share)).await;
        true
    }
}

impl Client {
    /// The key that the bucket knows it by.
    pub(super) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Sends it until it is answered: with a success, or with one of the refusals that operations expect (304, 412,
    /// 416, and 404 of an object or an upload).
    pub(super) async fn send(&self, request: &Request) -> Result<Answer> {
        let mut retries = Retries::new();
        loop {
            match self.send_once(request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) if failure.kind == Kind::Refused || !retries.next().await => return Err(failure.into()),
                Err(failure) => tracing::debug!("S3: {}", failure.message),
            }
        }
    }

    pub(super) async fn send_once(&self, request: &Request) -> Result<Answer, Failure> {
        let url = self.sign(request, SIGNED_FOR).await?;
        self.send_signed(request, &url).await
    }

    /// Sends it once, and leaves the body to be read where it is a success.
    pub(super) async fn open_once(&self, request: &Request) -> Result<Opened, Failure> {
        let url = self.sign(request, SIGNED_FOR).await?;
        let opened = self.open(request, &url).await?;
        if opened.status.is_success() {
            return Ok(opened);
        }
        let Answer { status, headers, .. } = self.finish(request, opened).await?;
        Ok(Opened { status, headers, body: stream::empty().boxed() })
    }

    /// Sends it once, with this URL, and reads its answer to the end.
    pub(super) async fn send_signed(&self, request: &Request, url: &str) -> Result<Answer, Failure> {
        let opened = self.open(request, url).await?;
        self.finish(request, opened).await
    }

    /// Reads an answer to its end.
    pub(super) async fn finish(&self, request: &Request, mut opened: Opened) -> Result<Answer, Failure> {
        let declared = text(&opened.headers, &header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        // What grows step by step takes twice as much on the way.
        let mut body = BytesMut::with_capacity(declared.unwrap_or(0).min(LARGEST));
        while let Some(piece) = self.piece(request, &mut opened).await? {
            if body.len() + piece.len() > LARGEST {
                let message = format!("{} is larger than {MAX_SMALL} bytes", self.asked(request));
                return Err(Failure { kind: Kind::Refused, message });
            }
            body.extend_from_slice(&piece);
        }
        if declared.is_some_and(|length| length != body.len()) {
            return Err(self.asked(request).odd("the body has another length than was declared"));
        }
        self.judge(request, Answer { status: opened.status, headers: opened.headers, body: body.freeze() })
    }

    /// The next piece of a body.
    pub(super) async fn piece(&self, request: &Request, opened: &mut Opened) -> Result<Option<Bytes>, Failure> {
        let piece = tokio::time::timeout(SILENCE.min(self.longest_wait), opened.body.next()).await;
        let piece = piece.map_err(|_| self.asked(request).too_late())?;
        piece.transpose().map_err(|error| self.asked(request).unanswered(&error))
    }

    /// Sends it once, with this URL, and reads the head of its answer.
    pub(super) async fn open(&self, request: &Request, url: &str) -> Result<Opened, Failure> {
        let mut http = HttpRequest::new(request.body.clone().into());
        *http.method_mut() = request.method.clone();
        *http.uri_mut() = url.parse().map_err(|_| self.asked(request).odd("its URL is none"))?;
        http.headers_mut().extend(request.headers.clone());
        if matches!(request.method, Method::PUT | Method::POST) {
            // AWS refuses these without one, and hyper writes none for a body of no bytes.
            http.headers_mut().insert(header::CONTENT_LENGTH, request.body.len().into());
        }
        let sent = Instant::now();
        let answer = tokio::time::timeout(request.patience().min(self.longest_wait), self.http.execute(http)).await;
        let status = answer.iter().flatten().next().map_or("none", |answer| class_of(answer.status()));
        METRICS.bucket_requests.get_or_create(&BucketRequest { method: method_of(&request.method), status }).inc();
        let answer = answer.map_err(|_| self.asked(request).too_late())?;
        let answer = answer.map_err(|error| self.asked(request).unanswered(&error))?;
        let (head, body) = answer.into_parts();
        if sent.elapsed() < PROMPT
            && let Some(theirs) =
                text(&head.headers, &header::DATE).and_then(|date| httpdate::parse_http_date(date).ok())
        {
            self.ahead.store(seconds_after(SystemTime::now(), theirs), Ordering::Relaxed);
        }
        Ok(Opened { status: head.status, headers: head.headers, body: body.bytes_stream() })
    }

    /// An answer that operations expect, or what is wrong.
    fn judge(&self, request: &Request, answer: Answer) -> Result<Answer, Failure> {
        let code = answers::error_code(&answer.body);
        let status = answer.status;
        let is_expected = match (status, code.as_deref()) {
            (StatusCode::NOT_FOUND, code) => matches!(code, Some("NoSuchKey" | "NoSuchUpload")),
            (StatusCode::NOT_MODIFIED | StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE, _) => true,
            // It answered before it was done, and then it failed.
            (_, Some("NoSuchUpload")) if status.is_success() && !is_object(request) => {
                return Ok(Answer { status: StatusCode::NOT_FOUND, ..answer });
            }
            (_, Some(code)) if status.is_success() && !is_object(request) => {
                return Err(self.asked(request).refused_with(StatusCode::INTERNAL_SERVER_ERROR, code, None));
            }
            _ => status.is_success(),
        };
        if is_expected {
            return Ok(answer);
        }
        let region = text(&answer.headers, &http::HeaderName::from_static("x-amz-bucket-region"));
        Err(self.asked(request).refused_with(status, code.as_deref().unwrap_or(""), region))
    }

    pub(super) async fn sign(&self, request: &Request, lifetime: Duration) -> Result<String, Failure> {
        let refused = |message| Failure { kind: Kind::Refused, message };
        let path = request.key.as_deref().map_or(String::new(), |key| self.full(key));
        let path = Path::parse(&path).map_err(|error| refused(format!("{path} is no key: {error}")))?;
        let mut options = SignedUrlOptions::new().with_query(request.query.clone());
        for (name, value) in &request.headers {
            options = options.with_signed_header(name.clone(), value.clone());
        }
        let url = self.signer.signed_url_opts(request.method.clone(), &path, lifetime, &options).await;
        url.map(String::from).map_err(|error| Failure {
            // The service that has them may answer the next time.
            kind: Kind::Busy,
            message: format!(
                "no credentials for S3; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write the credentials file \
                 (AWS_SHARED_CREDENTIALS_FILE), or give this machine a role: {error}"
            ),
        })
    }

    pub(super) fn asked<'a>(&'a self, request: &'a Request) -> Asked<'a> {
        Asked {
            method: &request.method,
            permission: request.permission(),
            bucket: &self.bucket,
            key: request.key.as_deref(),
            endpoint: &self.endpoint,
        }
    }

    pub(super) fn odd(&self, request: &Request, what: &str) -> ObjectsError {
        self.asked(request).odd(what).into()
    }
}

/// Whether its answer has an object for its body, which may be anything.
fn is_object(request: &Request) -> bool {
    request.method == Method::GET && request.key.is_some()
}

fn seconds_after(ours: SystemTime, theirs: SystemTime) -> i64 {
    let seconds =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
    seconds(ours) - seconds(theirs)
}
