//! The registry over HTTP, as a client sees it: a server on a free port, a real connection a request; and as a
//! function, without either.

#![expect(clippy::unwrap_used, reason = "a test states its expectations by unwrapping")]

mod harness;

mod catalog;
mod concurrency;
mod conditional;
mod delete;
mod foreign;
mod general;
mod layout;
mod life;
mod manifest;
mod pull;
mod push;
mod quota;
mod referrers;
mod session_model;
mod tags;
mod within;
