//! Conditional requests ([RFC 9110, section 13]): content never changes under its digest, so its entity
//! tag is the digest, and always a strong one.
//!
//! [RFC 9110, section 13]: https://www.rfc-editor.org/rfc/rfc9110#section-13

use http::StatusCode;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE};
use http::request::Parts;
use lockgate_oci::Digest;

use crate::http::{Refusal, Reply, entity_tag};
use crate::store::{Expected, Precondition, StoreError};

/// What a request requires of what is there: by `If-Match`, which compares strongly, and `If-None-Match`, which
/// compares weakly (RFC 9110, 13.1). `None` where it requires nothing.
pub(super) fn precondition(request: &Parts) -> Option<Precondition> {
    let one_of = expected(request, &IF_MATCH, None);
    let none_of = expected(request, &IF_NONE_MATCH, Some("W/"));
    (one_of.is_some() || none_of.is_some()).then_some(Precondition { one_of, none_of })
}

/// What is answered in place of this content: 412 when it is not what the client requires, 304 when the client has it
/// already.
pub(super) fn instead_of(request: &Parts, digest: &Digest) -> Result<Option<Reply>, Refusal> {
    let Some(Precondition { one_of, none_of }) = precondition(request) else { return Ok(None) };
    if !(Precondition { one_of, none_of: None }).holds(Some(digest)) {
        return Err(StoreError::PreconditionFailed.into());
    }
    let is_known = !Precondition { one_of: None, none_of }.holds(Some(digest));
    Ok(is_known.then(|| Reply::new(StatusCode::NOT_MODIFIED).entity(digest)))
}

/// The digests in the lists of entity tags that a header holds. Tags of others are tags of nothing that is here.
fn expected(request: &Parts, name: &HeaderName, ignored: Option<&str>) -> Option<Expected> {
    let values = request.headers.get_all(name);
    values.iter().next()?;
    let tags = || values.iter().filter_map(|value| value.to_str().ok()).flat_map(tags);
    if tags().any(|tag| tag == "*") {
        return Some(Expected::Any);
    }
    let digest = |tag: &str| {
        let tag = ignored.and_then(|prefix| tag.strip_prefix(prefix)).unwrap_or(tag);
        // Distribution's clients know tags without quotes, too.
        tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag).parse().ok()
    };
    Some(Expected::These(tags().filter_map(digest).collect()))
}

/// The elements of a list: the commas within quotes divide nothing.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let elements = list.split(move |character| {
        is_quoted ^= character == '"';
        character == ',' && !is_quoted
    });
    elements.map(str::trim)
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
    use http::HeaderValue;
    use proptest::prelude::*;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn holds(name: &HeaderName, values: &[&str], current: Option<&str>) -> bool {
        let mut request = http::Request::new(()).into_parts().0;
        for value in values {
            request.headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let current = current.map(|digest| digest.parse().unwrap());
        precondition(&request).is_none_or(|precondition| precondition.holds(current.as_ref()))
    }

    #[test]
    fn a_tag_is_found_in_a_list_strong_or_bare_and_weak_where_that_is_enough() {
        let weak = format!("W/\"{A}\"");
        for list in [&format!("\"{A}\""), &format!("\"x\", \"{A}\""), &format!("\"x,\",\"{A}\" ,"), A, "*"] {
            assert!(holds(&IF_MATCH, &[list], Some(A)) && !holds(&IF_NONE_MATCH, &[list], Some(A)), "{list}");
            assert!(!holds(&IF_MATCH, &[list], None) && holds(&IF_NONE_MATCH, &[list], None), "{list}");
        }
        assert!(!holds(&IF_NONE_MATCH, &[&weak], Some(A)));
        assert!(!holds(&IF_MATCH, &[&weak], Some(A)), "what is weakly the same is not the same");
        assert!(holds(&IF_MATCH, &["\"x\"", &format!("\"{A}\"")], Some(A)), "a header may stand twice");
    }

    #[test]
    fn what_names_something_else_names_nothing_here() {
        for list in ["", "\"sha256:aa\"", "\"x\",\"y\"", "\"*\"", "W/*", &format!("\"x,{A}\""), &format!("{A}b")] {
            assert!(!holds(&IF_MATCH, &[list], Some(A)) && holds(&IF_NONE_MATCH, &[list], Some(A)), "{list}");
        }
        assert!(holds(&IF_MATCH, &[], Some(A)) && holds(&IF_MATCH, &[], None), "nothing is required");
    }

    proptest! {
        #[test]
        fn if_match_and_if_none_match_of_strong_tags_are_each_other_s_opposite(
            list in "(\"?(\\*|x|,|sha256:[a]{64})\"?,? ?){0,4}",
            there in any::<bool>(),
        ) {
            let current = there.then_some(A);
            prop_assert_eq!(holds(&IF_MATCH, &[&list], current), !holds(&IF_NONE_MATCH, &[&list], current));
        }
    }
}
