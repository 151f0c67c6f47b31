//! Who stands between nginx and its clients: `set_real_ip_from`, `real_ip_header`, and the PROXY protocol.

use std::net::IpAddr;

use ipnet::IpNet;
use toml::Value;

use super::directive::Directive;
use super::draft::{Draft, Fate, Outcome};
use super::site::Level;

/// Carries over whose word about clients' addresses counts. Whether Lockgate would not know these addresses all the same.
/// `speaks_proxy` is whether clients come by the PROXY protocol.
pub(super) fn balancers<'a>(levels: &[Level<'a>], speaks_proxy: bool, draft: &mut Draft<'a>) -> bool {
    // Those that an inner one puts away are noted otherwise.
    let in_effect = |name: &str| -> Vec<&'a Directive> {
        let is_it = |directive: &&Directive| {
            directive.name == name && draft.outcome(directive).is_some_and(|outcome| outcome.fate == Fate::Different)
        };
        levels.iter().flatten().copied().filter(is_it).collect()
    };
    let (from, header) = (in_effect("set_real_ip_from"), in_effect("real_ip_header"));
    let word = header.last().map_or("X-Real-IP", |directive| directive.arg(0)).to_ascii_lowercase();
    let Some(first) = from.first().copied() else {
        for directive in header {
            draft.note(directive, Outcome::new(Fate::Dropped, "without set_real_ip_from it has no effect"));
        }
        return speaks_proxy;
    };
    let ranges: Option<Vec<Value>> = from.iter().map(|directive| range(directive.arg(0)).map(Value::from)).collect();
    let Some(ranges) = ranges else { return true };
    let key = match (speaks_proxy, &*word) {
        (true, _) => "listen.proxy_protocol",
        (false, "x-forwarded-for") => "listen.trusted_proxies",
        (false, _) => return true,
    };
    let outcome = draft.set(first, key, ranges);
    for directive in
        from.into_iter().chain(header.iter().copied().filter(|_| !speaks_proxy || word == "proxy_protocol"))
    {
        draft.note(directive, outcome.clone());
    }
    outcome.fate != Fate::Kept || (speaks_proxy && word != "proxy_protocol")
}

/// As Lockgate writes it; nothing for a name or a socket.
fn range(text: &str) -> Option<String> {
    let network: IpNet = text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into())).ok()?;
    let network = network.trunc();
    let is_one = network.prefix_len() == network.max_prefix_len();
    Some(if is_one { network.addr().to_string() } else { network.to_string() })
}
