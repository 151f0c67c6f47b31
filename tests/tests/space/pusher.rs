//! A client of the chaos: it pushes, moves, deletes and restores in repositories of its own, of layers that all share.

mod pulling;
mod restoring;

use crate::model::{Image, Layer, Repository};
use crate::world::{Counts, World};
use lockgate_e2e::{Dice, PlainApi, RequestBody, Response};
use std::io;
use std::time::{Duration, Instant};

/// How many repositories a client has at a time.
const REPOSITORIES: usize = 2;
/// It begins another one in place of one of which it does not know so many things.
const DOUBTS: usize = 40;
const LAYERS_OF_AN_IMAGE: u64 = 3;
const TAGS: usize = 3;
/// It deletes when it has more images in a repository.
const IMAGES: usize = 6;
/// The longest time between two acts, and in one of some pushes between layers and manifest, in milliseconds.
const REST: u64 = 60;
const LONG_REST: u64 = 2000;
/// What was uploaded or asked for so lately is there for a manifest: half of `collect.grace`, and less than that.
const SAFE: Duration = Duration::from_secs(1);
/// How often a push begins anew that is told that a layer is gone.
const TRIES: usize = 4;

/// How a request ended.
enum Answer {
    Told(Response),
    /// It may have been done, or be done later.
    Unknown,
    /// It was not: nobody listens there.
    NotAsked,
}

pub(crate) struct Pusher<'a> {
    world: &'a World,
    id: u64,
    dice: Dice,
    /// The first [`REPOSITORIES`] are pushed to; of the others it has images still.
    repositories: Vec<Repository>,
    made: u64,
    pub(crate) counts: Counts,
}

impl<'a> Pusher<'a> {
    pub(crate) fn new(world: &'a World, id: u64, seed: u64) -> Self {
        let dice = Dice::new(seed ^ (id + 1) << 32);
        let mut pusher = Self { world, id, dice, repositories: Vec::new(), made: 0, counts: Counts::default() };
        for at in 0..REPOSITORIES {
            pusher.begin_another(at);
        }
        pusher
    }

    /// Does one thing. Where it is not told what became of it, it counts on nothing.
    pub(crate) fn turn(&mut self) {
        std::thread::sleep(Duration::from_millis(self.dice.below(REST)));
        let at = self.dice.below(REPOSITORIES as u64) as usize;
        // Mostly of a repository that is pushed to.
        let any = self.dice.below(self.repositories.len() as u64) as usize;
        let is_full = self.repositories[at].images.len() > IMAGES;
        match self.dice.below(16) {
            0..6 if !is_full => self.push(at),
            6..8 => self.move_tag(at),
            8..9 => self.delete_tag(any),
            9..11 => self.delete_blob(at),
            11..14 => self.restore(at),
            14 => self.pull(any),
            _ => self.delete_image(any),
        }
        if self.repositories[at].doubtful.len() > DOUBTS {
            self.begin_another(at);
        }
        let mut turn = 0..;
        self.repositories.retain(|it| turn.next() < Some(REPOSITORIES) || !it.images.is_empty());
    }

    /// Pushes to another repository in place of one. What was pushed there stays.
    fn begin_another(&mut self, at: usize) {
        self.made += 1;
        let mut new = Repository::new(format!("chaos/client-{}/{}", self.id, self.made));
        if let Some(before) = self.repositories.get_mut(at) {
            std::mem::swap(before, &mut new);
        }
        self.repositories.push(new);
    }

    fn api(&mut self) -> Option<PlainApi> {
        let nodes = self.world.nodes.read().expect("no node failed to start");
        (!nodes.is_empty()).then(|| PlainApi::at(self.dice.one_of::<String>(&nodes)))
    }

    fn ask(&mut self, ask: impl FnOnce(&mut PlainApi) -> io::Result<Response>) -> Answer {
        let Some(mut api) = self.api() else { return Answer::NotAsked };
        match ask(&mut api) {
            Ok(answer) if answer.head.status() == 503 => {
                self.counts.put_off += 1;
                Answer::Unknown
            }
            Ok(answer) => Answer::Told(answer),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Answer::NotAsked,
            Err(_) => {
                self.counts.unanswered += 1;
                Answer::Unknown
            }
        }
    }

    /// The same of what changes nothing that anybody counts on.
    fn told(&mut self, ask: impl FnOnce(&mut PlainApi) -> io::Result<Response>) -> Option<Response> {
        match self.ask(ask) {
            Answer::Told(answer) => Some(answer),
            Answer::Unknown | Answer::NotAsked => None,
        }
    }

    fn push(&mut self, at: usize) {
        let image = match &self.repositories[at].deleted[..] {
            // What was deleted is pushed again, too.
            [.., last] if self.dice.below(4) == 0 => last.image.clone(),
            _ => {
                self.made += 1;
                let count = self.world.layers.len() as u64;
                let layers = (0..=self.dice.below(LAYERS_OF_AN_IMAGE)).map(|_| self.dice.below(count) as usize);
                Image::new(&self.world.layers, layers.collect(), &format!("{}/{}", self.id, self.made))
            }
        };
        let tag = self.tag(at);
        for tries in 0..TRIES {
            let began = Instant::now();
            for layer in &image.layers {
                if self.offer(at, *layer, tries > 0).is_none() {
                    return;
                }
            }
            if self.dice.below(8) == 0 {
                std::thread::sleep(Duration::from_millis(self.dice.below(LONG_REST)));
            }
            let name = self.repositories[at].name.clone();
            let answer = self.ask(|api| api.put_manifest(&name, &tag, &image.manifest));
            let took = began.elapsed();
            match answer {
                Answer::NotAsked => return,
                Answer::Unknown => {
                    self.repositories[at].is_doubtful_tag(&tag);
                    return self.repositories[at].is_doubtful(&image);
                }
                Answer::Told(answer) if answer.head.status() == 404 => {
                    assert!(took > SAFE, "{name}: a layer is gone {took:?} after it was there: {}", text(&answer));
                    self.counts.again += 1;
                }
                Answer::Told(answer) => {
                    answer.expect(201);
                    self.counts.pushed += 1;
                    return self.repositories[at].is_there(&image, Some(&tag));
                }
            }
        }
    }

