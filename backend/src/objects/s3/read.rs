//! Long objects, as streams that go on where they were cut.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::{Method, StatusCode, header};

use super::client::{Client, Opened, Retries};
use super::failure::Kind;
use super::request::{Request, text, version};
use crate::objects::{ObjectsError, Result, Version};

/// How often a stream goes on after a cut.
const RESUMPTIONS: u32 = 8;

/// The bytes of a range.
pub(super) fn read(client: Arc<Client>, key: &str, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
    let (key, Range { start: at, end }) = (key.to_owned(), range);
    let reading = Reading { client, key, at, end, version: None, opened: None, resumptions: 0 };
    stream::try_unfold(reading, Reading::next).boxed()
}

struct Reading {
    client: Arc<Client>,
    key: String,
    at: u64,
    end: u64,
    /// What was begun with, and is gone on with.
    version: Option<Version>,
    opened: Option<(Request, Opened)>,
    resumptions: u32,
}

impl Reading {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        while self.at < self.end {
            let (request, mut opened) = match self.opened.take() {
                Some(opened) => opened,
                None => self.open().await.map_err(io::Error::other)?,
            };
            let failure = match self.client.piece(&request, &mut opened).await {
                Ok(Some(piece)) if piece.len() as u64 > self.end - self.at => {
                    return Err(io::Error::other(self.client.odd(&request, "more bytes come than were asked for")));
                }
                Ok(Some(piece)) => {
                    self.at += piece.len() as u64;
                    self.opened = Some((request, opened));
                    return Ok(Some((piece, self)));
                }
                Ok(None) => self.client.asked(&request).odd("the body ends early"),
                Err(failure) => failure,
            };
            tracing::debug!("S3: {}", failure.message);
            self.resumptions += 1;
            if self.resumptions > RESUMPTIONS {
                return Err(io::Error::other(ObjectsError::from(failure)));
            }
        }
        Ok(None)
    }

    /// Asks for what is missing.
    async fn open(&mut self) -> Result<(Request, Opened)> {
        let mut request = Request::new(Method::GET, &self.key).range(self.at, self.end);
        if let Some(version) = &self.version {
            request = request.if_match(version);
        }
        let mut retries = Retries::new();
        let opened = loop {
            match self.client.open_once(&request).await {
                Ok(opened) => break opened,
                Err(failure) if failure.kind == Kind::Refused || !retries.next().await => return Err(failure.into()),
                Err(failure) => tracing::debug!("S3: {}", failure.message),
            }
        };
        if let Some(problem) = self.problem(&opened) {
            return Err(ObjectsError::Refused(format!("{} cannot be read: {problem}", self.client.asked(&request))));
        }
        self.version = version(&opened.headers);
        Ok((request, opened))
    }

    /// Why an answer is not what was asked for.
    fn problem(&self, opened: &Opened) -> Option<String> {
        let range = text(&opened.headers, &header::CONTENT_RANGE).unwrap_or("");
        let length = text(&opened.headers, &header::CONTENT_LENGTH).unwrap_or("");
        match opened.status {
            StatusCode::PARTIAL_CONTENT if range.starts_with(&format!("bytes {}-{}/", self.at, self.end - 1)) => None,
            StatusCode::OK if self.at == 0 && length == self.end.to_string() => None,
            StatusCode::NOT_FOUND => Some("it is not there".to_owned()),
            StatusCode::PRECONDITION_FAILED => Some("it has changed meanwhile".to_owned()),
            StatusCode::RANGE_NOT_SATISFIABLE => Some(format!("it has no byte {}", self.at)),
            status => Some(format!("bytes {}-{} were asked for, and {status} brings {range:?}", self.at, self.end - 1)),
        }
    }
}
