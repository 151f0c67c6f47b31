//! Two gates, three nodes, one bucket, and nothing else that nodes share: gates and nodes are killed and started at
//! random while clients work, and nothing that was acknowledged is lost.
//!
//! Each request goes to any gate, and from there to any node: nothing ties a client to one. The moments are drawn from
//! a seed, which is printed; `LOCKGATE_SEED` repeats one. `LOCKGATE_CLIENTS` and `LOCKGATE_SECONDS` make it larger and
//! longer: a night has 32 for five minutes.

use crate::client::{Client, World};
use lockgate_e2e::{Backend, Bucket, Dice, Gate, GateBuilder, Pair, asked_for, nobody_at, seed};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const NODES: usize = 3;
const GATES: usize = 2;
/// The longest time between two events.
const LULL: u64 = 1500;
/// Of so many events one is a gate's.
const OF_A_GATE: u64 = 4;

/// What is the same whoever is killed: where each is, and what the gates share.
struct Site {
    bucket: Bucket,
    nodes: [SocketAddr; NODES],
    gates: [SocketAddr; GATES],
    /// A gate that is never started, whose users are those of all.
    first: GateBuilder,
    pair: Pair,
}

impl Site {
    fn new() -> Self {
        // Nobody else takes a port there while its owner is away.
        let nodes = ["127.79.0.1", "127.79.0.2", "127.79.0.3"].map(nobody_at);
        let of_gates = ["127.79.1.1", "127.79.1.2"];
        let first = Gate::before("http://127.0.0.1:1");
        let pair = first.authority().issue("site", &of_gates);
        Self { bucket: Bucket::fresh(), nodes, gates: of_gates.map(nobody_at), first, pair }
    }

    fn node(&self, at: usize) -> Backend {
        Backend::configured_at(self.nodes[at], &self.bucket, "s3.part_size = '5MiB'")
    }

    fn gate(&self, at: usize) -> Gate {
        let nodes = self.nodes.map(|address| format!("http://{address}"));
        let gate = Gate::before(format!("{nodes:?}")).set("listen.https", self.gates[at]).certificate(&self.pair);
        gate.set("auth.htpasswd", self.first.dir().join("htpasswd").display()).start()
    }
}

/// What runs of it.
struct Running {
    nodes: [Option<Backend>; NODES],
    gates: [Option<Gate>; GATES],
}

impl Running {
    fn start(site: &Site) -> Self {
        let mut running = Self { nodes: [const { None }; NODES], gates: [const { None }; GATES] };
        running.complete(site);
        running
    }

    fn complete(&mut self, site: &Site) {
        for (at, node) in self.nodes.iter_mut().enumerate() {
            node.get_or_insert_with(|| site.node(at));
        }
        for (at, gate) in self.gates.iter_mut().enumerate() {
            gate.get_or_insert_with(|| site.gate(at));
        }
    }

    fn announce(&self, site: &Site, world: &World) {
        let authority = &site.first.authority().certificate;
        let doors = self.gates.iter().flatten().map(|gate| gate.door().trusting(authority));
        *world.gates.write().expect("no client has failed") = doors.collect();
    }
}

/// Kills one with SIGKILL, or starts one that was killed; one is always there. Whether it was killed.
fn disturb_one<T>(all: &mut [Option<T>], dice: &mut Dice, start: impl Fn(usize) -> T) -> bool {
    let at = dice.below(all.len() as u64) as usize;
    let is_killed = all[at].is_some() && all.iter().flatten().count() > 1;
    if is_killed {
        all[at] = None;
    } else {
        all[at].get_or_insert_with(|| start(at));
    }
    is_killed
}

/// Kills and starts for so long. Says how many nodes and gates were killed.
fn disturb(site: &Site, running: &mut Running, world: &World, dice: &mut Dice, time: Duration) -> [u32; 2] {
    let begun = Instant::now();
    let mut killed = [0, 0];
    while begun.elapsed() < time {
        std::thread::sleep(Duration::from_millis(dice.below(LULL)));
        if dice.below(OF_A_GATE) == 0 {
            killed[1] += u32::from(disturb_one(&mut running.gates, dice, |at| site.gate(at)));
            // Clients go on asking one that was killed for a moment, as they do.
            running.announce(site, world);
        } else {
            killed[0] += u32::from(disturb_one(&mut running.nodes, dice, |at| site.node(at)));
        }
    }
    running.complete(site);
    running.announce(site, world);
    killed
}

/// Ends the clients however the nodes end.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn clients_work_while_gates_and_nodes_are_killed(count: u64, time: Duration) {
    let seed = seed();
    println!("LOCKGATE_SEED={seed}");
    let (site, world, mut dice) = (Site::new(), World::default(), Dice::new(seed));
    let mut running = Running::start(&site);
    running.announce(&site, &world);
    let mut clients: Vec<Client> = (0..count).map(|id| Client::new(&world, id, seed)).collect();
    let is_over = AtomicBool::new(false);
    let [nodes, gates] = std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    client.turn();
                }
            });
        }
        let _ending = Ending(&is_over);
        disturb(&site, &mut running, &world, &mut dice, time)
    });
    clients.iter_mut().for_each(Client::everything_is_there);
    let sum = |count: fn(&Client) -> u64| clients.iter().map(count).sum::<u64>();
    let (acknowledged, resumed) = (sum(|it| it.acknowledged), sum(|it| it.resumed));
    let (created, denied) = (sum(|it| it.created), sum(|it| it.denied));
    let (put_off, without_node) = (sum(|it| it.put_off), sum(|it| it.without_node));
    let kept = sum(|it| it.counts_on() as u64);
    println!(
        "{nodes} nodes and {gates} gates killed, {acknowledged} answers, {kept} blobs and manifests kept, {resumed} \
         uploads went on elsewhere, {created} tags made once, {denied} refused, {put_off} times told to ask again, \
         {without_node} times that a node had no answer"
    );
    let happened = nodes > 3 && gates > 0 && kept > 10 * count && created > 0 && denied > 0;
    assert!(happened, "hardly anything happened between the kills");
    assert!(
        without_node <= count * u64::from(nodes),
        "a node that is gone costs nobody more than what he was just asking"
    );
}

#[test]
fn nothing_that_was_acknowledged_is_lost_and_no_tag_that_is_made_once_moves() {
    let (clients, seconds) = (asked_for("LOCKGATE_CLIENTS"), asked_for("LOCKGATE_SECONDS"));
    clients_work_while_gates_and_nodes_are_killed(clients.unwrap_or(16), Duration::from_secs(seconds.unwrap_or(30)));
}
