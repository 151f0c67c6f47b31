//! Which tags a rule keeps. Nothing here knows of objects.

use std::time::{Duration, SystemTime};

use lockgate_oci::{Digest, Tag};

use crate::config::{Keep, Retention};

/// A tag, as it is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tagged {
    pub(super) tag: Tag,
    pub(super) digest: Digest,
    /// When it was set.
    pub(super) set: SystemTime,
    /// When its manifest was pulled last, as far as that was recorded.
    pub(super) pulled: Option<SystemTime>,
}

/// By what tags are judged, beside the rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// By the clock of the store.
    pub(super) now: SystemTime,
    /// How much the times of objects are rounded down.
    pub(super) margin: Duration,
    /// Since when pulls are recorded, if they are.
    pub(super) recorded: Option<SystemTime>,
}

impl Moment {
    /// Whether something was so short a time ago. A time in the future is that of a clock which was wrong.
    fn is_within(&self, period: Duration, time: SystemTime) -> bool {
        self.now.duration_since(time).unwrap_or_default() < period + self.margin
    }

    /// Whether pulls have been recorded for so long that one which was not was none.
    fn has_recorded(&self, period: Duration) -> bool {
        self.recorded.is_some_and(|since| !self.is_within(period, since))
    }
}

/// Those tags of a repository that no entry of a rule keeps.
pub(super) fn unkept<'a>(rule: &Retention, tags: &'a [Tagged], moment: &Moment) -> Vec<&'a Tagged> {
    if rule.keep.is_empty() {
        return Vec::new();
    }
    let mut is_kept = vec![false; tags.len()];
    for keep in &rule.keep {
        kept_by(keep, tags, moment, &mut is_kept);
    }
    tags.iter().zip(is_kept).filter_map(|(tag, is_kept)| (!is_kept).then_some(tag)).collect()
}

/// The first entry of a rule that keeps one of these tags.
pub(super) fn keeper<'a>(rule: &'a Retention, tags: &[Tagged], at: usize, moment: &Moment) -> Option<&'a Keep> {
    rule.keep.iter().find(|keep| {
        let mut is_kept = vec![false; tags.len()];
        kept_by(keep, tags, moment, &mut is_kept);
        is_kept[at]
    })
}

/// Marks what an entry keeps.
fn kept_by(keep: &Keep, tags: &[Tagged], moment: &Moment, is_kept: &mut [bool]) {
    let is_named = |tag: &Tag| keep.tags.as_ref().is_none_or(|list| list.0.iter().any(|pattern| pattern.matches(tag)));
    let named = tags.iter().enumerate().filter(|(_, tagged)| is_named(&tagged.tag));
    let mut named: Vec<(usize, &Tagged)> = named.collect();
    if let Some(newest) = keep.newest {
        named.sort_by_key(|(_, tagged)| std::cmp::Reverse(tagged.set));
        // Of those that are as old as the last of them nobody can tell which was first: all stay.
        if let Some(last) = named.get(newest.get() - 1).map(|(_, tagged)| tagged.set) {
            named.retain(|(_, tagged)| tagged.set >= last);
        }
    }
    for (index, tagged) in named {
        let is_pushed = keep.pushed.is_none_or(|period| moment.is_within(period.duration(), tagged.set));
        let is_pulled = keep.pulled.is_none_or(|period| {
            let period = period.duration();
            !moment.has_recorded(period) || tagged.pulled.is_some_and(|pulled| moment.is_within(period, pulled))
        });
        if is_pushed && is_pulled {
            is_kept[index] = true;
        }
    }
}

/// What a tag is by its name a signature or another referrer of, as clients name them that do not know of referrers:
/// `sha256-<hex>`, `sha256-<hex>.sig`.
pub(super) fn subject_by_name(tag: &Tag) -> Option<Digest> {
    let (algorithm, rest) = tag.as_str().split_once('-')?;
    let hex = rest.split_once('.').map_or(rest, |(hex, _)| hex);
    format!("{algorithm}:{hex}").parse().ok()
}

#[cfg(test)]
mod tests {
    use lockgate_oci::Algorithm;
    use lockgate_settings::{Configuration as _, Period};
    use proptest::prelude::*;
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::hasher::digest_of;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const YEARS: Duration = Duration::from_secs(50 * 365 * 24 * 60 * 60);

    fn rule(keep: &str) -> Retention {
        let text = format!("[[retention]]\nrepositories = '**'\nkeep = [{keep}]\n");
        let config = Config::parse(&text, Path::new("backend.toml"), []).expect("it can be read");
        config.retention.into_iter().next().expect("there is one")
    }

    /// When it is so many days before `now`.
    fn ago(days: u64) -> SystemTime {
        now() - DAY * u32::try_from(days).expect("few")
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + YEARS
    }

    fn tagged(name: &str, set: u64, pulled: Option<u64>) -> Tagged {
        let digest = digest_of(Algorithm::Sha256, name.as_bytes());
        Tagged { tag: name.parse().expect("a tag"), digest, set: ago(set), pulled: pulled.map(ago) }
    }

    fn at(recorded: Option<u64>) -> Moment {
        Moment { now: now(), margin: Duration::ZERO, recorded: recorded.map(ago) }
    }

    fn gone(keep: &str, tags: &[Tagged], recorded: Option<u64>) -> Vec<String> {
        unkept(&rule(keep), tags, &at(recorded)).iter().map(|tagged| tagged.tag.to_string()).collect()
    }

