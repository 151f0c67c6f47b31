//! What an `if` decides by.

use regex::Regex;

use super::directive::Directive;
use super::location::pattern;

/// Methods of the registry API, by what they are for.
pub(super) const METHODS: [&[&str]; 3] = [&["GET", "HEAD"], &["POST", "PUT", "PATCH"], &["DELETE"]];

/// The rule of all guides against docker before 1.6, with slashes that need no backslash.
const OLD_DOCKER: &str = r"^(docker/1\.(3|4|5(?!\.[0-9]-dev))|Go ).*$";

/// What becomes of an `if` that ends a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// What Lockgate does by itself.
    BuiltIn(&'static str),
    /// Clients before docker 1.6.
    OldDocker,
    /// Clients whose User-Agent this pattern matches, or does not.
    Agents { pattern: String, matches: bool },
    /// Requests by some methods: of [`METHODS`] those groups of which one is in it.
    Methods([bool; 3]),
    /// By the host that a client names, which keeps nobody out.
    Host,
    /// Preflights of browsers, which a registry does not answer either.
    Options,
    /// Anything else, which may be a protection.
    Unknown,
}

/// Whether an `if` ends a request: the others only set something.
pub(super) fn ends_request(directive: &Directive) -> bool {
    let ends = ["break", "proxy_pass", "return", "rewrite"];
    directive.children().iter().any(|inner| !is_quiet(inner) || ends.contains(&inner.name.as_str()))
}

/// Directives in an `if` that change nothing of who may do what.
fn is_quiet(inner: &Directive) -> bool {
    let quiet = ["access_log", "add_header", "expires", "gzip", "limit_rate", "proxy_set_header", "set"];
    quiet.contains(&inner.name.as_str())
}

impl Condition {
    /// Reads the condition of an `if` that ends a request.
    pub(super) fn of(directive: &Directive) -> Self {
        let words = directive.condition();
        let (variable, operator, text) = match words[..] {
            [variable] => (variable, "", ""),
            [variable, operator, text] => (variable, operator, text),
            _ => return Self::Unknown,
        };
        match variable {
            "$http_user_agent" => agents(operator, text),
            "$request_method" => methods(operator, text),
            "$host" | "$http_host" | "$server_name" => Self::Host,
            "$scheme" | "$https" | "$ssl_protocol" | "$server_port" if is_plain_http(variable, operator, text) => {
                Self::BuiltIn("TLS is the only way in")
            }
            _ => Self::Unknown,
        }
    }
}

fn is_plain_http(variable: &str, operator: &str, text: &str) -> bool {
    matches!(
        (variable, operator, text),
        ("$scheme", "=", "http")
            | ("$scheme", "!=", "https")
            | ("$https", "!=", "on")
            | ("$https" | "$ssl_protocol", "=", "")
            | ("$server_port", "=", "80")
            | ("$server_port", "!=", "443")
    )
}

fn agents(operator: &str, text: &str) -> Condition {
    let plain = text.replace(r"\/", "/");
    let (written, matches) = match operator {
        "~" | "~*" if plain == OLD_DOCKER => return Condition::OldDocker,
        "~" => (plain, true),
        "~*" => (format!("(?i){plain}"), true),
        "!~" => (plain, false),
        "!~*" => (format!("(?i){plain}"), false),
        "=" => (format!("^{}$", regex::escape(text)), true),
        "!=" => (format!("^{}$", regex::escape(text)), false),
        _ => return Condition::Unknown,
    };
    // A header is of the client's making: who wants in calls itself otherwise. So no protection ends with a pattern.
    Condition::Agents { pattern: written, matches }
}

fn methods(operator: &str, text: &str) -> Condition {
    let pattern = |ignores_case| pattern(text, ignores_case);
    let test: Box<dyn Fn(&str) -> bool> = match operator {
        "=" => Box::new(|method| method == text),
        "!=" => Box::new(|method| method != text),
        "~" | "~*" | "!~" | "!~*" => {
            let Some(pattern): Option<Regex> = pattern(operator.ends_with('*')) else { return Condition::Unknown };
            let wanted = operator.starts_with('~');
            Box::new(move |method| pattern.is_match(method) == wanted)
        }
        _ => return Condition::Unknown,
    };
    let refused = METHODS.map(|group| group.iter().any(|method| test(method)));
    if !refused.contains(&true) && test("OPTIONS") { Condition::Options } else { Condition::Methods(refused) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse::parse;
    use super::*;

    fn of(condition: &str) -> Condition {
        let text = format!("if ({condition}) {{ return 403; }}");
        Condition::of(&parse(&text, Path::new("x")).expect("it is one")[0])
    }

    #[test]
    fn a_condition_is_known_for_what_it_is_or_not_at_all() {
        let old_docker = r#"$http_user_agent ~ "^(docker\/1\.(3|4|5(?!\.[0-9]-dev))|Go ).*$" "#;
        assert_eq!(of(old_docker), Condition::OldDocker);
        assert_eq!(of("$request_method !~ ^(GET|HEAD)$"), Condition::Methods([false, true, true]));
        assert_eq!(of("$request_method = DELETE"), Condition::Methods([false, false, true]));
        assert_eq!(of("$request_method = PUT"), Condition::Methods([false, true, false]));
        assert_eq!(of("$request_method = OPTIONS"), Condition::Options);
        assert_eq!(of("$request_method ~ (?!x)"), Condition::Unknown);
        assert_eq!(
            of("$http_user_agent ~* 'scan/'"),
            Condition::Agents { pattern: "(?i)scan/".to_owned(), matches: true }
        );
        assert!(matches!(of("$scheme != https"), Condition::BuiltIn(_)));
        for unknown in
            ["$scheme = https", "$remote_addr != 10.0.0.1", "$denied", "$http_x_secret != abc", "-f /maintenance"]
        {
            assert_eq!(of(unknown), Condition::Unknown, "{unknown}");
        }
    }
}
