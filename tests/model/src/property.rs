//! What must hold whatever happens, and what must be possible at all, so that
//! nothing holds merely because nothing happens.

use stateright::{Model, Property};

use crate::scenario::{Moment, PERMISSION, Scenario};
use crate::state::{Effect, Progress, World};

/// No key has more than one effect at the vendor.
pub const ONE_EFFECT: &str = "a key has one effect at most";
/// What was raised within any window is not above the cap.
pub const CAP: &str = "the cap is never passed";
/// Two changes of a root are never closer than the pause between them.
pub const COOLDOWN: &str = "the cooldown is never undercut";
/// A day never has more changes of a root than its count.
pub const COUNT: &str = "the count of a day is never passed";
/// What the ledger calls applied was, and what it calls not applied was not.
pub const AGREEMENT: &str = "the ledger and the vendor agree";
/// Whatever happens, in the end nothing is left but what people are asked.
pub const SETTLED: &str = "everything settles";
/// What was permitted before a freeze does not leave long after it.
pub const FREEZE: &str = "a freeze is obeyed";

/// Everything that must hold.
pub const LAWS: [&str; 7] = [ONE_EFFECT, CAP, COOLDOWN, COUNT, AGREEMENT, SETTLED, FREEZE];

/// Some change is applied.
pub const SOME_APPLIED: &str = "a change is applied";
/// As much is raised as the cap has room for.
pub const FULL_USE: &str = "the cap is used up";
/// A change that was sent ends as not applied.
pub const SOME_SILENT: &str = "silence is settled";
/// A change ends with people.
pub const SOME_HUMAN: &str = "people are asked";
/// A change is settled by an owner that is not its first.
pub const SOME_TAKEN_OVER: &str = "a change is settled by another owner";

/// All of it, as the checker wants it.
pub fn all() -> Vec<Property<Scenario>> {
    vec![
        Property::always(ONE_EFFECT, has_one_effect),
        Property::always(CAP, is_under_cap),
        Property::always(COOLDOWN, has_cooled_down),
        Property::always(COUNT, is_within_count),
        Property::always(AGREEMENT, agrees),
        Property::always(SETTLED, settles),
        Property::always(FREEZE, obeys_freeze),
        Property::sometimes(SOME_APPLIED, |_, world| has(world, Progress::Applied)),
        Property::sometimes(FULL_USE, |scenario, world: &World| {
            raised(world.effects.iter()) == u32::from(scenario.limits.cap)
        }),
        Property::sometimes(SOME_SILENT, |_, world: &World| {
            let mut changes = world.changes.iter();
            changes.any(|it| it.progress == Progress::NotApplied && it.sent_at.is_some())
        }),
        Property::sometimes(SOME_HUMAN, |_, world| has(world, Progress::NeedsHuman)),
        Property::sometimes(SOME_TAKEN_OVER, |_, world: &World| {
            let mut changes = world.changes.iter();
            changes.any(|it| it.progress == Progress::Applied && it.epoch > 1)
        }),
    ]
}

fn has_one_effect(scenario: &Scenario, world: &World) -> bool {
    let of = |key| {
        let effects = world.effects.iter();
        effects.filter(move |effect| world.changes[effect.change].key == key)
    };
    (0..scenario.asks.len()).all(|key| of(key).count() <= 1)
}

fn is_under_cap(scenario: &Scenario, world: &World) -> bool {
    let cap = u32::from(scenario.limits.cap);
    let fits = |last: &Effect| {
        let effects = world.effects.iter();
        raised(effects.filter(|effect| is_within(effect, last, scenario.limits.window))) <= cap
    };
    world.effects.iter().all(fits)
}

fn has_cooled_down(scenario: &Scenario, world: &World) -> bool {
    let cooldown = scenario.limits.cooldown;
    moves(world).all(|(place, last)| {
        let earlier = moves(world).take_while(|(other, _)| *other < place);
        let same = earlier.filter(|(_, other)| {
            root(scenario, world, other) == root(scenario, world, last)
                && other.change != last.change
        });
        same.map(|(_, other)| last.at - other.at)
            .all(|pause| pause >= cooldown)
    })
}

fn is_within_count(scenario: &Scenario, world: &World) -> bool {
    let limits = scenario.limits;
    moves(world).all(|(_, last)| {
        let day = moves(world).filter(|(_, effect)| {
            root(scenario, world, effect) == root(scenario, world, last)
                && is_within(effect, last, limits.day)
        });
        day.count() <= usize::from(limits.per_day)
    })
}

fn agrees(_: &Scenario, world: &World) -> bool {
    let mut changes = world.changes.iter().enumerate();
    changes.all(|(id, change)| {
        let is_done = world.effects.iter().any(|effect| effect.change == id);
        match change.progress {
            Progress::Applied => is_done,
            Progress::NotApplied | Progress::Forgotten => !is_done,
            _ => true,
        }
    })
}

/// No way leads back to where it was (each step uses something up), so what is
/// so wherever nothing follows comes about in the end on every way.
fn settles(scenario: &Scenario, world: &World) -> bool {
    let is_at_rest = world.changes.iter().all(|it| it.progress.is_at_rest());
    is_at_rest || goes_on(scenario, world)
}

fn obeys_freeze(_: &Scenario, world: &World) -> bool {
    let Some(frozen_at) = world.frozen_at else {
        return true;
    };
    let mut sent = world.changes.iter().filter_map(|change| change.sent_at);
    sent.all(|at| at < frozen_at + PERMISSION)
}

fn goes_on(scenario: &Scenario, world: &World) -> bool {
    let mut actions = Vec::new();
    scenario.actions(world, &mut actions);
    let mut actions = actions.into_iter();
    actions.any(|action| scenario.next_state(world, action).is_some())
}

fn has(world: &World, progress: Progress) -> bool {
    world.changes.iter().any(|it| it.progress == progress)
}

fn raised<'e>(effects: impl Iterator<Item = &'e Effect>) -> u32 {
    effects.map(|effect| u32::from(effect.increase)).sum()
}

/// Whether an effect is in the window that ends with another one.
fn is_within(effect: &Effect, last: &Effect, length: Moment) -> bool {
    effect.at <= last.at && last.at - effect.at < length
}

/// The effects that made a difference, in their order.
fn moves(world: &World) -> impl Iterator<Item = (usize, &Effect)> {
    let effects = world.effects.iter().enumerate();
    effects.filter(|(_, effect)| effect.has_moved)
}

fn root(scenario: &Scenario, world: &World, effect: &Effect) -> u8 {
    scenario.asks[world.changes[effect.change].key].root
}
