//! What readings of an object say about a change that was sent. Pure: a change
//! counts as not made after the quiet time and equal readings, never before.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize as _;
use serde_json::Value;
use tenantry_connectors::change::Settling;
use tenantry_connectors::change::doubt::{Sighting, Standing};
use tenantry_connectors::change::view::View;
use tenantry_core::answer::{ChangeAnswer, Status};
use tenantry_core::audit::Stage;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_ledger::change::{ChangeId, Recorded};
use tenantry_ledger::settle::Outcome;

use crate::pipeline::change::told::{named, of_view, stored, value};
use crate::pipeline::{Done, Stopped};

/// How long a vendor may not show an object before people are asked. Most
/// outages are over by then, and the money is kept aside meanwhile.
const PATIENCE: SignedDuration = SignedDuration::from_mins(30);

/// What one reading showed.
pub enum Seen {
    /// This, and what the vendor's changes need to settle.
    Found(Box<Sighting>, Settling),
    /// Nothing, this time.
    Nothing(String),
    /// Nothing, and there never will be anything.
    Never(String),
}

/// The equal readings so far.
#[derive(Default)]
pub struct Sightings {
    last: Option<Value>,
    equal: u32,
}

/// What is known of a change.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Not enough.
    LookAgain,
    /// The vendor made it, and shows this.
    Applied(Value),
    /// The vendor has not made it.
    NotApplied,
    /// It cannot be told from here, and why.
    NeedsHuman(String),
}

impl Sightings {
    /// Adds a reading that was made so long after the change was sent.
    pub fn add(&mut self, seen: Seen, since_sent: SignedDuration) -> Verdict {
        let (sighting, settling) = match seen {
            Seen::Found(sighting, settling) => (sighting, settling),
            Seen::Never(why) => return Verdict::NeedsHuman(why),
            Seen::Nothing(why) if since_sent >= PATIENCE => return Verdict::NeedsHuman(why),
            Seen::Nothing(_) => {
                *self = Self::default();
                return Verdict::LookAgain;
            }
        };
        let found = value(&sighting.found);
        if sighting.standing == Standing::Reached {
            return Verdict::Applied(found);
        }
        let quiet = SignedDuration::from_millis(settling.quiet_ms.try_into().unwrap_or(i64::MAX));
        if since_sent < quiet {
            return Verdict::LookAgain;
        }
        self.equal = match &self.last {
            Some(last) if *last == found => self.equal + 1,
            _ => 1,
        };
        self.last = Some(found);
        if self.equal < settling.reads {
            return Verdict::LookAgain;
        }
        match sighting.standing {
            Standing::AsBefore => Verdict::NotApplied,
            _ => Verdict::NeedsHuman("the object is neither as it was nor as it should be".into()),
        }
    }
}

/// What the ledger keeps of a verdict; nothing while there is none.
pub fn outcome(verdict: &Verdict, change: &Recorded, now: Timestamp) -> Option<Outcome> {
    let answer = shown(change);
    let failed = |status, reason, message: &str| {
        let stopped = Stopped {
            status,
            ..Stopped::failed(Stage::Send, Refusal::new(reason, message))
        };
        stored("", &Err(stopped.of_change(answer.clone())))
    };
    Some(match verdict {
        Verdict::LookAgain => return None,
        // Its money counts from now on: it can have been applied until now.
        Verdict::Applied(found) => {
            let told = ChangeAnswer {
                after: Some(found.clone()),
                ..answer
            };
            Outcome::Applied {
                at: now,
                after: found.clone(),
                answer: stored("", &Ok(Done::Changed(Status::Done, Box::new(told)))),
            }
        }
        Verdict::NotApplied => {
            let message = "the vendor has not made the change: the object stayed as it was";
            Outcome::NotApplied {
                why: message.into(),
                answer: Some(failed(Status::Failed, Reason::ChangeNotMade, message)),
            }
        }
        Verdict::NeedsHuman(why) => {
            let message = format!("people must find out what became of the change: {why}");
            Outcome::NeedsHuman {
                why: why.clone(),
                answer: failed(Status::NeedsHuman, Reason::OutcomeUndecided, &message),
            }
        }
    })
}

/// What the key of a change is answered with to which nobody agreed in time.
pub fn expired(change: &ChangeId) -> String {
    let message = "nobody agreed to the change in time, so it was not made";
    let refusal = Refusal::new(Reason::ApprovalExpired, message);
    let stopped = Stopped::refused(Stage::Decide, refusal);
    stored("", &Err(stopped.of_change(named(change))))
}

/// What was said of the change when it was decided, as the ledger keeps it.
fn shown(change: &Recorded) -> ChangeAnswer {
    let before = change.intent.as_ref().map(|intent| &intent.before);
    let view = before.and_then(|before| View::deserialize(before).ok());
    let id = &change.lease.change;
    view.map_or_else(|| named(id), |view| of_view(&view, Some(id)))
}
