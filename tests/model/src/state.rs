//! One moment of everything: the ledger, what the replicas have in memory, what
//! is on its way, and what the vendor has done.

use crate::scenario::{Mishaps, Moment, Scenario};

/// The place of a change in the ledger.
pub type ChangeId = usize;

/// How far a change has come, in the ledger's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Progress {
    /// Nothing is kept of it.
    Forgotten,
    /// Its key is claimed.
    Claimed,
    /// Its money is set aside.
    Reserved,
    /// The request may have left.
    Sending,
    /// Nobody knows what became of it.
    Unknown,
    /// Only people can find out.
    NeedsHuman,
    /// The vendor made it.
    Applied,
    /// The vendor did not.
    NotApplied,
}

/// A change as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Change {
    /// Whose key it has.
    pub key: usize,
    /// Whether a call with the key still meets this change.
    pub holds_key: bool,
    /// How far it has come.
    pub progress: Progress,
    /// Which of its owners may write.
    pub epoch: u8,
    /// When that owner claimed it.
    pub claimed_at: Moment,
    /// What the vendor said before.
    pub before: u8,
    /// What it raises, on that.
    pub charge: u8,
    /// When it was made known that the request leaves.
    pub sent_at: Option<Moment>,
    /// The moment its charge is dated at, once it is settled and counts.
    pub counts_at: Option<Moment>,
}

/// What a replica has in hand. A crash takes it all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Task {
    /// Whose it is.
    pub replica: u8,
    /// Of which change.
    pub change: ChangeId,
    /// Which of the owners it is.
    pub epoch: u8,
    /// What comes next.
    pub step: Step,
}

/// What a task does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Decide and reserve.
    Decide,
    /// Reserve what was decided apart. Only without the rule.
    Reserve,
    /// Read once more what there is.
    Recheck {
        /// When the permission ends.
        good_until: Moment,
    },
    /// Write down that the request leaves.
    MarkSending {
        /// When the permission ends.
        good_until: Moment,
    },
    /// Let the request leave.
    Leave,
    /// Write down that it left, after it did. Only without the rule.
    MarkLeft,
    /// Wait for the vendor's word.
    Wait,
    /// Take the vendor's word.
    Hear(Answer),
    /// Read what became of it.
    Look {
        /// Equal readings so far.
        reads: u8,
    },
    /// Write down what became of it.
    Settle(Outcome),
    /// Give a key back of which nothing came.
    Release,
}

/// What the vendor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// That it made the change.
    Made,
    /// That it does not.
    Refused,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// The vendor shows it, at that moment.
    Applied {
        /// When it was read.
        at: Moment,
    },
    /// The vendor refused.
    Refused,
    /// Nothing left.
    NotSent,
    /// The vendor showed nothing, for long enough.
    Silent,
    /// Nobody knows yet.
    Unknown,
    /// It cannot be found out.
    NeedsHuman,
}

/// A request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    /// Of which change.
    pub change: ChangeId,
    /// Who hears the answer.
    pub replica: u8,
    /// The last moment at which it can land.
    pub latest: Moment,
    /// Whether it is one that the vendor made itself.
    pub is_copy: bool,
}

/// What the vendor did, by its own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Effect {
    /// For which change.
    pub change: ChangeId,
    /// When.
    pub at: Moment,
    /// What it raised.
    pub increase: u8,
    /// Whether anything was different afterwards.
    pub has_moved: bool,
}

/// One moment of everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// The ledger's clock, and everybody's.
    pub clock: Moment,
    /// Calls that each client has left.
    pub calls: Vec<u8>,
    /// What may still go wrong.
    pub mishaps: Mishaps,
    /// When writes were frozen.
    pub frozen_at: Option<Moment>,
    /// The ledger.
    pub changes: Vec<Change>,
    /// What the replicas have in hand, in order: one of each change at most.
    pub tasks: Vec<Task>,
    /// What is on its way, in order.
    pub requests: Vec<Request>,
    /// The vendor's values.
    pub roots: Vec<u8>,
    /// The vendor's log.
    pub effects: Vec<Effect>,
}

impl World {
    /// How it begins.
    pub fn of(scenario: &Scenario) -> Self {
        Self {
            clock: 0,
            calls: scenario.asks.iter().map(|ask| ask.calls).collect(),
            mishaps: scenario.mishaps,
            frozen_at: None,
            changes: Vec::new(),
            tasks: Vec::new(),
            requests: Vec::new(),
            roots: scenario.roots.clone(),
            effects: Vec::new(),
        }
    }

    /// The task of a replica for a change.
    pub fn task(&self, replica: u8, change: ChangeId) -> Option<usize> {
        let mut tasks = self.tasks.iter();
        tasks.position(|task| task.replica == replica && task.change == change)
    }

    /// The same moment with the two replicas in the one order that stands for
    /// both.
    #[must_use]
    pub fn representative(&self) -> Self {
        let mut other = self.clone();
        for task in &mut other.tasks {
            task.replica = 1 - task.replica;
        }
        for request in &mut other.requests {
            request.replica = 1 - request.replica;
        }
        other.sort();
        let is_first = (&self.tasks, &self.requests) <= (&other.tasks, &other.requests);
        if is_first { self.clone() } else { other }
    }

    /// Puts what has no order into one, so that the same is equal.
    pub fn sort(&mut self) {
        self.tasks.sort_unstable();
        self.requests.sort_unstable();
    }
}

impl Progress {
    /// Whether its money and its root are its own.
    pub fn is_open(self) -> bool {
        matches!(
            self,
            Self::Reserved | Self::Sending | Self::Unknown | Self::NeedsHuman
        )
    }

    /// Whether nothing more is to be done without people.
    pub fn is_at_rest(self) -> bool {
        matches!(
            self,
            Self::Forgotten | Self::NeedsHuman | Self::Applied | Self::NotApplied
        )
    }
}
