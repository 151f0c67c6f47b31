//! Nothing is ever lost: clients push images of shared layers, mount, move, delete and restore, everything collects all the
//! time with ages of seconds, and any process is killed at any moment. After each round every image that was acknowledged
//! and not deleted is whole, and so is whatever else answers.
//!
//! The moments are drawn from a seed, which is printed; `LOCKGATE_SEED` repeats one. `LOCKGATE_ROUNDS` makes it longer: a
//! night has 200 on each store.

use crate::commands::Site;
use crate::model::Layer;
use crate::pusher::Pusher;
use crate::running::Running;
use crate::world::{Counts, World};
use lockgate_e2e::{Dice, PATIENCE, PlainApi, asked_for, digest_of, eventually, seed};
use std::collections::{BTreeMap, HashSet};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: u64 = 6;
const ROUND: Duration = Duration::from_secs(3);
const CLIENTS: u64 = 5;
const LONGEST_LAYER: u64 = 20_000;
const SETTINGS: &str = "storage.trash_age = '2s'\nstorage.min_free = 0\ncollect.grace = '3s'\ncollect.rate = '100%'\n\
                        collect.max_delete = '100%'\n";
const BLOBS: &str = "docker/registry/v2/blobs/";
const REPOSITORIES: &str = "docker/registry/v2/repositories/";

/// What differs between the stores.
struct Terms {
    nodes: usize,
    /// The longest time between two events, in milliseconds.
    lull: u64,
    /// How often each collects. Who begins goes on in place of another, so that many are seldom done.
    interval: &'static str,
    /// So many that some are not needed for a while, and then pushed again.
    layers: u64,
    /// What was deleted more lately comes back: a bucket's times have whole seconds.
    way_back: Duration,
    /// Something that a node may still do that was killed is done by then, or given up.
    given_up: Duration,
    rounds_of_a_store: u64,
    /// Objects that are collected in a round, at least. Over a bucket whatever was being removed by a node that was killed
    /// keeps the others waiting for three minutes: there the end shows that they collect.
    collected: u64,
    /// Until everything is gone that was deleted.
    bound: Duration,
}

/// The manifests and tags that the store has, by the names of their repositories.
fn visible(site: &Site) -> Vec<(String, String)> {
    let keys = site.keys(REPOSITORIES);
    let references = keys.iter().filter_map(|key| {
        let (name, rest) = key.strip_prefix(REPOSITORIES)?.split_once("/_manifests/")?;
        let reference = match rest.strip_suffix("/link")?.split_once('/')? {
            ("revisions", digest) => digest.replacen('/', ":", 1),
            (_, tag) => tag.strip_suffix("/current")?.to_owned(),
        };
        Some((name.to_owned(), reference))
    });
    references.collect()
}

/// Everything that answers is whole.
fn nothing_is_half_there(world: &World, api: &mut PlainApi) {
    let mut seen = HashSet::new();
    for (name, reference) in visible(&world.site) {
        let path = format!("/v2/{name}/manifests/{reference}");
        let Ok(manifest) = api.call("GET", &path) else { continue };
        if manifest.head.status() != 200 {
            assert!(matches!(manifest.head.status(), 404 | 503), "{path}: {}", manifest.head.start_line);
            continue;
        }
        assert_eq!(digest_of(&manifest.body), manifest.head.one("docker-content-digest"));
        for layer in manifest.json()["layers"].as_array().expect("an image") {
            let path = format!("/v2/{name}/blobs/{}", layer["digest"].as_str().expect("a descriptor"));
            if seen.insert(path.clone()) {
                let is_there = api
                    .call("GET", &path)
                    .is_ok_and(|answer| answer.head.status() == 200 && layer["digest"] == *digest_of(&answer.body));
                assert!(is_there, "HALF: {name}:{reference} answers, and {path} of it does not");
            }
        }
    }
}

/// Deletes what nobody counts on, so that it does not become more and more.
fn tidy(
    world: &World,
    api: &mut PlainApi,
    pushers: &[Pusher],
    since: &mut BTreeMap<(String, String), Instant>,
    age: Duration,
) {
    let is_ours = |(name, digest): &(String, String)| !pushers.iter().any(|it| it.counts_on(name, digest));
    let seen = visible(&world.site).into_iter().filter(|(_, reference)| reference.contains(':')).filter(is_ours);
    let seen: Vec<_> = seen.collect();
    since.retain(|item, _| seen.contains(item));
    for item in seen {
        let first = *since.entry(item.clone()).or_insert_with(Instant::now);
        if first.elapsed() >= age {
            let (name, digest) = item;
            // Whoever is asked may wait for a node that was killed.
            let _ = api.call("DELETE", &format!("/v2/{name}/manifests/{digest}"));
        }
    }
}

/// Ends the clients however the round ends.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn round(world: &World, running: &mut Running, pushers: &mut [Pusher], lull: u64, dice: &mut Dice) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for pusher in pushers {
            scope.spawn(|| {
                let _ending = Ending(&is_over);
                while !is_over.load(Ordering::Relaxed) {
                    pusher.turn();
                }
            });
        }
        let _ending = Ending(&is_over);
        let begun = Instant::now();
        while begun.elapsed() < ROUND && !is_over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(dice.below(lull)));
            running.event(world, dice);
        }
    });
    running.end_command();
    running.complete(world);
}

