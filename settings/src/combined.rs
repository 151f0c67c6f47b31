//! Lines of requests as nginx's format `combined` has them, for the tools that read those.

use std::fmt::{self, Debug, Write as _};
use std::net::SocketAddr;
use std::time::SystemTime;

use tracing::Event;
use tracing::field::{Field, Visit};

/// What nginx writes where the client left before it was answered.
const CLIENT_LEFT: u64 = 499;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `ADDRESS - USER [TIME] "METHOD PATH PROTOCOL" STATUS BYTES "REFERER" "USER-AGENT"`, of an event of a request.
pub(crate) fn line(event: &Event<'_>, now: SystemTime) -> Result<String, fmt::Error> {
    let mut request = Request::default();
    event.record(&mut request);
    let Request { client, user, method, path, protocol, referer, user_agent, status, bytes_out } = request;
    let address = client.parse::<SocketAddr>().map_or(client, |address| address.ip().to_string());
    let mut line = format!("{} - {} [{}] \"", escaped(&address), escaped(&user), local_time(now));
    // One that could not be read has neither.
    match (&*method, &*protocol) {
        ("-", _) | (_, "") => line.push('-'),
        _ => write!(line, "{} {} {protocol}", escaped(&method), escaped(&path))?,
    }
    let status = if status == 0 { CLIENT_LEFT } else { status };
    let claims = [referer, user_agent].map(|claim| if claim.is_empty() { "-".to_owned() } else { escaped(&claim) });
    write!(line, "\" {status} {bytes_out} \"{}\" \"{}\"", claims[0], claims[1])?;
    Ok(line)
}

/// As in `01/Dec/2026:11:34:20 +0000`.
fn local_time(now: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(now).to_string();
    let (date, time) = text.trim_end_matches('Z').split_once('T').unwrap_or_default();
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (date.next(), date.next(), date.next());
    let month = month.and_then(|month| MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?));
    format!("{}/{}/{}:{time} +0000", day.unwrap_or_default(), month.unwrap_or(&""), year.unwrap_or_default())
}

/// As nginx escapes what strangers write: each line stays one, and each field as well.
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\') {
            written.push(char::from(byte));
        } else {
            let _ = write!(written, "\\x{byte:02X}");
        }
    }
    written
}

#[derive(Default)]
struct Request {
    client: String,
    user: String,
    method: String,
    path: String,
    protocol: String,
    referer: String,
    user_agent: String,
    status: u64,
    bytes_out: u64,
}

impl Visit for Request {
    fn record_str(&mut self, field: &Field, value: &str) {
        let text = match field.name() {
            "client" => &mut self.client,
            "user" => &mut self.user,
            "method" => &mut self.method,
            "path" => &mut self.path,
            "protocol" => &mut self.protocol,
            "referer" => &mut self.referer,
            "user_agent" => &mut self.user_agent,
            _ => return,
        };
        value.clone_into(text);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "status" => self.status = value,
            "bytes_out" => self.bytes_out = value,
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_time_is_written_as_nginx_does_in_utc() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_796_124_860);
        assert_eq!(local_time(at), "01/Dec/2026:11:34:20 +0000");
    }

    #[test]
    fn nothing_that_a_stranger_writes_ends_a_field() {
        assert_eq!(escaped("a\" \"b\\c\n\u{1b}é"), r"a\x22 \x22b\x5Cc\x0A\x1B\xC3\xA9");
    }
}
