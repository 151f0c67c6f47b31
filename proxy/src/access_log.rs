//! The access log: a line a request, through `tracing` with the target `access`.
//!
//! | field | is |
//! |---|---|
//! | `client` | the client's address and port |
//! | `user` | who was let in; `-` when nobody |
//! | `method`, `path` | as the client sent them, the query with it, control characters escaped |
//! | `repository` | the repository it is about; `-` for none |
//! | `status` | the status that the client was sent; 0 when it left before |
//! | `bytes_in`, `bytes_out` | the bodies' bytes |
//! | `duration_ms` | from the complete request header to the end |
//! | `upstream_ms` | from forwarding to the upstream's response header; absent when it was not asked |
//!
//! Neither passwords nor `Authorization` values are known to this module.

use lockgate_oci::{OciError, RepositoryName};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::proxy::Session;

use crate::request::Passage;

/// What stands where there is nothing to say.
const NONE: &str = "-";

/// Logs a request that the gate saw.
pub(crate) fn request(session: &Session, passage: &Passage) {
    let request = session.req_header();
    let permit = passage.permit();
    // That of a CONNECT is no path.
    let target = String::from_utf8_lossy(request.raw_path());
    let path = request.uri.path_and_query().map_or(&*target, |target| target.as_str());
    tracing::info!(
        target: "access",
        client = address(session.client_addr()),
        user = permit.map_or(NONE, |permit| permit.identity().as_str()),
        method = request.method.as_str(),
        path,
        repository = permit.and_then(|permit| permit.route().repository()).map_or(NONE, RepositoryName::as_str),
        status = session.response_written().map_or(0, |response| response.status.as_u16()),
        bytes_in = session.body_bytes_read(),
        bytes_out = session.body_bytes_sent(),
        duration_ms = millis(passage.arrived.elapsed()),
        upstream_ms = passage.upstream_time.map(millis),
    );
}

/// Logs a request that nobody could read.
pub(crate) fn unreadable(client: Option<&SocketAddr>, error: &OciError) {
    tracing::info!(
        target: "access",
        client = address(client),
        user = NONE,
        method = NONE,
        path = NONE,
        repository = NONE,
        status = error.status().as_u16(),
        reason = error.message(),
    );
}

/// An IPv4 client is written as one on an IPv6 listener too.
pub(crate) fn address(client: Option<&SocketAddr>) -> String {
    let Some(client) = client.and_then(|client| client.as_inet()) else { return NONE.to_owned() };
    std::net::SocketAddr::new(client.ip().to_canonical(), client.port()).to_string()
}

/// Milliseconds with three decimals' worth of precision.
fn millis(duration: std::time::Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_client_is_written_as_one_on_an_ipv6_listener_too() {
        let client = |text: &str| address(Some(&SocketAddr::Inet(text.parse().expect("an address"))));
        assert_eq!(client("[::ffff:192.0.2.7]:443"), "192.0.2.7:443");
        assert_eq!(client("[2001:db8::1]:443"), "[2001:db8::1]:443");
        assert_eq!(address(None), "-");
    }
}
