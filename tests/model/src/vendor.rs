//! The vendor and the way there: what is sent can land at once or late, twice,
//! or never; and readings show what there is, or for a while what there was.

use crate::rule::Rule;
use crate::scenario::{Deed, Delay, Moment, QUIET, Scenario, TRAVEL};
use crate::state::{Answer, ChangeId, Effect, Outcome, Request, Step, World};

/// How a root stands to what a change would make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is that.
    Reached,
    /// It is as it was before.
    AsBefore,
    /// It is neither.
    Otherwise,
}

/// The last moment at which a request may still leave that was marked as
/// sending then.
pub fn leaves_until(scenario: &Scenario, sent_at: Moment) -> Moment {
    match scenario.delay {
        Delay::WithinQuiet if scenario.keeps(Rule::LeavesByDeadline) => sent_at,
        Delay::Beyond(late) => sent_at + QUIET + late,
        Delay::WithinQuiet | Delay::Unbounded => Moment::MAX,
    }
}

/// The last moment at which a request can land that leaves now.
pub fn lands_until(scenario: &Scenario, sent_at: Moment, now: Moment) -> Moment {
    match scenario.delay {
        Delay::WithinQuiet => now + TRAVEL,
        Delay::Beyond(late) => sent_at + QUIET + late,
        Delay::Unbounded => Moment::MAX,
    }
}

/// A request lands: the vendor carries it out.
pub fn land(scenario: &Scenario, world: &mut World, index: usize) {
    let request = world.requests.remove(index);
    let ask = scenario.asks[world.changes[request.change].key];
    let value = &mut world.roots[usize::from(ask.root)];
    let before = *value;
    let is_made = match ask.deed {
        Deed::Set(target) => {
            *value = target;
            target != before
        }
        Deed::Make(amount) => {
            *value += amount;
            true
        }
    };
    let increase = value.saturating_sub(before);
    // Made twice, an absolute change is the same, unless another came between.
    if is_made || !request.is_copy {
        world.effects.push(Effect {
            change: request.change,
            at: world.clock,
            increase,
            has_moved: is_made,
        });
    }
    answer(world, request, Answer::Made);
}

/// A request is refused for good.
pub fn refuse(world: &mut World, index: usize) {
    let request = world.requests.remove(index);
    answer(world, request, Answer::Refused);
}

/// Whether a request can be refused, lost or doubled: it is the client's own,
/// and the vendor has not doubled it. Who would refuse what it also carries out
/// says nothing of use to anybody.
pub fn is_single(world: &World, request: &Request) -> bool {
    let is_copy = |other: &Request| other.change == request.change && other.is_copy;
    !world.requests.iter().any(is_copy)
}

/// How things stand for a change, by the vendor's word of now.
pub fn look(scenario: &Scenario, world: &World, id: ChangeId) -> Standing {
    let change = &world.changes[id];
    let ask = scenario.asks[change.key];
    let value = world.roots[usize::from(ask.root)];
    match ask.deed {
        Deed::Set(target) if value == target => Standing::Reached,
        Deed::Set(_) if value == change.before => Standing::AsBefore,
        Deed::Set(_) => Standing::Otherwise,
        // What was made carries the change's name.
        Deed::Make(_) if world.effects.iter().any(|effect| effect.change == id) => {
            Standing::Reached
        }
        Deed::Make(_) => Standing::AsBefore,
    }
}

/// What follows from the vendor's word that it made a change: it must show.
pub fn hear(scenario: &Scenario, world: &World, id: ChangeId, answer: Answer) -> Outcome {
    match (answer, look(scenario, world, id)) {
        (Answer::Refused, _) => Outcome::Refused,
        (Answer::Made, Standing::Reached) => Outcome::Applied { at: world.clock },
        (Answer::Made, _) => Outcome::Unknown,
    }
}

/// Whoever still waits hears the answer; nobody else does.
fn answer(world: &mut World, request: Request, answer: Answer) {
    let waiting = world.tasks.iter_mut().find(|task| {
        task.replica == request.replica
            && task.change == request.change
            && matches!(task.step, Step::Wait | Step::MarkLeft)
    });
    if let Some(task) = waiting.filter(|task| task.step == Step::Wait) {
        task.step = Step::Hear(answer);
    }
}
