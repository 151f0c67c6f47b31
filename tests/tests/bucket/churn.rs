//! Nodes are killed and started at random while clients work, and nothing that was acknowledged is lost.
//!
//! The moments are drawn from a seed, which is printed; `LOCKGATE_SEED` repeats one. `LOCKGATE_CLIENTS` and
//! `LOCKGATE_SECONDS` make it larger and longer: a night has 32 for five minutes.

use crate::client::{Client, World};
use lockgate_e2e::{Backend, Bucket, Dice, asked_for, seed};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const NODES: usize = 3;
/// The longest time between two events.
const LULL: u64 = 1500;

fn start(bucket: &Bucket) -> Backend {
    Backend::configured_on(bucket, "s3.part_size = '5MiB'")
}

/// Kills and starts nodes for so long; one is always there. Says how many were killed.
fn disturb(
    bucket: &Bucket,
    nodes: &mut [Option<Backend>; NODES],
    world: &World,
    dice: &mut Dice,
    time: Duration,
) -> u32 {
    let begun = Instant::now();
    let mut killed = 0;
    while begun.elapsed() < time {
        std::thread::sleep(Duration::from_millis(dice.below(LULL)));
        let at = dice.below(NODES as u64) as usize;
        if nodes[at].is_none() {
            nodes[at] = Some(start(bucket));
        } else if nodes.iter().flatten().count() > 1 {
            // SIGKILL. Clients go on asking it for a moment, as they do.
            nodes[at] = None;
            killed += 1;
        }
        announce(nodes, world);
    }
    for node in nodes.iter_mut().filter(|node| node.is_none()) {
        *node = Some(start(bucket));
    }
    announce(nodes, world);
    killed
}

fn announce(nodes: &[Option<Backend>; NODES], world: &World) {
    let urls = nodes.iter().flatten().map(|node| node.url().to_owned()).collect();
    *world.nodes.write().expect("no client has failed") = urls;
}

/// Ends the clients however the nodes end.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn clients_work_while_nodes_are_killed(count: u64, time: Duration) {
    let seed = seed();
    println!("LOCKGATE_SEED={seed}");
    let (bucket, world, mut dice) = (Bucket::fresh(), World::default(), Dice::new(seed));
    let mut nodes = [(); NODES].map(|()| Some(start(&bucket)));
    announce(&nodes, &world);
    let mut clients: Vec<Client> = (0..count).map(|id| Client::new(&world, id, seed)).collect();
    let is_over = AtomicBool::new(false);
    let killed = std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    client.turn();
                }
            });
        }
        let _ending = Ending(&is_over);
        disturb(&bucket, &mut nodes, &world, &mut dice, time)
    });
    clients.iter_mut().for_each(Client::everything_is_there);
    let sum = |count: fn(&Client) -> u64| clients.iter().map(count).sum::<u64>();
    let (acknowledged, resumed) = (sum(|it| it.acknowledged), sum(|it| it.resumed));
    let (created, denied) = (sum(|it| it.created), sum(|it| it.denied));
    let put_off = sum(|it| it.put_off);
    let kept = sum(|it| it.counts_on() as u64);
    println!(
        "{killed} kills, {acknowledged} answers, {kept} blobs and manifests kept, {resumed} uploads went on elsewhere, \
         {created} tags made once, {denied} refused, {put_off} times told to ask again"
    );
    assert!(killed > 3 && kept > 10 * count && created > 0 && denied > 0, "hardly anything happened between the kills");
}

#[test]
fn nothing_that_was_acknowledged_is_lost_and_no_tag_that_is_made_once_moves() {
    let (clients, seconds) = (asked_for("LOCKGATE_CLIENTS"), asked_for("LOCKGATE_SECONDS"));
    clients_work_while_nodes_are_killed(clients.unwrap_or(16), Duration::from_secs(seconds.unwrap_or(30)));
}
