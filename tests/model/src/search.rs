//! Every order in which things can happen, and the search through all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::ledger;
use crate::property;
use crate::replica;
use crate::rule::Rule;
use crate::scenario::{QUIET, Scenario};
use crate::state::{ChangeId, Progress, Request, Step, Task, World};
use crate::vendor;

/// The replicas.
const REPLICAS: [u8; 2] = [0, 1];

/// What somebody by hand sets a root to: nothing that anybody asks for.
const MEDDLED: u8 = 99;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The clock goes on.
    Tick,
    /// A client calls with a key.
    Call {
        /// Whom.
        replica: u8,
        /// With which.
        key: usize,
    },
    /// A replica takes its next step with a change.
    Proceed {
        /// Which.
        replica: u8,
        /// With which.
        change: ChangeId,
        /// What it does.
        step: Step,
    },
    /// A replica waits no longer for an answer.
    GiveUpWaiting {
        /// Which.
        replica: u8,
        /// Of which change.
        change: ChangeId,
    },
    /// A replica reads, and is shown what there was before.
    LookBehind {
        /// Which.
        replica: u8,
        /// Of which change.
        change: ChangeId,
    },
    /// A replica sends once more. Only without the rule.
    SendAgain {
        /// Which.
        replica: u8,
        /// What.
        change: ChangeId,
    },
    /// A replica takes a change over.
    TakeOver {
        /// Which.
        replica: u8,
        /// What.
        change: ChangeId,
    },
    /// A replica ends and forgets.
    Crash {
        /// Which.
        replica: u8,
    },
    /// A request is carried out.
    Land(usize),
    /// A request is refused.
    Refuse(usize),
    /// A request is lost.
    Lose(usize),
    /// A request will be carried out once more.
    Double(usize),
    /// Somebody sets a root by hand.
    Meddle,
    /// Writes are frozen.
    Freeze,
}

/// What a search found.
#[derive(Debug)]
pub struct Found {
    /// How many different moments there are.
    pub states: usize,
    /// The steps of the longest way looked at.
    pub depth: usize,
    /// What did not hold, each with a way to where it does not.
    pub broken: BTreeMap<&'static str, Vec<Action>>,
    /// What must be possible, and was not.
    pub impossible: BTreeSet<&'static str>,
}

impl Model for Scenario {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::of(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        deeds(self, world, actions);
        calls(self, world, actions);
        for index in 0..world.requests.len() {
            actions.extend([
                Action::Land(index),
                Action::Refuse(index),
                Action::Lose(index),
                Action::Double(index),
            ]);
        }
        take_overs(world, actions);
        actions.extend(REPLICAS.map(|replica| Action::Crash { replica }));
        actions.extend([Action::Meddle, Action::Freeze, Action::Tick]);
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        happen(self, &mut world, action)?;
        ledger::end_fenced(self, &mut world);
        world.sort();
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        property::all()
    }
}

/// Looks at everything, and says what it was.
pub fn whole(name: &str, scenario: Scenario) -> Found {
    let began = Instant::now();
    let checker = scenario.checker().symmetry_fn(World::representative);
    let checker = checker.spawn_dfs().join();
    let found = Found::of(&checker);
    let took = began.elapsed();
    println!(
        "{name}: {} states, {} steps deep, {took:.1?}",
        found.states, found.depth
    );
    found
}

/// Looks for the shortest way to where a law does not hold, and for no more.
pub fn breach(scenario: Scenario, law: &'static str) -> Option<Vec<Action>> {
    let wanted = HasDiscoveries::AnyOf(BTreeSet::from([law]));
    let checker = scenario.checker().finish_when(wanted).spawn_bfs().join();
    let mut found = Found::of(&checker);
    println!("{law}: {} states looked at", found.states);
    found.broken.remove(law)
}

impl Found {
    fn of(checker: &impl Checker<Scenario>) -> Self {
        let discoveries = checker.discoveries();
        let impossible = checker
            .model()
            .properties()
            .into_iter()
            .filter(|it| !it.expectation.discovery_is_failure())
            .map(|it| it.name)
            .filter(|name| !discoveries.contains_key(name));
        Self {
            states: checker.unique_state_count(),
            depth: checker.max_depth(),
            impossible: impossible.collect(),
            broken: discoveries
                .into_iter()
                .filter(|(name, _)| property::LAWS.contains(name))
                .map(|(name, path)| (name, path.into_actions()))
                .collect(),
        }
    }
}

fn deeds(scenario: &Scenario, world: &World, actions: &mut Vec<Action>) {
    for task in &world.tasks {
        let (replica, change, step) = (task.replica, task.change, task.step);
        match step {
            Step::Wait => actions.push(Action::GiveUpWaiting { replica, change }),
            Step::Hear(_) => actions.extend([
                Action::Proceed {
                    replica,
                    change,
                    step,
                },
                Action::GiveUpWaiting { replica, change },
            ]),
            Step::Look { .. } => {
                actions.push(Action::Proceed {
                    replica,
                    change,
                    step,
                });
                actions.push(Action::LookBehind { replica, change });
                if !scenario.keeps(Rule::NeverResent) {
                    actions.push(Action::SendAgain { replica, change });
                }
            }
            _ => actions.push(Action::Proceed {
                replica,
                change,
                step,
            }),
        }
    }
}

