//! Where an answer sends its client on to. A registry that does not heed `X-Forwarded-Proto`, or that goes by a name of
//! its own, names itself as the gate reaches it, and no client can: nginx has `proxy_redirect` against that.

use http::header::{HeaderMap, HeaderValue, LINK, LOCATION};

/// Writes references to the upstream as its client reaches it. `told` is the `Host` of the request, `own` the names that
/// the upstreams have in the configuration: one may name another. A reference to any other server stays.
pub(super) fn give_back(headers: &mut HeaderMap, told: &HeaderValue, own: &[HeaderValue]) {
    let Ok(told) = told.to_str() else { return };
    for (name, value) in headers.iter_mut() {
        let reached = match value.to_str() {
            Ok(reference) if name == LOCATION => as_reached(reference, told, own),
            // The next page of a list is a Link (OCI distribution specification, end-8b).
            Ok(links) if name == LINK => each_as_reached(links, told, own),
            _ => None,
        };
        if let Some(reached) = reached.and_then(|reached| HeaderValue::try_from(reached).ok()) {
            *value = reached;
        }
    }
}

/// Writes each reference of a list of links (RFC 8288, 3). One begins with the field or behind a comma: a `<` that
/// stands elsewhere is part of a parameter.
fn each_as_reached(links: &str, told: &str, own: &[HeaderValue]) -> Option<String> {
    let (mut written, mut rest, mut is_changed) = (String::new(), links, false);
    while let Some((before, after)) = rest.split_once('<') {
        written.push_str(before);
        let begins = matches!(written.trim_end().chars().next_back(), None | Some(','));
        written.push('<');
        rest = after;
        if begins && let Some((reference, after)) = rest.split_once('>') {
            let reached = as_reached(reference, told, own);
            is_changed |= reached.is_some();
            written.push_str(reached.as_deref().unwrap_or(reference));
            written.push('>');
            rest = after;
        }
    }
    is_changed.then(|| written + rest)
}

fn as_reached(reference: &str, told: &str, own: &[HeaderValue]) -> Option<String> {
    let (scheme, rest) = reference.split_once("://")?;
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let is = |name: &str| {
        let port = name.len().checked_sub(default_port.len()).and_then(|at| name.split_at_checked(at));
        let without_port = port.filter(|(_, port)| *port == default_port).map_or(name, |(name, _)| name);
        authority.eq_ignore_ascii_case(name) || authority.eq_ignore_ascii_case(without_port)
    };
    if !is(told) && !own.iter().any(|own| own.to_str().is_ok_and(is)) {
        return None;
    }
    // A client of HTTP/1.0 may not have said how it reaches the gate. A path that begins with two slashes would send it
    // to another server (RFC 3986, 4.2).
    let server = if own.iter().any(|own| own == told) && !path.starts_with("//") {
        String::new()
    } else {
        format!("https://{told}")
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    Some(format!("{server}{slash}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: HeaderValue = HeaderValue::from_static("reg.test:5043");

    fn given_back(name: http::HeaderName, value: &'static str, told: HeaderValue, own: &'static str) -> String {
        let mut headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(value))]);
        give_back(&mut headers, &told, &[HeaderValue::from_static(own)]);
        headers[name].to_str().expect("text").to_owned()
    }

    fn location(value: &'static str) -> String {
        given_back(LOCATION, value, TOLD, "registry:5000")
    }

    #[test]
    fn the_upstream_s_own_names_become_the_client_s() {
        for named in
            ["http://registry:5000/v2/a?b=c#d", "HTTP://Registry:5000/v2/a?b=c#d", "http://reg.test:5043/v2/a?b=c#d"]
        {
            assert_eq!(location(named), "https://reg.test:5043/v2/a?b=c#d", "{named}");
        }
        assert_eq!(location("http://registry:5000"), "https://reg.test:5043/");
        assert_eq!(location("http://registry:5000?a=b"), "https://reg.test:5043/?a=b");
        for (own, named) in [("registry:80", "http://registry/v2/"), ("localhost", "http://localhost/v2/")] {
            assert_eq!(given_back(LOCATION, named, TOLD, own), "https://reg.test:5043/v2/");
        }
    }

    #[test]
    fn each_of_several_upstreams_may_name_any_of_them() {
        let own = ["registry-1:5000", "registry-2:5000"].map(HeaderValue::from_static);
        for (named, reached) in [
            ("http://registry-1:5000/v2/a", "https://reg.test:5043/v2/a"),
            ("http://registry-2:5000/v2/a", "https://reg.test:5043/v2/a"),
            ("http://registry-3:5000/v2/a", "http://registry-3:5000/v2/a"),
        ] {
            let mut headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(named))]);
            give_back(&mut headers, &TOLD, &own);
            assert_eq!(headers[LOCATION], reached);
        }
    }

    #[test]
    fn each_link_of_a_field_is_rewritten_and_nothing_beside_them() {
        for (links, reached) in [
            (
                "<http://registry:5000/v2/_catalog?n=1>; rel=\"next\"",
                "<https://reg.test:5043/v2/_catalog?n=1>; rel=\"next\"",
            ),
            (
                " <http://registry:5000/a,b>; rel=next , <http://other/>,<http://registry:5000/c>",
                " <https://reg.test:5043/a,b>; rel=next , <http://other/>,<https://reg.test:5043/c>",
            ),
            (
                "<http://registry:5000>;title=\"1 <http://registry:5000/>\", <http://registry:5000?a>",
                "<https://reg.test:5043/>;title=\"1 <http://registry:5000/>\", <https://reg.test:5043/?a>",
            ),
        ] {
            assert_eq!(given_back(LINK, links, TOLD, "registry:5000"), reached);
        }
        for other in [
            "",
            "<",
            ",<",
            "</v2/a>; rel=next",
            "<http://registry:5000/",
            "x <http://registry:5000/>",
            "http://registry:5000/",
        ] {
            assert_eq!(given_back(LINK, other, TOLD, "registry:5000"), other);
        }
    }

    #[test]
    fn every_other_reference_stays() {
        for other in [
            "/v2/a",
            "a",
            "",
            "https://reg.test:5043/v2/",
            "https://s3.example.com/bucket?u=http://registry:5000/",
            "http://registry:5001/v2/",
            "http://registry/v2/",
            "http://registry:5000@evil.test/",
            "http://registry:5000.evil.test/",
            "http://evil.test\\@registry:5000/",
            "ftp://registry:5000/",
        ] {
            assert_eq!(location(other), other);
        }
        // Another port than the upstream's, though the same machine.
        assert_eq!(given_back(LOCATION, "https://registry/", TOLD, "registry:80"), "https://registry/");
    }

    #[test]
    fn who_did_not_say_how_it_reaches_the_gate_gets_a_path() {
        let own = "registry:5000";
        let told = HeaderValue::from_static(own);
        assert_eq!(given_back(LOCATION, "http://registry:5000/v2/a", told.clone(), own), "/v2/a");
        let elsewhere = given_back(LOCATION, "http://registry:5000//evil.test/", told, own);
        assert_eq!(elsewhere, "https://registry:5000//evil.test/", "no name of another server");
    }
}
