//! What several nodes do at once, exhaustively: a few requests run side by side over the same objects, and every order of
//! their calls to the store is tried. On the way a node may die, a client go away, an answer be lost, a DELETE arrive
//! late, and a minute pass, at each writing call, before it took effect or after. What is checked in each state is what
//! the protocol promises; where a promise is broken, the shortest way there is printed.
//!
//! It is the registry's own code that runs, from the request to the calls on [`Objects`](crate::objects::Objects):
//!
//! ```text
//! uploads, tags, collecting     programs of requests, and what must be so
//!   explorer          schedules, states, the shortest first
//!     client            requests and answers of a node
//!     gated             a node's calls to the store
//!       gate              each waits for its turn, or ends otherwise
//!         names             what is drawn at random, named
//! ```

mod client;
mod collecting;
mod explorer;
mod gate;
mod gated;
mod names;
mod orders;
mod sessions;
mod tags;
mod uploads;
