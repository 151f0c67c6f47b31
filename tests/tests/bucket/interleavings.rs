//! Programs drawn at random run side by side at two nodes, and some order of what they did explains each answer.
//!
//! The order is looked for as Wing and Gong do ("Testing and verifying concurrent objects", 1993): something may come
//! next when no request ended before its own began. `backend/src/interleavings.rs` asks the same of one process, in which
//! a push or deletion is one moment. Between nodes that is not promised (docs/architecture.md, "A push over a bucket"):
//! only what is done to one object is one moment, and a request is several of them, in this order.
//!
//! ```text
//! pull                  the blob or manifest is there, or not
//! push of a blob        it is added
//! push of a manifest    each of what it names is there, or not, at a moment of its own; it is added, if all were
//!                       there, and once more each time that somebody deletes it before the push is answered
//! delete of a blob      it is there, or not; if so it is removed, and so is what was pushed in its place meanwhile
//! delete of a manifest  it is taken away, by one; or is not there
//! ```
//!
//! So a DELETE of a blob beside a push of a manifest at another node may leave a manifest without its blob; and of two
//! such DELETEs both may be answered 202. Nothing else may be otherwise than in one order.

use lockgate_e2e::{Backend, Bucket, Dice, IMAGE, PlainApi, Response, asked_for, digest_of, image_of, seed};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

const CLIENTS: usize = 3;
/// The most requests of one client, so that few orders have to be tried.
const LONGEST: u64 = 6;
const ROUNDS: u64 = 100;
/// Things are few, so that the programs get in each other's way: blobs, and behind them manifests.
const BLOBS: Thing = 3;
/// What each manifest names. The last one is an index.
const NAMES: [&[Thing]; 3] = [&[0, 1], &[1, 2], &[3]];

/// A blob or manifest, by its number.
type Thing = usize;
/// Requests, and which node each goes to.
type Program = Vec<(usize, Act, Thing)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Push,
    Pull,
    Delete,
}

/// What a request does at its last moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Adds,
    /// The same, and before as often as it is gone.
    Keeps,
    /// Where there is none any more, too.
    Removes,
    /// It is there until then.
    Takes,
}

/// A request that was answered, and what it did by its answer.
#[derive(Debug, Clone)]
struct Done {
    act: Act,
    thing: Thing,
    status: u16,
    began: usize,
    ended: usize,
    /// What it saw, in any order, and then did.
    sees: Vec<(Thing, bool)>,
    effect: Option<Effect>,
}

impl Done {
    /// `missing` is what the answer says that there was not.
    fn new(act: Act, thing: Thing, (status, missing): (u16, &[Thing]), [began, ended]: [usize; 2]) -> Self {
        let named: &[Thing] = if thing < BLOBS { &[] } else { NAMES[thing - BLOBS] };
        let (sees, effect) = match (act, status) {
            (Act::Pull, 200) => (vec![(thing, true)], None),
            (Act::Pull | Act::Delete, 404) => (vec![(thing, false)], None),
            (Act::Push, 201) if thing < BLOBS => (vec![], Some(Effect::Adds)),
            (Act::Push, 201) => (named.iter().map(|it| (*it, true)).collect(), Some(Effect::Keeps)),
            (Act::Push, 404) if !missing.is_empty() => {
                (named.iter().map(|it| (*it, !missing.contains(it))).collect(), None)
            }
            (Act::Delete, 202) if thing < BLOBS => (vec![(thing, true)], Some(Effect::Removes)),
            (Act::Delete, 202) => (vec![], Some(Effect::Takes)),
            _ => panic!("{act:?} of {thing} is answered with {status}"),
        };
        Self { act, thing, status, began, ended, sees, effect }
    }
}

/// How far an order has come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    there: BTreeSet<Thing>,
    /// Of each client: the request that it is at, and which of the things that it sees it has seen.
    at: Vec<(usize, u32)>,
}

