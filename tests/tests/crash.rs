//! Promise: pull the plug at any moment. The server is killed in the middle of concurrent pushes, again and again over
//! one directory, and each time it opens at once, has everything that it ever acknowledged, and shows nothing wrong.
//!
//! The moments are drawn from a seed, which is printed; `LOCKGATE_SEED` repeats one. `LOCKGATE_KILLS` makes it longer.

use lockgate_e2e::{Backend, Dice, PlainApi, Response, asked_for, digest_of, fresh_dir, image_of, seed};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const KILLS: u64 = 200;
const CLIENTS: u64 = 5;
/// The server lives at most so long, once its clients are there.
const LONGEST_LIFE: Duration = Duration::from_millis(50);
/// An open that is not at once is one that looks through the store. It takes a few milliseconds.
const AT_ONCE: Duration = Duration::from_secs(3);
const TAGS: &[&str] = &["v1", "v2", "latest"];

/// What a client may count on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    There,
    Gone,
    /// The server went before it answered.
    Either,
}

struct Thing {
    content: Vec<u8>,
    fate: Fate,
}

/// A session that was left, or that the server left.
struct Session {
    location: String,
    content: Vec<u8>,
    /// How much of it was sent, and how much was acknowledged.
    sent: usize,
    acknowledged: usize,
}

/// A client, in a repository of its own, and what it knows of it.
struct Pusher {
    repository: String,
    dice: Dice,
    blobs: BTreeMap<String, Thing>,
    manifests: BTreeMap<String, Thing>,
    /// What each tag may point at.
    tags: BTreeMap<&'static str, BTreeSet<Option<String>>>,
    session: Option<Session>,
    /// What was touched since it was last looked for.
    touched: BTreeSet<String>,
    acknowledged: usize,
    sessions_resumed: usize,
}

/// How a client's turn ended: the server is gone, or what it answered is wrong.
type Turn = io::Result<()>;

impl Pusher {
    fn new(id: u64, seed: u64) -> Self {
        Self {
            repository: format!("crash/client-{id}"),
            dice: Dice::new(seed ^ (id + 1) << 32),
            blobs: BTreeMap::new(),
            manifests: BTreeMap::new(),
            tags: BTreeMap::new(),
            session: None,
            touched: BTreeSet::new(),
            acknowledged: 0,
            sessions_resumed: 0,
        }
    }

    /// Pushes and deletes until the server is gone.
    fn work(&mut self, url: &str) {
        let mut api = PlainApi::at(url);
        while self.turn(&mut api).is_ok() {}
    }

    fn turn(&mut self, api: &mut PlainApi) -> Turn {
        match self.dice.below(16) {
            0..5 => self.push_blob(api),
            5..9 => self.put_manifest(api),
            9..11 => self.push_what_all_push(api),
            11..14 => self.go_on_with_the_session(api),
            14 => self.delete_manifest(api),
            _ => self.delete_tag(api),
        }
    }

    fn expect(&mut self, answer: &Response, status: u16) {
        assert_eq!(answer.head.status(), status, "{:#?}: {}", answer.head, String::from_utf8_lossy(&answer.body));
        self.acknowledged += 1;
    }

    fn push_blob(&mut self, api: &mut PlainApi) -> Turn {
        let content = self.dice.bytes(20_000);
        let digest = digest_of(&content);
        self.touched.insert(digest.clone());
        attempt(&mut self.blobs, &digest, &content);
        let answer = api.push_blob(&self.repository, &content)?;
        self.expect(&answer, 201);
        self.blobs.insert(digest, Thing { content, fate: Fate::There });
        Ok(())
    }

