//! Headers: those that the registry is sent, and those that clients are.

use super::directive::Directive;
use super::draft::{Draft, Fate, Outcome};
use super::units::period;

/// The longest `tls.hsts`, in seconds.
const MAX_AGE: u64 = 365 * 86_400;

/// What a `proxy_set_header` comes to.
pub(super) fn of_requests(directive: &Directive, draft: &mut Draft<'_>) -> Outcome {
    let (name, value) = (directive.arg(0).to_ascii_lowercase(), directive.arg(1));
    match name.as_str() {
        "host" if matches!(value, "$http_host" | "$host" | "$host:$server_port") => {
            Outcome::new(Fate::BuiltIn, "the client's Host is forwarded")
        }
        "host" => Outcome::new(Fate::Different, "the client's Host is forwarded, and not this one"),
        "x-real-ip" | "x-forwarded-for" | "x-forwarded-proto" => Outcome::new(Fate::BuiltIn, "it is always set"),
        "authorization" if value.is_empty() => Outcome::new(Fate::BuiltIn, "it is not forwarded"),
        "authorization" if value == "$http_authorization" => {
            draft.set(directive, "upstream.forward_authorization", true)
        }
        "authorization" => Outcome::new(
            Fate::Different,
            "Lockgate does not log in at the registry: let that ask for no password of its own",
        ),
        "connection" | "upgrade" | "x-forwarded-host" | "x-forwarded-port" | "x-forwarded-server" | "x-scheme"
        | "x-original-uri" | "x-forwarded-ssl" | "x-request-id" | "accept-encoding" | "proxy" | "early-data" => {
            Outcome::new(Fate::Dropped, "no registry needs it")
        }
        _ if value == "$remote_user" && name.contains("user") => {
            draft.set(directive, "upstream.user_header", directive.arg(0))
        }
        _ => Outcome::new(Fate::Different, "it is not sent to the registry"),
    }
}

/// What an `add_header` comes to.
pub(super) fn of_answers(directive: &Directive, draft: &mut Draft<'_>) -> Outcome {
    let name = directive.arg(0).to_ascii_lowercase();
    let name = name.split(':').next().unwrap_or_default();
    match name {
        "docker-distribution-api-version" => Outcome::new(Fate::BuiltIn, "it is in every answer, once"),
        "x-content-type-options" | "content-security-policy" => Outcome::new(Fate::BuiltIn, "every answer has its own"),
        "strict-transport-security" => {
            let text = directive.args.join(" ").to_ascii_lowercase();
            let digits = text.split("max-age=").nth(1).unwrap_or_default().trim_start_matches('"');
            let digits = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            let Ok(age) = digits.parse::<u64>() else {
                return Outcome::new(Fate::Different, "tls.hsts keeps its default: this tells no time");
            };
            let age = period(&age.min(MAX_AGE).to_string()).unwrap_or_else(|| "0s".to_owned());
            let outcome = draft.set(directive, "tls.hsts", age);
            Outcome { text: outcome.text + ", for this host name alone", ..outcome }
        }
        _ if name.starts_with("access-control-") => Outcome::new(
            Fate::Different,
            "pages of other sites may read nothing: serve a user interface for the registry from where it asks the registry itself",
        ),
        _ => Outcome::new(Fate::Dropped, "no client of a registry needs it"),
    }
}