fn calls(scenario: &Scenario, world: &World, actions: &mut Vec<Action>) {
    if world.clock > scenario.until {
        return;
    }
    for (key, left) in world.calls.iter().enumerate() {
        if *left > 0 {
            actions.extend(REPLICAS.map(|replica| Action::Call { replica, key }));
        }
    }
}

fn take_overs(world: &World, actions: &mut Vec<Action>) {
    for (id, change) in world.changes.iter().enumerate() {
        if change.progress.is_at_rest() {
            continue;
        }
        let is_owner = |task: &Task| task.change == id && task.epoch == change.epoch;
        let is_orphan = !world.tasks.iter().any(is_owner);
        if is_orphan || world.mishaps.suspicions > 0 {
            let free = REPLICAS
                .into_iter()
                .filter(|replica| world.task(*replica, id).is_none());
            actions.extend(free.map(|replica| Action::TakeOver {
                replica,
                change: id,
            }));
        }
    }
}

/// What an action does; `None` if it cannot be, or changes nothing.
fn happen(scenario: &Scenario, world: &mut World, action: Action) -> Option<()> {
    match action {
        Action::Tick => tick(scenario, world),
        Action::Call { replica, key } => {
            world.calls[key] -= 1;
            ledger::claim(scenario, world, replica, key)
        }
        Action::Proceed {
            replica, change, ..
        } => {
            let index = world.task(replica, change)?;
            replica::proceed(scenario, world, index)
        }
        Action::GiveUpWaiting { replica, change } => {
            let index = world.task(replica, change)?;
            replica::give_up_waiting(world, index);
            Some(())
        }
        Action::LookBehind { replica, change } => {
            spend(&mut world.mishaps.stale_readings)?;
            let index = world.task(replica, change)?;
            replica::look_behind(scenario, world, index)
        }
        Action::SendAgain { replica, change } => {
            let index = world.task(replica, change)?;
            replica::send_again(scenario, world, index)
        }
        Action::TakeOver { replica, change } => take_over(world, replica, change),
        Action::Crash { replica } => crash(world, replica),
        Action::Meddle => {
            spend(&mut world.mishaps.meddlings)?;
            world.roots[0] = MEDDLED;
            Some(())
        }
        Action::Freeze => {
            spend(&mut world.mishaps.freezes)?;
            world.frozen_at = Some(world.clock);
            Some(())
        }
        Action::Land(index)
        | Action::Refuse(index)
        | Action::Lose(index)
        | Action::Double(index) => travel(scenario, world, action, index),
    }
}

/// What becomes of a request on its way.
fn travel(scenario: &Scenario, world: &mut World, action: Action, index: usize) -> Option<()> {
    let request = world.requests[index];
    let is_single = vendor::is_single(world, &request);
    match action {
        // Of two that are the same, the first to land is the client's own.
        Action::Land(_) if request.is_copy && !is_alone(world, index) => return None,
        Action::Land(_) => vendor::land(scenario, world, index),
        Action::Refuse(_) if is_single => vendor::refuse(world, index),
        Action::Lose(_) if is_single => {
            world.requests.remove(index);
        }
        Action::Double(_) if is_single => {
            spend(&mut world.mishaps.duplicates)?;
            let is_copy = true;
            world.requests.push(Request { is_copy, ..request });
        }
        _ => return None,
    }
    Some(())
}

/// Whether nothing else of the same change is on its way.
fn is_alone(world: &World, index: usize) -> bool {
    let change = world.requests[index].change;
    let same = world.requests.iter().filter(|it| it.change == change);
    same.count() == 1
}

/// Time passes while anybody still calls, and while a change waits for it. What
/// must have landed by now has.
fn tick(scenario: &Scenario, world: &mut World) -> Option<()> {
    let is_overdue = world.requests.iter().any(|it| it.latest <= world.clock);
    let is_awaited = world.changes.iter().any(|change| {
        let is_unknown = matches!(change.progress, Progress::Sending | Progress::Unknown);
        is_unknown && change.sent_at.is_some_and(|at| world.clock < at + QUIET)
    });
    if is_overdue || !(world.clock < scenario.until || is_awaited) {
        return None;
    }
    world.clock += 1;
    Some(())
}

fn take_over(world: &mut World, replica: u8, id: ChangeId) -> Option<()> {
    let epoch = world.changes[id].epoch;
    let is_owner = |task: &Task| task.change == id && task.epoch == epoch;
    if world.tasks.iter().any(is_owner) {
        spend(&mut world.mishaps.suspicions)?;
    }
    ledger::take_over(world, replica, id);
    Some(())
}

/// Whatever a replica had in memory is gone; what it has sent is not.
fn crash(world: &mut World, replica: u8) -> Option<()> {
    spend(&mut world.mishaps.crashes)?;
    let before = world.tasks.len();
    world.tasks.retain(|task| task.replica != replica);
    (world.tasks.len() < before).then_some(())
}

fn spend(left: &mut u8) -> Option<()> {
    *left = left.checked_sub(1)?;
    Some(())
}
