//! A repository that a rule is about: which of its tags go, and which of its manifests no tag leads to.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt as _;
use lockgate_oci::{Digest, RepositoryName};

use super::compact::{Compact, subject_apart};
use super::explain::Asked;
use super::pace::Pace;
use super::retention::{Moment, Tagged, subject_by_name, unkept};
use super::seen::{Found, Link, MOST, Terms};
use crate::config::Retention;
use crate::objects::ReadOnly;
use crate::registry::keys;
use crate::registry::links::{is_dying, target};
use crate::registry::node::all;
use crate::store::{Candidate, Item, Result};

/// Tags that are read between two rests.
const BATCH: usize = 64;

/// What leads to manifests of a repository, but for tags.
#[derive(Default)]
pub(super) struct Leads {
    /// Those that are there, or that can be restored.
    manifests: HashSet<Compact>,
    /// Those that can be restored, or that another names otherwise than as its subject.
    named: HashSet<Compact>,
    /// What each of them is a signature, or another referrer of.
    subjects: HashMap<Compact, Compact>,
    /// Under which other digest one is kept.
    targets: HashMap<Compact, Compact>,
}

impl Leads {
    pub(super) fn of(manifests: &[Compact], restorable: impl Iterator<Item = Compact>) -> Self {
        Self { manifests: manifests.iter().cloned().collect(), named: restorable.collect(), ..Self::default() }
    }

    /// Notes what a manifest leads to.
    pub(super) fn read(&mut self, digest: &Compact, target: &Compact, content: &[u8]) {
        let (subject, named) = subject_apart(content);
        self.named.extend(named);
        if let Some(subject) = subject {
            self.subjects.insert(digest.clone(), subject);
        }
        if digest != target {
            self.targets.insert(digest.clone(), target.clone());
        }
    }

    /// Whether something leads to it that is there, or one of these tags does. What is about something else stays as long
    /// as that.
    fn lead_to(&self, digest: &Compact, tagged: &HashSet<Compact>) -> bool {
        let is_led_to = |digest: &Compact| tagged.contains(digest) || self.named.contains(digest);
        let is_about = |subject: &Compact| self.manifests.contains(subject);
        is_led_to(digest)
            || self.targets.get(digest).is_some_and(is_led_to)
            || self.subjects.get(digest).is_some_and(is_about)
    }
}

/// A repository, and the first rule that is about it.
pub(super) struct Ruled<'a> {
    pub(super) name: &'a RepositoryName,
    /// Among the rules, from 1.
    pub(super) number: usize,
    pub(super) rule: &'a Retention,
    pub(super) terms: &'a Terms,
}

impl Ruled<'_> {
    /// Whether it takes manifests that no tag leads to.
    pub(super) fn takes_untagged(&self) -> bool {
        self.rule.untagged.is_some()
    }

    /// Judges what there is of it.
    pub(super) async fn judge(
        &self,
        objects: &ReadOnly,
        pace: &mut Pace,
        (tags, revisions): (&[String], &[Link]),
        leads: &Leads,
        (found, asked): (&mut Found, &mut Asked),
    ) -> Result<()> {
        if self.rule.keep.is_empty() && !self.takes_untagged() {
            asked.judged(self.name, &self.told(), self.rule, &[], &self.moment());
            return Ok(());
        }
        let (mut tagged, mut judged) = (HashSet::new(), Vec::new());
        for some in tags.chunks(BATCH) {
            pace.go_on().await;
            let links = some.iter().map(|tag| read(objects, self.name, tag).boxed());
            for (tag, link) in some.iter().zip(all(links.collect()).await?) {
                let Some((digest, set)) = link else { continue };
                let compact = Compact::from(&digest);
                tagged.insert(compact.clone());
                // What nobody can ask for is not ours to judge, and what leads nowhere is none of the newest.
                let Ok(tag) = tag.parse() else { continue };
                let is_there = |digest: &Digest| leads.manifests.contains(&Compact::from(digest));
                if !leads.manifests.contains(&compact) || subject_by_name(&tag).as_ref().is_some_and(is_there) {
                    continue;
                }
                let pulled = self.terms.pulls.last(self.name, &digest);
                judged.push(Tagged { tag, digest, set, pulled });
            }
        }
        asked.judged(self.name, &self.told(), self.rule, &judged, &self.moment());
        self.judge_tags(&judged, found);
        self.judge_manifests(revisions, &tagged, leads, found);
        Ok(())
    }

    fn moment(&self) -> Moment {
        let Terms { now, margin, pulls, .. } = self.terms;
        Moment { now: *now, margin: *margin, recorded: pulls.recorded() }
    }

    fn judge_tags(&self, judged: &[Tagged], found: &mut Found) {
        let moment = self.moment();
        for Tagged { tag, digest, set, pulled } in unkept(self.rule, judged, &moment) {
            if found.tags.len() == MOST {
                break;
            }
            let pulled = match (pulled, moment.recorded) {
                (Some(pulled), _) => format!(", last pulled {}", told(*pulled)),
                (None, Some(since)) => format!(", never pulled since {}", told(since)),
                (None, None) => String::new(),
            };
            let rule = self.told();
            let why = format!("no entry of {rule} keeps it; set {}{pulled}", told(*set));
            let item = Item::Tag(self.name.clone(), tag.clone(), digest.clone());
            found.tags.push(Candidate { item, bytes: 0, why });
        }
    }

    fn judge_manifests(&self, revisions: &[Link], tagged: &HashSet<Compact>, leads: &Leads, found: &mut Found) {
        let Some(period) = self.rule.untagged else { return };
        // The next whole second, so that nothing goes too early.
        let now = self.terms.now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() + 1;
        for Link { digest, is_young, .. } in revisions {
            if *is_young || leads.lead_to(digest, tagged) {
                continue;
            }
            let digest = digest.digest();
            let key = keys::revision(self.name, &digest);
            let known = self.terms.untagged.get(&key).copied();
            let since = known.unwrap_or(now);
            if known.is_some() || found.untagged.len() < MOST {
                found.untagged.insert(key, since);
            }
            let since = UNIX_EPOCH + Duration::from_secs(since);
            let is_long = self.terms.now.duration_since(since).is_ok_and(|age| age >= period.duration());
            if is_long && found.manifests.len() < MOST {
                let rule = self.told();
                let why = format!("no tag leads to it since {} (untagged = \"{period}\" of {rule})", told(since));
                let item = Item::Manifest(self.name.clone(), digest);
                found.manifests.push(Candidate { item, bytes: 0, why });
            }
        }
    }

    fn told(&self) -> String {
        format!("[[retention]] {} for {}", self.number, self.rule.repositories)
    }
}

fn told(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// What a tag points at that is not being deleted, and since when.
async fn read(objects: &ReadOnly, name: &RepositoryName, tag: &str) -> Result<Option<(Digest, SystemTime)>> {
    let key = keys::tag(name, tag);
    let Some(link) = objects.get(&key).await? else { return Ok(None) };
    Ok(target(&key, &link).filter(|digest| !is_dying(digest)).map(|digest| (digest, link.stat.modified)))
}
