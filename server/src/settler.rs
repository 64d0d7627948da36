//! Looks after changes that no call is working on: what was never sent is given
//! up, what may have been is read until it is known, or is for people to find
//! out (WRITES §6). Nothing is ever sent here.

pub mod verdict;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use tenantry_connectors::change::doubt::Doubt;
use tenantry_connectors::corridor::Corridor;
use tenantry_core::cause::chain;
use tenantry_ledger::approval::End;
use tenantry_ledger::change::{ChangeId, Lease, Progress, Recorded};
use tenantry_ledger::claim::CLAIM_LASTS;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;
use tenantry_ledger::settle::Outcome;
use tokio::time::Instant;

use crate::counter::Counter;
use crate::crash::{self, Step};
use verdict::{Seen, Sightings, Verdict};

/// For one reading of an object.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// After this time without a step of its owner a change is taken over from a
/// replica: a call ends after 25 s.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// Where nothing is unsettled, in case a word was lost.
const IDLE: Duration = Duration::from_secs(30);

/// One ledger, and what was seen so far of what is not settled in it.
pub struct Settler {
    counter: Arc<Counter>,
    ledger: Arc<Ledger>,
    pace: Duration,
    sightings: BTreeMap<ChangeId, Sightings>,
}

impl Settler {
    /// Somebody who looks at each unsettled change that often.
    pub fn new(counter: Arc<Counter>, ledger: Arc<Ledger>, pace: Duration) -> Self {
        Self {
            counter,
            ledger,
            pace,
            sightings: BTreeMap::new(),
        }
    }

    /// Settles what there is, for as long as it is polled.
    pub async fn keep_settled(mut self) {
        loop {
            let wait = match self.settle_all().await {
                Ok(0) => IDLE,
                Ok(_) => self.pace,
                Err(error) => {
                    tracing::error!(
                        error = chain(&error),
                        "unsettled changes cannot be looked after; trying again"
                    );
                    self.pace
                }
            };
            let unsettled = self.counter.book.unsettled.notified();
            // Too soon after a word nothing has changed at the vendor yet.
            if tokio::time::timeout(wait, unsettled).await.is_ok() {
                tokio::time::sleep(self.pace).await;
            }
        }
    }

    /// Looks once at all that is unsettled; answers how much of it is left.
    pub async fn settle_all(&mut self) -> Result<usize, LedgerError> {
        let counter = &self.counter;
        let now = counter.clock.now();
        // Money is not kept back by a journal that cannot be read.
        if let Err(error) = counter.book.empty_journal(&self.ledger, now).await {
            tracing::error!(
                error = chain(&error),
                "the journal stays as it is; trying again"
            );
        }
        let waiting = self.end_what_nobody_decided().await?;
        let unsettled = self.ledger.unsettled().await?;
        let hands = self.counter.book.hands.clone();
        let mut left = waiting;
        for change in unsettled {
            if hands.hold(&change.lease.change) || !self.is_ours(&change) {
                left += 1;
                continue;
            }
            match self.settle(&change).await {
                Ok(true) => {
                    crash::at(Step::FoundOut);
                    self.sightings.remove(&change.lease.change);
                }
                // Not yet; or somebody else was faster, or it has moved on.
                Ok(false) | Err(LedgerError::Fenced { .. } | LedgerError::OutOfOrder { .. }) => {
                    left += 1;
                }
                Err(error) => return Err(error),
            }
        }
        if left == 0 {
            self.sightings.clear();
        }
        self.counter.book.written.notify_one();
        Ok(left)
    }

