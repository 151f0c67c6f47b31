//! Bringing back what was deleted, over HTTP and by the command.

use super::{Answer, Pusher, text};
use crate::model::Image;
use lockgate_e2e::finish;

/// What became of it.
enum Restored {
    /// With these tags.
    As(Vec<String>),
    /// It is not in the trash any more, or cannot be brought back, as somebody says.
    Gone(String),
    /// Nothing.
    Not,
    /// It may have been done, or be done later.
    Unknown,
}

impl Pusher<'_> {
    pub(super) fn restore(&mut self, at: usize) {
        let Some(deleted) = self.repositories[at].deleted.pop() else { return };
        let name = self.repositories[at].name.clone();
        let image = &deleted.image;
        let restored = if self.dice.below(4) == 0 {
            self.restore_by_command(&name, image)
        } else {
            self.restore_over_http(&name, image, deleted.tag.as_ref(), at)
        };
        let repository = &mut self.repositories[at];
        match restored {
            Restored::As(tags) => {
                repository.is_there(image, None);
                for tag in tags {
                    let is_free = repository.tags.get(&tag).is_none_or(|at| *at == image.digest);
                    assert!(is_free, "restoring has moved {name}:{tag}");
                    if !repository.is_restored_some_time {
                        repository.is_there(image, Some(&tag));
                    }
                }
                self.counts.restored += 1;
            }
            Restored::Gone(why) => {
                let is_young = deleted.is_younger_than(self.world.way_back);
                assert!(!is_young, "{name}@{} was just deleted, and is gone: {why}", image.digest);
                self.counts.too_late += 1;
            }
            Restored::Not => {}
            Restored::Unknown => {
                // An image that was there is there; of another nobody knows, nor of tags that none is known to have.
                repository.is_restored_some_time = true;
                if !repository.images.contains_key(&image.digest) {
                    repository.is_doubtful(image);
                }
            }
        }
    }

    fn restore_over_http(&mut self, name: &str, image: &Image, tag: Option<&String>, at: usize) -> Restored {
        let list = match self.ask(|api| api.call("GET", &format!("/v2/{name}/_lockgate/trash/"))) {
            Answer::Told(list) => list.expect(200).json(),
            // Nothing is asked for yet.
            Answer::Unknown | Answer::NotAsked => return Restored::Not,
        };
        let what = if tag.is_some() { "tag" } else { "manifest" };
        let records = list["deleted"].as_array().expect("a list");
        let record = records.iter().find(|it| {
            let has_tag = |tag: &String| it["tags"].as_array().is_some_and(|tags| tags.iter().any(|it| it == tag));
            it["what"] == what && it["digest"] == *image.digest && tag.is_none_or(has_tag)
        });
        let Some(record) = record else { return Restored::Gone(format!("it is not among {list}")) };
        let tags = record["tags"].as_array().into_iter().flatten().filter_map(|tag| tag.as_str());
        let is_free = |tag: &&str| self.repositories[at].tags.get(*tag).is_none_or(|at| *at == image.digest);
        let tags: Vec<String> = tags.filter(is_free).map(|tag| format!("tag={tag}")).collect();
        let id = record["id"].as_str().expect("it has one");
        let path = format!("/v2/{name}/_lockgate/trash/{id}?{}", tags.join("&"));
        match self.ask(|api| api.call("POST", path.trim_end_matches('?'))) {
            Answer::NotAsked => Restored::Not,
            Answer::Unknown => Restored::Unknown,
            Answer::Told(answer) => match answer.head.status() {
                201 => Restored::As(answer.head.all("oci-tag").into_iter().map(str::to_owned).collect()),
                // A tag of which it was not told what it is now is another image.
                409 => Restored::Not,
                404 => Restored::Gone(text(&answer)),
                _ => panic!("{path}: {}", text(&answer)),
            },
        }
    }

    fn restore_by_command(&mut self, name: &str, image: &Image) -> Restored {
        let what = format!("{name}@{}", image.digest);
        let _running = self.world.commands.read().expect("each node has started");
        let finished = finish(&mut self.world.site.asking(&["trash", "restore", &what]));
        if !finished.status.success() {
            // Otherwise nobody was there any more to do it.
            let said = finished.output();
            return if said.contains("the trash has no such thing") { Restored::Gone(said) } else { Restored::Unknown };
        }
        let said = finished.stdout.lines().next().unwrap_or_default();
        let tags = said.strip_prefix(&format!("restored {what}")).unwrap_or_else(|| panic!("{what}: {said}"));
        let tags = tags.trim_start_matches(" as ").split(", ").filter(|tag| !tag.is_empty());
        Restored::As(tags.map(str::to_owned).collect())
    }
}
