//! What follows the parts of a session: pieces, and a few bytes.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use uuid::Uuid;

use super::Writer;
use crate::registry::keys;
use crate::registry::node::all;
use crate::registry::uploads::parts::piece::Piece;
use crate::registry::uploads::parts::room::Leaving;
use crate::registry::uploads::parts::session;
use crate::registry::uploads::parts::store::PartStore;
use crate::store::{Result, StoreError};

async fn read_piece(store: &PartStore, id: Uuid, piece: Piece) -> Result<Option<Bytes>> {
    let bytes = store.objects.get(&keys::piece(id, piece.name)).await?.map(|object| object.bytes);
    Ok(bytes.filter(|bytes| bytes.len() as u64 == piece.size))
}

impl Writer {
    /// The bytes of these pieces, where they need not be read.
    pub(super) fn tail_at_hand(&self, pieces: &[Piece]) -> Option<Bytes> {
        if pieces.is_empty() {
            return Some(Bytes::new());
        }
        let rested = if pieces == self.found.pieces { self.lease.wake() } else { None };
        rested.filter(|known| known.version == self.found_in).map(|known| known.tail)
    }

    /// The bytes of the pieces.
    pub(super) async fn read_tail(&self) -> Result<Bytes> {
        if let Some(tail) = self.tail_at_hand(&self.session.pieces) {
            return Ok(tail);
        }
        let id = self.id();
        let pieces = self.session.pieces.iter().map(|piece| read_piece(&self.store, id, *piece).boxed());
        let Some(bytes) = all(pieces.collect()).await?.into_iter().collect::<Option<Vec<_>>>() else {
            let message = format!("a part of the upload {id} is gone");
            return Err(self.gone().await.unwrap_or(StoreError::Corrupt(message)));
        };
        match &bytes[..] {
            [one] => Ok(one.clone()),
            bytes => Ok(bytes.concat().into()),
        }
    }

    /// Why a piece is gone; `None` where it should be there: somebody else has gone on with the session, or ended it.
    pub(in super::super) async fn gone(&self) -> Option<StoreError> {
        match session::read(&self.store, &self.repository, self.id()).await {
            Ok((_, version)) => (version != self.version).then_some(StoreError::UploadBusy),
            Err(error) => Some(error),
        }
    }

    /// What is in no part: the tail, and what has gathered.
    pub(in super::super) async fn remainder(&mut self) -> Result<(Bytes, Leaving)> {
        if self.session.pieces.is_empty()
            && let Some((gathered, leaving)) = self.gathering.take_whole()
        {
            let rest = || Bytes::copy_from_slice(&self.session.rest);
            return Ok((if self.session.rest.is_empty() { gathered } else { rest() }, leaving));
        }
        // Others may have it let go of what it has gathered while it waits.
        let reading = self.store.room.take_for_a_part(self.part_size()).await;
        let (pieces, gathered, _leaving) = self.gathering.take().await?;
        self.session.pieces.extend(pieces);
        let tail = self.read_tail().await?;
        Ok(([&tail[..], &self.session.rest, &gathered].concat().into(), reading))
    }

    /// The one piece that the tail is, where nothing has come since.
    pub(in super::super) fn only_piece(&self) -> Option<Piece> {
        let [piece] = &self.session.pieces[..] else { return None };
        (self.session.rest.is_empty() && self.gathering.size().0 == 0).then_some(*piece)
    }

    /// Forgets the pieces that are in a part now, which the session does not name any more.
    pub(in super::super) fn forget_replaced(&mut self) {
        let (store, id) = (Arc::clone(&self.store), self.id());
        let replaced = std::mem::take(&mut self.replaced);
        if !replaced.is_empty() {
            tokio::spawn(async move { session::forget_pieces(&store, id, &replaced).await });
        }
    }

    pub(super) async fn add_piece(&mut self, bytes: Bytes) -> Result<()> {
        let piece = Piece { name: Uuid::new_v4(), size: bytes.len() as u64 };
        self.store.objects.put(&keys::piece(self.id(), piece.name), bytes, None).await?;
        self.session.pieces.push(piece);
        Ok(())
    }
}
