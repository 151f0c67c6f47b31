//! How far a copy is, for a person.

use std::sync::Mutex;

use crate::lock::held;

/// What was copied by now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Repositories that are copied whole.
    pub repositories: u64,
    /// Of how many.
    pub of: u64,
    /// Blobs, in each repository.
    pub blobs: u64,
    /// Bytes that were read of blobs.
    pub bytes: u64,
    /// Manifests, in each repository.
    pub manifests: u64,
    /// Tags that were set or moved.
    pub tags: u64,
    /// Blobs and manifests that were there already.
    pub there: u64,
    /// Links that lead to nothing, as a garbage collection leaves them.
    pub dangling: u64,
    /// Blobs and manifests that cannot be copied.
    pub failed: u64,
}

/// How far a copy is.
pub struct Progress {
    counts: Mutex<Counts>,
    tell: Box<dyn Fn(&str) + Send + Sync>,
}

impl Progress {
    /// At the beginning. What cannot be copied is told at once, a line for each.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { counts: Mutex::default(), tell: Box::new(tell) }
    }

    /// Where it is now.
    pub fn counts(&self) -> Counts {
        *held(self.counts.lock())
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = held(self.counts.lock());
        change(&mut counts);
    }

    pub(super) fn failed(&self, line: &str) {
        self.count(|counts| counts.failed += 1);
        (self.tell)(line);
    }
}

impl Counts {
    /// A line while it goes on, at so many bytes a second.
    pub fn line(&self, rate: u64) -> String {
        if self.of == 0 {
            return "looking at what there is".to_owned();
        }
        let Self { repositories, of, there, .. } = self;
        let copied = format!("{} ({})", number(self.blobs, "blob", "blobs"), size(self.bytes));
        format!("{repositories} of {of} repositories: {copied} copied, {there} were there, {}/s", size(rate))
    }

    /// A line at its end.
    pub fn summary(&self) -> String {
        let repositories = number(self.of, "repository", "repositories");
        let there = number(self.there, "blob and manifest", "blobs and manifests");
        let done = if self.blobs + self.manifests + self.tags == 0 {
            format!("nothing new in {repositories}: {there} were there already")
        } else {
            let [blobs, manifests, tags] = [(self.blobs, "blob"), (self.manifests, "manifest"), (self.tags, "tag")]
                .map(|(count, one)| number(count, one, &format!("{one}s")));
            let bytes = size(self.bytes);
            format!("copied {blobs} ({bytes}), {manifests} and {tags} of {repositories}; {there} were there already")
        };
        match self.dangling {
            0 => done,
            links => format!("{done}; {} to nothing", number(links, "link leads", "links lead")),
        }
    }
}

fn number(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Bytes as a person reads them.
fn size(bytes: u64) -> String {
    let mut unit = 0;
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    while unit + 1 < units.len() && bytes >> (10 * (unit + 1)) > 0 {
        unit += 1;
    }
    if unit == 0 {
        return number(bytes, "byte", "bytes");
    }
    let tenths = (u128::from(bytes) * 10) >> (10 * unit);
    format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_at_a_glance() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1_500_000, "1.4 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_line_tells_how_far_it_is_and_what_has_become_of_it() {
        let counts = Counts { repositories: 1, of: 3, blobs: 2, bytes: 3 << 20, there: 4, ..Counts::default() };
        assert_eq!(Counts::default().line(0), "looking at what there is");
        assert_eq!(counts.line(1 << 20), "1 of 3 repositories: 2 blobs (3.0 MiB) copied, 4 were there, 1.0 MiB/s");
        let done = Counts { manifests: 1, dangling: 1, ..counts };
        assert_eq!(
            done.summary(),
            "copied 2 blobs (3.0 MiB), 1 manifest and 0 tags of 3 repositories; 4 blobs and manifests were there \
             already; 1 link leads to nothing"
        );
        let nothing = Counts { of: 1, there: 4, ..Counts::default() };
        assert_eq!(nothing.summary(), "nothing new in 1 repository: 4 blobs and manifests were there already");
    }
}
