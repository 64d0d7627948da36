//! What people agreed to is carried out: begun once, by whoever finds it agreed,
//! and taken up by others when its process is gone or something was in its way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use tenantry_ledger::approval::{Approval, End, Execution, Shown};
use tenantry_ledger::change::{ChangeId, Progress, Recorded};
use tokio::time::Instant;

use super::word::Word;
use super::{Clerk, QUESTIONS_AT_ONCE, RoundError, end, form, said, settled, within};
use crate::control_plane::Question;
use crate::crash::{self, Step};
use crate::pipeline::change::agreed;

/// Before what people agreed to is tried once more, where something that passes
/// is in its way: twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// After this time without a word of its owner an execution is taken over from
/// a replica: the longest pause and the time of a call are less.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// When what people agreed to may be tried again, and the pause after that.
pub type Tries = BTreeMap<ChangeId, (Instant, Duration)>;

impl Clerk<'_> {
    pub(super) async fn execute(
        &self,
        change: &Recorded,
        approval: &Approval,
        shown: &Shown,
        by: &[String],
        question: &Question,
    ) -> Result<(), RoundError> {
        let said = Map::from_iter([("approved_by".to_owned(), json!(by))]);
        let now = self.counter.clock.now();
        let hand = self.counter.book.hands.take(&approval.change);
        let begun = self.ledger.execute(&approval.change, shown, &said, now);
        let lease = match begun.await? {
            Execution::Begun(lease) => lease,
            // Whoever settles ends it; or somebody else was faster.
            Execution::Expired | Execution::OtherShown | Execution::NotPending(_) => return Ok(()),
        };
        crash::at(Step::Agreed);
        self.counter.book.written.notify_one();
        self.begin(agreed::Work {
            change: change.clone(),
            approval: approval.clone(),
            lease,
            hand,
        });
        // From now on there is nothing to decide any more.
        let (state, message) = end::standing(Progress::Executing, None);
        self.tell(question, state, message).await
    }

    fn begin(&self, work: agreed::Work) {
        let id = work.change.lease.change.clone();
        let mut tries = self.tries();
        let pause = tries.get(&id).map_or(FIRST_PAUSE, |(_, pause)| *pause);
        let next = (Instant::now() + pause, LONGEST_PAUSE.min(pause * 2));
        tries.insert(id, next);
        drop(tries);
        agreed::begin(self.counter, self.ledger, work);
    }

    /// Takes up executions whose process is gone, or in whose way something was.
    /// Nothing of them was sent: what is, is settled.
    pub(super) async fn resume(&self) -> Result<(), RoundError> {
        let executing = self.ledger.executing().await?;
        let ids: BTreeSet<_> = executing
            .iter()
            .map(|change| &change.lease.change)
            .collect();
        let hands = &self.counter.book.hands;
        // What is in hand may come back.
        self.tries()
            .retain(|id, _| ids.contains(id) || hands.hold(id));
        let take_up = async |change| {
            said(self.take_up(change).await, "what people agreed to");
        };
        let executing = futures::stream::iter(executing);
        executing
            .for_each_concurrent(QUESTIONS_AT_ONCE, take_up)
            .await;
        Ok(())
    }

    fn tries(&self) -> MutexGuard<'_, Tries> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take_up(&self, change: Recorded) -> Result<(), RoundError> {
        let id = &change.lease.change;
        let now = self.counter.clock.now();
        let next = self.tries().get(id).map(|(next, _)| *next);
        let is_early = next.is_some_and(|next| Instant::now() < next);
        let is_own = change.holder == self.ledger.identity().epoch;
        let is_abandoned = now.duration_since(change.since) >= ABANDONED_AFTER;
        let is_ours = is_own || self.ledger.is_alone() || is_abandoned;
        if is_early || !is_ours || self.counter.book.hands.hold(id) {
            return Ok(());
        }
        let Some(approval) = self.ledger.approval(id).await? else {
            return Ok(());
        };
        let name = form::name(id, approval.asked_at);
        let word = match &approval.shown {
            Some(shown) => {
                let present = within(self.plane.look(&name)).await?;
                self.heard(&approval, shown, present.as_ref())
            }
            None => Word::Waiting,
        };
        let hand = self.counter.book.hands.take(id);
        let lease = if is_own {
            let stays = self.ledger.carry_on(&change.lease, now).await;
            settled(stays)?.map(|()| change.lease.clone())
        } else {
            let taken = self.ledger.take_over(&change, now);
            settled(taken.await)?
        };
        let Some(lease) = lease else {
            return Ok(());
        };
        crash::at(Step::TakenOver);
        // Nothing has left yet, so whoever says no is still heard.
        let ended = match word {
            Word::Ended(end, why) => Some((end, why)),
            _ if now >= approval.expires_at => Some((End::Expired, end::TOO_LATE.into())),
            Word::Agreed(_) | Word::Waiting => None,
        };
        if let Some((end, why)) = ended {
            let answer = end::answer(id, end, &why);
            let said = Map::from_iter([("why".to_owned(), Value::from(why))]);
            let ended = self
                .ledger
                .end_execution(&lease, end, Some(&answer), &said, now);
            settled(ended.await)?;
            self.counter.book.written.notify_one();
            return Ok(());
        }
        self.begin(agreed::Work {
            change,
            approval,
            lease,
            hand,
        });
        Ok(())
    }
}
