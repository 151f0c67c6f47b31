//! All schedules of a few programs, the shorter ones first. A state is reached by running its schedule from the start;
//! one that was met before is not gone on from.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;

use super::client::{Answer, Client};
use super::gate::{Gate, Kind, Verdict};
use super::gated::Gated;
use super::names::Names;
use crate::lock::held;
use crate::objects::{BucketObjects, MemoryObjects};

/// How long it takes until whoever waits has waited enough.
const LONG: Duration = Duration::from_secs(61);

/// Two nodes for each program, which talks to one of them at a time.
pub(super) type Program = Box<dyn Fn([Client; 2]) -> BoxFuture<'static, ()>>;

/// What must be so.
pub(super) type Claim = Box<dyn Fn(World) -> BoxFuture<'static, Result<(), String>>>;

/// Programs, what they find, and what must be so.
pub(super) struct Scenario {
    pub(super) found: MemoryObjects,
    pub(super) part_size: u64,
    pub(super) tails: (usize, usize),
    /// The beginnings of keys in whose calls it makes no difference when they come.
    pub(super) aside: &'static [&'static str],
    pub(super) programs: Vec<Program>,
    /// How many nodes die, clients go away, or answers are lost, at most.
    pub(super) faults: usize,
    /// How often a minute passes while calls are under way.
    pub(super) stalls: usize,
    /// In each state; it only reads.
    pub(super) always: Claim,
    /// Once nobody does anything any more; it may go on from there.
    pub(super) finally: Claim,
}

/// What there is in a state.
pub(super) struct World {
    /// By program, the answers that it got.
    pub(super) answers: Vec<Vec<Answer>>,
    /// At a node that nothing happens to.
    pub(super) client: Client,
    pub(super) objects: Arc<MemoryObjects>,
    pub(super) has_faults: bool,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fate {
    Done,
    Lost(bool),
    LostAndLate,
    NodeDies(bool),
    NodeDiesAndLate,
    ClientLeaves(bool),
    Lands,
    TimePasses,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    at: usize,
    fate: Fate,
    label: String,
}

struct Run<'a> {
    scenario: &'a Scenario,
    gate: Arc<Gate>,
    programs: Vec<JoinHandle<()>>,
    answers: Vec<Arc<Mutex<Vec<Answer>>>>,
    faults: usize,
    stalls: usize,
}

impl<'a> Run<'a> {
    async fn begin(scenario: &'a Scenario, names: Names) -> Self {
        let gate = Gate::before(Arc::new(scenario.found.copied()), names, scenario.aside);
        let answers: Vec<Arc<Mutex<Vec<Answer>>>> = scenario.programs.iter().map(|_| Arc::default()).collect();
        let programs = scenario.programs.iter().enumerate().map(|(number, program)| {
            let client = |node| {
                let objects = Arc::new(Gated { gate: Arc::clone(&gate), node });
                Client::over(objects, scenario.part_size, scenario.tails, Arc::clone(&answers[number]))
            };
            tokio::spawn(program([client(2 * number), client(2 * number + 1)]))
        });
        let programs = programs.collect();
        let run = Self { scenario, gate, programs, answers, faults: 0, stalls: 0 };
        run.gate.settle().await;
        run
    }

    fn steps(&self) -> Vec<Step> {
        let (calls, late) = self.gate.waiting();
        if let Some(at) = self.gate.aside() {
            return vec![Step { at, fate: Fate::Done, label: calls[at].1.clone() }];
        }
        let mut steps = Vec::new();
        for (at, (_, label, _)) in calls.iter().enumerate() {
            steps.push(Step { at, fate: Fate::Done, label: label.clone() });
        }
        for (at, label) in late.iter().enumerate() {
            steps.push(Step { at, fate: Fate::Lands, label: label.clone() });
        }
        let is_over = self.programs.iter().all(JoinHandle::is_finished);
        if calls.is_empty() && !is_over || !calls.is_empty() && self.stalls < self.scenario.stalls {
            steps.push(Step { at: 0, fate: Fate::TimePasses, label: String::new() });
        }
        if self.faults < self.scenario.faults {
            for (at, (node, label, kind)) in calls.iter().enumerate().filter(|(_, call)| call.2 != Kind::Read) {
                let mut fates = vec![Fate::Lost(true), Fate::Lost(false), Fate::NodeDies(true), Fate::NodeDies(false)];
                if !self.programs[node / 2].is_finished() {
                    fates.extend([Fate::ClientLeaves(true), Fate::ClientLeaves(false)]);
                }
                if *kind == Kind::Remove {
                    fates.extend([Fate::LostAndLate, Fate::NodeDiesAndLate]);
                }
                steps.extend(fates.into_iter().map(|fate| Step { at, fate, label: label.clone() }));
            }
        }
        steps
    }

