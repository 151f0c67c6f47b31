//! A client of several gates before several nodes, which knows what it was told, and holds them to it.

use lockgate_e2e::{Dice, Door, PATIENCE, Pattern, PlainApi, RequestBody, Response, digest_of, eventually, image_of};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, RwLock};

const TAGS: &[&str] = &["v1", "v2", "latest"];
/// Among so many tags that nobody has made yet clients choose the one that they make.
const FREE_TAGS: u64 = 4;
/// The repository of all.
const SHARED: &str = "churn/shared";

/// What all clients see.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// The gates that listen, or did a moment ago.
    pub(crate) gates: RwLock<Vec<Door>>,
    /// The manifest of each tag that was made once, as it was seen first.
    created: Mutex<BTreeMap<String, String>>,
}

impl World {
    /// A tag that was made once is this manifest, now and for ever.
    fn is_created(&self, tag: &str, digest: &str) {
        let mut created = self.created.lock().expect("no other client has failed");
        let before = created.entry(tag.to_owned()).or_insert_with(|| digest.to_owned());
        assert_eq!(before, digest, "{tag} has moved");
    }

    fn created(&self) -> BTreeMap<String, String> {
        self.created.lock().expect("no other client has failed").clone()
    }
}

/// One with a repository of its own, and what it was told of it.
pub(crate) struct Client<'a> {
    world: &'a World,
    repository: String,
    dice: Dice,
    /// What was acknowledged, and its length where it is a pattern, or its text.
    blobs: BTreeMap<String, (u64, u64)>,
    manifests: BTreeMap<String, Vec<u8>>,
    /// What each tag points at.
    tags: BTreeMap<&'static str, Option<String>>,
    /// The manifests of which it was not told whether a tag was moved to them: this may happen at any later time, as whoever
    /// was asked may still be trying.
    unanswered: BTreeSet<String>,
    pub(crate) acknowledged: u64,
    /// Uploads that went on where a node had gone.
    pub(crate) resumed: u64,
    /// Tags that it made, and that another had made.
    pub(crate) created: u64,
    pub(crate) denied: u64,
    /// Answers of 409 and 503 to who asked again.
    pub(crate) put_off: u64,
    /// Answers of a gate that it has none of a node.
    pub(crate) without_node: u64,
}

impl<'a> Client<'a> {
    pub(crate) fn new(world: &'a World, id: u64, seed: u64) -> Self {
        Self {
            world,
            repository: format!("churn/client-{id}"),
            dice: Dice::new(seed ^ (id + 1) << 32),
            blobs: BTreeMap::new(),
            manifests: BTreeMap::new(),
            tags: TAGS.iter().map(|tag| (*tag, None)).collect(),
            unanswered: BTreeSet::new(),
            acknowledged: 0,
            resumed: 0,
            created: 0,
            denied: 0,
            put_off: 0,
            without_node: 0,
        }
    }

    /// Does one thing. A gate or node that goes away meanwhile is no failure, and what was not acknowledged counts for
    /// nothing.
    pub(crate) fn turn(&mut self) {
        let _gone: io::Result<()> = match self.dice.below(16) {
            0..4 => self.push_blob(),
            4..8 => self.move_tag(),
            8..10 => self.create_tag(),
            10..12 => self.pull_tag(),
            12..15 => self.pull(),
            _ => self.pull_created_tag(),
        };
    }

    /// Asks any gate, which asks any node. One whose node goes away before it answers says so.
    fn ask(&mut self, ask: impl FnOnce(&mut PlainApi) -> io::Result<Response>) -> io::Result<Response> {
        let gates = self.world.gates.read().expect("no gate failed to start");
        let mut api = PlainApi::through(self.dice.one_of(&gates));
        drop(gates);
        let answer = ask(&mut api)?;
        if matches!(answer.head.status(), 502 | 504) {
            self.without_node += 1;
            return Err(io::Error::other(String::from_utf8_lossy(&answer.body)));
        }
        Ok(answer)
    }

    #[track_caller]
    fn told(&mut self, answer: &Response, status: u16) {
        assert_eq!(answer.head.status(), status, "{:#?}: {}", answer.head, String::from_utf8_lossy(&answer.body));
        self.acknowledged += 1;
    }

