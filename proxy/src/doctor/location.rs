//! Where a `Location` leads.

use http::Uri;

use super::finding::Remedy;
use super::remedy;
use super::target::Target;

/// A `Location`, taken apart.
#[derive(Debug)]
pub(super) struct Location {
    /// Its path and query, which are asked for at the URL that is examined, wherever else it leads.
    pub(super) path: String,
    /// What is wrong with the rest.
    pub(super) faults: Vec<&'static Remedy>,
}

/// Reads one of an answer to a request at `base`. None where it is no URL.
pub(super) fn read(location: &str, base: &str, target: &Target) -> Option<Location> {
    if location.starts_with('/') && !location.starts_with("//") {
        return Some(Location { path: location.to_owned(), faults: Vec::new() });
    }
    let uri: Uri = location
        .strip_prefix("//")
        .map_or_else(|| location.to_owned(), |rest| format!("https://{rest}"))
        .parse()
        .ok()?;
    let Some(scheme) = uri.scheme_str() else {
        return Some(Location { path: format!("{base}{location}"), faults: Vec::new() });
    };
    let path = uri.path_and_query()?.as_str().to_owned();
    Some(Location { path, faults: faults(&uri, scheme, target) })
}

fn faults(uri: &Uri, scheme: &str, target: &Target) -> Vec<&'static Remedy> {
    let mut faults = Vec::new();
    if scheme != "https" {
        faults.push(&remedy::WRONG_SCHEME);
    }
    let is_same_host = uri.host().is_some_and(|host| host.eq_ignore_ascii_case(target.host()));
    let port = uri.port_u16();
    let own_port = if scheme == "http" { 80 } else { 443 };
    match (is_same_host, port) {
        (true, port) if port.unwrap_or(443) == target.port() => {}
        // http://HOST where the URL has no port either is about the scheme alone.
        (true, None) if target.port() == 443 => {}
        (true, port) if port.is_none_or(|port| port == own_port) => faults.push(&remedy::WRONG_PORT),
        _ => faults.push(&remedy::WRONG_HOST),
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_leads_elsewhere_is_named() {
        let right: &[&'static Remedy] = &[];
        for (location, target, path, faults) in [
            ("/v2/a?x=1", "https://r:5043", "/v2/a?x=1", right),
            ("https://R:5043/v2/a", "https://r:5043", "/v2/a", right),
            ("https://r/v2/a", "https://r", "/v2/a", right),
            ("https://r:443/v2/a", "https://r", "/v2/a", right),
            ("a", "https://r", "/base/a", right),
            ("http://r/v2/a", "https://r", "/v2/a", &[&remedy::WRONG_SCHEME]),
            ("http://r:5043/v2/a", "https://r:5043", "/v2/a", &[&remedy::WRONG_SCHEME]),
            ("https://r/v2/a", "https://r:5043", "/v2/a", &[&remedy::WRONG_PORT]),
            ("http://r/v2/a", "https://r:5043", "/v2/a", &[&remedy::WRONG_SCHEME, &remedy::WRONG_PORT]),
            ("https://other:5043/v2/a", "https://r:5043", "/v2/a", &[&remedy::WRONG_HOST]),
            ("https://r:5000/v2/a", "https://r:5043", "/v2/a", &[&remedy::WRONG_HOST]),
            ("//other/v2/a", "https://r:5043", "/v2/a", &[&remedy::WRONG_HOST]),
        ] {
            let read = read(location, "/base/", &target.parse().unwrap()).unwrap();
            assert_eq!(read.path, path);
            let means = |faults: &[&'static Remedy]| faults.iter().map(|fault| fault.means).collect::<Vec<_>>();
            assert_eq!(means(&read.faults), means(faults), "{location} of {target}");
        }
    }
}
