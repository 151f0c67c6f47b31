//! Which location answers a path.

use regex::Regex;

use super::directive::Directive;

/// Paths that clients of a registry ask for, the first one for an image.
pub(super) const PATHS: &[&str] = &[
    "/v2/team/app/manifests/latest",
    "/v2/",
    "/v2/_catalog",
    "/v2/team/app/tags/list",
    "/v2/team/app/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "/v2/team/app/blobs/uploads/",
    "/v2/app/manifests/latest",
];

/// What a pattern of locations that are about a registry speaks of.
const SPOKEN_OF: &[&str] = &["v2", "_catalog", "blobs", "manifests", "tags", "uploads"];

/// A pattern of nginx's, with its case in mind or not. `None` where it has what the regex crate lacks.
pub(super) fn pattern(text: &str, ignores_case: bool) -> Option<Regex> {
    regex::RegexBuilder::new(text).case_insensitive(ignores_case).build().ok()
}

/// How a location is written: its modifier and what it is compared with.
pub(super) fn spelling(location: &Directive) -> (&str, &str) {
    match (location.arg(0), location.arg(1)) {
        (modifier @ ("=" | "~" | "~*" | "^~"), path) => (modifier, path),
        (both, "") => match both.strip_prefix(['=', '~']) {
            Some(path) => (&both[..1], path.trim_start_matches('*')),
            None => match both.strip_prefix("^~") {
                Some(path) => ("^~", path),
                None => ("", both),
            },
        },
        (path, _) => ("", path),
    }
}

/// The locations, one in the other, that answer a path among these directives.
pub(super) fn chain<'a>(level: &'a [Directive], path: &str) -> Vec<&'a Directive> {
    let locations = || level.iter().filter(|directive| directive.name == "location");
    let exact = locations().find(|location| spelling(location) == ("=", path));
    let is_prefix = |location: &&Directive| {
        let (modifier, prefix) = spelling(location);
        matches!(modifier, "" | "^~") && !prefix.starts_with('@') && path.starts_with(prefix)
    };
    let longest = exact.or_else(|| locations().filter(is_prefix).max_by_key(|location| spelling(location).1.len()));
    let below = |location: &'a Directive| {
        let mut all = vec![location];
        all.extend(chain(location.children(), path));
        all
    };
    let found = longest.map(below).unwrap_or_default();
    let is_final = longest.is_some_and(|location| matches!(spelling(location).0, "=" | "^~"));
    let is_by_pattern = found.iter().skip(1).any(|location| spelling(location).0.starts_with('~'));
    if is_final || is_by_pattern {
        return found;
    }
    let by_pattern = locations().find(|location| {
        let (modifier, text) = spelling(location);
        modifier.starts_with('~') && pattern(text, modifier == "~*").is_some_and(|pattern| pattern.is_match(path))
    });
    by_pattern.map_or(found, below)
}

/// Whether a location of the registry's server may answer a path of the registry. Where it cannot be known it may.
pub(super) fn may_concern_registry(location: &Directive) -> bool {
    let (modifier, text) = spelling(location);
    match modifier {
        _ if text.starts_with('@') => false,
        "~" | "~*" => {
            let is_match = |pattern: Regex| PATHS.iter().any(|path| pattern.is_match(path));
            SPOKEN_OF.iter().any(|word| text.contains(word)) || pattern(text, modifier == "~*").is_none_or(is_match)
        }
        _ => text.starts_with("/v2/"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse::parse;
    use super::*;

    #[test]
    fn a_location_is_found_as_nginx_finds_it() {
        let text = "location / { } location /v2/ { location ~ /blobs/ { } } location = /v2/ { } location ~* \\.PNG$ { } \
                    location ^~ /static/ { } location ~/tags/ { } location @named { }";
        let level = parse(text, Path::new("x")).expect("it is one");
        let found = |path: &str| {
            let words = |location: &&Directive| location.args.join(" ");
            chain(&level, path).iter().map(words).collect::<Vec<_>>()
        };
        assert_eq!(found("/"), ["/"]);
        assert_eq!(found("/v2/"), ["= /v2/"]);
        assert_eq!(found("/v2/app/manifests/latest"), ["/v2/"]);
        assert_eq!(found("/v2/app/blobs/x"), ["/v2/", "~ /blobs/"]);
        assert_eq!(found("/v2/app/tags/list"), ["~/tags/"]);
        assert_eq!(found("/a.png"), ["~* \\.PNG$"]);
        assert_eq!(found("/static/a.png"), ["^~ /static/"]);
    }
}
