//! How things are told to a person.

use std::time::SystemTime;

use lockgate_oci::{RepositoryName, Tag};

use crate::store::{Candidate, Collected, Counts, Taken, Trashed};

/// The largest unit in which it is at least one.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in UNITS {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// So many of something, whose name is given for one.
pub(super) fn count(number: u64, name: &str) -> String {
    match number {
        1 => format!("1 {name}"),
        number if name.ends_with('y') => format!("{number} {}ies", &name[..name.len() - 1]),
        number => format!("{number} {name}s"),
    }
}

pub(super) fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

pub(super) fn tags(tags: &[Tag]) -> String {
    tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ")
}

/// A line of the trash.
pub(super) fn trashed(trashed: &Trashed) -> String {
    let Trashed { repository, id, deleted } = trashed;
    let mut line = format!("{}  {:<8}  {repository}", time(id.time()), deleted.what);
    match &deleted.tags[..] {
        [] => {}
        [tag] => line += &format!(":{tag}"),
        several => line += &format!(" ({})", tags(several)),
    }
    line += &format!("  {}", deleted.digest);
    if let Some(by) = &deleted.by {
        line += &format!("  by {by}");
    }
    if let Some(why) = &deleted.why {
        line += &format!("  since {why}");
    }
    line
}

/// A line of the list of repositories.
pub(super) fn usage(repository: &RepositoryName, Taken { own, shared }: Taken) -> String {
    format!("{:>11}  {:>11}  {repository}", size(own), size(shared))
}

/// A line of a plan. What names the item comes first, and is read back.
pub(super) fn candidate(Candidate { item, bytes, why }: &Candidate) -> String {
    let frees = if *bytes > 0 { format!(", {}", size(*bytes)) } else { String::new() };
    format!("{item}  # {why}{frees}")
}

pub(super) fn looked_at(counts: &Counts) -> String {
    let Counts { repositories, manifests, absent, blobs, bytes, .. } = *counts;
    let mut line = format!(
        "looked at {}, {}, {} ({})",
        count(repositories, "repository"),
        count(manifests, "manifest"),
        count(blobs, "blob"),
        size(bytes)
    );
    if absent > 0 {
        line += &format!("; {} linked whose bytes are not there", count(absent, "manifest"));
    }
    line
}

pub(super) fn collected(collected: &Collected) -> String {
    let Collected { tags, removed, freed, condemned, .. } = *collected;
    let tags = if tags > 0 { format!("removed {} that no rule keeps; ", count(tags, "tag")) } else { String::new() };
    format!(
        "{tags}removed {}, {} freed; {} found that nobody needs, for the next run",
        count(removed, "object"),
        size(freed),
        count(condemned, "object")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_numbers_are_read_at_a_glance() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB"), (u64::MAX, "16384.0 PiB")]
        {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(
            (count(1, "repository"), count(2, "repository")),
            ("1 repository".to_owned(), "2 repositories".to_owned())
        );
        assert_eq!(count(0, "blob"), "0 blobs");
    }
}
