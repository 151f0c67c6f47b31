//! Files of others and for others: read within bounds, followed, replaced durably, and looked at for who may
//! read them.

mod exposure;
mod replace;
mod watch;

pub(crate) use exposure::{Audience, Exposure};
pub(crate) use replace::{Notice, PRIVATE, PUBLIC, RewriteError, create, replace, rewrite};
pub(crate) use watch::{INTERVAL, follow};
