//! Promise: the registry answers as the OCI distribution specification says, every MUST and every SHOULD of it.
//!
//! Each module is a part of the specification. It begins with its table: section, level, and the claim, which is the
//! name of the function below that asks for it. Each row is a test for each target:
//!
//! ```text
//! pull::backend::a_blob_comes_with_its_exact_bytes           lockgate-backend alone, plain HTTP
//! pull::proxied::a_blob_comes_with_its_exact_bytes           the same behind lockgate: TLS and a password
//! pull::within::a_blob_comes_with_its_exact_bytes            the same in one process
//! pull::bucket::a_blob_comes_with_its_exact_bytes            two gates before three over one bucket, in turn
//! pull::docker_registry::a_blob_comes_with_its_exact_bytes   Debian's docker-registry: holds, or fails as known
//! ```
//!
//! The last tells that the checks can tell a registry from another: `known_failures.rs` lists what docker-registry 2.8
//! does not do, and a check that fails there without being listed, or is listed and holds, is a failure here.
//!
//! Levels: MUST, SHOULD and MAY are the specification's, of version 1.1.1 and of what was merged since. ALSO is what it
//! does not say: Docker's own extensions, RFC 9110, and what this registry promises beside.

#[macro_use]
mod checks;
mod answer;
mod images;
mod known_failures;
mod targets;
mod visit;

mod catalog;
mod concurrent;
mod delete;
mod general;
mod manifests;
mod pull;
mod referrers;
mod tags;
mod upload;
