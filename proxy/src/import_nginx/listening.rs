//! Where the registry's server listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::directive::Directive;
use super::draft::{Draft, Fate, Outcome};

/// Where nobody but this machine comes in, in place of an address that cannot be had.
const SAFE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5043);

/// What a `listen` says.
struct Listen<'a> {
    directive: &'a Directive,
    /// `None`: a name, or a Unix socket.
    address: Option<SocketAddr>,
    has_tls: bool,
}

/// Whether clients come by the PROXY protocol.
pub(super) fn speaks_proxy(server: &Directive) -> bool {
    let has_word = |directive: &Directive| directive.args.iter().any(|word| word == "proxy_protocol");
    server.children().iter().any(|directive| directive.name == "listen" && has_word(directive))
}

/// Where clients of plain HTTP are led to https.
pub(super) fn redirect<'a>(server: &'a Directive, draft: &mut Draft<'a>) -> Outcome {
    if draft.keys.contains_key("listen.http") {
        return Outcome::new(Fate::Different, "listen.http is one address, which another server has");
    }
    let listens = server.children().iter().filter(|directive| directive.name == "listen");
    let all: Vec<_> = listens.map(|listen| (listen, address(listen.arg(0)))).collect();
    // [::] is IPv4 as well.
    let is_any = |(_, address): &&(&Directive, Option<SocketAddr>)| {
        address.is_some_and(|address| address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED))
    };
    let chosen = all.iter().find(is_any).or(all.first()).copied().unwrap_or((server, address("80")));
    match chosen {
        (directive, Some(address)) => {
            let outcome = draft.set(directive, "listen.http", address.to_string());
            Outcome { text: outcome.text + ", for the names of the certificate", ..outcome }
        }
        (_, None) => {
            Outcome::new(Fate::Different, "listen.http leads clients of plain HTTP to https, at an address and a port")
        }
    }
}

/// Chooses the address, and notes what became of each `listen`.
pub(super) fn listen<'a>(server: &'a Directive, draft: &mut Draft<'a>) {
    let is_all_tls = server.children().iter().any(|directive| directive.name == "ssl" && directive.arg(0) == "on");
    let all: Vec<Listen<'_>> = server
        .children()
        .iter()
        .filter(|directive| directive.name == "listen")
        .map(|directive| Listen {
            directive,
            address: address(directive.arg(0)),
            has_tls: is_all_tls || directive.args.iter().any(|word| word == "ssl"),
        })
        .collect();
    let Some(first) = all.iter().max_by_key(|listen| (listen.has_tls, listen.address.is_some(), is_v4(listen))) else {
        return;
    };
    let is_believed = draft.keys.contains_key("listen.proxy_protocol");
    // Of one port for both families, [::] is both.
    let same_port =
        |listen: &&Listen<'_>| listen.address.map(|address| address.port()) == first.address.map(|a| a.port());
    let both = all.iter().filter(|listen| listen.has_tls == first.has_tls).filter(same_port);
    let unspecified: Vec<SocketAddr> =
        both.filter_map(|listen| listen.address).filter(|a| a.ip().is_unspecified()).collect();
    let chosen =
        unspecified.iter().find(|address| address.is_ipv6() && unspecified.len() > 1).copied().or(first.address);
    let outcome = match chosen {
        None => {
            draft.set(first.directive, "listen.https", SAFE.to_string());
            Outcome::new(
                Fate::Different,
                format!(
                    "Lockgate listens on an IP address and a port: listen.https is {SAFE}, for this machine alone, until you write another one"
                ),
            )
        }
        Some(address) if first.has_tls || address.port() == 443 => {
            draft.set(first.directive, "listen.https", address.to_string())
        }
        Some(address) => {
            let port = if address.port() == 80 { 443 } else { address.port() };
            let address = SocketAddr::new(address.ip(), port);
            draft.set(first.directive, "listen.https", address.to_string());
            Outcome::new(
                Fate::Different,
                format!(
                    "listen.https = \"{address}\": Lockgate speaks TLS alone, and clients of plain HTTP are told so"
                ),
            )
        }
    };
    let is_v6_alone = chosen == first.address && chosen.is_some_and(|a| a.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    for listen in &all {
        let is_chosen = std::ptr::eq(listen.directive, first.directive);
        let is_covered = listen.address.is_some_and(|address| unspecified.contains(&address)) && unspecified.len() > 1;
        let outcome = if is_chosen && is_v6_alone && !listen.directive.args.iter().any(|word| word == "ipv6only=off") {
            Outcome::new(Fate::Weaker, format!("{}, which is IPv4 as well, where nginx took IPv6 alone", outcome.text))
        } else if is_chosen || is_covered {
            outcome.clone()
        } else if !listen.has_tls && first.has_tls {
            Outcome::new(Fate::Dropped, "Lockgate does not listen for plain HTTP")
        } else {
            Outcome::new(Fate::Different, "Lockgate listens on one address")
        };
        draft.note(listen.directive, with_options(listen.directive, outcome, is_believed));
    }
}

fn is_v4(listen: &Listen<'_>) -> bool {
    listen.address.is_some_and(|address| address.is_ipv4())
}

/// What the words behind the address come to.
fn with_options(directive: &Directive, outcome: Outcome, is_believed: bool) -> Outcome {
    let has = |word: &str| directive.args.iter().any(|arg| arg == word);
    if has("proxy_protocol") && is_believed {
        let text = format!("{}, behind who is in listen.proxy_protocol", outcome.text);
        return Outcome { text, ..outcome };
    }
    if has("proxy_protocol") {
        let text = format!(
            "{}; name the balancer in listen.proxy_protocol, or let it send no header: of nobody else is one taken",
            outcome.text
        );
        return Outcome::new(Fate::Different.max(outcome.fate), text);
    }
    let more = if has("http2") { "; HTTP/2 is off unless listen.http2 = true" } else { "" };
    Outcome { text: outcome.text + more, ..outcome }
}

/// The address of a `listen`, which may be a port alone, or an address alone.
fn address(text: &str) -> Option<SocketAddr> {
    let text = text.replace("localhost", "127.0.0.1").replacen('*', "0.0.0.0", 1);
    let ip = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    if let Ok(port) = text.parse::<u16>() {
        Some(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
    } else {
        text.parse().ok().or_else(|| ip(&text).map(|ip| SocketAddr::new(ip, 80)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_each_of_its_forms() {
        for (text, expected) in [
            ("5043", Some("0.0.0.0:5043")),
            ("*:443", Some("0.0.0.0:443")),
            ("127.0.0.1", Some("127.0.0.1:80")),
            ("[::]:443", Some("[::]:443")),
            ("[::1]", Some("[::1]:80")),
            ("localhost:8443", Some("127.0.0.1:8443")),
            ("registry.example.com:443", None),
            ("unix:/run/nginx.sock", None),
            ("70000", None),
        ] {
            assert_eq!(address(text), expected.map(|text| text.parse().expect("an address")), "{text}");
        }
    }
}
