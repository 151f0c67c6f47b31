//! What follows the parts of a session: pieces, and a few bytes.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use uuid::Uuid;

use super::Writer;
use crate::registry::keys;
use crate::registry::node::all;
use crate::registry::uploads::parts::session::{self, Piece};
use crate::registry::uploads::parts::store::PartStore as Node;
use crate::store::{Result, StoreError};

async fn read_piece(node: &Node, id: Uuid, piece: Piece) -> Result<Option<Bytes>> {
    let bytes = node.objects.get(&keys::piece(id, piece.name)).await?.map(|object| object.bytes);
    Ok(bytes.filter(|bytes| bytes.len() as u64 == piece.size))
}

impl Writer {
    /// The bytes of the tail, which is no tail any more.
    pub(super) async fn take_tail(&mut self) -> Result<Bytes> {
        let tail = self.read_tail().await?;
        self.tail = Some(Bytes::new());
        self.replaced.append(&mut self.session.pieces);
        self.session.rest.clear();
        Ok(tail)
    }

    /// The bytes of the tail.
    pub(super) async fn read_tail(&self) -> Result<Bytes> {
        if let Some(tail) = &self.tail {
            return Ok(tail.clone());
        }
        let id = self.id();
        let pieces = self.session.pieces.iter().map(|piece| read_piece(&self.node, id, *piece).boxed());
        let Some(mut bytes) = all(pieces.collect()).await?.into_iter().collect::<Option<Vec<_>>>() else {
            let message = format!("a part of the upload {id} is gone");
            return Err(self.gone().await.unwrap_or(StoreError::Corrupt(message)));
        };
        bytes.push(Bytes::copy_from_slice(&self.session.rest));
        Ok(bytes.concat().into())
    }

    /// Why a piece is gone; `None` where it should be there: somebody else has gone on with the session, or ended it.
    pub(in super::super) async fn gone(&self) -> Option<StoreError> {
        match session::read(&self.node, &self.repository, self.id()).await {
            Ok((_, version)) => (version != self.version).then_some(StoreError::UploadBusy),
            Err(error) => Some(error),
        }
    }

    /// What is in no part: the tail, and what has gathered.
    pub(in super::super) async fn remainder(&mut self) -> Result<Bytes> {
        let tail = self.read_tail().await?;
        let gathered = std::mem::take(&mut self.gathering).freeze();
        Ok(match (tail.is_empty(), gathered.is_empty()) {
            (true, _) => gathered,
            (_, true) => tail,
            _ => [tail, gathered].concat().into(),
        })
    }

    /// The one piece that the tail is, where nothing has come since.
    pub(in super::super) fn only_piece(&self) -> Option<Piece> {
        let [piece] = &self.session.pieces[..] else { return None };
        (self.session.rest.is_empty() && self.gathering.is_empty()).then_some(*piece)
    }

    /// Forgets the pieces that are in a part now, which the session does not name any more.
    pub(in super::super) fn forget_replaced(&mut self) {
        let (node, id) = (Arc::clone(&self.node), self.id());
        let replaced = std::mem::take(&mut self.replaced);
        if !replaced.is_empty() {
            tokio::spawn(async move { session::forget_pieces(&node, id, &replaced).await });
        }
    }

    pub(super) async fn add_piece(&mut self, bytes: Bytes) -> Result<()> {
        let piece = Piece { name: Uuid::new_v4(), size: bytes.len() as u64 };
        self.node.objects.put(&keys::piece(self.id(), piece.name), bytes, None).await?;
        self.session.pieces.push(piece);
        Ok(())
    }
}