    fn put_manifest(&mut self, api: &mut PlainApi) -> Turn {
        let there: Vec<String> = those(&self.blobs, Fate::There);
        if there.is_empty() {
            return Ok(());
        }
        let blobs: Vec<String> = (0..=self.dice.below(3)).map(|_| self.dice.one_of(&there).clone()).collect();
        let mut manifest = image_of(&blobs);
        manifest["annotations"] = serde_json::json!({"n": self.dice.below(1000).to_string()});
        let content = manifest.to_string().into_bytes();
        let (digest, tag) = (digest_of(&content), *self.dice.one_of(TAGS));
        self.touched.insert(digest.clone());
        attempt(&mut self.manifests, &digest, &content);
        self.tags.entry(tag).or_insert_with(|| [None].into()).insert(Some(digest.clone()));
        let answer = api.put_manifest(&self.repository, tag, &manifest)?;
        self.expect(&answer, 201);
        self.tags.insert(tag, [Some(digest.clone())].into());
        self.manifests.insert(digest, Thing { content, fate: Fate::There });
        Ok(())
    }

    /// The same blob and the same tag as every other client, at the same time.
    fn push_what_all_push(&mut self, api: &mut PlainApi) -> Turn {
        let content = vec![self.dice.below(3) as u8; 9000];
        let answer = api.push_blob("crash/shared", &content)?;
        self.expect(&answer, 201);
        let answer = api.put_manifest("crash/shared", "latest", &image_of(&[digest_of(&content)]))?;
        self.expect(&answer, 201);
        Ok(())
    }

    fn go_on_with_the_session(&mut self, api: &mut PlainApi) -> Turn {
        let Some(mut session) = self.session.take() else {
            let content = self.dice.bytes(60_000);
            let begun = api.begin(&self.repository)?;
            self.expect(&begun, 202);
            let location = begun.head.one("location").to_owned();
            self.session = Some(Session { location, content, sent: 0, acknowledged: 0 });
            return Ok(());
        };
        let done = self.step(api, &mut session);
        if !matches!(done, Ok(true)) {
            self.session = Some(session);
        }
        done.map(drop)
    }

    /// True when the session has become a blob.
    fn step(&mut self, api: &mut PlainApi, session: &mut Session) -> io::Result<bool> {
        let left = session.content.len() - session.acknowledged;
        let piece = (1 + self.dice.below(20_000) as usize).min(left);
        if piece > 0 {
            session.sent = session.sent.max(session.acknowledged + piece);
            let bytes = &session.content[session.acknowledged..][..piece];
            let answer = api.append(&session.location, bytes)?;
            self.expect(&answer, 202);
            session.acknowledged += piece;
            return Ok(false);
        }
        let digest = digest_of(&session.content);
        self.touched.insert(digest.clone());
        attempt(&mut self.blobs, &digest, &session.content);
        let answer = api.commit(&session.location, &digest, b"")?;
        self.expect(&answer, 201);
        self.blobs.insert(digest, Thing { content: session.content.clone(), fate: Fate::There });
        Ok(true)
    }

    fn delete_manifest(&mut self, api: &mut PlainApi) -> Turn {
        let there = those(&self.manifests, Fate::There);
        if there.is_empty() {
            return Ok(());
        }
        let digest = self.dice.one_of(&there).clone();
        self.touched.insert(digest.clone());
        self.manifests.get_mut(&digest).expect("it was just found").fate = Fate::Either;
        for candidates in self.tags.values_mut().filter(|tag| tag.contains(&Some(digest.clone()))) {
            candidates.insert(None);
        }
        let answer = api.call("DELETE", &format!("/v2/{}/manifests/{digest}", self.repository))?;
        self.expect(&answer, 202);
        self.manifests.get_mut(&digest).expect("it was just found").fate = Fate::Gone;
        for candidates in self.tags.values_mut() {
            candidates.remove(&Some(digest.clone()));
        }
        Ok(())
    }

    fn delete_tag(&mut self, api: &mut PlainApi) -> Turn {
        let tag = *self.dice.one_of(TAGS);
        let Some(candidates) = self.tags.get_mut(tag) else { return Ok(()) };
        let was_there = !candidates.contains(&None);
        candidates.insert(None);
        let answer = api.call("DELETE", &format!("/v2/{}/manifests/{tag}", self.repository))?;
        if was_there {
            self.expect(&answer, 202);
        }
        self.tags.insert(tag, [None].into());
        Ok(())
    }

