//! The bytes of a session on their way: they gather, and go to the store a part at a time while the next ones gather.
//!
//! A part has exactly `part_size` bytes. What is less when a request ends is the session's tail: a few bytes stand in the
//! session itself, more of them in an object each, a piece, so that many short requests do not write the same bytes again
//! and again.

mod tail;

use std::sync::Arc;

use bytes::Bytes;
use lockgate_oci::RepositoryName;
use tokio::task::{JoinError, JoinSet};
use uuid::Uuid;

use super::hash::Hash;
use super::piece::Piece;
use super::room::{Gathering, Leaving};
use super::session;
use super::state::Session;
use super::store::{Known, Lease, PartStore, Tails};
use crate::objects::{MAX_PARTS, Part, Version};
use crate::registry::keys;
use crate::store::{Result, StoreError};

/// Numbers of parts that a writer claims at a time. One that was cut off may have used some that nobody knows of.
const CLAIM: u16 = 64;

/// Who writes to a session.
pub(super) struct Writer {
    pub(super) store: Arc<PartStore>,
    pub(super) repository: RepositoryName,
    pub(super) lease: Lease,
    /// As it was found.
    found: Session,
    pub(super) session: Session,
    pub(super) version: Version,
    /// The version that it was found in.
    found_in: Version,
    /// What has come and is in no part and in no tail.
    gathering: Gathering,
    /// How many bytes the session had when it was taken, and the hash of those since, where there were any.
    pub(super) taken_at: u64,
    pub(super) since: Option<Hash>,
    /// The numbers that this writer may give to parts end here.
    claimed: Option<u16>,
    /// Parts that are on their way.
    sending: JoinSet<Result<Part>>,
    /// Pieces that are in a part by now.
    pub(super) replaced: Vec<Piece>,
    is_changed: bool,
    /// The session was found as this process knew it, and not read.
    pub(super) is_unread: bool,
    /// What has come did not reach the store.
    is_broken: bool,
}

fn ended(error: JoinError) -> StoreError {
    StoreError::Io(std::io::Error::other(error))
}

impl Writer {
    /// Of a session that takes bytes, as it was found.
    pub(super) fn new(
        store: Arc<PartStore>,
        repository: RepositoryName,
        lease: Lease,
        session: Session,
        version: Version,
    ) -> Self {
        Self {
            gathering: Gathering::new(Arc::clone(&store.room), lease.id()),
            store,
            repository,
            lease,
            taken_at: session.offset,
            since: (session.offset > 0).then(|| Hash::new(session.hash.algorithm())),
            found: session.clone(),
            session,
            found_in: version.clone(),
            version,
            claimed: None,
            sending: JoinSet::new(),
            replaced: Vec::new(),
            is_changed: false,
            is_unread: false,
            is_broken: false,
        }
    }

    /// How many bytes it has by now.
    pub(super) fn size(&self) -> u64 {
        self.session.offset
    }

    /// Whether there is something to write down.
    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    fn id(&self) -> Uuid {
        self.lease.id()
    }

    fn part_size(&self) -> usize {
        usize::try_from(self.session.part_size).expect("a part fits into memory")
    }

    pub(super) async fn append(&mut self, mut bytes: Bytes) -> Result<()> {
        if self.is_broken {
            return Err(StoreError::UploadBusy);
        }
        if !bytes.is_empty() && !self.session.rest.is_empty() {
            // What stands in the session itself gathers with what follows it.
            let room = self.store.room.take(self.session.rest.len()).await;
            self.gathering.add(&std::mem::take(&mut self.session.rest), room, self.part_size());
        }
        while !bytes.is_empty() {
            let missing = self.session.part_size - self.session.tail() - self.gathering.size().0;
            let next = bytes.len().min(usize::try_from(missing).unwrap_or(usize::MAX));
            // Who is cut off in here has not taken them.
            let room = self.store.room.take(next).await;
            let next = bytes.split_to(room.num_permits());
            self.is_changed = true;
            self.session.offset += next.len() as u64;
            self.session.hash.update(&next);
            if let Some(since) = &mut self.since {
                since.update(&next);
            }
            self.gathering.add(&next, room, self.part_size());
            if next.len() as u64 == missing {
                // Whoever is cut off in here has let go of bytes that no part has.
                self.is_broken = true;
                self.send_part().await?;
                self.is_broken = false;
            }
        }
        Ok(())
    }

    /// Sends the part that is full.
    async fn send_part(&mut self) -> Result<()> {
        let (bytes, leaving) = self.remainder().await?;
        self.replaced.append(&mut self.session.pieces);
        self.send(bytes, leaving).await
    }

