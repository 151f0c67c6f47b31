//! Where the registry is: `proxy_pass`, and the `upstream` that it names.

use lockgate_settings::Problem;
use toml::Value;

use super::directive::Directive;
use super::draft::{Draft, Fate, Outcome};
use super::location::spelling;
use super::site::Level;
use super::units::period;

/// What a request for a path may be appended to as it is.
const WHOLE_PATHS: &[&str] = &["$request_uri", "$uri$is_args$args", "$uri"];

/// Reads a `proxy_pass` of a location, sets `upstream.url`, and notes what became of the `upstream` that it names.
///
/// # Errors
/// What Lockgate could not pass requests to.
pub(super) fn proxy_pass<'a>(
    directive: &Directive,
    location: &Directive,
    levels: &[Level<'a>],
    draft: &mut Draft<'a>,
) -> Result<Outcome, Problem> {
    let url = replaced(directive, levels)?;
    let Some(rest) = url.strip_prefix("http://") else {
        let why = if url.starts_with("https://") {
            "the registry is spoken to in TLS, which Lockgate does not do: let it listen without, on a private network or a Unix socket, and write that here"
        } else {
            "the registry's address is not http://"
        };
        return Err(directive.place.problem(why));
    };
    let (host, uri) = match rest.strip_prefix("unix:") {
        Some(socket) => match socket.split_once(':') {
            Some((path, uri)) => (format!("unix:{path}"), uri),
            None => (format!("unix:{socket}"), ""),
        },
        None => {
            let end = rest.find('/').unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        }
    };
    let upstream = levels[0].iter().copied().find(|d| d.name == "upstream" && d.arg(0).eq_ignore_ascii_case(&host));
    let urls = match upstream {
        Some(upstream) => servers(upstream, draft)?,
        None => vec![as_url(&host)],
    };
    let value = match &urls[..] {
        [one] => Value::from(one.as_str()),
        several => Value::from(several.to_vec()),
    };
    let refused = |why| directive.place.problem(format!("{directive} cannot be upstream.url: {why}"));
    let outcome = draft.try_set(directive, "upstream.url", value).map_err(refused)?;
    let (modifier, prefix) = spelling(location);
    if uri.is_empty() || uri == prefix && !modifier.starts_with('~') {
        return Ok(outcome);
    }
    let text = format!(
        "{}; nginx put {uri} in the place of {prefix}, and Lockgate keeps the path as it is: the registry has to be at the root of that address",
        outcome.text
    );
    Ok(Outcome::new(Fate::Different, text))
}

fn as_url(host: &str) -> String {
    if host.starts_with("unix:") { host.to_owned() } else { format!("http://{host}") }
}

/// The URL with the variables that one `set` gives a value.
fn replaced(directive: &Directive, levels: &[Level<'_>]) -> Result<String, Problem> {
    let mut url = directive.arg(0).to_owned();
    for path in WHOLE_PATHS {
        if let Some(before) = url.strip_suffix(path) {
            url = before.to_owned();
            break;
        }
    }
    // Each round takes one variable away; a value may name another.
    for _ in 0..10 {
        let Some(start) = url.find('$') else { return Ok(url) };
        let rest = &url[start + 1..];
        let (name, after) = match rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(braced) => braced,
            None => rest.split_at(rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())),
        };
        let values: Vec<&str> = levels.iter().flatten().flat_map(|d| sets(d, name)).collect();
        match values[..] {
            [value] if url.len() < 1000 => url = format!("{}{value}{after}", &url[..start]),
            _ => break,
        }
    }
    let message = format!("{directive} depends on variables: write the registry's address in its place");
    Err(directive.place.problem(message))
}

/// What a directive, and those in its block, set a variable to. In an `if` it counts as one more value.
fn sets<'a>(directive: &'a Directive, name: &str) -> Vec<&'a str> {
    let is_set = directive.name == "set" && directive.arg(0).strip_prefix('$') == Some(name);
    let own = is_set.then(|| directive.arg(1));
    let conditional = directive.name == "if" && directive.children().iter().any(|inner| !sets(inner, name).is_empty());
    own.into_iter().chain(if conditional { vec!["", ""] } else { vec![] }).collect()
}

/// The addresses in an `upstream`.
fn servers<'a>(upstream: &'a Directive, draft: &mut Draft<'a>) -> Result<Vec<String>, Problem> {
    draft.note(upstream, Outcome::new(Fate::Kept, "upstream.url has its servers"));
    let mut urls: Vec<String> = Vec::new();
    for directive in upstream.children() {
        let outcome = match directive.name.as_str() {
            "server" => {
                let has = |word: &str| directive.args.iter().any(|arg| arg == word);
                let url = as_url(directive.arg(0));
                if has("down") || has("backup") {
                    Outcome::new(
                        Fate::Different,
                        "not in upstream.url, whose servers all get requests: add it if it holds the same content as the others",
                    )
                } else if urls.contains(&url) {
                    Outcome::new(Fate::Dropped, "it is in upstream.url already")
                } else {
                    urls.push(url);
                    let is_weighted = directive.args.iter().any(|arg| arg.starts_with("weight="));
                    let weight = if is_weighted { "; each gets as many requests as another" } else { "" };
                    Outcome::new(Fate::Kept, format!("in upstream.url{weight}"))
                }
            }
            "keepalive" => match directive.arg(0).parse::<i64>() {
                Ok(connections) => draft.set(directive, "upstream.keepalive_connections", connections),
                Err(_) => Outcome::new(Fate::Different, "it is no number"),
            },
            "keepalive_timeout" => match period(directive.arg(0)) {
                Some(period) => draft.set(directive, "upstream.idle_timeout", period),
                None => Outcome::new(Fate::Different, "it is no time that Lockgate has"),
            },
            "hash" | "ip_hash" | "least_conn" | "least_time" | "random" | "sticky" => {
                Outcome::new(Fate::Different, "requests go to each in turn: all of them have to hold the same content")
            }
            "include" => Outcome::new(Fate::BuiltIn, "what it names is read in its place"),
            _ => Outcome::new(
                Fate::Dropped,
                "connections are kept, names resolved again and servers checked by themselves",
            ),
        };
        draft.note(directive, outcome);
    }
    if urls.is_empty() {
        return Err(upstream.place.problem("this upstream has no server that gets requests"));
    }
    Ok(urls)
}
