//! What a finding means, and what to change, in the words of those who have to change it.

mod body;
mod network;
mod registry;

use serde::{Serialize, Serializer};

pub(super) use body::*;
pub(super) use network::*;
pub(super) use registry::*;

/// A meaning, and what to change where.
#[derive(Debug, Serialize)]
pub(crate) struct Remedy {
    /// What clients make of it.
    pub(crate) means: &'static str,
    /// Whose words they are, and the words.
    #[serde(serialize_with = "by_name")]
    pub(crate) change: &'static [(&'static str, &'static str)],
}

fn by_name<S: Serializer>(change: &[(&str, &str)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(change.iter().copied())
}

/// All of them, with the checks that they belong to, in the order of docs/doctor.md.
#[cfg(test)]
fn all() -> impl Iterator<Item = (&'static str, &'static Remedy)> {
    [network::ALL, registry::ALL, body::ALL].concat().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/doctor.md"));

    fn row(check: &str, remedy: &Remedy) -> String {
        let mut row = format!("| `{check}` | {} | ", remedy.means);
        let words = remedy.change.iter().map(|(whose, words)| format!("**{whose}**: {words}"));
        row.push_str(&words.collect::<Vec<_>>().join("<br>"));
        row + " |\n"
    }

    #[test]
    fn the_document_has_a_row_for_each_of_them() {
        let mut missing = String::new();
        for (check, remedy) in all().filter(|(check, remedy)| !DOCUMENT.contains(&row(check, remedy))) {
            write!(missing, "{}", row(check, remedy)).unwrap();
        }
        assert!(missing.is_empty(), "docs/doctor.md lacks these rows:\n{missing}");
    }
}
