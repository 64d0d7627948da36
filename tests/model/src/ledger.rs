//! The transactions of the ledger, each one step: what `tenantry-ledger` does
//! under its lock. An answer of `None` means that it refused and wrote nothing.

use crate::rule::Rule;
use crate::scenario::{CLAIM_LASTS, Deed, Limits, Moment, PERMISSION, QUIET, Scenario, Silence};
use crate::state::{Change, ChangeId, Outcome, Progress, Step, Task, World};

/// Claims a key for a replica and reads what there is: the earliest reading is
/// the worst one to decide on. `None` if the key is somebody's already.
pub fn claim(scenario: &Scenario, world: &mut World, replica: u8, key: usize) -> Option<()> {
    let ask = scenario.asks[key];
    let value = world.roots[usize::from(ask.root)];
    let (before, raises) = match ask.deed {
        // It is so already: `unchanged`, and nothing is claimed.
        Deed::Set(target) if target == value => return None,
        Deed::Set(target) => (value, target.saturating_sub(value)),
        Deed::Make(amount) => (0, amount),
    };
    let change = Change {
        key,
        holds_key: true,
        progress: Progress::Claimed,
        epoch: 1,
        claimed_at: world.clock,
        before,
        charge: raises,
        sent_at: None,
        counts_at: None,
    };
    let is_held = |change: &Change| change.key == key && change.holds_key;
    let holder = world.changes.iter().position(is_held);
    let id = match holder.filter(|_| scenario.keeps(Rule::UniqueKey)) {
        None => {
            world.changes.push(change);
            world.changes.len() - 1
        }
        Some(id) => {
            let age = world.clock - world.changes[id].claimed_at;
            let is_stale = world.changes[id].progress == Progress::Claimed && age >= CLAIM_LASTS;
            if !is_stale || world.task(replica, id).is_some() {
                return None;
            }
            let epoch = world.changes[id].epoch + 1;
            world.changes[id] = Change { epoch, ..change };
            id
        }
    };
    world.tasks.push(Task {
        replica,
        change: id,
        epoch: world.changes[id].epoch,
        step: Step::Decide,
    });
    Some(())
}

/// Takes a change over from whoever has it.
pub fn take_over(world: &mut World, replica: u8, id: ChangeId) {
    let change = &mut world.changes[id];
    change.epoch += 1;
    // What comes next is said by what was seen now, not by what will be.
    let step = match change.progress {
        Progress::Claimed => Step::Release,
        Progress::Reserved => Step::Settle(Outcome::NotSent),
        _ => Step::Look { reads: 0 },
    };
    world.tasks.push(Task {
        replica,
        change: id,
        epoch: change.epoch,
        step,
    });
}

/// Whether the owner of a task may still write.
pub fn is_held(scenario: &Scenario, world: &World, task: &Task) -> bool {
    let is_latest = world.changes[task.change].epoch == task.epoch;
    is_latest || !scenario.keeps(Rule::FencedByEpoch)
}

/// Ends what was taken over from and can do no more than be refused: a step
/// that nothing can tell from none. What has marked its change as sending can
/// still let the request leave.
pub fn end_fenced(scenario: &Scenario, world: &mut World) {
    if !scenario.keeps(Rule::FencedByEpoch) {
        return;
    }
    let World { tasks, changes, .. } = world;
    tasks.retain(|task| {
        changes[task.change].epoch == task.epoch
            || task.step == Step::Leave
            || (matches!(task.step, Step::MarkSending { .. })
                && !scenario.keeps(Rule::SendingFirst))
    });
}

/// Whether a change may be made, by what the ledger says now.
pub fn decide(scenario: &Scenario, world: &World, id: ChangeId) -> bool {
    if world.frozen_at.is_some() || is_busy(scenario, world, id) {
        return false;
    }
    let Limits {
        cap,
        window,
        cooldown,
        per_day,
        day,
    } = scenario.limits;
    let change = &world.changes[id];
    let counted = |length: Moment| {
        let others = world.changes.iter().enumerate();
        others
            .filter(move |(other, _)| *other != id)
            .map(|(_, other)| other)
            .filter(move |other| counts(scenario, other, world.clock, length))
    };
    let of_root = |other: &&Change| root(scenario, other) == root(scenario, change);
    let used: u8 = counted(window).map(|other| other.charge).sum();
    // Decreases obey cooldowns and counts, never windows.
    let fits = change.charge == 0 || used + change.charge <= cap;
    let rests = cooldown > 0 && counted(cooldown).any(|other| of_root(&other));
    let today = counted(day).filter(of_root).count();
    fits && !rests && today < usize::from(per_day)
}

/// Sets the money of a change aside.
pub fn reserve(world: &mut World, id: ChangeId) -> Option<Step> {
    if world.changes[id].progress != Progress::Claimed {
        return None;
    }
    world.changes[id].progress = Progress::Reserved;
    // Nobody asks for it any more: what is the same should be equal.
    world.changes[id].claimed_at = 0;
    let good_until = world.clock + PERMISSION;
    Some(Step::Recheck { good_until })
}

