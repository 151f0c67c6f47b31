//! What an upstream may answer: hyper hands on answers that mean nothing, or not the same to every reader.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Response, StatusCode};

use super::check::is_length;
use super::headers::is_chunked;

/// Says whether an answer can be given to a client.
///
/// # Errors
/// What stands in its way. It is the upstream's fault, and the connection to it cannot be used again.
pub(super) fn check<B>(response: &Response<B>) -> Result<(), &'static str> {
    let status = response.status();
    // No upgrade is ever forwarded; what follows a 101 would be read by no rule that the client knows.
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err("101 without a request to upgrade (RFC 9110, 15.2.2)");
    }
    if status.as_u16() > 599 {
        return Err("a status of no class (RFC 9110, 15)");
    }
    let mut lengths = response.headers().get_all(CONTENT_LENGTH).iter();
    if lengths.next().is_some_and(|length| !is_length(length.as_bytes())) || lengths.next().is_some() {
        return Err("a length that is not one number (RFC 9110, 8.6)");
    }
    if response.headers().contains_key(TRANSFER_ENCODING) && !is_chunked(response.headers()) {
        return Err("a transfer coding that no client asked for (RFC 9112, 6.1)");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_fine(status: u16, codings: &[&str]) -> bool {
        let mut response = Response::builder().status(status);
        for coding in codings {
            response = response.header(TRANSFER_ENCODING, *coding);
        }
        check(&response.body(()).expect("a response")).is_ok()
    }

    #[test]
    fn an_answer_has_a_status_of_a_class_and_is_no_upgrade() {
        for status in [200, 304, 404, 599] {
            assert!(is_fine(status, &[]), "{status}");
        }
        for status in [101, 600, 999] {
            assert!(!is_fine(status, &[]), "{status}");
        }
    }

    #[test]
    fn a_length_is_one_number() {
        let is_fine = |lengths: &[&str]| {
            let response =
                lengths.iter().fold(Response::builder(), |response, one| response.header(CONTENT_LENGTH, *one));
            check(&response.body(()).expect("a response")).is_ok()
        };
        assert!(is_fine(&["0"]) && is_fine(&["5368709120"]));
        for lengths in [&["-2"][..], &["two"], &["99999999999999999999"], &["2", "2"], &["2, 2"], &[""]] {
            assert!(!is_fine(lengths), "{lengths:?}");
        }
    }

    #[test]
    fn chunked_is_the_only_transfer_coding() {
        assert!(is_fine(200, &["chunked"]));
        for codings in [&["identity"][..], &["gzip, chunked"], &["chunked", "chunked"], &["chunked, chunked"], &[""]] {
            assert!(!is_fine(200, codings), "{codings:?}");
        }
    }
}