    /// In some requests, each at any node; where one has gone, from where the upload stands.
    fn push_blob(&mut self) -> io::Result<()> {
        let longest = *self.dice.one_of(&[10, 1000, 100_000, 12_000_000]);
        let (seed, length) = (self.dice.below(1 << 40), self.dice.below(longest));
        let content = Pattern::new(seed, length).bytes();
        let digest = digest_of(&content);
        let repository = self.repository.clone();
        let begun = self.ask(|api| api.begin(&repository))?;
        self.told(&begun, 202);
        let location = begun.head.one("location").to_owned();
        let (mut acknowledged, mut furthest) = (0, 0);
        while acknowledged < content.len() {
            let piece = (1 + self.dice.below(longest) as usize).min(content.len() - acknowledged);
            let sent = acknowledged + piece;
            furthest = furthest.max(sent);
            // What a node has sent to the bucket before it went may arrive later than it is asked for: hence the range.
            let headers = [format!("Content-Range: {acknowledged}-{}", sent - 1)];
            let body = RequestBody::Sized(&content[acknowledged..sent]);
            match self.ask(|api| api.send("PATCH", &location, &headers, body)) {
                Ok(appended) if !matches!(appended.head.status(), 409 | 416) => {
                    self.told(&appended, 202);
                    acknowledged = sent;
                }
                // Its node has gone; or it has not, and is still writing.
                _ => {
                    let Some(standing) = self.standing(&location) else { return Ok(()) };
                    assert!(
                        (acknowledged..=furthest).contains(&standing),
                        "an upload of {acknowledged} to {furthest} bytes stands at {standing}"
                    );
                    acknowledged = standing;
                    self.resumed += 1;
                }
            }
        }
        // Whoever has no answer asks again, and learns that it is there.
        let put = self.insisting(|api| api.commit(&location, &digest, b""));
        self.told(&put, 201);
        self.blobs.insert(digest, (seed, length));
        Ok(())
    }

    /// How many bytes an upload has, where that can be told: that of none is that of one.
    fn standing(&mut self, location: &str) -> Option<usize> {
        let answer = self.insisting(|api| api.call("GET", location));
        self.told(&answer, 204);
        let last: usize = answer.head.one("range").trim_start_matches("0-").parse().expect("a range");
        (last > 0).then_some(last + 1)
    }

    /// Asks any node, until one answers that it is done: as long as another node is still at it, none can.
    fn insisting(&mut self, ask: impl Fn(&mut PlainApi) -> io::Result<Response>) -> Response {
        eventually(PATIENCE, "an answer: a gate and a node are always there", || match self.ask(&ask) {
            Ok(answer) if matches!(answer.head.status(), 409 | 503) => {
                self.put_off += 1;
                None
            }
            answer => answer.ok(),
        })
    }

    /// A manifest that is no other's.
    fn manifest(&mut self) -> Option<serde_json::Value> {
        let there: Vec<&String> = self.blobs.keys().collect();
        let dice = &mut self.dice;
        let blobs: Vec<String> = if there.is_empty() {
            return None;
        } else {
            (0..=dice.below(3)).map(|_| dice.one_of(&there).to_string()).collect()
        };
        let mut manifest = image_of(&blobs);
        manifest["annotations"] = serde_json::json!({"n": format!("{}/{}", self.repository, dice.below(1 << 40))});
        Some(manifest)
    }

    fn move_tag(&mut self) -> io::Result<()> {
        let Some(manifest) = self.manifest() else { return Ok(()) };
        let content = manifest.to_string().into_bytes();
        let (digest, tag) = (digest_of(&content), *self.dice.one_of(TAGS));
        self.unanswered.insert(digest.clone());
        let repository = self.repository.clone();
        let answer = self.ask(|api| api.put_manifest(&repository, tag, &manifest))?;
        self.told(&answer, 201);
        self.unanswered.remove(&digest);
        self.tags.insert(tag, Some(digest.clone()));
        self.manifests.insert(digest, content);
        Ok(())
    }

    /// A tag of the repository of all, where the first one wins.
    fn create_tag(&mut self) -> io::Result<()> {
        let layer = self.dice.bytes(1000);
        let answer = self.ask(|api| api.push_blob(SHARED, &layer))?;
        self.told(&answer, 201);
        let mut manifest = image_of(&[digest_of(&layer)]);
        manifest["annotations"] = serde_json::json!({"by": self.repository, "n": self.dice.below(1 << 40).to_string()});
        let number = self.world.created().len() as u64 + self.dice.below(FREE_TAGS);
        let (tag, body) = (format!("once-{number}"), manifest.to_string());
        let media_type = manifest["mediaType"].as_str().expect("an image");
        let headers = [format!("Content-Type: {media_type}"), "If-None-Match: *".to_owned()];
        let path = format!("/v2/{SHARED}/manifests/{tag}");
        let body = RequestBody::Sized(body.as_bytes());
        let answer = self.ask(|api| api.send("PUT", &path, &headers, body))?;
        if answer.head.status() == 412 {
            self.denied += 1;
            return self.is_as_created(&tag);
        }
        self.told(&answer, 201);
        self.world.is_created(&tag, &digest_of(manifest.to_string().as_bytes()));
        self.created += 1;
        Ok(())
    }

