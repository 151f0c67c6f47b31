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

/// Where the gate says who asks, of which it takes nothing from clients.
pub const USER: HeaderName = HeaderName::from_static("x-forwarded-user");

/// The longest name that is noted, in bytes.
const MAX_USER: usize = 256;

/// Who asks, where the gate says so.
pub(crate) fn caller(request: &Parts) -> Option<String> {
    header(request, &USER).filter(|name| !name.is_empty() && name.len() <= MAX_USER).map(str::to_owned)
}