    /// Sends a part, beside what comes next.
    async fn send(&mut self, bytes: Bytes, leaving: Leaving) -> Result<()> {
        let number = self.number().await?;
        let multipart = match &self.session.multipart {
            Some(multipart) => multipart.clone(),
            None => {
                self.session.multipart.insert(self.store.objects.begin(&keys::upload_data(self.id())).await?).clone()
            }
        };
        while let Some(sent) = self.sending.try_join_next() {
            self.add(sent).await?;
        }
        let permit = Arc::clone(&self.store.parts_in_flight).acquire_owned().await;
        let permit = permit.expect("this semaphore is never closed");
        let (store, key) = (Arc::clone(&self.store), keys::upload_data(self.id()));
        self.sending.spawn(async move {
            let (_permit, _leaving) = (permit, leaving);
            Ok(store.objects.put_part(&key, &multipart, number, bytes).await?)
        });
        Ok(())
    }

    /// A number for a part that nobody has used.
    async fn number(&mut self) -> Result<u16> {
        let next = self.session.last_number + 1;
        if self.claimed.is_none_or(|claimed| next > claimed) {
            let claim = self.session.last_number.saturating_add(CLAIM).min(MAX_PARTS);
            if next > claim {
                return Err(StoreError::TooLarge(u64::from(MAX_PARTS) * self.session.part_size));
            }
            // What has come since is not in the session until it is written down.
            (self.found.nonce, self.found.last_number) = (Uuid::new_v4(), claim);
            self.version = session::write(&self.store, self.id(), &self.found, &self.version).await?;
            (self.session.nonce, self.claimed) = (self.found.nonce, Some(claim));
        }
        self.session.last_number = next;
        Ok(next)
    }

    /// Adds a part that was on its way.
    async fn add(&mut self, sent: Result<Result<Part>, JoinError>) -> Result<()> {
        match sent.map_err(ended)? {
            Ok(part) => self.session.parts.push(part),
            // Its upload is gone where somebody else has brought the session to its end.
            Err(error) => return Err(self.gone().await.unwrap_or(error)),
        }
        Ok(())
    }

    /// Waits until all parts have arrived.
    pub(super) async fn arrived(&mut self) -> Result<()> {
        while let Some(sent) = self.sending.join_next().await {
            self.add(sent).await?;
        }
        self.session.parts.sort_by_key(|part| part.number);
        Ok(())
    }

    /// Sends what is in no part as the last part.
    pub(super) async fn send_last(&mut self) -> Result<()> {
        if let (Some(piece), Some(multipart)) = (self.only_piece(), self.session.multipart.clone()) {
            let (number, from) = (self.number().await?, keys::piece(self.id(), piece.name));
            let key = keys::upload_data(self.id());
            let copied = self.store.objects.copy_part(&key, &multipart, number, &from, 0..piece.size).await;
            self.add(Ok(copied.map_err(StoreError::from))).await?;
        } else {
            let (bytes, leaving) = self.remainder().await?;
            if !bytes.is_empty() {
                self.send(bytes, leaving).await?;
            }
        }
        self.replaced.append(&mut self.session.pieces);
        self.session.rest.clear();
        self.arrived().await
    }

    /// Writes down where the session stands. After an error it is as it was found.
    pub(super) async fn save(&mut self) -> Result<u64> {
        if self.is_broken {
            return Err(StoreError::UploadBusy);
        }
        self.arrived().await?;
        if self.is_changed {
            let ((size, let_go), Tails { max_rest, max_pieces }) = (self.gathering.size(), self.store.tails);
            let merges = size > max_rest as u64 && self.session.pieces.len() + let_go + 1 >= max_pieces;
            let _merging = if merges { Some(self.store.room.take_for_a_part(self.part_size()).await) } else { None };
            let (pieces, fresh, _leaving) = self.gathering.take().await?;
            self.session.pieces.extend(pieces);
            let (found, mut merged, mut piece) = (self.session.pieces.clone(), None, Bytes::new());
            if fresh.len() <= max_rest {
                self.session.rest = fresh.to_vec();
            } else if merges {
                let all = Bytes::from([self.read_tail().await?, fresh].concat());
                self.replaced.append(&mut self.session.pieces);
                self.add_piece(all.clone()).await?;
                merged = Some(all);
            } else {
                self.add_piece(fresh.clone()).await?;
                piece = fresh;
            }
            self.version = session::write(&self.store, self.id(), &self.session, &self.version).await?;
            self.is_changed = false;
            self.forget_replaced();
            let pieces = || match self.tail_at_hand(&found)? {
                none if none.is_empty() => Some(piece),
                before => Some([before, piece].concat().into()),
            };
            let tail = if self.session.pieces.is_empty() { Some(Bytes::new()) } else { merged.or_else(pieces) };
            if let Some(tail) = tail {
                let weight = self.session.weight() + tail.len();
                let (session, version) = (self.session.clone(), self.version.clone());
                self.lease.rest(Known { session, version, tail }, weight);
            }
        }
        Ok(self.session.offset)
    }
}
