//! The locked gate in front of a container registry.
//!
//! A connection comes in by the [`listener`], which shakes hands and keeps its budgets. Each request
//! on it goes through the phases of pingora's `ProxyHttp`, implemented by `gate`:
//!
//! ```text
//! phase                     what happens                                          module
//! ------------------------  ----------------------------------------------------  ------------------
//! early_request_filter      the request arrived: timeouts are set                 gate, listener
//! request_filter            framing, path, legacy client                          request
//!                           who is it?      Authorization -> Identity             auth
//!                           may they?       Identity x Route -> Permit            access
//!                           if not: a refusal as OCI JSON                         rescue
//! upstream_peer             where to?       Permit -> address                     upstream
//! upstream_request_filter   what is forwarded                                     headers
//! upstream_response_filter  is it an answer?                                      response
//! response_filter           what every answer carries                             headers
//! fail_to_proxy             502, 504, 408, 400 as OCI JSON                        rescue
//! logging                   a line                                                access_log
//! ```
//!
//! [`app`] wires it from a checked [`config`]; `reload` keeps up with certificates and users; [`cli`] holds
//! one command a file.

// `println!` and `eprintln!` panic where nobody reads.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod access;
mod access_log;
pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod headers;
mod last_byte;
pub mod listener;
mod lock;
pub mod logging;
mod login;
mod network;
mod rate_limited;
mod reload;
mod request;
mod rescue;
mod response;
pub mod supervisor;
mod tls;
mod upstream;