    async fn take(&mut self, step: &Step) {
        let (calls, late) = self.gate.waiting();
        let there = match step.fate {
            Fate::Lands => late.get(step.at),
            Fate::TimePasses => Some(&step.label),
            _ => calls.get(step.at).map(|call| &call.1),
        };
        assert_eq!(there, Some(&step.label), "a schedule leads to the same each time");
        let node = calls.get(step.at).map_or(0, |call| call.0);
        let is_late = matches!(step.fate, Fate::LostAndLate | Fate::NodeDiesAndLate);
        let verdict = match step.fate {
            Fate::Done => Verdict::Done,
            Fate::Lost(is_done) => Verdict::Lost(is_done),
            Fate::LostAndLate => Verdict::Lost(false),
            Fate::NodeDies(is_done) | Fate::ClientLeaves(is_done) => Verdict::Left(is_done),
            Fate::NodeDiesAndLate => Verdict::Left(false),
            Fate::Lands => {
                self.gate.land(step.at).await;
                return self.gate.settle().await;
            }
            Fate::TimePasses => {
                self.stalls += usize::from(!calls.is_empty());
                tokio::time::advance(LONG).await;
                self.gate.expire();
                return self.gate.settle().await;
            }
        };
        self.faults += usize::from(step.fate != Fate::Done);
        self.gate.decide(step.at, verdict, is_late);
        if matches!(step.fate, Fate::NodeDies(_) | Fate::NodeDiesAndLate) {
            self.gate.kill(node);
        }
        self.gate.settle().await;
        if matches!(verdict, Verdict::Left(_)) {
            self.programs[node / 2].abort();
            self.gate.settle().await;
        }
    }

    fn state(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let over: Vec<_> = self.programs.iter().map(JoinHandle::is_finished).collect();
        (self.gate.state(), over, self.faults, self.stalls).hash(&mut hasher);
        hasher.finish()
    }

    /// Whether nobody does anything any more, but for DELETEs that nobody waits for.
    fn is_over(&self) -> bool {
        self.gate.waiting().0.is_empty() && self.programs.iter().all(JoinHandle::is_finished)
    }

    async fn check(&self, claim: &Claim) -> Result<(), String> {
        let objects: Arc<dyn BucketObjects> = Arc::new(Gated { gate: Arc::clone(&self.gate), node: usize::MAX });
        let client = Client::over(objects, self.scenario.part_size, self.scenario.tails, Arc::default());
        let answers = self.answers.iter().map(|answers| held(answers.lock()).clone()).collect();
        let objects = Arc::clone(&self.gate.objects);
        self.gate.open(true);
        let holds = claim(World { answers, client, objects, has_faults: self.faults + self.stalls > 0 }).await;
        self.gate.open(false);
        holds
    }
}

/// How much was looked at.
#[derive(Default)]
struct Explored {
    schedules: usize,
    states: usize,
    ends: usize,
}

/// Where a claim does not hold, on the shortest way there.
struct Broken(String);

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("it starts")
}

/// Explores a scenario, which must hold.
#[expect(clippy::print_stdout, reason = "how much there was to explore is told by `--nocapture`")]
pub(super) fn holds(what: &str, scenario: &Scenario) {
    let began = std::time::Instant::now();
    match explore(scenario) {
        Ok(Explored { schedules, states, ends }) => {
            println!("{what}: {schedules} schedules, {states} states, {ends} ends in {:?}", began.elapsed());
        }
        Err(broken) => panic!("{what}: {}", broken.0),
    }
}

/// Explores everything.
fn explore(scenario: &Scenario) -> Result<Explored, Broken> {
    let mut names = Names::default();
    for (key, bytes) in scenario.found.everything() {
        names.give(key.as_bytes());
        names.give(&bytes);
    }
    let (mut seen, mut explored) = (HashSet::new(), Explored::default());
    let mut ahead = VecDeque::from([Vec::<Step>::new()]);
    while let Some(schedule) = ahead.pop_front() {
        explored.schedules += 1;
        let reached = runtime().block_on(follow(scenario, names.clone(), schedule, &mut seen, &mut explored));
        ahead.extend(reached?);
    }
    Ok(explored)
}

/// Follows a schedule, and goes on as long as there is but one way. Returns the schedules that go on from there.
async fn follow(
    scenario: &Scenario,
    names: Names,
    mut schedule: Vec<Step>,
    seen: &mut HashSet<u64>,
    explored: &mut Explored,
) -> Result<Vec<Vec<Step>>, Broken> {
    let mut run = Run::begin(scenario, names).await;
    for step in &schedule {
        run.take(step).await;
    }
    while seen.insert(run.state()) {
        explored.states += 1;
        let steps = run.steps();
        let mut holds = run.check(&scenario.always).await;
        if holds.is_ok() && run.is_over() {
            explored.ends += 1;
            holds = run.check(&scenario.finally).await;
        }
        if let Err(claim) = holds {
            return Err(Broken(told(&run, &schedule, &claim)));
        }
        match &steps[..] {
            [only] if !run.is_over() => {
                run.take(only).await;
                schedule.push(only.clone());
            }
            several => {
                let ahead = several.iter().map(|step| [&schedule[..], std::slice::from_ref(step)].concat());
                return Ok(ahead.collect());
            }
        }
    }
    Ok(Vec::new())
}

fn told(run: &Run<'_>, schedule: &[Step], claim: &str) -> String {
    let steps = schedule.iter().map(|step| match step.fate {
        Fate::Done => format!("  {}\n", step.label),
        fate => format!("  {}  ({fate:?})\n", step.label),
    });
    let steps: String = steps.collect();
    let answers: Vec<_> = run.answers.iter().map(|answers| held(answers.lock()).clone()).collect();
    format!("{claim}\n{steps}answered: {answers:#?}")
}