fn everything_goes_in_the_end(world: &World, running: &Running, bound: Duration) {
    let mut api = running.api();
    eventually(bound, "the end of all manifests", || {
        let digests: Vec<_> = visible(&world.site).into_iter().filter(|(_, it)| it.contains(':')).collect();
        for (name, digest) in &digests {
            let _ = api.call("DELETE", &format!("/v2/{name}/manifests/{digest}"));
        }
        digests.is_empty().then_some(())
    });
    eventually(bound, "the end of all blobs", || {
        // The nodes of a bucket do it by themselves: the command waits for minutes behind one that was killed.
        if world.site.is_a_directory() {
            let _ = world.site.command(&["collect"]);
        }
        world.site.keys(BLOBS).is_empty().then_some(())
    });
}

/// What happened.
#[derive(Default)]
struct Story {
    rounds: u64,
    killed: u64,
    collected: u64,
    counts: Vec<Counts>,
}

/// Some rounds on a store.
fn rounds(site: Site, terms: &Terms, (number, is_last): (u64, bool), seed: u64, story: &mut Story) {
    let mut dice = Dice::new(seed);
    let layers = (0..terms.layers).map(|_| {
        let content = dice.bytes(LONGEST_LAYER);
        Layer { digest: digest_of(&content), content }
    });
    let layers = layers.collect();
    let world = World { site, layers, way_back: terms.way_back, nodes: RwLock::default(), commands: RwLock::default() };
    let mut running = Running::start(terms.nodes, &world);
    let mut pushers: Vec<Pusher> = (0..CLIENTS).map(|id| Pusher::new(&world, id, seed)).collect();
    let (mut unclaimed, begun) = (BTreeMap::new(), Instant::now());
    for _ in 0..number {
        round(&world, &mut running, &mut pushers, terms.lull, &mut dice);
        let mut api = running.api();
        pushers.iter_mut().for_each(|pusher| pusher.everything_is_there(&mut api));
        nothing_is_half_there(&world, &mut api);
        tidy(&world, &mut api, &pushers, &mut unclaimed, terms.given_up);
        story.rounds += 1;
        let images: usize = pushers.iter().map(Pusher::images).sum();
        let (time, kills, collected) = (begun.elapsed(), running.killed, running.collected());
        println!(
            "round {} after {time:.0?}: {images} images whole, {kills} kills, {collected} objects collected",
            story.rounds
        );
    }
    story.killed += running.killed;
    story.collected += running.collected();
    story.counts.extend(pushers.iter().map(|pusher| pusher.counts));
    if is_last {
        everything_goes_in_the_end(&world, &running, terms.bound);
    }
}

fn nothing_is_lost(site: impl Fn(&str) -> Site, terms: &Terms) {
    let (seed, all) = (seed(), asked_for("LOCKGATE_ROUNDS").unwrap_or(ROUNDS));
    println!("LOCKGATE_SEED={seed} LOCKGATE_ROUNDS={all}");
    let settings = format!("{SETTINGS}collect.interval = '{}'", terms.interval);
    let mut story = Story::default();
    while story.rounds < all {
        let number = terms.rounds_of_a_store.min(all - story.rounds);
        let (is_last, seed) = (story.rounds + number == all, seed + story.rounds);
        rounds(site(&settings), terms, (number, is_last), seed, &mut story);
    }
    let sum = |count: fn(&Counts) -> u64| story.counts.iter().map(count).sum::<u64>();
    let Story { killed, collected, .. } = story;
    let (pushed, restored) = (sum(|it| it.pushed), sum(|it| it.restored));
    println!(
        "{all} rounds, {killed} kills, {collected} objects collected; {pushed} pushes, {} uploads of layers, {} mounts, \
         {} moves, {} deletes, {restored} restores, {} pulls; {} pushes began anew, {} answers of 503, {} unanswered, {} \
         restores too late",
        sum(|it| it.uploaded),
        sum(|it| it.mounted),
        sum(|it| it.moved),
        sum(|it| it.deleted),
        sum(|it| it.pulled),
        sum(|it| it.again),
        sum(|it| it.put_off),
        sum(|it| it.unanswered),
        sum(|it| it.too_late),
    );
    let happened = pushed > 5 * all && restored > all / 2 && collected >= terms.collected * all && killed > all / 2;
    assert!(happened, "hardly anything happened between the kills");
}

#[test]
fn nothing_is_lost_in_a_directory_whatever_is_killed_while_it_is_collected() {
    let way_back = Duration::from_millis(1500);
    let terms = Terms {
        nodes: 1,
        lull: 600,
        interval: "1s",
        layers: 200,
        way_back,
        given_up: Duration::ZERO,
        rounds_of_a_store: u64::MAX,
        collected: 1,
        bound: PATIENCE,
    };
    nothing_is_lost(Site::in_directory, &terms);
}

#[test]
fn nothing_is_lost_in_a_bucket_whichever_of_its_nodes_is_killed_while_it_is_collected() {
    let (way_back, given_up) = (Duration::from_millis(500), Duration::from_secs(75));
    let terms = Terms {
        nodes: 3,
        lull: 1500,
        interval: "2s",
        layers: 100,
        way_back,
        given_up,
        // What a collector was removing that is killed holds up the others for a minute each time.
        rounds_of_a_store: 6,
        collected: 0,
        bound: Duration::from_secs(400),
    };
    nothing_is_lost(Site::in_bucket, &terms);
}
