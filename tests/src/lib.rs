//! The harness of the end-to-end tests: it runs the *built* programs and real clients against each other.
//!
//! Nothing of the product is linked in here. A test starts what it needs, each on a port of its own choosing and in a
//! temporary directory of its own, asks real clients to do what a user does, and drops everything at its end:
//!
//! ```text
//!  Curl, Wire, Skopeo, Podman, Docker ──▶ Gate (lockgate serve) ──▶ Upstream        a scripted fake that records
//!        go through a Door                                      ├─▶ Backend         lockgate-backend
//!        (address, CA, user)              Up   (lockgate up)    ├─▶ DockerRegistry  distribution 2.8, from Debian
//!                                                               └─▶ Relay           any of them, cut in the middle
//!                                              Bucket (weed) ◀── any number of Backend, Gate and DockerRegistry
//! ```
//!
//! A `Front` (nginx, HAProxy, Caddy) stands before any of them where a test is about that.
//!
//! The programs are looked for beside the tests' own target directory, or in `PROGRAMS_DIR`:
//!
//! ```sh
//! cargo build --release --workspace && cargo test --release -p lockgate-e2e
//! ```
//!
//! A test never sleeps to let something happen: it awaits the state itself, with a bound ([`eventually`]). When a test
//! panics, everything it started prints what it logged. When it does not, what our programs logged, all of it at the
//! level `trace`, is searched for every password that went through the harness.

mod api;
mod backend;
mod bucket;
mod certificates;
mod client;
mod clock;
mod container_tools;
mod containerd;
mod content;
mod curl;
mod dice;
mod directory;
mod docker;
mod docker_registry;
mod door;
mod fault;
mod front;
mod gate;
mod http2;
mod image;
mod last_will;
mod load;
mod long_upload;
mod message;
mod plain_api;
mod privileges;
mod process;
mod programs;
mod records;
mod relay;
mod secrets;
mod strict;
mod tls;
mod tmpfs;
mod trace;
mod unresponsive;
mod up;
mod upstream;
mod users;
mod waiting;
mod wire;

pub use api::Api;
pub use backend::Backend;
pub use bucket::Bucket;
pub use certificates::{Authority, Pair, rename_over};
pub use client::{Client, RequestBody};
pub use clock::Clock;
pub use container_tools::{Buildah, Podman, Skopeo};
pub use containerd::Containerd;
pub use content::{Pattern, PatternCheck, sha256, sha512};
pub use curl::{Answer, Curl};
pub use dice::{Dice, asked_for, seed};
pub use directory::fresh_dir;
pub use docker::Docker;
pub use docker_registry::DockerRegistry;
pub use door::Door;
pub use fault::{Act, Fault, Next, Point, honest_body, upstream_with};
pub use front::Front;
pub use gate::{Gate, GateBuilder, log_field};
pub use http2::{Http2, Outcome, field_block, frame, frame_bytes};
pub use image::ImageLayout;
pub use last_will::LastWill;
pub use load::Load;
pub use long_upload::LongUpload;
pub use message::{Head, Response};
pub use plain_api::{IMAGE, PlainApi, digest_of, image_of};
pub use privileges::{Owner, no_privilege_in};
pub use process::{Capture, Finished, Process, Signal, finish, finish_with_input};
pub use programs::{program, tool};
pub use records::{Division, Records};
pub use relay::Relay;
pub use secrets::{base64, no_secret_in};
pub use strict::{StrictClient, StrictConnection};
pub use tmpfs::Tmpfs;
pub use trace::{SystemCall, Trace};
pub use unresponsive::{Unresponsive, nobody_at};
pub use up::Up;
pub use upstream::{Connection, Received, Upstream, ok};
pub use users::{Scheme, htpasswd_line, openssl_line};
pub use waiting::{PATIENCE, eventually, steadily};
pub use wire::{Ending, Wire};
