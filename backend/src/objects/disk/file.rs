//! Reading a file: a piece is read while the one before it is being sent.
//!
//! What the page cache has is copied at once, which takes less than handing it to another thread; only
//! where the disk must be waited for, that is done off the async threads.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream::BoxStream;
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::objects::Opened;

/// Bytes in a piece. A transfer holds at most three.
const PIECE: usize = 256 * 1024;

/// A file that was opened for reading.
pub(super) struct OpenedFile {
    pub(super) file: Arc<File>,
    pub(super) size: u64,
    /// Its bytes had the right digest, and it has the size that it had then.
    pub(super) is_recorded: bool,
}

impl Opened for OpenedFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn is_recorded(&self) -> bool {
        self.is_recorded
    }

    fn read(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        let mut pieces = Pieces { file: Arc::clone(&self.file), left: range, next: None, sent: None };
        pieces.read_ahead();
        Box::pin(pieces)
    }
}

enum Piece {
    Read(Bytes),
    Reading(JoinHandle<io::Result<Bytes>>),
}

/// The pieces of a file, one read ahead.
struct Pieces {
    file: Arc<File>,
    /// What no read was begun for.
    left: Range<u64>,
    next: Option<Piece>,
    /// The piece given out last: once it is sent, its memory holds the next but one.
    sent: Option<Bytes>,
}

impl Pieces {
    fn read_ahead(&mut self) {
        let length = usize::try_from(self.left.end.saturating_sub(self.left.start)).map_or(PIECE, |n| n.min(PIECE));
        if length == 0 {
            return;
        }
        let offset = self.left.start;
        let mut buffer = self.sent.take().and_then(|bytes| bytes.try_into_mut().ok()).unwrap_or_default();
        // Bytes that are already initialised are not cleared again.
        buffer.resize(length, 0);
        let cached = preadv2(&self.file, &mut [IoSliceMut::new(&mut buffer)], offset, ReadWriteFlags::NOWAIT);
        self.next = Some(match cached {
            Ok(read @ 1..) => {
                buffer.truncate(read);
                self.left.start += read as u64;
                Piece::Read(buffer.freeze())
            }
            // Not cached; or the file has become shorter, or its file system cannot say: reading tells.
            _ => {
                self.left.start += length as u64;
                let file = Arc::clone(&self.file);
                Piece::Reading(spawn_blocking(move || read_piece(&file, buffer, offset)))
            }
        });
    }
}

fn read_piece(file: &File, mut buffer: BytesMut, offset: u64) -> io::Result<Bytes> {
    file.read_exact_at(&mut buffer, offset)?;
    Ok(buffer.freeze())
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = match self.next.as_mut() {
            None => return Poll::Ready(None),
            Some(Piece::Read(bytes)) => Ok(std::mem::take(bytes)),
            Some(Piece::Reading(job)) => ready!(Pin::new(job).poll(context)).map_err(io::Error::other).flatten(),
        };
        self.next = None;
        if let Ok(bytes) = &piece {
            self.read_ahead();
            self.sent = Some(bytes.clone());
        }
        Poll::Ready(Some(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt as _;
    use std::io::Write as _;

    fn blob(content: &[u8]) -> Box<OpenedFile> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Box::new(OpenedFile { file: Arc::new(file), size: content.len() as u64, is_recorded: false })
    }

    async fn read(blob: Box<OpenedFile>, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut pieces = blob.read(range);
        let mut content = Vec::new();
        while let Some(piece) = pieces.next().await {
            content.extend_from_slice(&piece?);
        }
        Ok(content)
    }

    #[tokio::test]
    async fn every_byte_of_a_range_is_read_once_and_in_order() {
        let content: Vec<u8> = (0..3 * PIECE + 7).map(|i| (i % 251) as u8).collect();
        let end = content.len() as u64;
        for range in [0..end, 0..0, end..end, 1..end - 1, PIECE as u64..2 * PIECE as u64, end - 1..end] {
            let expected = &content[range.start as usize..range.end as usize];
            assert!(read(blob(&content), range.clone()).await.unwrap() == expected, "{range:?}");
        }
    }

    #[tokio::test]
    async fn a_file_that_has_become_shorter_is_an_error_and_not_a_short_blob() {
        let blob = blob(&[7; 100]);
        blob.file.set_len(50).unwrap();
        assert_eq!(read(blob, 0..100).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