    /// A tag that is moved, or another one.
    fn tag(&mut self, at: usize) -> String {
        let tags: Vec<&String> = self.repositories[at].tags.keys().collect();
        if tags.len() < TAGS || self.dice.below(4) == 0 {
            self.made += 1;
            return format!("v{}", self.made);
        }
        self.dice.one_of(&tags).to_string()
    }

    /// Sees to it that a layer is there, as clients do: it is asked for, mounted or uploaded.
    fn offer(&mut self, at: usize, layer: usize, is_gone: bool) -> Option<()> {
        let (world, name) = (self.world, self.repositories[at].name.clone());
        let Layer { digest, content } = &world.layers[layer];
        if !is_gone && self.dice.below(3) == 0 {
            let from = self.repositories[self.dice.below(self.repositories.len() as u64) as usize].name.clone();
            let path = format!("/v2/{name}/blobs/uploads/?mount={digest}&from={from}");
            let answer = self.told(|api| api.send("POST", &path, &[], RequestBody::Sized(b"")))?;
            if answer.head.status() == 201 {
                self.counts.mounted += 1;
                return Some(());
            }
            answer.expect(202);
        } else if !is_gone {
            let answer = self.told(|api| api.call("HEAD", &format!("/v2/{name}/blobs/{digest}")))?;
            if answer.head.status() == 200 {
                return Some(());
            }
            answer.expect(404);
        }
        self.told(|api| api.push_blob(&name, content))?.expect(201);
        self.counts.uploaded += 1;
        Some(())
    }

    fn image(&mut self, at: usize) -> Option<Image> {
        let images: Vec<&Image> = self.repositories[at].images.values().collect();
        (!images.is_empty()).then(|| (*self.dice.one_of(&images)).clone())
    }

    /// Points a tag at an image that is there.
    fn move_tag(&mut self, at: usize) {
        let Some(image) = self.image(at) else { return };
        let (name, tag) = (self.repositories[at].name.clone(), self.tag(at));
        match self.ask(|api| api.put_manifest(&name, &tag, &image.manifest)) {
            Answer::NotAsked => {}
            Answer::Unknown => self.repositories[at].is_doubtful_tag(&tag),
            Answer::Told(answer) => {
                answer.expect(201);
                self.counts.moved += 1;
                self.repositories[at].is_there(&image, Some(&tag));
            }
        }
    }

    fn delete_tag(&mut self, at: usize) {
        let tags: Vec<&String> = self.repositories[at].tags.keys().collect();
        if tags.is_empty() {
            return;
        }
        let (name, tag) = (self.repositories[at].name.clone(), self.dice.one_of(&tags).to_string());
        let asked = Instant::now();
        match self.ask(|api| api.call("DELETE", &format!("/v2/{name}/manifests/{tag}"))) {
            Answer::NotAsked => {}
            Answer::Unknown => self.repositories[at].is_doubtful_tag(&tag),
            Answer::Told(answer) => {
                answer.expect(202);
                self.counts.deleted += 1;
                self.repositories[at].is_deleted_tag(tag, asked);
            }
        }
    }

    fn delete_image(&mut self, at: usize) {
        let Some(image) = self.image(at) else { return };
        let (name, asked) = (self.repositories[at].name.clone(), Instant::now());
        match self.ask(|api| api.call("DELETE", &format!("/v2/{name}/manifests/{}", image.digest))) {
            Answer::NotAsked => {}
            Answer::Unknown => self.repositories[at].is_doubtful(&image),
            Answer::Told(answer) => {
                answer.expect(202);
                self.counts.deleted += 1;
                self.repositories[at].is_deleted(image, asked);
            }
        }
    }

    /// A blob that no image there needs.
    fn delete_blob(&mut self, at: usize) {
        let Some(last) = self.repositories[at].deleted.last() else { return };
        let Some(layer) = last.image.layers.iter().copied().find(|it| !self.repositories[at].needs(*it)) else {
            return;
        };
        let path = format!("/v2/{}/blobs/{}", self.repositories[at].name, self.world.layers[layer].digest);
        match self.ask(|api| api.call("DELETE", &path)) {
            Answer::NotAsked => {}
            // It may be done later, when an image needs it.
            Answer::Unknown => self.begin_another(at),
            Answer::Told(answer) => assert!(matches!(answer.head.status(), 202 | 404), "{}", text(&answer)),
        }
    }

    /// Whether it counts on an image.
    pub(crate) fn counts_on(&self, repository: &str, digest: &str) -> bool {
        self.repositories.iter().any(|it| it.name == repository && it.images.contains_key(digest))
    }

    pub(crate) fn images(&self) -> usize {
        self.repositories.iter().map(|it| it.images.len()).sum()
    }
}

fn text(answer: &Response) -> String {
    format!("{}: {}", answer.head.start_line, String::from_utf8_lossy(&answer.body))
}