    /// Ends questions whose time has passed, so that their money is free again;
    /// answers how many others wait.
    async fn end_what_nobody_decided(&self) -> Result<usize, LedgerError> {
        let now = self.counter.clock.now();
        let waiting = self.ledger.waiting().await?;
        let (late, waiting): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|waiting| waiting.expires_at <= now);
        for late in late {
            let answer = verdict::expired(&late.change);
            let ended = self
                .ledger
                .end_question(&late.change, End::Expired, Some(&answer), now)
                .await;
            match ended {
                // Somebody else was faster.
                Ok(()) | Err(LedgerError::OutOfOrder { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(waiting.len())
    }

    /// Whether nobody else is looking after it. A file has one process, so
    /// whoever had a change of it before is gone.
    fn is_ours(&self, change: &Recorded) -> bool {
        let age = self.counter.clock.now().duration_since(change.since);
        if change.progress == Progress::Claimed {
            // Its call may be about to take it into hand.
            return age >= CLAIM_LASTS;
        }
        let is_own = change.holder == self.ledger.identity().epoch;
        is_own || self.ledger.is_alone() || age >= ABANDONED_AFTER
    }

    /// One step towards the end of a change; answers whether it was the last.
    async fn settle(&mut self, change: &Recorded) -> Result<bool, LedgerError> {
        let now = self.counter.clock.now();
        let lease = if change.holder == self.ledger.identity().epoch {
            change.lease.clone()
        } else {
            self.ledger
                .take_over(&change.lease, &change.record, now)
                .await?
        };
        crash::at(Step::TakenOver);
        match change.progress {
            Progress::Claimed => self.ledger.release(&lease, now).await.map(|()| true),
            Progress::Reserved => {
                // Listed a while ago, it may have left since: then this fails.
                let outcome = Outcome::NeverSent {
                    why: "it was never sent".into(),
                };
                self.ledger
                    .settle(&lease, &outcome, now)
                    .await
                    .map(|()| true)
            }
            Progress::Sending => {
                let outcome = Outcome::Unknown {
                    why: "whoever sent it is gone".into(),
                };
                self.ledger.settle(&lease, &outcome, now).await?;
                crash::at(Step::Doubted);
                self.look(change, &lease).await
            }
            Progress::Unknown => self.look(change, &lease).await,
            // People settle these, or they are settled.
            Progress::Pending
            | Progress::Executing
            | Progress::NeedsHuman
            | Progress::Applied
            | Progress::NotApplied => Ok(false),
        }
    }

    async fn look(&mut self, change: &Recorded, lease: &Lease) -> Result<bool, LedgerError> {
        let seen = self.see(change).await;
        crash::at(Step::Looked);
        let now = self.counter.clock.now();
        let sent_at = change.sent_at.unwrap_or(change.since);
        let sightings = self.sightings.entry(lease.change.clone()).or_default();
        let verdict = sightings.add(seen, now.duration_since(sent_at));
        let Some(outcome) = verdict::outcome(&verdict, change, now) else {
            return Ok(false);
        };
        self.ledger.settle(lease, &outcome, now).await?;
        let id = lease.change.as_str();
        if let Verdict::NeedsHuman(why) = verdict {
            tracing::error!(
                change = id,
                why,
                "people must find out what became of a change"
            );
        } else {
            tracing::info!(change = id, "it is known what became of a change");
        }
        Ok(true)
    }

    /// What the vendor shows of its object now.
    async fn see(&self, change: &Recorded) -> Seen {
        let Some(doubt) = doubt(change) else {
            return Seen::Never("what was sent cannot be read in the ledger".into());
        };
        let standing = self.counter.standing();
        let in_force = standing.in_force.as_deref();
        let corridor = in_force.and_then(|in_force| {
            let mut grants = in_force.grants();
            let own = grants.find(|(name, _)| Some(*name) == connector(change));
            own.map(|(_, grant)| grant.corridor)
        });
        let Some((corridor, settling)) = corridor.and_then(with_settling) else {
            return Seen::Nothing("the organisation does not use the connector any more".into());
        };
        match corridor.look(&doubt, Instant::now() + LOOK_LIMIT).await {
            Ok(sighting) => Seen::Found(Box::new(sighting), settling),
            Err(error) => {
                let change = change.lease.change.as_str();
                tracing::warn!(
                    error = chain(&error),
                    change,
                    "the object of a change cannot be read"
                );
                Seen::Nothing("the vendor does not show the object".into())
            }
        }
    }
}

fn with_settling(
    corridor: &Corridor,
) -> Option<(&Corridor, tenantry_connectors::change::Settling)> {
    Some((corridor, corridor.settling()?))
}

fn connector(change: &Recorded) -> Option<&tenantry_core::name::ConnectorName> {
    Some(&change.proposal.as_ref()?.subject.connector)
}

fn doubt(change: &Recorded) -> Option<Doubt> {
    let target: &Value = &change.intent.as_ref()?.target;
    serde::Deserialize::deserialize(target).ok()
}
