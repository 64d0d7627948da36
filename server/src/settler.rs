//! Looks after changes that no call is working on: what was never sent is given
//! up, what may have been is read until it is known, or is for people to find
//! out (WRITES §6). Nothing is ever sent here.

pub mod turns;
pub mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use jiff::SignedDuration;
use serde_json::{Map, Value};
use tenantry_connectors::change::Target;
use tenantry_connectors::change::doubt::Doubt;
use tenantry_connectors::corridor::Corridor;
use tenantry_core::cause::chain;
use tenantry_core::name::ObjectId;
use tenantry_ledger::approval::End;
use tenantry_ledger::change::{ChangeId, Lease, Progress, Recorded};
use tenantry_ledger::claim::CLAIM_LASTS;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;
use tenantry_ledger::list::Cursor;
use tenantry_ledger::settle::{LONGEST_LIST, Outcome};
use tokio::time::Instant;

use crate::book::keeper::duty::Duty;
use crate::counter::Counter;
use crate::crash::{self, Step};
use crate::pipeline::change::told::with_object;
use turns::Open;
use verdict::{Seen, Sightings, Verdict};

/// For one reading of an object.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// Changes that are looked after at the same time. A vendor's quota bears it,
/// and a thousand changes of one that does not answer are gone through in ten
/// minutes.
const AT_ONCE: usize = 32;

/// Lists of the ledger that are gone through in a round, each of
/// [`LONGEST_LIST`]: of fifty thousand changes some hundred bytes each are kept,
/// and no account has so many at a vendor that answers nothing.
const MOST_LISTS: usize = 50;

/// In one round nothing is begun later than this after its beginning, so that
/// what answers is not kept waiting for long by what does not.
const ROUND: Duration = LOOK_LIMIT;

/// After this time without a step of its owner a change is taken over from a
/// replica: a call ends after 25 s.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// What clocks are set by in everyday life is less.
const NOTABLY_AHEAD: SignedDuration = SignedDuration::from_secs(60);

/// Where nothing is unsettled, in case a word was lost.
const IDLE: Duration = Duration::from_secs(30);

/// Why a change ends that stood as decided when its process did.
const NEVER_SENT: &str = "it was never sent";

/// How a settler goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two looks at a change.
    pub every: Duration,
    /// For how long what others left counts as watched at the first look. Zero,
    /// but in tests, which do not wait: no process knows how long ago another
    /// one sent something, by a clock that may have been set.
    pub credit: Duration,
}

/// One ledger, and what was seen so far of what is not settled in it.
pub struct Settler {
    counter: Arc<Counter>,
    ledger: Arc<Ledger>,
    pace: Duration,
    /// What the first round takes for watched, of what others left: nothing,
    /// but in tests, which do not wait.
    credit: SignedDuration,
    is_first: AtomicBool,
    is_ahead: AtomicBool,
    watched: Mutex<BTreeMap<ChangeId, Watched>>,
}

/// What was seen so far of one change.
struct Watched {
    stage: Stage,
    /// Since when this process knows it there, by [`Clock::running`].
    ///
    /// [`Clock::running`]: crate::clock::Clock::running
    since: SignedDuration,
    sightings: Sightings,
    /// How often somebody began to look after it.
    turns: u64,
}

/// Where a change waits for something that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Unsent,
    /// It may have left.
    Sent,
}

impl Settler {
    /// Somebody who keeps that pace.
    pub fn new(counter: Arc<Counter>, ledger: Arc<Ledger>, pace: Pace) -> Self {
        let credit = SignedDuration::try_from(pace.credit);
        Self {
            counter,
            ledger,
            pace: pace.every,
            credit: credit.unwrap_or(SignedDuration::MAX),
            is_first: AtomicBool::new(true),
            is_ahead: AtomicBool::new(false),
            watched: Mutex::default(),
        }
    }

