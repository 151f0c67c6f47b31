//! The locked gate in front of a container registry.
//!
//! A connection comes in by the [`listener`], which shakes hands and keeps its budgets. Each request on it is one
//! call of the gate, from request to answer:
//!
//! ```text
//! step                                                                 module
//! -------------------------------------------------------------------  ------------------------
//! framing, method, target                                              gate::check
//! who is it?          Authorization -> Identity                        gate::login, auth
//! what do they want?  method, path, query -> Action                    lockgate_oci
//! may they?           Identity x Action -> Permit                      access
//! if not:             a refusal as OCI JSON                            refusal, gate::answer
//! where to?           a registry behind, or the one within             gate::destination
//! what is forwarded                                                    access, gate::headers
//! by which way?       Permit -> address, over a connection             upstream
//! is it an answer?                                                     gate::response
//! what every answer carries                                            gate::headers
//! a line                                                               gate::passage, access_log
//! ```
//!
//! `doctor` asks a registry from outside, as clients do, and uses nothing of the above.
//!
//! [`app`] wires it from a checked [`config`]; `reload` keeps up with certificates and users; [`cli`] holds
//! one command a file.

// `println!` and `eprintln!` panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod access;
mod access_log;
pub mod address_range;
pub mod app;
mod audit;
pub mod auth;
mod beside;
pub mod cli;
mod client;
pub mod config;
mod doctor;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod https_redirect;
mod import_nginx;
pub mod listener;
mod lock;
mod metrics;
mod network;
mod rate_limited;
mod refusal;
mod reload;
pub mod rights;
pub mod supervisor;
mod timer;
mod tls;
mod upstream;
mod watching;