impl Order {
    /// The request that a client is at, if it may go on.
    fn next<'a>(&self, history: &'a [Vec<Done>], client: usize) -> Option<&'a Done> {
        let at = |client: usize| history[client].get(self.at[client].0);
        let next = at(client)?;
        (0..history.len()).filter_map(at).all(|other| other.ended > next.began).then_some(next)
    }

    /// What is only seen is best seen as soon as it is so.
    fn see(&mut self, history: &[Vec<Done>]) {
        let mut has_seen = true;
        while std::mem::take(&mut has_seen) {
            for client in 0..history.len() {
                let Some(next) = self.next(history, client) else { continue };
                for (number, (thing, is_there)) in next.sees.iter().enumerate() {
                    if self.there.contains(thing) == *is_there {
                        self.at[client].1 |= 1 << number;
                    }
                }
                if self.has_seen_all(client, next) && next.effect.is_none() {
                    self.at[client] = (self.at[client].0 + 1, 0);
                    has_seen = true;
                }
            }
        }
    }

    fn has_seen_all(&self, client: usize, next: &Done) -> bool {
        self.at[client].1.count_ones() as usize == next.sees.len()
    }

    /// What may come next, each way.
    fn ways(&self, history: &[Vec<Done>]) -> Vec<Self> {
        let mut ways = Vec::new();
        for client in 0..history.len() {
            let next = self.next(history, client).filter(|next| self.has_seen_all(client, next));
            let Some(Done { thing, effect: Some(effect), .. }) = next else { continue };
            let (mut after, was_there) = (self.clone(), self.there.contains(thing));
            match effect {
                Effect::Takes if !was_there => continue,
                Effect::Takes | Effect::Removes => after.there.remove(thing),
                Effect::Adds | Effect::Keeps => after.there.insert(*thing),
            };
            if *effect == Effect::Keeps && !was_there {
                ways.push(after.clone());
            }
            after.at[client] = (self.at[client].0 + 1, 0);
            ways.push(after);
        }
        ways
    }
}

/// Whether some order explains the answers that each client had, of what was empty at first.
fn is_explained(history: &[Vec<Done>]) -> bool {
    let mut known = BTreeSet::new();
    let mut open = vec![Order { there: BTreeSet::new(), at: vec![(0, 0); history.len()] }];
    while let Some(mut order) = open.pop() {
        order.see(history);
        if order.at.iter().zip(history).all(|((at, _), requests)| *at == requests.len()) {
            return true;
        }
        if known.insert(order.clone()) {
            open.extend(order.ways(history));
        }
    }
    false
}

fn blob(number: Thing) -> Vec<u8> {
    format!("the blob {number}").into_bytes()
}

fn manifest(thing: Thing) -> Value {
    let named: Vec<String> = NAMES[thing - BLOBS].iter().map(|named| digest(*named)).collect();
    if NAMES[thing - BLOBS].iter().all(|named| *named < BLOBS) {
        return image_of(&named);
    }
    let manifests: Vec<Value> =
        named.iter().map(|digest| json!({"mediaType": IMAGE, "digest": digest, "size": 1})).collect();
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests})
}

fn digest(thing: Thing) -> String {
    if thing < BLOBS { digest_of(&blob(thing)) } else { digest_of(manifest(thing).to_string().as_bytes()) }
}

fn things() -> std::ops::Range<Thing> {
    0..BLOBS + NAMES.len()
}

fn ask(api: &mut PlainApi, repository: &str, act: Act, thing: Thing) -> Response {
    let kind = if thing < BLOBS { "blobs" } else { "manifests" };
    let path = format!("/v2/{repository}/{kind}/{}", digest(thing));
    let answer = match act {
        Act::Push if thing < BLOBS => api.push_blob(repository, &blob(thing)),
        Act::Push => api.put_manifest(repository, "v1", &manifest(thing)),
        Act::Pull => api.call("HEAD", &path),
        Act::Delete => api.call("DELETE", &path),
    };
    answer.expect("nobody kills it")
}

/// Two nodes, and the time that all know.
struct Site {
    nodes: [Backend; 2],
    clock: AtomicUsize,
}

impl Site {
    fn request(&self, api: &mut PlainApi, repository: &str, act: Act, thing: Thing) -> Done {
        let began = self.clock.fetch_add(1, Ordering::SeqCst);
        let answer = ask(api, repository, act, thing);
        let ended = self.clock.fetch_add(1, Ordering::SeqCst);
        let body = String::from_utf8_lossy(&answer.body);
        let missing: Vec<Thing> = things().filter(|thing| body.contains(&digest(*thing))).collect();
        Done::new(act, thing, (answer.head.status(), &missing), [began, ended])
    }

    fn in_turn(&self, repository: &str, program: &Program, start: &Barrier) -> Vec<Done> {
        let mut apis = self.nodes.each_ref().map(|node| PlainApi::at(node.url()));
        start.wait();
        program.iter().map(|(node, act, thing)| self.request(&mut apis[*node], repository, *act, *thing)).collect()
    }

    /// Pushes everything, runs programs side by side, and looks at last what is there, at both nodes.
    fn history(&self, repository: &str, programs: &[Program]) -> Vec<Vec<Done>> {
        let (alone, together) = (&Barrier::new(1), &Barrier::new(programs.len()));
        let all = |act, node| things().map(move |thing| (node, act, thing));
        let mut history = vec![self.in_turn(repository, &all(Act::Push, 0).collect(), alone)];
        std::thread::scope(|scope| {
            let run = |program| scope.spawn(move || self.in_turn(repository, program, together));
            let clients: Vec<_> = programs.iter().map(run).collect();
            history.extend(clients.into_iter().map(|client| client.join().expect("it has its answers")));
        });
        let looks = all(Act::Pull, 0).chain(all(Act::Pull, 1)).collect();
        history.push(self.in_turn(repository, &looks, alone));
        history
    }
}