/// Forgets a change of which nothing is to be kept; its key is free.
pub fn forget(world: &mut World, id: ChangeId) {
    let change = &mut world.changes[id];
    if change.progress != Progress::Claimed {
        return;
    }
    // All that was known of it is the same for every forgotten one.
    *change = Change {
        holds_key: false,
        progress: Progress::Forgotten,
        claimed_at: 0,
        before: 0,
        charge: 0,
        ..*change
    };
}

/// Writes down that the request leaves.
pub fn mark_sending(
    scenario: &Scenario,
    world: &mut World,
    id: ChangeId,
    good_until: Moment,
) -> Option<Step> {
    if world.changes[id].progress != Progress::Reserved {
        return None;
    }
    if scenario.keeps(Rule::PermissionExpires) && world.clock >= good_until {
        return Some(Step::Settle(Outcome::NotSent));
    }
    world.changes[id].progress = Progress::Sending;
    world.changes[id].sent_at = Some(world.clock);
    Some(Step::Leave)
}

/// Writes down what became of a change, and posts or frees its money. The step
/// that follows, if one does.
pub fn settle(
    scenario: &Scenario,
    world: &mut World,
    id: ChangeId,
    outcome: Outcome,
) -> Option<Step> {
    let now = world.clock;
    let change = &mut world.changes[id];
    if !follows(outcome, change.progress) {
        return None;
    }
    let sent_at = change.sent_at.unwrap_or(now);
    let silence = scenario.silence;
    match outcome {
        Outcome::Applied { at } => {
            let latest = scenario.keeps(Rule::LatestPosting);
            change.progress = Progress::Applied;
            change.counts_at = Some(if latest { at.max(sent_at) } else { sent_at });
        }
        Outcome::Refused => change.progress = Progress::NotApplied,
        Outcome::NotSent => {
            change.progress = Progress::NotApplied;
            change.holds_key = false;
        }
        Outcome::Silent if silence == Silence::Asks => change.progress = Progress::NeedsHuman,
        Outcome::Silent => {
            change.progress = Progress::NotApplied;
            change.holds_key = scenario.keeps(Rule::SilenceKeepsTheKey);
            change.counts_at = silence.lasts().map(|lasts| sent_at + QUIET + lasts);
        }
        Outcome::Unknown => {
            change.progress = Progress::Unknown;
            return Some(Step::Look { reads: 0 });
        }
        Outcome::NeedsHuman => change.progress = Progress::NeedsHuman,
    }
    None
}

/// Whether an outcome can follow where a change stands (`Outcome::follows`).
fn follows(outcome: Outcome, progress: Progress) -> bool {
    use Progress::{NeedsHuman, Reserved, Sending, Unknown};
    match outcome {
        Outcome::Applied { .. } => matches!(progress, Sending | Unknown | NeedsHuman),
        Outcome::Refused | Outcome::NotSent | Outcome::Silent => {
            matches!(progress, Reserved | Sending | Unknown | NeedsHuman)
        }
        Outcome::Unknown | Outcome::NeedsHuman => matches!(progress, Sending | Unknown),
    }
}

/// Whether another change has the root.
fn is_busy(scenario: &Scenario, world: &World, id: ChangeId) -> bool {
    let mine = root(scenario, &world.changes[id]);
    let holds = |other: &Change| match (other.progress, scenario.silence) {
        (Progress::NotApplied, Silence::KeepsMoneyAndRoot(_)) => {
            // Until nothing of it can land any more.
            other.counts_at.is_some_and(|latest| world.clock <= latest)
        }
        (Progress::Applied, _) if scenario.rests => {
            other.sent_at.is_some_and(|at| world.clock < at + QUIET)
        }
        (progress, _) => progress.is_open(),
    };
    let mut others = world.changes.iter().enumerate();
    let is_other = |(other, change): (usize, &Change)| {
        other != id && root(scenario, change) == mine && holds(change)
    };
    others.any(is_other) && scenario.keeps(Rule::OneOpenChange)
}

/// Whether a change counts in the time of that length that ends now.
fn counts(scenario: &Scenario, change: &Change, now: Moment, length: Moment) -> bool {
    match change.progress {
        Progress::Reserved | Progress::Sending => scenario.keeps(Rule::OpenCounts),
        Progress::Unknown | Progress::NeedsHuman => scenario.keeps(Rule::UnknownCounts),
        // Half open: what was at the window's edge is out of it.
        _ => change.counts_at.is_some_and(|at| now < at + length),
    }
}

fn root(scenario: &Scenario, change: &Change) -> u8 {
    scenario.asks[change.key].root
}

impl Silence {
    /// How long after the quiet period the money of a silent change is dated.
    fn lasts(self) -> Option<Moment> {
        match self {
            Self::KeepsMoney(lasts) | Self::KeepsMoneyAndRoot(lasts) => Some(lasts),
            Self::Frees | Self::Asks => None,
        }
    }
}
