//! What one request is called, in the logs of all who see it.

use aws_lc_rs::rand;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The name of a request, as proxies hand it on.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The bytes that one may have which somebody else has given.
const LONGEST: usize = 128;

/// The name of a request: the one that it has, where `is_believed` is who passed it on, or else one of its own, of 32
/// hexadecimal digits.
pub(super) fn of(headers: &HeaderMap, is_believed: bool) -> HeaderValue {
    let mut given = headers.get_all(X_REQUEST_ID).iter();
    let given = given.next().filter(|id| given.next().is_none() && is_believed && is_plain(id.as_bytes()));
    given.cloned().unwrap_or_else(random)
}

/// Whether it can stand in any log without being taken for something else.
fn is_plain(id: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte);
    (1..=LONGEST).contains(&id.len()) && id.iter().all(is_plain)
}

fn random() -> HeaderValue {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).expect("the generator is seeded when the process starts");
    HeaderValue::try_from(format!("{:032x}", u128::from_be_bytes(bytes))).expect("hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(given: &[&str], is_believed: bool) -> String {
        let mut headers = HeaderMap::new();
        for id in given {
            headers.append(X_REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap());
        }
        of(&headers, is_believed).to_str().unwrap().to_owned()
    }

    #[test]
    fn a_request_keeps_the_name_that_a_trusted_proxy_gave_it_and_no_other() {
        for id in ["5b2aa2c", "8a5f3f1e-4b0c-4c2e-9d3b-0c8f6a1e2d3c", "Root=1-67891233-abcdef012345678912345678"] {
            assert_eq!(named(&[id], true), id);
            assert_ne!(named(&[id], false), id);
        }
        for odd in [&[""][..], &["a b"], &["a\"b"], &["caf\u{e9}"], &[&"x".repeat(129)], &["a", "b"], &[]] {
            let id = named(odd, true);
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{odd:?}: {id}");
        }
    }

    #[test]
    fn no_two_have_one_name() {
        assert_ne!(named(&[], false), named(&[], false));
    }
}
