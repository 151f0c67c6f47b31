//! `WWW-Authenticate`: how a registry wants to be logged in to.

use http::{HeaderMap, header};

/// One that container clients know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// The password with each request (RFC 7617).
    Basic,
    /// A token from elsewhere (the distribution token specification).
    Bearer {
        /// Where tokens are had.
        realm: String,
        /// For whom they are.
        service: Option<String>,
    },
    /// Another scheme.
    Unknown(String),
}

/// The one that clients take: Bearer where it is offered.
pub(super) fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let all = headers.get_all(header::WWW_AUTHENTICATE).iter();
    let all: Vec<_> = all.map(|value| parse(&String::from_utf8_lossy(value.as_bytes()))).collect();
    let known = |wanted: fn(&Challenge) -> bool| all.iter().find(|challenge| wanted(challenge)).cloned();
    known(|challenge| matches!(challenge, Challenge::Bearer { .. }))
        .or_else(|| known(|challenge| *challenge == Challenge::Basic))
        .or_else(|| all.into_iter().next())
}

fn parse(value: &str) -> Challenge {
    let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Challenge::Basic;
    }
    match parameter(rest, "realm") {
        Some(realm) if scheme.eq_ignore_ascii_case("bearer") => {
            Challenge::Bearer { realm, service: parameter(rest, "service") }
        }
        _ => Challenge::Unknown(scheme.to_owned()),
    }
}

/// `name="value"` among those of a challenge, whose values may have commas and escaped quotes (RFC 9110, 11.2).
fn parameter(mut rest: &str, wanted: &str) -> Option<String> {
    loop {
        rest = rest.trim_start_matches([' ', ',', '\t']);
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value(after.trim_start());
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_schemes_that_clients_know_are_told_apart() {
        assert_eq!(parse("Basic realm=\"Registry, ours\""), Challenge::Basic);
        assert_eq!(parse("basic"), Challenge::Basic);
        assert_eq!(
            parse(r#"Bearer realm="https://auth.example.com/to\"ken",service="a, b",scope="x""#),
            Challenge::Bearer { realm: "https://auth.example.com/to\"ken".into(), service: Some("a, b".into()) }
        );
        assert_eq!(
            parse("Bearer service=s, Realm=https://r/"),
            Challenge::Bearer { realm: "https://r/".into(), service: Some("s".into()) }
        );
        assert_eq!(parse("Negotiate"), Challenge::Unknown("Negotiate".into()));
        assert_eq!(parse("Bearer"), Challenge::Unknown("Bearer".into()));
    }

    #[test]
    fn bearer_is_taken_where_both_are_offered() {
        let mut headers = HeaderMap::new();
        headers.append(header::WWW_AUTHENTICATE, "Basic realm=x".parse().unwrap());
        headers.append(header::WWW_AUTHENTICATE, "Bearer realm=https://r/".parse().unwrap());
        assert!(matches!(challenge(&headers), Some(Challenge::Bearer { .. })));
        assert_eq!(challenge(&HeaderMap::new()), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in any::<String>()) {
            parse(&text);
            parse(&format!("Bearer realm=\"{text}"));
        }
    }
}