    /// After a restart: what was acknowledged is there, and what was not is there whole or not at all.
    fn look(&mut self, api: &mut PlainApi, all: bool) {
        let touched = std::mem::take(&mut self.touched);
        let repository = &self.repository;
        for (kind, things) in [("blobs", &mut self.blobs), ("manifests", &mut self.manifests)] {
            for (digest, thing) in things.iter_mut().filter(|(digest, _)| all || touched.contains(*digest)) {
                let path = format!("/v2/{repository}/{kind}/{digest}");
                let answer = api.call("GET", &path).expect("nobody kills it now");
                let found = match answer.head.status() {
                    200 => Fate::There,
                    404 => Fate::Gone,
                    status => panic!("{path} is {status}: {}", String::from_utf8_lossy(&answer.body)),
                };
                assert!(thing.fate == Fate::Either || thing.fate == found, "{path} is {found:?}, not {:?}", thing.fate);
                assert!(found == Fate::Gone || answer.body == thing.content, "{path} has other bytes");
                thing.fate = found;
            }
        }
        for (tag, candidates) in &mut self.tags {
            let path = format!("/v2/{repository}/manifests/{tag}");
            let answer = api.call("GET", &path).expect("nobody kills it now");
            let found = (answer.head.status() == 200).then(|| digest_of(&answer.body));
            assert!(candidates.contains(&found), "{path} is {found:?}, not one of {candidates:?}");
            *candidates = [found].into();
        }
        self.find_the_session(api);
    }

    /// It stands where it was left, or further by what came before the server went.
    fn find_the_session(&mut self, api: &mut PlainApi) {
        let Some(session) = &mut self.session else { return };
        let answer = api.call("GET", &session.location).expect("nobody kills it now");
        if answer.head.status() == 404 {
            let committed = self.blobs.contains_key(&digest_of(&session.content));
            assert!(committed, "a session is gone that nobody has ended");
            self.session = None;
            return;
        }
        assert_eq!(answer.head.status(), 204);
        let last: usize = answer.head.one("range").trim_start_matches("0-").parse().expect("a range");
        // That of an empty session is that of one byte; a `PATCH` of one byte that was cut off is none in this test.
        let size = if last == 0 { 0 } else { last + 1 };
        let sent = session.sent;
        let emptied = size == 0 && self.blobs.contains_key(&digest_of(&session.content));
        if emptied {
            // Its bytes were moved to be a blob, and then the server went.
            self.session = None;
            return;
        }
        assert!((session.acknowledged..=sent).contains(&size), "{size} is not in {}..={sent}", session.acknowledged);
        session.acknowledged = size;
        self.sessions_resumed += usize::from(size > 0);
    }
}

/// Something is about to be pushed: from now on it may be there.
fn attempt(things: &mut BTreeMap<String, Thing>, digest: &str, content: &[u8]) {
    let thing = things.entry(digest.to_owned()).or_insert(Thing { content: content.to_vec(), fate: Fate::Gone });
    if thing.fate == Fate::Gone {
        thing.fate = Fate::Either;
    }
}

fn those(things: &BTreeMap<String, Thing>, fate: Fate) -> Vec<String> {
    things.iter().filter(|(_, thing)| thing.fate == fate).map(|(digest, _)| digest.clone()).collect()
}

fn listed(api: &mut PlainApi, path: &str, key: &str) -> Vec<String> {
    let answer = api.call("GET", path).expect("nobody kills it now").expect(200).json();
    answer[key].as_array().expect("a list").iter().map(|item| item.as_str().expect("a text").to_owned()).collect()
}

