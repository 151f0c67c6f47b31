//! What runs while clients work, and is killed.

use crate::world::World;
use lockgate_e2e::{Backend, Dice, PlainApi, Process};

/// The nodes, some of which are killed, and a command.
pub(crate) struct Running {
    nodes: Vec<Option<Backend>>,
    command: Option<Process>,
    pub(crate) killed: u64,
    /// By those that have ended.
    removed: u64,
}

impl Running {
    pub(crate) fn start(nodes: usize, world: &World) -> Self {
        let nodes = (0..nodes).map(|_| None).collect();
        let mut running = Self { nodes, command: None, killed: 0, removed: 0 };
        running.complete(world);
        running
    }

    /// A client of one that runs.
    pub(crate) fn api(&self) -> PlainApi {
        PlainApi::at(self.nodes.iter().flatten().next().expect("one is always there").url())
    }

    /// Starts those that are not there.
    pub(crate) fn complete(&mut self, world: &World) {
        for at in 0..self.nodes.len() {
            self.start_one(at, world);
        }
        self.announce(world);
    }

    fn start_one(&mut self, at: usize, world: &World) {
        if world.site.is_a_directory() {
            // One that runs when a node is gone has the directory.
            self.end_command();
        }
        self.nodes[at].get_or_insert_with(|| world.serve());
    }

    fn announce(&self, world: &World) {
        let urls = self.nodes.iter().flatten().map(|node| node.url().to_owned());
        *world.nodes.write().expect("no client has failed") = urls.collect();
    }

    /// SIGKILL.
    fn kill(&mut self, at: usize) {
        if let Some(node) = self.nodes[at].take() {
            self.removed += removed_by(&node.process().stderr().text());
            self.killed += 1;
        }
    }

    /// The command has ended, or is killed.
    pub(crate) fn end_command(&mut self) {
        if let Some(mut command) = self.command.take() {
            self.killed += u64::from(command.is_running());
            self.removed += removed_by(&command.stdout().text());
        }
    }

    /// How many objects were collected until now.
    pub(crate) fn collected(&self) -> u64 {
        let running = self.nodes.iter().flatten().map(|node| removed_by(&node.process().stderr().text()));
        self.removed + running.sum::<u64>()
    }

    /// Kills something, or starts it.
    pub(crate) fn event(&mut self, world: &World, dice: &mut Dice) {
        match dice.below(4) {
            0 => self.end_command(),
            1 if self.command.is_none() => self.command = Some(Process::start(&mut world.site.asking(&["collect"]))),
            _ => {
                let at = dice.below(self.nodes.len() as u64) as usize;
                let is_last = self.nodes.iter().flatten().count() == 1;
                let is_killed = self.nodes[at].is_some();
                self.kill(at);
                if is_last || !is_killed {
                    self.start_one(at, world);
                }
                self.announce(world);
            }
        }
    }
}

/// How many objects were removed, by what was said of it.
fn removed_by(said: &str) -> u64 {
    let counts = said.split("removed ").skip(1).filter_map(|rest| {
        let (count, what) = rest.split_once(' ')?;
        what.starts_with("object").then(|| count.parse::<u64>().ok())?
    });
    counts.sum()
}
