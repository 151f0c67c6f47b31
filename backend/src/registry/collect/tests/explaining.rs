//! Why something stays, or goes.

use super::*;
use crate::objects::Entry;
use crate::store::{Explained, Thing};

impl Site {
    async fn explain(&self, thing: Thing, options: &CollectOptions) -> Explained {
        self.store().explain(options, &thing).await.expect("it is explained")
    }

    /// The one reason why something stays.
    async fn stays(&self, thing: Thing, options: &CollectOptions) -> String {
        let Explained { is_there, goes, mut stays } = self.explain(thing, options).await;
        assert!(is_there && goes.is_empty() && stays.len() == 1, "{goes:?} {stays:?}");
        stays.pop().expect("there is one")
    }

    /// All that there is to ask about.
    async fn things(&self) -> Vec<Thing> {
        let mut things = Vec::new();
        let mut entries = self.store().objects().scan("");
        while let Some(Entry { key, .. }) = entries.try_next().await.expect("it is listed") {
            if let Some(digest) = key.strip_prefix(keys::BLOBS).and_then(keys::digest_of_blob) {
                things.push(Thing::Bytes(digest));
            }
            let Some((repository, path)) = keys::in_repository(&key) else { continue };
            things.extend(keys::link_at(path).map(|(_, digest)| Thing::Linked(name(repository), digest)));
            things.extend(keys::tag_at(path).map(|tagged| Thing::Tag(name(repository), tag(tagged))));
        }
        things
    }
}

#[tokio::test]
async fn each_thing_is_said_to_stay_for_a_reason_or_to_go_as_the_plan_has_it() {
    for site in sites() {
        site.push("a", "v1", "layer").await;
        let moved = site.push("a", "v1", "other").await;
        site.push("b", "v1", "layer").await;
        site.push_blob("b", "alone").await;
        let deleted = site.push("c", "v1", "gone").await;
        site.store().delete_manifest(&name("c"), &deleted, None, &Cause::default()).await.expect("it goes");
        site.store().delete_tag(&name("a"), &tag("v1"), &Default::default(), &Cause::default()).await.expect("it goes");
        let rules =
            keeping("repositories = 'b'\nkeep = [{ tags = 'x' }]\n[[retention]]\nrepositories = '**'\nuntagged = '1h'");
        for age in [HOUR, 25 * HOUR, 200 * HOUR] {
            site.later(age);
            site.collect_by(&OPTIONS).await;
            for options in [&OPTIONS, &rules] {
                let plan = site.store().plan(options).await.expect("it is made").candidates;
                for thing in site.things().await {
                    let Explained { is_there, goes, stays } = site.explain(thing.clone(), options).await;
                    let is_meant = |candidate: &&Candidate| match (&candidate.item, &thing) {
                        (Item::Tag(name, tag, _), Thing::Tag(of, asked)) => (name, tag) == (of, asked),
                        (Item::Manifest(name, digest) | Item::Link(name, digest), Thing::Linked(of, asked)) => {
                            (name, digest) == (of, asked)
                        }
                        (
                            Item::Manifest(_, digest) | Item::Link(_, digest) | Item::Blob(digest),
                            Thing::Bytes(asked),
                        ) => digest == asked,
                        _ => false,
                    };
                    let planned: Vec<Candidate> = plan.iter().filter(is_meant).cloned().collect();
                    assert_eq!(goes, planned, "{thing}");
                    assert!(
                        is_there && (!goes.is_empty() || !stays.is_empty()),
                        "{thing} after {age:?}: {goes:?} {stays:?}"
                    );
                }
            }
        }
        assert!(!site.explain(Thing::Linked(name("b"), moved), &OPTIONS).await.is_there);
    }
}

#[tokio::test]
async fn the_reason_names_what_it_is() {
    for site in sites() {
        let image = site.push("a", "v1", "layer").await;
        let layer = || Thing::Linked(name("a"), digest("layer"));
        site.later(25 * HOUR);
        assert_eq!(site.stays(layer(), &OPTIONS).await, format!("a@{image} names it"));
        let tagged = || Thing::Tag(name("a"), tag("v1"));
        assert!(site.stays(tagged(), &OPTIONS).await.contains("no [[retention]] is about a"));
        let rules = keeping("repositories = 'a'\nkeep = [{ newest = 3 }, { tags = 'v*' }]");
        let reason = site.stays(tagged(), &rules).await;
        assert_eq!(reason, "[[retention]] 1 for [\"a\"] keeps it by { newest = 3 }");
        site.push_blob("a", "layer").await;
        let Explained { stays, .. } = site.explain(layer(), &OPTIONS).await;
        assert!(stays.len() == 2 && stays[0].contains("within collect.grace (1day)"), "{stays:?}");
        site.store().delete_manifest(&name("a"), &image, None, &Cause::default()).await.expect("it goes");
        site.later(25 * HOUR);
        assert!(site.stays(layer(), &OPTIONS).await.ends_with("names it, which was deleted and can be restored"));
        let deleted = site.stays(Thing::Linked(name("a"), image), &OPTIONS).await;
        assert!(deleted.contains("it was deleted from a at ") && deleted.contains("7days"), "{deleted}");
    }
}