    /// Settles what there is, for as long as it is polled.
    pub async fn keep_settled(self) {
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

    /// Looks after all that is unsettled, each change once at most; answers how
    /// much of it is left.
    pub async fn settle_all(&self) -> Result<usize, LedgerError> {
        let counter = &self.counter;
        let now = counter.clock.now();
        // Money is not kept back by a journal that cannot be read.
        if let Err(error) = counter.book.empty_journal(&self.ledger, now).await {
            tracing::error!(
                error = chain(&error),
                "the journal stays as it is; trying again"
            );
        }
        let mut left = self.end_what_nobody_decided().await?;
        let unsettled = self.all_unsettled().await?;
        self.watch(&unsettled);
        let order = turns::in_turns(unsettled, |change| self.turns(change));
        let until = Instant::now() + ROUND;
        let work = order.into_iter().map(|change| self.guarded(change, until));
        let mut round = futures::stream::iter(work).buffer_unordered(AT_ONCE);
        let mut failed = None;
        while let Some(ended) = round.next().await {
            match ended {
                Ok(is_settled) => left += usize::from(!is_settled),
                // The others are looked after all the same.
                Err(error) => failed = Some(error),
            }
        }
        counter.book.written.notify_one();
        self.tell_the_time();
        failed.map_or(Ok(left), Err)
    }

    /// All that is unsettled, the oldest first: those of a vendor that does not
    /// answer may be more than one list holds, and must not hide the others.
    async fn all_unsettled(&self) -> Result<Vec<Open>, LedgerError> {
        let mut unsettled: Vec<Open> = Vec::new();
        let mut after = None;
        for _ in 0..MOST_LISTS {
            let list = self.ledger.unsettled_after(after.as_ref()).await?;
            after = list.last().map(Cursor::behind);
            unsettled.extend(list.iter().map(Open::of));
            if list.len() < LONGEST_LIST as usize {
                break;
            }
        }
        // What went on between two lists is in both; it is looked after once.
        let mut seen = BTreeSet::new();
        unsettled.retain(|change| seen.insert(change.id.clone()));
        Ok(unsettled)
    }

    /// Looks after one change, whatever is wrong with it: the others must not be
    /// kept waiting by it in each round.
    async fn guarded(&self, change: Open, until: Instant) -> Result<bool, LedgerError> {
        let id = change.id.clone();
        // What is shared is behind locks that outlive a panic.
        let attended = AssertUnwindSafe(self.attend(change, until)).catch_unwind();
        let Ok(ended) = attended.await else {
            self.counter.metrics.duty_failed(Duty::Settle);
            tracing::error!(%id, "looking after a change failed; trying again");
            return Ok(false);
        };
        ended
    }

    /// Looks after one change, unless the round is over or others do; answers
    /// whether it is settled.
    async fn attend(&self, open: Open, until: Instant) -> Result<bool, LedgerError> {
        let id = &open.id;
        // What people agreed to is looked after by who brings it before them.
        let is_others = open.progress == Progress::Executing
            || self.counter.book.hands.hold(id)
            || !self.is_ours(&open);
        if is_others || Instant::now() >= until {
            return Ok(false);
        }
        if let Some(watched) = self.watched().get_mut(id) {
            watched.turns += 1;
        }
        let change = self.ledger.find(id).await?;
        let Some(change) = change.filter(|change| open.is_still(change)) else {
            return Ok(false);
        };
        match self.settle(&change).await {
            Ok(true) => {
                crash::at(Step::FoundOut);
                // Whoever agreed to it sees where it stands.
                self.counter.book.asked.notify_one();
                Ok(true)
            }
            // Not yet; or somebody else was faster, or it has moved on.
            Ok(false) | Err(LedgerError::Fenced { .. } | LedgerError::OutOfOrder { .. }) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// That the ledger's clock stands still is said once, when it begins.
    fn tell_the_time(&self) {
        let ahead = self.ledger.clock_ahead(self.counter.clock.now());
        let metric = &self.counter.metrics.ledger_clock_ahead;
        metric.set(ahead.as_secs_f64());
        let is_ahead = ahead >= NOTABLY_AHEAD;
        if is_ahead && !self.is_ahead.swap(is_ahead, Ordering::Relaxed) {
            tracing::error!(
                ahead_s = ahead.as_secs(),
                "the machine's clock went back: until it has come as far again, windows, \
                 cooldowns and questions of the ledger last longer"
            );
        }
        self.is_ahead.store(is_ahead, Ordering::Relaxed);
    }

    /// Forgets what is settled, and begins to watch what is new. Called after
    /// it was listed: what is there now was there for as long at least.
    fn watch(&self, unsettled: &[Open]) {
        let running = self.counter.clock.running();
        let is_first = self.is_first.swap(false, Ordering::Relaxed);
        let own = self.ledger.identity().epoch;
        let mut watched = self.watched();
        let mut before = std::mem::take(&mut *watched);
        let hands = &self.counter.book.hands;
        // What is in hand may be about to leave only now.
        for change in unsettled.iter().filter(|change| !hands.hold(&change.id)) {
            let (id, stage) = (&change.id, Stage::of(change.progress));
            let is_left_behind = is_first && change.holder != own;
            let credit = if is_left_behind {
                self.credit
            } else {
                SignedDuration::ZERO
            };
            let known = before.remove(id).filter(|known| known.stage == stage);
            let known = known.unwrap_or_else(|| Watched {
                stage,
                since: running - credit,
                sightings: Sightings::default(),
                turns: 0,
            });
            watched.insert(id.clone(), known);
        }
    }

    /// How long a change has stood where it stands, as far as this process
    /// knows: never more than it has.
    fn watched_for(&self, change: &ChangeId) -> SignedDuration {
        let watched = self.watched();
        let since = watched.get(change).map(|watched| watched.since);
        since.map_or(SignedDuration::ZERO, |since| {
            self.counter.clock.running() - since
        })
    }

    fn turns(&self, change: &ChangeId) -> u64 {
        self.watched()
            .get(change)
            .map_or(0, |watched| watched.turns)
    }

    fn watched(&self) -> MutexGuard<'_, BTreeMap<ChangeId, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
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
                .end_question(&late, End::Expired, Some(&answer), &Map::new(), now)
                .await;
            match ended {
                // Somebody else was faster, or it was asked anew.
                Ok(()) | Err(LedgerError::OutOfOrder { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(waiting.len())
    }

    /// Whether nobody else is looking after it. A file has one process, so
    /// whoever had a change of it before is gone.
    fn is_ours(&self, change: &Open) -> bool {
        // A clock that was ahead for a while makes the first of the two small;
        // one that jumps makes it large, and then the epoch stops the owner.
        let age = self.counter.clock.now().duration_since(change.since);
        let age = age.max(self.watched_for(&change.id));
        if change.progress == Progress::Claimed {
            // Its call may be about to take it into hand.
            return age >= CLAIM_LASTS;
        }
        let is_own = change.holder == self.ledger.identity().epoch;
        is_own || self.ledger.is_alone() || age >= ABANDONED_AFTER
    }

    /// One step towards the end of a change; answers whether it was the last.
    async fn settle(&self, change: &Recorded) -> Result<bool, LedgerError> {
        let now = self.counter.clock.now();
        let lease = if change.holder == self.ledger.identity().epoch {
            change.lease.clone()
        } else {
            self.ledger.take_over(change, now).await?
        };
        crash::at(Step::TakenOver);
        match change.progress {
            Progress::Claimed => self.ledger.release(&lease, now).await.map(|()| true),
            // Listed a while ago, it may have left since: then either fails.
            Progress::Reserved if self.ledger.approval(&lease.change).await?.is_some() => {
                let back = self.ledger.step_back(&lease, NEVER_SENT, now);
                // People agreed: it is carried out once more.
                back.await.map(|()| true)
            }
            Progress::Reserved => {
                let outcome = Outcome::NeverSent {
                    why: NEVER_SENT.into(),
                };
                let settled = self.ledger.settle(&lease, &outcome, now);
                settled.await.map(|()| true)
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

    async fn look(&self, change: &Recorded, lease: &Lease) -> Result<bool, LedgerError> {
        let seen = self.see(change).await;
        crash::at(Step::Looked);
        let now = self.counter.clock.now();
        let since_sent = self.watched_for(&lease.change);
        let verdict = match self.watched().get_mut(&lease.change) {
            Some(watched) => watched.sightings.add(seen, since_sent),
            None => Verdict::LookAgain,
        };
        let Some(outcome) = verdict::outcome(&verdict, change, now) else {
            return Ok(false);
        };
        let record = match &verdict {
            Verdict::Applied(found) => with_made(change, found),
            _ => change.record.clone(),
        };
        self.ledger.settle_as(lease, &outcome, &record, now).await?;
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
        let corridor = in_force.and_then(|in_force| in_force.corridor(connector(change)?));
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

impl Stage {
    fn of(progress: Progress) -> Self {
        match progress {
            Progress::Sending | Progress::Unknown => Self::Sent,
            _ => Self::Unsent,
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

/// What was sent, and of something new what the vendor called it, if it has.
fn doubt(change: &Recorded) -> Option<Doubt> {
    let target: &Value = &change.intent.as_ref()?.target;
    let doubt: Doubt = serde::Deserialize::deserialize(target).ok()?;
    if !matches!(doubt.target, Target::New(_)) {
        return Some(doubt);
    }
    let made = change.record.get("object").and_then(|made| made.get("id"));
    let made = made.and_then(Value::as_str).map(ObjectId::parse);
    let made = made.transpose().ok()?;
    Some(Doubt { made, ..doubt })
}

/// What the lines of a change carry, with the object that was found to be made.
fn with_made(change: &Recorded, found: &Value) -> Map<String, Value> {
    let record = change.record.clone();
    match (doubt(change), found.get("id").and_then(Value::as_str)) {
        (Some(doubt), Some(id)) => with_object(record, &doubt.kind, id),
        _ => record,
    }
}
