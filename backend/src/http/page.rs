//! Pages of a list ([spec.md, "Listing tags"]): `n`, `last` and `Link`.
//!
//! [spec.md, "Listing tags"]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags

use http::header::LINK;
use lockgate_oci::{ErrorCode, OciError};

use super::Refusal;
use super::query::{Query, encode};
use super::reply::{Reply, header_value};

/// What part of a list is asked for.
pub(crate) struct Page {
    /// At most so many.
    limit: usize,
    /// Only what sorts after it.
    pub(crate) after: String,
}

impl Page {
    /// Reads `n` and `last`. Without `n`, and above it, `most` is the limit.
    pub(crate) fn from_query(query: &Query, most: usize) -> Result<Self, Refusal> {
        let limit = match query.get("n") {
            None => most,
            Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().unwrap_or(most).min(most)
            }
            Some(_) => {
                let message = "n is how many entries to list: 0 or more, in digits";
                return Err(OciError::new(ErrorCode::PaginationNumberInvalid, message).into());
            }
        };
        Ok(Self { limit, after: query.get("last").unwrap_or_default().to_owned() })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Page {
        Page::from_query(&Query::parse(query), 100).unwrap_or_else(|_| panic!("{query} is a page"))
    }

    #[test]
    fn a_page_is_never_longer_than_asked_for_or_allowed() {
        for (query, limit) in [("", 100), ("n=7", 7), ("n=0", 0), ("n=101", 100), ("n=99999999999999999999", 100)] {
            assert_eq!(page(query).limit, limit, "{query}");
        }
        for query in ["n=-1", "n=", "n=x", "n=+1", "n=1.5"] {
            assert!(Page::from_query(&Query::parse(query), 100).is_err(), "{query}");
        }
    }

    #[test]
    fn there_is_a_next_page_only_when_something_is_left() {
        let mut entries: Vec<String> = ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(page("n=3").cut(&mut entries), None);
        assert_eq!(page("n=2").cut(&mut entries).as_deref(), Some("b"));
        assert_eq!(entries, ["a", "b"]);
        assert_eq!(page("n=0").cut(&mut entries), None);
        assert!(entries.is_empty());
    }
}