/// Looks at all that the registry shows: every tag resolves, and every manifest's blobs exist.
fn nothing_visible_is_wrong(api: &mut PlainApi, data: &Path, known: &mut Known) {
    for repository in listed(api, "/v2/_catalog", "repositories") {
        let tags = listed(api, &format!("/v2/{repository}/tags/list"), "tags");
        let revisions = known.new_revisions(data, &repository);
        for reference in tags.into_iter().chain(revisions) {
            let path = format!("/v2/{repository}/manifests/{reference}");
            let manifest = api.call("GET", &path).expect("nobody kills it now").expect(200);
            assert_eq!(digest_of(&manifest.body), manifest.head.one("docker-content-digest"));
            let manifest = manifest.json();
            for blob in manifest["layers"].as_array().expect("an image").iter().chain([&manifest["config"]]) {
                let digest = blob["digest"].as_str().expect("a descriptor");
                let path = format!("/v2/{repository}/blobs/{digest}");
                api.call("HEAD", &path).expect("nobody kills it now").expect(200);
            }
        }
    }
    known.check_new_blobs(data);
}

/// What was looked at before: a file that is not replaced has the bytes that it had.
#[derive(Default)]
struct Known {
    blobs: HashSet<(PathBuf, u64)>,
    revisions: HashSet<PathBuf>,
}

impl Known {
    /// Every file that a link could make visible has the digest that its path says.
    fn check_new_blobs(&mut self, data: &Path) {
        for path in files(&data.join("docker/registry/v2/blobs")) {
            let inode = fs::metadata(&path).expect("it was just listed").ino();
            if self.blobs.insert((path.clone(), inode)) {
                let hex = path.parent().and_then(Path::file_name).expect("blobs/sha256/xx/HEX/data").to_string_lossy();
                assert_eq!(digest_of(&fs::read(&path).expect("it can be read")), format!("sha256:{hex}"));
            }
        }
    }

    fn new_revisions(&mut self, data: &Path, repository: &str) -> Vec<String> {
        let directory = data.join("docker/registry/v2/repositories").join(repository).join("_manifests/revisions");
        let links = files(&directory).into_iter().filter(|link| self.revisions.insert(link.clone()));
        links.map(|link| fs::read_to_string(link).expect("it can be read")).collect()
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn after_every_one_of_many_kills_all_that_was_acknowledged_is_there_and_nothing_is_wrong() {
    let seed = seed();
    let kills = asked_for("LOCKGATE_KILLS").unwrap_or(KILLS);
    println!("LOCKGATE_SEED={seed} LOCKGATE_KILLS={kills}");
    let (data, mut dice, mut known) = (fresh_dir(), Dice::new(seed), Known::default());
    let mut pushers: Vec<Pusher> = (0..CLIENTS).map(|id| Pusher::new(id, seed)).collect();
    let mut slowest = Duration::ZERO;
    for kill in 0..=kills {
        let start = Instant::now();
        let backend = Backend::over(data.path());
        slowest = slowest.max(start.elapsed());
        assert!(start.elapsed() < AT_ONCE, "it took {:?} to open after {kill} kills", start.elapsed());
        let mut api = PlainApi::at(backend.url());
        let last = kill == kills;
        for pusher in &mut pushers {
            pusher.look(&mut api, last || kill % 50 == 49);
        }
        nothing_visible_is_wrong(&mut api, data.path(), &mut known);
        if last {
            break;
        }
        let life = Duration::from_micros(dice.below(LONGEST_LIFE.as_micros() as u64));
        std::thread::scope(|scope| {
            for pusher in &mut pushers {
                let url = backend.url().to_owned();
                scope.spawn(move || pusher.work(&url));
            }
            std::thread::sleep(life);
            // SIGKILL.
            drop(backend);
        });
    }
    let sum = |count: fn(&Pusher) -> usize| pushers.iter().map(count).sum::<usize>();
    let (acknowledged, resumed) = (sum(|p| p.acknowledged), sum(|p| p.sessions_resumed));
    let blobs = sum(|p| those(&p.blobs, Fate::There).len());
    println!("{acknowledged} answers, {blobs} blobs kept, {resumed} sessions went on; slowest open {slowest:?}");
    assert!(acknowledged as u64 > kills && resumed > 0, "hardly anything happened between the kills");
}
