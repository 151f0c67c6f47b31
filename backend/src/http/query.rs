//! The query of a request: names and values, decoded.

/// The parameters, in their order.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what stands after the `?`.
    pub(crate) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A value as it is written in a query.
pub(crate) fn encode(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_decoded_and_the_first_of_a_name_counts() {
        let query = Query::parse("_state=x%3D&digest=sha256%3Aab&tag=a&tag=b&flag");
        assert_eq!(query.get("digest"), Some("sha256:ab"));
        assert_eq!(query.get("tag"), Some("a"));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((query.get("flag"), query.get("none")), (Some(""), None));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_to_the_same(value in ".{0,40}") {
            let query = Query::parse(&format!("a=1&v={}&b=2", encode(&value)));
            prop_assert_eq!(query.get("v"), Some(value.as_str()));
        }

        #[test]
        fn no_query_makes_the_parser_panic(text in ".{0,60}") {
            let _ = Query::parse(&text).get("n");
        }
    }
}
