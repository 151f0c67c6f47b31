//! The words of the handlers: what they read of a request, and what they answer with.

mod body;
mod multipart;
mod page;
mod range;
mod reply;

use http::header::HeaderName;
use http::request::Parts;

pub(crate) use self::body::RequestBody;
pub(crate) use self::multipart::Multipart;
pub(crate) use self::page::Page;
pub(crate) use self::range::{Part, PieceRange, requested};
pub use self::reply::ReplyBody;
pub(crate) use self::reply::{Refusal, Reply, entity_tag, header_value, upload_unknown};

/// The end of a handler: an answer, or why there is none.
pub(crate) type Outcome = Result<Reply, Refusal>;

/// The value of a header, where it is readable text.
pub(crate) fn header<'a>(request: &'a Parts, name: &HeaderName) -> Option<&'a str> {
    request.headers.get(name)?.to_str().ok()
}
