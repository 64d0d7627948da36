//! What a replica does next with a change that it has in hand, one step at a
//! time: between any two of them it can stall or end.

use crate::ledger;
use crate::rule::Rule;
use crate::scenario::{Moment, QUIET, READS, Scenario};
use crate::state::{Outcome, Request, Step, Task, World};
use crate::vendor::{self, Standing};

/// Takes the next step of a task. `None` if there is nothing to do yet.
pub fn proceed(scenario: &Scenario, world: &mut World, index: usize) -> Option<()> {
    let task = world.tasks[index];
    let next = match task.step {
        Step::Recheck { good_until } => Some(recheck(scenario, world, &task, good_until)),
        Step::Leave => Some(leave(scenario, world, &task)),
        Step::Hear(answer) => {
            let outcome = vendor::hear(scenario, world, task.change, answer);
            Some(Step::Settle(outcome))
        }
        Step::Look { reads } => Some(look(scenario, world, &task, reads)?),
        // The answer comes, or it does not: see `give_up_waiting`.
        Step::Wait => return None,
        Step::MarkSending { .. } if !scenario.keeps(Rule::SendingFirst) => {
            send(scenario, world, &task, world.clock);
            Some(Step::MarkLeft)
        }
        _ => write(scenario, world, &task),
    };
    put(world, index, next);
    Some(())
}

/// Stops waiting for an answer: whatever became of it, nobody knows.
pub fn give_up_waiting(world: &mut World, index: usize) {
    put(world, index, Some(Step::Settle(Outcome::Unknown)));
}

/// Reads once, and is shown what there was before.
pub fn look_behind(scenario: &Scenario, world: &mut World, index: usize) -> Option<()> {
    let task = world.tasks[index];
    let Step::Look { reads } = task.step else {
        return None;
    };
    let is_reached = vendor::look(scenario, world, task.change) == Standing::Reached;
    if !is_reached || !is_quiet(scenario, world, &task) {
        return None;
    }
    put(world, index, Some(read_as_before(scenario, reads)));
    Some(())
}

/// Sends once more what may have left. Only without the rule.
pub fn send_again(scenario: &Scenario, world: &mut World, index: usize) -> Option<()> {
    let task = world.tasks[index];
    let is_wanted = matches!(task.step, Step::Look { .. })
        && vendor::look(scenario, world, task.change) == Standing::AsBefore;
    if scenario.keeps(Rule::NeverResent) || !is_wanted {
        return None;
    }
    let sent_at = world.changes[task.change].sent_at.unwrap_or(world.clock);
    send(scenario, world, &task, sent_at);
    put(world, index, Some(Step::Wait));
    Some(())
}

/// What a task writes to the ledger, and what follows. Whoever may not write
/// any more ends.
fn write(scenario: &Scenario, world: &mut World, task: &Task) -> Option<Step> {
    let id = task.change;
    if !ledger::is_held(scenario, world, task) {
        return None;
    }
    match task.step {
        Step::Decide => {
            let is_permitted = ledger::decide(scenario, world, id);
            if !is_permitted {
                ledger::forget(world, id);
                return None;
            }
            if scenario.keeps(Rule::ReservedWhenDecided) {
                ledger::reserve(world, id)
            } else {
                Some(Step::Reserve)
            }
        }
        Step::Reserve => ledger::reserve(world, id),
        Step::MarkSending { good_until } => ledger::mark_sending(scenario, world, id, good_until),
        Step::MarkLeft => {
            ledger::mark_sending(scenario, world, id, Moment::MAX).map(|_| Step::Wait)
        }
        Step::Settle(outcome) => ledger::settle(scenario, world, id, outcome),
        _ => {
            ledger::forget(world, id);
            None
        }
    }
}

fn recheck(scenario: &Scenario, world: &World, task: &Task, good_until: Moment) -> Step {
    let is_same = vendor::look(scenario, world, task.change) == Standing::AsBefore;
    if is_same || !scenario.keeps(Rule::RecheckedBeforeSent) {
        Step::MarkSending { good_until }
    } else {
        Step::Settle(Outcome::NotSent)
    }
}

/// The request leaves, unless its deadline is past: then nothing does.
fn leave(scenario: &Scenario, world: &mut World, task: &Task) -> Step {
    let sent_at = world.changes[task.change].sent_at.unwrap_or(world.clock);
    if world.clock > vendor::leaves_until(scenario, sent_at) {
        return Step::Settle(Outcome::NotSent);
    }
    send(scenario, world, task, sent_at);
    Step::Wait
}

fn send(scenario: &Scenario, world: &mut World, task: &Task, sent_at: Moment) {
    world.requests.push(Request {
        change: task.change,
        replica: task.replica,
        latest: vendor::lands_until(scenario, sent_at, world.clock),
        is_copy: false,
    });
}

fn look(scenario: &Scenario, world: &World, task: &Task, reads: u8) -> Option<Step> {
    let standing = vendor::look(scenario, world, task.change);
    if standing == Standing::Reached {
        return Some(Step::Settle(Outcome::Applied { at: world.clock }));
    }
    if !is_quiet(scenario, world, task) {
        return None;
    }
    Some(match standing {
        Standing::AsBefore => read_as_before(scenario, reads),
        _ => Step::Settle(Outcome::NeedsHuman),
    })
}

fn read_as_before(scenario: &Scenario, reads: u8) -> Step {
    let enough = if scenario.keeps(Rule::EqualReadings) {
        READS
    } else {
        1
    };
    if reads + 1 < enough {
        Step::Look { reads: reads + 1 }
    } else {
        Step::Settle(Outcome::Silent)
    }
}

fn is_quiet(scenario: &Scenario, world: &World, task: &Task) -> bool {
    let sent_at = world.changes[task.change].sent_at.unwrap_or(world.clock);
    world.clock >= sent_at + QUIET || !scenario.keeps(Rule::QuietPeriod)
}

/// The task goes on with that step, or it ends.
fn put(world: &mut World, index: usize, next: Option<Step>) {
    match next {
        Some(step) => world.tasks[index].step = step,
        None => {
            world.tasks.remove(index);
        }
    }
}
