//! Every state that can be reached, the nearest first.

use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};
use std::time::Instant;

use super::model::{State, World};

/// What was found out.
pub(crate) struct Explored {
    /// States in which nobody does anything.
    pub(crate) quiet: usize,
    /// What can be lost, and the shortest way there.
    pub(crate) loss: Option<(String, Vec<String>)>,
}

/// Tries everything from these states on, until something is lost.
pub(crate) fn explore(name: &str, world: &World, starts: impl Iterator<Item = State>) -> Explored {
    let began = Instant::now();
    let mut known = Known::default();
    for start in starts {
        known.add(start, usize::MAX);
    }
    let (mut steps, mut at, mut quiet, mut loss) = (Vec::new(), 0, 0, None);
    while let Some(&(state, _)) = known.states.get(at) {
        let mut lost = state.loss(world);
        if lost.is_none() && world.without.is_empty() && state.is_quiet() {
            quiet += 1;
            lost = state.left_over(world);
        }
        if let Some(lost) = lost {
            loss = Some((lost, known.way(world, at)));
            break;
        }
        steps.clear();
        state.steps(world, &mut steps);
        for (_, next) in &steps {
            known.add(*next, at);
        }
        at += 1;
    }
    let states = known.states.len();
    println!("{name}: {states} states, {quiet} quiet, {:.1} s", began.elapsed().as_secs_f32());
    if let Some((lost, way)) = &loss {
        println!("    {lost}:\n        {}", way.join(" > "));
    }
    Explored { quiet, loss }
}

/// States, each with the one that it was found from, by its place.
#[derive(Default)]
struct Known {
    states: Vec<(State, u32)>,
    /// Places, where the hash of a state leads to, plus one; above them the other half of the hash, which mostly tells two
    /// states apart without a look at them.
    table: Vec<u64>,
}

impl Known {
    fn add(&mut self, state: State, from: usize) {
        if self.table.len() <= self.states.len() * 3 / 2 {
            self.table = vec![0; (self.table.len() * 2).max(1 << 10)];
            for place in 0..self.states.len() {
                let (slot, half) = self.slot(&self.states[place].0);
                self.table[slot] = half | (place as u64 + 1);
            }
        }
        let (slot, half) = self.slot(&state);
        if self.table[slot] == 0 {
            self.states.push((state, from as u32));
            self.table[slot] = half | self.states.len() as u64;
        }
    }

    /// Where a state is in the table, or should be, and half of its hash.
    fn slot(&self, state: &State) -> (usize, u64) {
        let mask = self.table.len() - 1;
        let hash = BuildHasherDefault::<Mixed>::default().hash_one(state);
        let (mut slot, half) = (hash as usize & mask, hash & !u64::from(u32::MAX));
        while self.table[slot] != 0 && !self.is_at(self.table[slot], half, state) {
            slot = (slot + 1) & mask;
        }
        (slot, half)
    }

    fn is_at(&self, entry: u64, half: u64, state: &State) -> bool {
        entry & !u64::from(u32::MAX) == half && self.states[(entry as u32) as usize - 1].0 == *state
    }

    fn way(&self, world: &World, to: usize) -> Vec<String> {
        let (mut way, mut at) = (Vec::new(), to);
        while let Some(&(before, _)) = self.states.get(self.states[at].1 as usize) {
            let mut steps = Vec::new();
            before.steps(world, &mut steps);
            let step = steps.iter().find(|(_, next)| *next == self.states[at].0).expect("it was found by a step");
            way.push(step.0.to_string());
            at = self.states[at].1 as usize;
        }
        way.push(self.states[at].0.to_string());
        way.reverse();
        way
    }
}

/// A hash of few bytes, which is fast.
#[derive(Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }
    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
