//! What an upstream may answer. pingora 0.9.1 hands on answers that mean nothing, or not the same to
//! every reader.

use http::StatusCode;
use http::header::TRANSFER_ENCODING;
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};

use crate::request::is_chunked;

/// More interim answers (1xx) to one request than any registry gives.
const MAX_INTERIM_ANSWERS: usize = 100;

/// Says whether an answer can be given to a client; `interim_answers` counts the 1xx so far.
///
/// # Errors
/// What stands in its way. It is the upstream's fault, and the connection to it cannot be used again.
pub(crate) fn check_answer(response: &ResponseHeader, interim_answers: &mut usize) -> Result<()> {
    let status = response.status;
    // No upgrade is ever forwarded; what follows a 101 would be read by no rule that the client knows.
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return senseless("101 without a request to upgrade (RFC 9110, 15.2.2)");
    }
    if status.as_u16() > 599 {
        return senseless("a status of no class (RFC 9110, 15)");
    }
    if status.is_informational() {
        *interim_answers += 1;
        let is_endless = *interim_answers > MAX_INTERIM_ANSWERS;
        return if is_endless { senseless("interim answers without end") } else { Ok(()) };
    }
    if response.headers.contains_key(TRANSFER_ENCODING) && !is_chunked(&response.headers) {
        return senseless("a transfer coding that no client asked for (RFC 9112, 6.1)");
    }
    Ok(())
}

fn senseless(why: &'static str) -> Result<()> {
    Err(Error::explain(ErrorType::InvalidHTTPHeader, why).into_up())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, codings: &[&'static str]) -> Result<()> {
        let mut response = ResponseHeader::build(status, None).expect("a response");
        for coding in codings {
            response.append_header(TRANSFER_ENCODING, *coding).expect("a header");
        }
        check_answer(&response, &mut 0)
    }

    #[test]
    fn an_answer_has_a_status_of_a_class_and_is_no_upgrade() {
        for status in [100, 103, 200, 304, 404, 599] {
            assert!(check(status, &[]).is_ok(), "{status}");
        }
        for status in [101, 600, 999] {
            assert!(check(status, &[]).is_err(), "{status}");
        }
    }

    #[test]
    fn chunked_is_the_only_transfer_coding() {
        assert!(check(200, &["chunked"]).is_ok());
        for codings in [&["identity"][..], &["gzip, chunked"], &["chunked", "chunked"], &["chunked, chunked"], &[""]] {
            assert!(check(200, codings).is_err(), "{codings:?}");
        }
    }

    #[test]
    fn interim_answers_come_to_an_end() {
        let response = ResponseHeader::build(102, None).expect("a response");
        let mut so_far = 0;
        let endured = (0..).take_while(|_| check_answer(&response, &mut so_far).is_ok()).count();
        assert_eq!(endured, MAX_INTERIM_ANSWERS);
    }
}