    fn pull_created_tag(&mut self) -> io::Result<()> {
        let created = self.world.created();
        let tags: Vec<&String> = created.keys().collect();
        if tags.is_empty() { Ok(()) } else { self.is_as_created(self.dice_of(&tags)) }
    }

    fn dice_of<'b>(&self, tags: &[&'b String]) -> &'b str {
        tags[self.acknowledged as usize % tags.len()]
    }

    fn is_as_created(&mut self, tag: &str) -> io::Result<()> {
        let answer = self.ask(|api| api.call("GET", &format!("/v2/{SHARED}/manifests/{tag}")))?;
        self.told(&answer, 200);
        self.world.is_created(tag, &digest_of(&answer.body));
        self.has_its_blobs(SHARED, &answer)
    }

    /// What is visible can be pulled.
    fn has_its_blobs(&mut self, repository: &str, manifest: &Response) -> io::Result<()> {
        assert_eq!(digest_of(&manifest.body), manifest.head.one("docker-content-digest"));
        let manifest = manifest.json();
        for blob in manifest["layers"].as_array().expect("an image").iter().chain([&manifest["config"]]) {
            let digest = blob["digest"].as_str().expect("a descriptor");
            let answer = self.ask(|api| api.call("HEAD", &format!("/v2/{repository}/blobs/{digest}")))?;
            self.told(&answer, 200);
        }
        Ok(())
    }

    /// A tag that nobody else moves is where it was put, whichever node is asked.
    fn pull_tag(&mut self) -> io::Result<()> {
        let tag = *self.dice.one_of(TAGS);
        let repository = self.repository.clone();
        let answer = self.ask(|api| api.call("GET", &format!("/v2/{repository}/manifests/{tag}")))?;
        let found = (answer.head.status() != 404).then(|| digest_of(&answer.body));
        self.told(&answer, if found.is_some() { 200 } else { 404 });
        let (told, unanswered) = (&self.tags[tag], &self.unanswered);
        let is_unanswered = found.as_ref().is_some_and(|found| unanswered.contains(found));
        assert!(found == *told || is_unanswered, "{repository}:{tag} is {found:?}, not {told:?} or of {unanswered:?}");
        if found.is_some() { self.has_its_blobs(&repository, &answer) } else { Ok(()) }
    }

    fn pull(&mut self) -> io::Result<()> {
        let blobs: Vec<String> = self.blobs.keys().cloned().collect();
        let manifests: Vec<String> = self.manifests.keys().cloned().collect();
        if !blobs.is_empty() {
            let digest = self.dice.one_of(&blobs).clone();
            self.blob_is_there(&digest)?;
        }
        if !manifests.is_empty() {
            let digest = self.dice.one_of(&manifests).clone();
            self.manifest_is_there(&digest)?;
        }
        Ok(())
    }

    fn blob_is_there(&mut self, digest: &str) -> io::Result<()> {
        let path = format!("/v2/{}/blobs/{digest}", self.repository);
        let answer = self.ask(|api| api.call("GET", &path))?;
        self.told(&answer, 200);
        let (seed, length) = self.blobs[digest];
        assert!(answer.body == Pattern::new(seed, length).bytes(), "{digest} has other bytes");
        Ok(())
    }

    fn manifest_is_there(&mut self, digest: &str) -> io::Result<()> {
        let path = format!("/v2/{}/manifests/{digest}", self.repository);
        let answer = self.ask(|api| api.call("GET", &path))?;
        self.told(&answer, 200);
        assert_eq!(answer.body, self.manifests[digest], "{digest} has other bytes");
        Ok(())
    }

    /// When nothing goes away any more: all that was ever acknowledged.
    pub(crate) fn everything_is_there(&mut self) {
        let blobs: Vec<String> = self.blobs.keys().cloned().collect();
        blobs.iter().for_each(|digest| self.blob_is_there(digest).expect("nobody kills it now"));
        let manifests: Vec<String> = self.manifests.keys().cloned().collect();
        manifests.iter().for_each(|digest| self.manifest_is_there(digest).expect("nobody kills it now"));
        for tag in self.world.created().keys() {
            self.is_as_created(tag).expect("nobody kills it now");
        }
        let path = format!("/v2/{}/tags/list", self.repository);
        let listed = self.ask(|api| api.call("GET", &path)).expect("nobody kills it now");
        let listed = if listed.head.status() == 404 { serde_json::json!([]) } else { listed.json()["tags"].clone() };
        for (tag, _) in self.tags.iter().filter(|(_, told)| told.is_some()) {
            let is_listed = listed.as_array().expect("a list").iter().any(|listed| listed == tag);
            assert!(is_listed, "{path}: {tag} is not in {listed}");
        }
    }

    /// How many blobs and manifests it counts on.
    pub(crate) fn counts_on(&self) -> usize {
        self.blobs.len() + self.manifests.len()
    }
}
