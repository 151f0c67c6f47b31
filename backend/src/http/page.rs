//! Pages of a list ([spec.md, "Listing tags"]): `n`, `last` and `Link`.
//!
//! [spec.md, "Listing tags"]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags

use http::header::LINK;
use lockgate_oci::{OciError, Pagination};

use super::reply::{Reply, header_value};

/// The part of a list that is asked for.
pub(crate) struct Page {
    /// At most so many.
    limit: usize,
    /// Only what sorts after it.
    pub(crate) after: String,
}

impl Page {
    /// Without `n`, and above it, `most` is the limit.
    pub(crate) fn new(asked: &Pagination, most: usize) -> Result<Self, OciError> {
        Ok(Self { limit: asked.limit(most)?, after: asked.last.clone().unwrap_or_default() })
    }

    /// How many entries to look for: one more than are shown tells whether there is another page.
    pub(crate) fn lookup(&self) -> usize {
        if self.limit == 0 { 0 } else { self.limit.saturating_add(1) }
    }

    /// Cuts the entries found to the page. The result is the last one shown, if there is another page.
    pub(crate) fn cut(&self, entries: &mut Vec<String>) -> Option<String> {
        let more = entries.len() > self.limit;
        entries.truncate(self.limit);
        entries.last().filter(|_| more).cloned()
    }

    /// Whether so many entries are all that it takes.
    pub(crate) fn is_full(&self, entries: usize) -> bool {
        entries >= self.limit
    }

    /// Says where the next page is.
    pub(crate) fn link(&self, reply: Reply, path: &str, last: Option<&str>) -> Reply {
        self.link_of(reply, path, None, last)
    }

    /// The same for a list of which only what passes a filter is shown: its parameter's name and value.
    pub(crate) fn link_of(&self, reply: Reply, path: &str, filter: Option<(&str, &str)>, last: Option<&str>) -> Reply {
        let Some(last) = last else { return reply };
        let filter = filter.map(|(name, value)| format!("&{name}={}", encode(value))).unwrap_or_default();
        let link = format!("<{path}?last={}&n={}{filter}>; rel=\"next\"", encode(last), self.limit);
        reply.header(LINK, header_value(link))
    }
}

/// A value as it is written in a query.
fn encode(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_oci::Query;
    use proptest::prelude::*;

    fn page(n: Option<&str>) -> Result<Page, OciError> {
        Page::new(&Pagination { n: n.map(str::to_owned), last: None }, 100)
    }

    #[test]
    fn a_page_is_never_longer_than_asked_for_or_allowed() {
        for (n, limit) in [("7", 7), ("0", 0), ("101", 100), ("99999999999999999999", 100)] {
            assert_eq!(page(Some(n)).unwrap().limit, limit, "{n}");
        }
        assert_eq!(page(None).unwrap().limit, 100);
        for n in ["-1", "", "x", "+1", " 1", "1.5"] {
            assert!(page(Some(n)).is_err(), "{n}");
        }
    }

    #[test]
    fn there_is_a_next_page_only_when_something_is_left() {
        let mut entries: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(page(Some("3")).unwrap().cut(&mut entries), None);
        assert_eq!(page(Some("2")).unwrap().cut(&mut entries).as_deref(), Some("b"));
        assert_eq!(entries, ["a", "b"]);
        assert_eq!(page(Some("0")).unwrap().cut(&mut entries), None);
        assert!(entries.is_empty());
    }
    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_was_sent(value in ".{0,40}") {
            let text = format!("last={}", encode(&value));
            if let Ok(query) = Query::parse(&text) {
                prop_assert_eq!(query.get("last"), Some(value.as_str()));
            } else {
                prop_assert!(value.contains('\0'));
            }
        }
    }
}
