//! Promise: with `listen.http2` the gate stands as firm as without.

mod common;
mod floods;
mod honest;
mod life;
mod refusals;
mod requests;
