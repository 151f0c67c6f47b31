//! What a finding means, and what to change, in the words of those who have to change it.

mod body;
mod network;
mod registry;

pub(super) use body::*;
pub(super) use network::*;
pub(super) use registry::*;

/// All of them, with the checks that they belong to, in the order of docs/doctor.md.
#[cfg(test)]
fn all() -> impl Iterator<Item = (&'static str, &'static super::finding::Remedy)> {
    [OF_NETWORK, OF_REGISTRIES, OF_BODIES].concat().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Remedy;
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
