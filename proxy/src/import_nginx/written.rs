//! The files that are written: `lockgate.toml` and `access.toml`.

use std::path::Path;

use toml::Value;

use super::directive::on_one_line;
use super::draft::{Draft, Key};
use super::grants::{Grants, Inexpressible};
use super::report::Report;
use super::{ACCESS, TOKEN_KEY};

/// The sections in their order in `conf/lockgate.toml`.
const SECTIONS: &[&str] = &["listen", "tls", "auth", "upstream", "clients", "limits", "log"];

const CLOSED: &str = "\
# Nothing is granted, so nobody gets in: nginx may have kept people out by what Lockgate cannot do, or what was not
# understood. import-report.txt names it (UNDECIDED). Decide who may do what, and write it here; docs/rights.md has
# examples.
";

/// The grants, where the default is not what nginx did, and the keys that name their file.
pub(super) fn access(
    draft: &mut Draft<'_>,
    grants: &Result<Grants, Inexpressible>,
    is_closed: bool,
    dir: &Path,
) -> Option<String> {
    if !is_closed && grants.as_ref().is_ok_and(Grants::are_the_default) {
        return None;
    }
    let mut set = |key, value: String| draft.keys.insert(key, Key { value: Value::from(value), from: None });
    set("auth.access", dir.join(ACCESS).display().to_string());
    // Where nobody gets in without a password there is nothing that Basic cannot ask for.
    match grants {
        Ok(grants) if grants.need_tokens() => set("auth.token_key", dir.join(TOKEN_KEY).display().to_string()),
        _ => set("auth.challenge", "basic".to_owned()),
    };
    let why = "with grants the gate asks the registry in its own name: let the registry ask for no password";
    draft.take_back("upstream.forward_authorization", why);
    let given = grants.as_ref().map_or_else(|_| String::new(), ToString::to_string);
    let mut text = "# Who may do what, made by lockgate import-nginx.\n".to_owned();
    if is_closed {
        text += CLOSED;
        if !given.is_empty() {
            text += "#\n# What users, addresses and methods came to in nginx, without the rest:\n#\n";
        }
        for line in given.trim_end().lines() {
            text += format!("# {line}").trim_end();
            text.push('\n');
        }
    } else {
        text += &format!("\n{}\n", given.trim_end());
    }
    Some(text)
}

/// The configuration: each key with the place that it comes from.
pub(super) fn config(draft: &Draft<'_>, report: &Report<'_>) -> String {
    let mut text =
        "# Made by lockgate import-nginx. import-report.txt tells of each directive what became of it.\n".to_owned();
    for line in report.grave() {
        text += &format!("# {line}\n");
    }
    for section in SECTIONS {
        let mut head = format!("\n[{section}]\n");
        for (name, Key { value, from }) in &draft.keys {
            let Some(key) = name.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')) else { continue };
            text += &std::mem::take(&mut head);
            if let Some(place) = from {
                text += &format!("# {}\n", on_one_line(&place.to_string()));
            }
            text += &format!("{key} = {value}\n");
        }
    }
    text
}
