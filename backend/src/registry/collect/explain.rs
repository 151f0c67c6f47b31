//! Why something stays: what a survey notes of one thing, while it looks at everything.

use std::time::{Duration, SystemTime};

use lockgate_oci::{Digest, RepositoryName};

use super::compact::Compact;
use super::retention::{Moment, Tagged, keeper};
use super::seen::Found;
use crate::config::Retention;
use crate::objects::Entry;
use crate::store::{Deleted, Explained, Item, Links, Thing};

/// What is asked about, if anything is.
#[derive(Default)]
pub(super) struct Asked(Option<Question>);

struct Question {
    thing: Thing,
    /// What it is by its digest, where it is no tag.
    digest: Option<Compact>,
    is_there: bool,
    reasons: Vec<String>,
}

fn told(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

fn span(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(duration.as_secs()))
}

impl Asked {
    pub(super) fn about(thing: Thing) -> Self {
        let digest = match &thing {
            Thing::Tag(..) => None,
            Thing::Linked(_, digest) | Thing::Bytes(digest) => Some(Compact::from(digest)),
        };
        Self(Some(Question { thing, digest, is_there: false, reasons: Vec::new() }))
    }

    /// The question, where it is about what has this digest in this repository.
    fn digest_in(&mut self, repository: &str, digest: &Compact) -> Option<&mut Question> {
        self.0.as_mut().filter(|question| {
            let is_there = match &question.thing {
                Thing::Tag(..) => false,
                Thing::Linked(name, _) => name.as_str() == repository,
                Thing::Bytes(_) => true,
            };
            is_there && question.digest.as_ref() == Some(digest)
        })
    }

    /// A repository has a link of it.
    pub(super) fn link(
        &mut self,
        repository: &str,
        kind: Links,
        digest: &Compact,
        entry: &Entry,
        young: Option<Duration>,
    ) {
        let Some(question) = self.digest_in(repository, digest) else { return };
        question.is_there = true;
        if let Some(grace) = young {
            let when = told(entry.modified);
            let reason = format!(
                "{repository} has it, and it was pushed or asked for at {when}, within collect.grace ({})",
                span(grace)
            );
            question.reasons.push(reason);
        }
        if kind == Links::Manifests {
            let reason = format!(
                "it is a manifest of {repository}, and those stay until they are deleted, or a rule takes them"
            );
            question.reasons.push(reason);
        }
    }

    /// The trash of a repository has a record.
    pub(super) fn record(&mut self, repository: &RepositoryName, deleted: &Deleted, entry: &Entry, age: Duration) {
        let digest = Compact::from(&deleted.digest);
        if let Some(question) = self.digest_in(repository.as_str(), &digest) {
            question.is_there = true;
            question.reasons.push(format!(
                "it was deleted from {repository} at {}, and can be restored for {} (storage.trash_age)",
                told(entry.modified),
                span(age)
            ));
        }
    }

    /// A manifest of a repository, or one that can be restored, names this.
    pub(super) fn named(
        &mut self,
        repository: &RepositoryName,
        manifest: &Compact,
        named: &[Compact],
        is_linked: impl FnOnce() -> bool,
    ) {
        let Some(digest) = self.0.as_ref().and_then(|question| question.digest.clone()) else { return };
        if !named.contains(&digest) || *manifest == digest {
            return;
        }
        if let Some(question) = self.digest_in(repository.as_str(), &digest) {
            let until = if is_linked() { "" } else { ", which was deleted and can be restored" };
            question.reasons.push(format!("{repository}@{} names it{until}", manifest.digest()));
        }
    }

    /// Its bytes are there.
    pub(super) fn bytes(&mut self, digest: &Digest, entry: &Entry, young: Option<Duration>) {
        let is_meant = |question: &&mut Question| matches!(&question.thing, Thing::Bytes(asked) if asked == digest);
        let Some(question) = self.0.as_mut().filter(is_meant) else { return };
        question.is_there = true;
        if let Some(grace) = young {
            let when = told(entry.modified);
            question.reasons.push(format!("its bytes were written at {when}, within collect.grace ({})", span(grace)));
        }
    }

    /// A repository has a tag, and this rule is about it.
    pub(super) fn tag(&mut self, repository: &str, tag: &str, rule: Option<usize>) {
        let is_meant = |question: &&mut Question| matches!(&question.thing, Thing::Tag(name, asked) if name.as_str() == repository && asked.as_str() == tag);
        let Some(question) = self.0.as_mut().filter(is_meant) else { return };
        question.is_there = true;
        if rule.is_none() {
            let reason = format!("no [[retention]] is about {repository}: its tags stay until they are deleted");
            question.reasons.push(reason);
        }
    }

    /// What a rule says of the tags of a repository.
    pub(super) fn judged(
        &mut self,
        repository: &RepositoryName,
        told: &str,
        rule: &Retention,
        tags: &[Tagged],
        moment: &Moment,
    ) {
        let Some(Question { thing: Thing::Tag(name, asked), reasons, .. }) = &mut self.0 else { return };
        if name != repository {
            return;
        }
        reasons.push(if rule.keep.is_empty() {
            format!("{told} says nothing of tags: they stay until they are deleted")
        } else if let Some(at) = tags.iter().position(|tagged| tagged.tag == *asked) {
            let Some(keep) = keeper(rule, tags, at, moment) else { return };
            format!("{told} keeps it by {keep}")
        } else {
            format!("{told} does not judge it: its manifest is not there, or it stays with the image that it names")
        });
    }

    /// What came of it.
    pub(super) fn answer(self, found: &Found) -> Explained {
        let Some(Question { thing, is_there, reasons, .. }) = self.0 else { return Explained::default() };
        let is_meant = |item: &Item| match (item, &thing) {
            (Item::Tag(name, tag, _), Thing::Tag(asked, asked_tag)) => name == asked && tag == asked_tag,
            (Item::Manifest(name, digest) | Item::Link(name, digest), Thing::Linked(asked, asked_digest)) => {
                name == asked && digest == asked_digest
            }
            (Item::Manifest(_, digest) | Item::Link(_, digest) | Item::Blob(digest), Thing::Bytes(asked)) => {
                digest == asked
            }
            _ => false,
        };
        let all = found.tags.iter().chain(&found.manifests).chain(&found.candidates);
        let goes = all.filter(|candidate| is_meant(&candidate.item)).cloned().collect();
        Explained { is_there, goes, stays: reasons }
    }
}
