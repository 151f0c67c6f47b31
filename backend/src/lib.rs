//! A small OCI registry: what stands behind Lockgate where nothing else does.
//!
//! It speaks the [OCI distribution specification] over plain HTTP/1.1, asks nobody for a password, and
//! keeps everything in a directory or a bucket of S3, laid out as `registry:2` does, so that either opens the
//! other's. A blob's digest is computed while its bytes arrive, and a `201` means that they are durable.
//!
//! ```text
//! admin        metrics and health for whoever runs it; metrics: what is counted for that
//!   pages        a small server of plain HTTP, for that and the like
//! server       accept, a task a connection, drain
//!   connection   what hyper cannot parse is refused in OCI JSON, too
//!   lingering    what a client still sends when it is answered
//!   background   what runs beside
//!   router     Action -> handler; errors -> OCI JSON
//!     handlers   one a kind of end-point: blob, upload, manifest, tag, referrer, catalog
//!       registry     store and settings; the rules over objects; beside it, sweep removes stale uploads
//!       http         what handlers read and answer with: bodies, pages, ranges, replies
//!       manifest     what a manifest names
//!         store        the trait: what a registry keeps
//!         objects      keys and bytes, in a directory, in a bucket of S3, or in memory
//!           hasher       digests while the bytes pass
//! copy       from one store to another
//! space      trash and collection: what runs by itself, and commands
//! config     what can be configured
//! cli        the command line, one command a file; it uses all of the above
//! ```
//!
//! To run one inside another program, on a socket:
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use std::{path::Path, sync::Arc};
//! use lockgate_backend::config::Config;
//! use lockgate_backend::{Listener, ObjectStore, serve};
//!
//! let store = Arc::new(ObjectStore::in_directory(Path::new("data"))?);
//! let listener = Listener::bind(&"unix:/run/lockgate/backend.sock".parse().expect("an endpoint")).await?;
//! serve(listener, store, Config::default(), async { /* ready when it shall end */ }).await;
//! # Ok(())
//! # }
//! ```
//!
//! [`Registry::answer`] does without: it is a function from request to response.
//!
//! [OCI distribution specification]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md

// `println!` and `eprintln!` panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod admin;
mod background;
pub mod cli;
pub mod config;
mod connection;
#[cfg(test)]
mod contract;
mod copy;
#[cfg(test)]
mod exhaustive;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handlers;
mod hasher;
mod http;
#[cfg(test)]
mod interleavings;
mod lingering;
mod listener;
mod lock;
mod manifest;
mod measured;
mod metrics;
mod objects;
mod open;
pub mod pages;
mod redirect;
mod registry;
mod router;
mod server;
mod space;
pub mod store;
mod sweep;

pub use self::http::{ReplyBody, USER};
pub use copy::{CopyError, Counts, Progress, copy};
pub use listener::Listener;
pub use objects::disk::StorageProblem;
pub use open::{open, open_to_read, problems};
pub use redirect::{is_shown_the_password, redirect_host};
pub use registry::{Ages, ObjectStore, Registry, Rules};
pub use server::{serve, serve_registry, tell};
pub use space::{Operation, OperationError, Restorable, Say, ask, ask_node};
pub use store::{Item, Store, Thing};
