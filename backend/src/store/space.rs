//! Making room, and undoing it.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use lockgate_oci::{Digest, RepositoryName, TrashId};

use super::error::Result;
use super::plan::{CollectOptions, Collected, Damage, Explained, Hit, Item, Plan, Thing};
use super::trash::Trashed;
use super::usage::Usage;

/// What keeps a store from growing for ever.
#[async_trait]
pub trait Space {
    /// How many bytes of the place are free, where it ends.
    async fn free(&self) -> Result<Option<u64>>;

    /// What was deleted in a repository, or in all, the newest first.
    async fn trash(&self, repository: Option<&RepositoryName>) -> Result<Vec<Trashed>>;

    /// One record of the trash.
    async fn trashed(&self, repository: &RepositoryName, id: &TrashId) -> Result<Option<Trashed>>;

    /// The bytes of a manifest, be it in a repository or not; `None` when they are gone or others.
    async fn manifest_bytes(&self, digest: &Digest) -> Result<Option<Bytes>>;

    /// Makes a blob one of a repository's again. False when its bytes are gone.
    async fn relink_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool>;

    /// Removes a record of the trash, after which the collector takes what nothing else names.
    async fn forget(&self, trashed: &Trashed) -> Result<()>;

    /// Removes the records of the trash that are older than this. Returns how many.
    async fn empty_trash(&self, older_than: Duration) -> Result<usize>;

    /// Ends what a collector of any node has left that died while it removed something. To be called from time to time.
    async fn clean_up_after_collector(&self) -> Result<()>;

    /// In how many parts everything is read by [`verify`](Space::blobs_of).
    fn parts(&self) -> u16;

    /// Where a look at everything goes on that was cut off, and what it had found damaged.
    async fn mark(&self) -> Result<(u16, Vec<Digest>)>;

    /// Writes down which part comes next, and what was found damaged; behind the last one, that there is nothing to go on.
    async fn set_mark(&self, part: u16, damaged: Vec<Digest>) -> Result<()>;

    /// The blobs of a part, with their sizes in bytes.
    async fn blobs_of(&self, part: u16) -> Result<Vec<(Digest, u64)>>;

    /// Reads a blob to its end; what is wrong with it, if anything is.
    async fn look_at(&self, digest: &Digest) -> Result<Option<Damage>>;

    /// Takes damaged bytes out of the way, to where they can be looked at: the blob is missing then, and the next push
    /// mends it. False when it is another by now.
    async fn set_aside(&self, damage: &Damage) -> Result<bool>;

    /// The images of a repository that name something of this, or something that is not there.
    async fn hits(&self, repository: &RepositoryName, damaged: &HashSet<Digest>) -> Result<Vec<Hit>>;

    /// Notes that a manifest is pulled. It is written some time later.
    fn note_pull(&self, repository: &RepositoryName, digest: &Digest);

    /// Writes which manifests were pulled, if any were. To be called from time to time, and at the end.
    async fn write_pulls(&self) -> Result<()>;

    /// Notes that so many bytes are pushed. It is written some time later. Returns the last look ([`Usage::look`]) that does
    /// not have them.
    fn note_push(&self, repository: &RepositoryName, bytes: u64) -> u64;

    /// Writes how much was pushed, if anything was. To be called from time to time, and at the end.
    async fn write_pushes(&self) -> Result<()>;

    /// How much each repository takes, as the last collection has counted it, with what was pushed since: at this node, and
    /// as far as others have written it.
    async fn usage(&self) -> Result<Usage>;

    /// Counts how much each repository takes, as a collection does.
    async fn count(&self, options: &CollectOptions) -> Result<()>;

    /// Tells what a collection would remove, now or in its second run.
    async fn plan(&self, options: &CollectOptions) -> Result<Plan>;

    /// Tells why something stays, or goes.
    async fn explain(&self, options: &CollectOptions, thing: &Thing) -> Result<Explained>;

    /// One run of the collector: it removes what the last run found unneeded and nobody needs now either, and finds what is
    /// unneeded now; of both only what is among `only`, where that is given.
    async fn collect(&self, options: &CollectOptions, only: Option<&HashSet<Item>>) -> Result<Collected>;
}
