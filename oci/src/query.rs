//! The query of a request, read so that no registry behind can read it otherwise; and the bodies that some
//! registries read before it.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;

use crate::{ErrorCode, OciError};

/// Of two values, readers take the first or the last: where what is authorised hangs on one, it stands once.
const ONCE: [&str; 6] = ["mount", "from", "digest", "digest-algorithm", "n", "last"];

/// The parameters of a query in their order, names and values decoded
/// ([URL standard, "application/x-www-form-urlencoded"]).
///
/// [URL standard, "application/x-www-form-urlencoded"]: https://url.spec.whatwg.org/#urlencoded-parsing
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Reads what stands after the `?`.
    ///
    /// # Errors
    /// 400 for what is read in more than one way: a `;`, which some split on; an escape that is none, or of bytes
    /// that are no UTF-8 or NUL; and a second `mount`, `from`, `digest`, `digest-algorithm`, `n` or `last`.
    pub fn parse(text: &'a str) -> Result<Self, OciError> {
        if text.contains(';') {
            return Err(ambiguous("its parameters are separated by &, and a ; in a value is written %3B"));
        }
        let is_text = percent_decode_str(text).decode_utf8().is_ok_and(|decoded| !decoded.contains('\0'));
        if !is_text || has_broken_escape(text) {
            return Err(ambiguous("its escapes are % and two hexadecimal digits, and make UTF-8 without NUL"));
        }
        let query = Self(form_urlencoded::parse(text.as_bytes()).collect());
        match ONCE.iter().find(|name| query.all(name).nth(1).is_some()) {
            Some(twice) => Err(ambiguous(&format!("{twice} stands in it more than once"))),
            None => Ok(query),
        }
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_ref())
    }
}

fn ambiguous(rule: &str) -> OciError {
    OciError::new(ErrorCode::Unsupported, format!("the query is refused: {rule}")).with_status(StatusCode::BAD_REQUEST)
}

fn has_broken_escape(text: &str) -> bool {
    let is_escape =
        |rest: &str| rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    text.split('%').skip(1).any(|rest| !is_escape(rest))
}

/// A query without its `mount` and `from`, however they are written; every other parameter stays byte for byte.
/// With it, a mount that is not to be becomes an upload.
pub fn without_mount(query: &str) -> String {
    let is_mount =
        |pair: &str| form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| matches!(name.as_ref(), "mount" | "from"));
    query.split('&').filter(|pair| !is_mount(pair)).collect::<Vec<_>>().join("&")
}

/// Whether a body says that it is a form: `application/x-www-form-urlencoded` or `multipart/form-data`, in any
/// case and with any parameters. Registries in Go take `mount`, `from` and `digest` from such a body before the
/// query (`http.Request.FormValue`), so nobody may forward one below `/v2/` under that type.
///
/// It errs on the strict side, as for a field that stands twice; and for any that is not ASCII, which no type needs: Go
/// makes small letters by Unicode, so that `applİcation` is `application` to it.
pub fn is_form(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_TYPE).iter().any(|value| {
        let Ok(value) = value.to_str() else { return true };
        let value = value.to_ascii_lowercase();
        value.contains("application/x-www-form-urlencoded") || value.contains("multipart/form-data")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    #[test]
    fn names_and_values_are_decoded_and_some_names_may_repeat() {
        let query = Query::parse("_state=x%3D&%64igest=sha256%3Aab&tag=a&t%61g=b&flag&&ns=docker.io").expect("a query");
        assert_eq!(query.get("digest"), Some("sha256:ab"));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((query.get("flag"), query.get("none"), query.get("_state")), (Some(""), None, Some("x=")));
        assert_eq!(Query::parse("").expect("a query").get("n"), None);
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for bad in [
            "from=a&from=b",
            "from=a&%66rom=b",
            "mount=a&mount=a",
            "digest=a&x=y&digest=b",
            "digest-algorithm=sha256&digest-algorithm=sha512",
            "n=1&n=2",
            "last=&last=a",
            "mount=a;from=b",
            "x=;",
            "from=%",
            "from=%4",
            "from=%zz",
            "%%41=b",
            "from=a%00",
            "%00",
            "from=%ff",
            "x=%c3",
            "x=%c3&y=%a9",
        ] {
            let refused = Query::parse(bad).expect_err(bad);
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{bad}");
        }
    }

    #[test]
    fn a_mount_is_taken_out_and_nothing_else_changes() {
        let table = [
            ("mount=d&from=a", ""),
            ("a=%41&mount=d&b=+&from=a&c", "a=%41&b=+&c"),
            ("%6dount=d&fro%6D=a&mounted=1", "mounted=1"),
            ("mount&from&&x=mount", "&x=mount"),
            ("", ""),
        ];
        for (query, rest) in table {
            assert_eq!(without_mount(query), rest, "{query}");
        }
    }

    #[test]
    fn a_form_is_known_however_its_type_is_written() {
        let is_form_of = |value: &[u8]| {
            is_form(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_bytes(value).expect("a header's value"))]))
        };
        for form in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-UrlEncoded",
            " application/x-www-form-urlencoded ; charset=utf-8",
            "multipart/form-data; boundary=x",
            "\u{a0}MULTIPART/FORM-DATA",
            "appl\u{130}cation/x-www-form-urlencoded",
            "mult\u{130}part/form-data; boundary=x",
            "text/plain, multipart/form-data",
        ] {
            assert!(is_form_of(form.as_bytes()), "{form}");
        }
        assert!(is_form_of(b"\xffmultipart/form-data"));
        for other in ["", "application/octet-stream", "application/vnd.oci.image.manifest.v1+json", "multipart/related"]
        {
            assert!(!is_form_of(other.as_bytes()), "{other}");
        }
        let mut twice = HeaderMap::new();
        twice.append(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        twice.append(CONTENT_TYPE, HeaderValue::from_static("multipart/form-data"));
        assert!(is_form(&twice));
        assert!(!is_form(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn every_value_can_be_asked_for(value in "[^\0]{0,40}") {
            let text = format!("a=1&v={}&b=2", form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>());
            let query = Query::parse(&text).expect("a query");
            prop_assert_eq!(query.get("v"), Some(value.as_str()));
        }

        #[test]
        fn no_mount_is_left_where_it_was_taken_out(query in "([a-z]=[a-z%+]{0,3}|mount=[a-z]|from|%66rom=|%6D%6fun%74=d|&){0,6}(&(mount|from)=a)?") {
            let rest = without_mount(&query);
            prop_assert!(!form_urlencoded::parse(rest.as_bytes()).any(|(name, _)| name == "mount" || name == "from"));
            let others = |text: &str| -> Vec<String> {
                let pairs = text.split('&').filter(|pair| without_mount(pair) == *pair && !pair.is_empty());
                pairs.map(str::to_owned).collect()
            };
            prop_assert_eq!(others(&rest), others(&query));
        }

        #[test]
        fn no_query_makes_the_parser_panic(text in ".{0,60}") {
            let _ = Query::parse(&text);
            let _ = without_mount(&text);
        }
    }
}
