//! Conditional requests ([RFC 9110, section 13]): content never changes under its digest, so its entity
//! tag is the digest, and always a strong one.
//!
//! [RFC 9110, section 13]: https://www.rfc-editor.org/rfc/rfc9110#section-13

use http::StatusCode;
use http::header::{IF_NONE_MATCH, IF_RANGE};
use http::request::Parts;
use lockgate_oci::Digest;

use crate::http::{Reply, entity_tag};

/// 304 when the client says that it has the content already.
pub(super) fn not_modified(request: &Parts, digest: &Digest) -> Option<Reply> {
    let mut listed = request.headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let tag = entity_tag(digest);
    let known = listed.any(|header| names(header, &tag));
    known.then(|| Reply::new(StatusCode::NOT_MODIFIED).entity(digest))
}

/// Whether a list of entity tags has this one. Distribution's clients know tags without quotes, too.
fn names(header: &str, tag: &str) -> bool {
    header.split(',').map(str::trim).any(|listed| {
        let listed = listed.strip_prefix("W/").unwrap_or(listed);
        listed == "*" || listed.trim_matches('"') == tag.trim_matches('"')
    })
}

/// Whether a `Range` is to be heeded: not when the client's part is of something else.
pub(super) fn range_applies(request: &Parts, digest: &Digest) -> bool {
    match request.headers.get(IF_RANGE) {
        None => true,
        Some(value) => value.to_str().is_ok_and(|tag| tag.trim() == entity_tag(digest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list_weak_or_strong_or_bare() {
        let tag = "\"sha256:ab\"";
        for header in ["\"sha256:ab\"", "W/\"sha256:ab\"", "\"x\", \"sha256:ab\"", "*", "sha256:ab"] {
            assert!(names(header, tag), "{header}");
        }
        for header in ["", "\"sha256:a\"", "sha256:abc", "\"x\",\"y\""] {
            assert!(!names(header, tag), "{header}");
        }
    }
}