    #[test]
    fn a_tag_stays_if_any_entry_keeps_it_and_all_keys_of_one_must_hold() {
        let tags = [
            tagged("latest", 400, None),
            tagged("v1", 300, Some(1)),
            tagged("dev-1", 40, None),
            tagged("dev-2", 20, Some(100)),
            tagged("dev-3", 10, None),
        ];
        assert_eq!(gone("", &tags, None), [""; 0]);
        assert_eq!(gone("{ tags = ['latest', 'v*'] }", &tags, None), ["dev-1", "dev-2", "dev-3"]);
        assert_eq!(gone("{ tags = ['latest', 'v*'] }, { newest = 1 }", &tags, None), ["dev-1", "dev-2"]);
        assert_eq!(gone("{ newest = 2 }", &tags, None), ["latest", "v1", "dev-1"]);
        assert_eq!(gone("{ tags = 'v*', newest = 2 }", &tags, None), ["latest", "dev-1", "dev-2", "dev-3"]);
        assert_eq!(gone("{ pushed = '30d' }", &tags, None), ["latest", "v1", "dev-1"]);
        assert_eq!(gone("{ tags = 'dev-*', pushed = '15d' }", &tags, None), ["latest", "v1", "dev-1", "dev-2"]);
        assert_eq!(gone("{ newest = 2, pushed = '15d' }", &tags, None), ["latest", "v1", "dev-1", "dev-2"]);
        assert_eq!(gone("{ pulled = '90d' }", &tags, Some(90)), ["latest", "dev-1", "dev-2", "dev-3"]);
    }

    #[test]
    fn what_cannot_be_told_keeps() {
        let tags = [tagged("a", 10, None), tagged("b", 10, Some(80))];
        for recorded in [None, Some(0), Some(89)] {
            assert_eq!(
                gone("{ pulled = '90d' }", &tags, recorded),
                [""; 0],
                "pulls were recorded for {recorded:?} days"
            );
        }
        assert_eq!(gone("{ pulled = '90d' }", &tags, Some(91)), ["a"]);
        // Both were set at the same time.
        assert_eq!(gone("{ newest = 1 }", &tags, None), [""; 0]);
        // A clock that was wrong.
        let future = Tagged { set: now() + DAY, ..tagged("c", 0, None) };
        assert_eq!(gone("{ pushed = '1s' }", &[future], None), [""; 0]);
        let rounded = Moment { margin: Duration::from_secs(1), ..at(None) };
        assert_eq!(unkept(&rule("{ pushed = '10d' }"), &tags, &rounded), [] as [&Tagged; 0]);
    }

    #[test]
    fn a_referrer_is_known_by_its_tag() {
        let digest = digest_of(Algorithm::Sha256, b"image");
        for suffix in ["", ".sig", ".att", ".sbom.json"] {
            let tag = format!("sha256-{}{suffix}", digest.hex()).parse().unwrap();
            assert_eq!(subject_by_name(&tag), Some(digest.clone()), "{suffix}");
        }
        for other in ["latest", "sha256-", "sha256-ab", "v1-2"] {
            assert_eq!(subject_by_name(&other.parse().unwrap()), None, "{other}");
        }
    }

    /// The same as the documentation says it, entry by entry and tag by tag.
    fn is_kept_by_the_book(keep: &Keep, tagged: &Tagged, all: &[Tagged], recorded: Option<SystemTime>) -> bool {
        let age = |time: SystemTime| now().duration_since(time).expect("it is past");
        let matches = |tagged: &Tagged| match &keep.tags {
            Some(patterns) => patterns.0.iter().any(|pattern| pattern.matches(&tagged.tag)),
            None => true,
        };
        let newer = all.iter().filter(|other| matches(other) && other.set > tagged.set).count();
        let pulled = |period: Period| match (recorded, tagged.pulled) {
            (Some(since), pulled) if age(since) >= period.duration() => {
                pulled.is_some_and(|pulled| age(pulled) < period.duration())
            }
            _ => true,
        };
        matches(tagged)
            && keep.newest.is_none_or(|newest| newer < newest.get())
            && keep.pushed.is_none_or(|period| age(tagged.set) < period.duration())
            && keep.pulled.is_none_or(pulled)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn what_goes_is_what_goes_by_the_book(
            tags in proptest::collection::vec(("[ab]{1,2}", 0_u64..6, proptest::option::of(0_u64..6)), 0..8),
            keep in proptest::collection::vec(
                (proptest::option::of("[ab*]{1,2}"), proptest::option::of(1_usize..4), proptest::option::of(1_u64..6),
                    proptest::option::of(1_u64..6)), 0..4),
            recorded in proptest::option::of(0_u64..6),
        ) {
            let tags: Vec<Tagged> = tags.iter().map(|(name, set, pulled)| tagged(name, *set, *pulled)).collect();
            let entries = keep.iter().filter_map(|(pattern, newest, pushed, pulled)| {
                let keys = [
                    pattern.as_ref().map(|pattern| format!("tags = '{pattern}'")),
                    newest.map(|newest| format!("newest = {newest}")),
                    pushed.map(|days| format!("pushed = '{days}d'")),
                    pulled.map(|days| format!("pulled = '{days}d'")),
                ];
                let keys: Vec<String> = keys.into_iter().flatten().collect();
                (!keys.is_empty()).then(|| format!("{{ {} }}", keys.join(", ")))
            });
            let rule = rule(&entries.collect::<Vec<_>>().join(", "));
            let moment = at(recorded);
            let found: Vec<&Tagged> = unkept(&rule, &tags, &moment);
            let goes = |tagged: &&Tagged| {
                let is_kept = |keep: &Keep| is_kept_by_the_book(keep, tagged, &tags, moment.recorded);
                !rule.keep.is_empty() && !rule.keep.iter().any(is_kept)
            };
            prop_assert_eq!(found, tags.iter().filter(goes).collect::<Vec<_>>());
        }
    }
}