fn program(dice: &mut Dice) -> Program {
    let acts = [Act::Push, Act::Push, Act::Push, Act::Delete, Act::Delete, Act::Pull];
    let all: Vec<Thing> = things().collect();
    (0..1 + dice.below(LONGEST)).map(|_| (dice.below(2) as usize, *dice.one_of(&acts), *dice.one_of(&all))).collect()
}

#[test]
fn some_order_explains_what_programs_at_two_nodes_are_answered() {
    let seed = seed();
    println!("LOCKGATE_SEED={seed}");
    let (bucket, mut dice) = (Bucket::fresh(), Dice::new(seed));
    let site = Site { nodes: [Backend::on(&bucket), Backend::on(&bucket)], clock: AtomicUsize::new(0) };
    // The bytes of all are there from now on: what comes and goes is whether a repository holds them.
    site.history("interleavings/before", &[]);
    let mut counts: BTreeMap<(Act, bool, u16), u32> = BTreeMap::new();
    for round in 0..asked_for("LOCKGATE_ROUNDS").unwrap_or(ROUNDS) {
        let programs: Vec<_> = (0..CLIENTS).map(|_| program(&mut dice)).collect();
        let history = site.history(&format!("interleavings/round-{round}"), &programs);
        assert!(is_explained(&history), "in round {round} no order explains these: {history:#?}");
        for done in history[1..=CLIENTS].iter().flatten() {
            *counts.entry((done.act, done.thing < BLOBS, done.status)).or_default() += 1;
        }
    }
    println!("{counts:?}");
    // Pushes of blobs have one answer, all others two.
    assert_eq!(counts.len(), 11, "hardly anything happened");
}

#[test]
fn the_checker_knows_what_cannot_have_been() {
    let done = |act, thing, status, missing: &[Thing], span| Done::new(act, thing, (status, missing), span);
    let (push, pull, delete) = (Act::Push, Act::Pull, Act::Delete);
    let one_client = |requests: &[Done]| is_explained(&[requests.to_vec()]);

    // What was pushed is there, and what was deleted is not.
    assert!(one_client(&[done(push, 0, 201, &[], [0, 1]), done(pull, 0, 200, &[], [2, 3])]));
    assert!(!one_client(&[done(push, 0, 201, &[], [0, 1]), done(pull, 0, 404, &[], [2, 3])]));
    assert!(!one_client(&[done(pull, 0, 200, &[], [0, 1])]));
    let begins = [done(push, 0, 201, &[], [0, 1]), done(delete, 0, 202, &[], [2, 3])];
    assert!(!one_client(&[&begins[..], &[done(pull, 0, 200, &[], [4, 5])]].concat()));

    // A manifest of a blob that is gone before the manifest comes, or goes while it comes.
    let blobs = [done(push, 0, 201, &[], [0, 1]), done(push, 1, 201, &[], [2, 3])];
    let manifest = |span| vec![done(push, BLOBS, 201, &[], span)];
    let deleted = |span| [&blobs[..], &[done(delete, 0, 202, &[], span)]].concat();
    assert!(!is_explained(&[deleted([4, 5]), manifest([6, 7])]));
    assert!(is_explained(&[deleted([4, 6]), manifest([5, 7])]));
    // One that is refused says what was not there, and that only.
    assert!(one_client(&[&blobs[..1], &[done(push, BLOBS, 404, &[1], [2, 3])]].concat()));
    assert!(!one_client(&[&blobs[..1], &[done(push, BLOBS, 404, &[0, 1], [2, 3])]].concat()));
    assert!(!one_client(&[&blobs[..], &[done(push, BLOBS, 404, &[1], [4, 5])]].concat()));

    // A manifest that was pushed is there; one that is deleted beside is, or was deleted whole.
    let pushed = [&blobs[..], &manifest([4, 7])].concat();
    let taken = |span, status| vec![done(delete, BLOBS, 202, &[], span), done(pull, BLOBS, status, &[], [8, 9])];
    assert!(is_explained(&[pushed.clone(), taken([5, 6], 200)]));
    assert!(is_explained(&[pushed.clone(), taken([5, 6], 404)]));
    assert!(!is_explained(&[pushed.clone(), vec![done(pull, BLOBS, 404, &[], [8, 9])]]));
    // One push is taken away once after it ended, by one.
    let twice = [done(delete, BLOBS, 202, &[], [8, 10]), done(delete, BLOBS, 202, &[], [9, 11])];
    let [first, second] = twice.map(|it| vec![it]);
    assert!(!is_explained(&[pushed, first, second]));
}
