//! Batches (WRITES §8): changes that were asked for with one key. They are
//! decided in one transaction, all or none, and each has a reservation, an outcome
//! and lines of its own. The batch is a row without money, which has the key and
//! the question to people; it has come as far as its items.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tenantry_core::name::ToolName;
use tenantry_core::policy::batch::{Together, together};
use tenantry_core::policy::decide::{Decision, Permitted, Ruling, Terms};
use tenantry_core::policy::facts::Facts;

use crate::change::{ChangeId, Lease, Membership, Progress, Recorded, json, select_changes};
use crate::claim::{Claimed, OpenItem};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::line::Event;
use crate::page::Page;
use crate::reserve::{Asked, Deferred, Reservation, told};
use crate::sql::args;

/// What is asked for together.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The changes, in the order in which they are decided.
    pub items: &'a [Item<'a>],
    /// Actor and redacted arguments, for the lines of the batch itself.
    pub record: &'a Map<String, Value>,
    /// What is carried out later, if people must agree first: all of them.
    pub deferred: Deferred<'a>,
}

/// A change of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// Its name.
    pub change: &'a ChangeId,
    /// The tool that makes it.
    pub tool: &'a ToolName,
    /// What it is.
    pub what: What<'a>,
}

/// What a change of a batch is.
#[derive(Debug, Clone, Copy)]
pub enum What<'a> {
    /// This is to be decided.
    Change(Asked<'a>),
    /// It is so already.
    Unchanged {
        /// What its key opens.
        answer: &'a str,
        /// What its lines would carry.
        record: &'a Map<String, Value>,
    },
}

/// What became of the question.
#[derive(Debug, Clone, PartialEq)]
pub enum BatchReservation {
    /// All may be made; each has its money and its roots.
    Reserved {
        /// The rulings of those that change something.
        rulings: Vec<Ruling>,
        /// For how long, each.
        permitted: Vec<Permitted>,
        /// The right to carry each of them on.
        leases: Vec<Lease>,
    },
    /// People must agree, to all of them at once; their money is set aside.
    Pending {
        /// The rulings of those that change something.
        rulings: Vec<Ruling>,
        /// Until when they may.
        expires_at: Timestamp,
    },
    /// None may be made. The key is free, unless people were asked before.
    Denied {
        /// The rulings of those that change something.
        rulings: Vec<Ruling>,
    },
    /// Another change is in the way of one of them. The key is free, unless
    /// people were asked before.
    InTheWay {
        /// Which of those that change something.
        place: usize,
        /// What is in its way.
        change: ChangeId,
    },
    /// This batch was decided before.
    AlreadyThere {
        /// How far it has come.
        progress: Progress,
    },
}

/// What would become of a batch that was only asked about.
#[derive(Debug, Clone, PartialEq)]
pub enum ForeseenAll {
    /// They would be decided so.
    Ruled(Vec<Ruling>),
    /// Another change would be in the way of one of them.
    InTheWay {
        /// Which of those that change something.
        place: usize,
        /// What would be in its way.
        change: ChangeId,
    },
}

/// Those of a batch that change something.
type Changing<'a> = Vec<(&'a Item<'a>, &'a Asked<'a>)>;

impl Ledger {
    /// The changes of a batch, in their order.
    pub async fn items(&self, batch: &ChangeId) -> Result<Vec<Recorded>, LedgerError> {
        let mut tx = self.engine.look().await?;
        let rows = tx.rows(ITEMS, args![batch.as_str()]).await?;
        rows.iter().map(Recorded::of).collect()
    }

    /// What [`Self::decide_and_reserve_all`] would answer now. Nothing is
    /// claimed, reserved or written down.
    pub async fn foresee_all(
        &self,
        items: &[Item<'_>],
        now: Timestamp,
        decide: impl Fn(Vec<Facts>, Timestamp) -> Vec<Ruling>,
    ) -> Result<ForeseenAll, LedgerError> {
        let changing = changing(items);
        let mut page = self.turn(now).await?;
        self.admit()?;
        page.check_backlog()?;
        Ok(match page.obstacle_of_any(&changing).await? {
            Some((place, change)) => ForeseenAll::InTheWay { place, change },
            None => ForeseenAll::Ruled(page.rule_all(&changing, decide).await?.0),
        })
    }

    /// Decides over all changes of a batch and reserves what they need, at one
    /// moment of the book: all of them or none.
    ///
    /// `decide` is asked once or twice, with the facts of each that changes
    /// something, and only its answer may depend on them: it must be pure.
    pub async fn decide_and_reserve_all(
        &self,
        lease: &Lease,
        batch: &Batch<'_>,
        now: Timestamp,
        decide: impl Fn(Vec<Facts>, Timestamp) -> Vec<Ruling>,
    ) -> Result<BatchReservation, LedgerError> {
        let changing = changing(batch.items);
        let intents = changing.iter().map(|(_, asked)| asked.intent_text());
        let intents: Vec<String> = intents.collect::<Result<_, _>>()?;
        let mut page = self.turn(now).await?;
        self.admit()?;
        page.check_backlog()?;
        let change = Recorded::held(&mut page.tx, lease).await?;
        if !matches!(change.progress, Progress::Claimed | Progress::Executing) {
            let progress = change.progress;
            return Ok(BatchReservation::AlreadyThere { progress });
        }
        let obstacle = page.obstacle_of_any(&changing).await?;
        let reservation = if let Some((place, other)) = obstacle {
            page.stand_aside(&change, &changing, place, other).await?
        } else {
            let (rulings, older) = page.rule_all(&changing, decide).await?;
            let decided = Decided {
                batch,
                change: &change,
                changing: &changing,
                intents: &intents,
            };
            page.decide_all(&decided, rulings, older).await?
        };
        page.close().await?;
        Ok(reservation)
    }

    /// Makes it known that the requests of a batch leave, while their permissions
    /// are good. From now on each of its items is settled by itself.
    pub async fn sending_all(
        &self,
        lease: &Lease,
        permitted: &[Permitted],
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        const SENDING: &str = "UPDATE changes SET progress = 'sending', since = $1, sent_at = $1 \
             WHERE id = $2 AND epoch = $3 AND progress = 'reserved'";
        const ITEMS: &str = "UPDATE changes SET progress = 'sending', since = $1, sent_at = $1 \
             WHERE batch = $2 AND progress = 'reserved'";
        let mut page = self.turn(now).await?;
        let args = args![page.now, lease.change.as_str(), lease.epoch];
        if page.tx.run(SENDING, args).await? == 0 {
            let change = Recorded::held(&mut page.tx, lease).await?;
            return Err(change.out_of_order());
        }
        if !permitted.iter().all(|one| one.is_good(page.now)) {
            return Err(LedgerError::Stale {
                change: lease.change.clone(),
            });
        }
        let args = args![page.now, lease.change.as_str()];
        page.tx.run(ITEMS, args).await?;
        page.close().await
    }
}

const ITEMS: &str = select_changes!("WHERE batch = $1 ORDER BY place");

/// A batch that is being decided.
struct Decided<'d> {
    batch: &'d Batch<'d>,
    change: &'d Recorded,
    changing: &'d Changing<'d>,
    intents: &'d [String],
}

/// All that was said, as of one change.
fn of_all(rulings: &[Ruling]) -> Ruling {
    let fired = rulings.iter().flat_map(|ruling| &ruling.fired);
    let shadow = rulings.iter().flat_map(|ruling| &ruling.shadow);
    Ruling {
        decision: Decision::Denied,
        fired: fired.cloned().collect(),
        shadow: shadow.cloned().collect(),
    }
}

fn changing<'a>(items: &'a [Item<'a>]) -> Changing<'a> {
    let changing = items.iter().filter_map(|item| match &item.what {
        What::Change(asked) => Some((item, asked)),
        What::Unchanged { .. } => None,
    });
    changing.collect()
}

impl Page<'_> {
    async fn obstacle_of_any(
        &mut self,
        changing: &Changing<'_>,
    ) -> Result<Option<(usize, ChangeId)>, LedgerError> {
        for (place, (item, asked)) in changing.iter().enumerate() {
            if let Some(Reservation::RootBusy { change } | Reservation::Duplicate { change }) =
                self.obstacle(item.change, asked).await?
            {
                return Ok(Some((place, change)));
            }
        }
        Ok(None)
    }

    /// What is decided at this moment, and which older questions a new one would
    /// take the place of.
    async fn rule_all(
        &mut self,
        changing: &Changing<'_>,
        decide: impl Fn(Vec<Facts>, Timestamp) -> Vec<Ruling>,
    ) -> Result<(Vec<Ruling>, Vec<Recorded>), LedgerError> {
        let mut readings = Vec::new();
        let mut older: Vec<Recorded> = Vec::new();
        for (item, asked) in changing {
            let (own, proposal) = (item.change, asked.proposal);
            let terms = asked.exposure_terms;
            let reading = self.read_facts(own, proposal, asked.lookback, terms);
            let reading = reading.await?;
            if reading.waits_about(&proposal.subject) {
                let found = self.older_questions(own, asked).await?;
                let is_new = |one: &Recorded| !older.iter().any(|known| known.is_same(one));
                let found: Vec<_> = found.into_iter().filter(is_new).collect();
                older.extend(found);
            }
            readings.push((reading, proposal));
        }
        let own = changing.iter().map(|(item, _)| item.change.clone());
        let own: BTreeSet<ChangeId> = own.collect();
        let now = self.now;
        let rule = |left_out: &BTreeSet<ChangeId>| {
            let facts = readings.iter();
            let facts = facts.map(|(reading, proposal)| reading.facts(proposal, left_out));
            decide(facts.collect(), now)
        };
        let without = self.charged_of(&older).await?;
        let rulings = rule(&without.union(&own).cloned().collect());
        let asks = matches!(together(&rulings), Together::NeedsApproval(_));
        let rulings = if asks || older.is_empty() {
            rulings
        } else {
            rule(&own)
        };
        Ok((rulings, older))
    }

    async fn decide_all(
        &mut self,
        decided: &Decided<'_>,
        rulings: Vec<Ruling>,
        older: Vec<Recorded>,
    ) -> Result<BatchReservation, LedgerError> {
        let own = &decided.change.lease.change;
        match together(&rulings) {
            Together::Permitted => {
                let leases = self.reserve_all(decided, Progress::Reserved).await?;
                let lines = decided.changing.iter().zip(&rulings);
                for ((item, asked), ruling) in lines {
                    self.take_roots(item.change, asked.proposal, asked.roots)
                        .await?;
                    let detail = told("permitted", ruling);
                    self.append(Event::Intent, Some(item.change), detail, asked.record)
                        .await?;
                }
                let permitted = rulings.iter().filter_map(|ruling| match &ruling.decision {
                    Decision::Permitted(permitted) => Some(permitted.clone()),
                    Decision::NeedsApproval(_) | Decision::Denied => None,
                });
                Ok(BatchReservation::Reserved {
                    permitted: permitted.collect(),
                    rulings,
                    leases,
                })
            }
            Together::NeedsApproval(terms) => {
                self.reserve_all(decided, Progress::Pending).await?;
                self.supersede(&older, own).await?;
                let expires_at = self.ask_all(decided, &terms, &rulings).await?;
                Ok(BatchReservation::Pending {
                    rulings,
                    expires_at,
                })
            }
            Together::Denied => {
                let detail = told("denied", &of_all(&rulings));
                let record = decided.batch.record;
                self.append(Event::Refused, Some(own), detail, record)
                    .await?;
                let lines = decided.changing.iter().zip(&rulings);
                for ((item, asked), ruling) in lines {
                    let detail = told("denied", ruling);
                    self.append(Event::Refused, Some(item.change), detail, asked.record)
                        .await?;
                }
                self.let_go(decided.change).await?;
                Ok(BatchReservation::Denied { rulings })
            }
        }
    }

    async fn ask_all(
        &mut self,
        decided: &Decided<'_>,
        terms: &Terms,
        rulings: &[Ruling],
    ) -> Result<Timestamp, LedgerError> {
        let own = &decided.change.lease.change;
        let Batch {
            record, deferred, ..
        } = decided.batch;
        let whole = of_all(rulings);
        let expires_at = self.ask(own, terms, &whole.fired, *deferred).await?;
        let detail = told("needs_approval", &whole);
        self.append(Event::Asked, Some(own), detail, record).await?;
        for ((item, asked), ruling) in decided.changing.iter().zip(rulings) {
            let detail = told("needs_approval", ruling);
            self.append(Event::Asked, Some(item.change), detail, asked.record)
                .await?;
        }
        Ok(expires_at)
    }

    /// Sets the money of all aside, and writes down what they are.
    async fn reserve_all(
        &mut self,
        decided: &Decided<'_>,
        progress: Progress,
    ) -> Result<Vec<Lease>, LedgerError> {
        const RESERVE: &str = "UPDATE changes SET progress = $1, since = $2, reserved_at = $2, \
             record = $3, items = $4 WHERE id = $5";
        let Decided {
            batch,
            change,
            changing,
            intents,
        } = decided;
        let own = &change.lease.change;
        let items = i64::try_from(batch.items.len()).unwrap_or(i64::MAX);
        let record = json(batch.record);
        let args = args![progress.as_str(), self.now, record, items, own.as_str()];
        self.tx.run_later(RESERVE, args).await?;
        // What people were asked about stands there already.
        if change.progress == Progress::Claimed {
            for (place, item) in batch.items.iter().enumerate() {
                self.begin_item(change, place, item).await?;
            }
        }
        for ((item, asked), intent) in changing.iter().zip(intents.iter()) {
            self.reserve(item.change, asked, intent, progress).await?;
        }
        let items = self.items(own).await?;
        let is_of = |one: &Recorded| {
            let mut changing = changing.iter();
            changing.any(|(item, _)| *item.change == one.lease.change)
        };
        let leases = items.into_iter().filter(is_of).map(|one| one.lease);
        Ok(leases.collect())
    }

    async fn begin_item(
        &mut self,
        batch: &Recorded,
        place: usize,
        item: &Item<'_>,
    ) -> Result<(), LedgerError> {
        const BEGIN: &str = "INSERT INTO changes (id, epoch, holder, progress, since, principal, \
             tool, batch, place, record) VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9)";
        // No caller has such a key: a key is known by its digest.
        const CLAIM: &str = "INSERT INTO claims (claim, change_id, fingerprint, answer, \
             answered_at, is_expired) VALUES ($1, $2, 'item', $3, $4, 0)";
        let own = item.change.as_str();
        let (progress, answer, record) = match item.what {
            What::Change(_) => (Progress::Claimed, None, None),
            What::Unchanged { answer, record } => {
                (Progress::NotApplied, Some(answer), Some(json(record)))
            }
        };
        let place = i64::try_from(place).unwrap_or(i64::MAX);
        let args = args![
            own,
            self.ledger().identity.epoch,
            progress.as_str(),
            self.now,
            json(&batch.principal),
            item.tool.as_str(),
            batch.lease.change.as_str(),
            place,
            record.as_deref(),
        ];
        self.tx.run_later(BEGIN, args).await?;
        let answered_at = answer.map(|_| self.now);
        let args = args![format!("item {own}"), own, answer, answered_at];
        self.tx.run_later(CLAIM, args).await
    }

    /// Leaves a line for each change of a batch in whose way another one is.
    async fn stand_aside(
        &mut self,
        change: &Recorded,
        changing: &Changing<'_>,
        place: usize,
        other: ChangeId,
    ) -> Result<BatchReservation, LedgerError> {
        for (own, (item, asked)) in changing.iter().enumerate() {
            let detail = if own == place {
                json!({"decision": "root_busy", "other": other})
            } else {
                json!({"decision": "batch_refused"})
            };
            self.append(Event::Refused, Some(item.change), detail, asked.record)
                .await?;
        }
        self.let_go(change).await?;
        Ok(BatchReservation::InTheWay {
            place,
            change: other,
        })
    }

    /// Frees the key of a batch that is not made. What people were asked about
    /// stays, for its caller to end.
    async fn let_go(&mut self, change: &Recorded) -> Result<(), LedgerError> {
        match change.progress {
            Progress::Claimed => self.forget(change).await,
            _ => Ok(()),
        }
    }

    /// What the key of a batch opens: what those of its items do.
    pub(crate) async fn open_batch(
        &mut self,
        change: ChangeId,
        ended_at: Option<Timestamp>,
    ) -> Result<Claimed, LedgerError> {
        const CLAIM: &str =
            "SELECT change_id, answer, answered_at FROM claims WHERE change_id = $1";
        let mut items = Vec::new();
        for item in self.items(&change).await? {
            let own = item.lease.change.as_str();
            let opens = match self.tx.row(CLAIM, args![own]).await? {
                Some(row) => Some(Box::pin(self.open(&row)).await?),
                None => None,
            };
            items.push(OpenItem {
                change: item,
                opens,
            });
        }
        Ok(Claimed::Batch {
            change,
            items,
            ended_at,
        })
    }

    /// The changes of a batch, in their order.
    pub(crate) async fn items(&mut self, batch: &ChangeId) -> Result<Vec<Recorded>, LedgerError> {
        let rows = self.tx.rows(ITEMS, args![batch.as_str()]).await?;
        rows.iter().map(Recorded::of).collect()
    }

    /// The items of a batch that have not ended; none of anything else.
    pub(crate) async fn open_items(
        &mut self,
        change: &Recorded,
    ) -> Result<Vec<Recorded>, LedgerError> {
        if !change.is_batch() {
            return Ok(Vec::new());
        }
        let mut items = self.items(&change.lease.change).await?;
        items.retain(|item| !item.progress.is_final());
        Ok(items)
    }

    /// Each of these changes, or the batch that it is an item of.
    pub(crate) async fn wholes(
        &mut self,
        changes: Vec<Recorded>,
    ) -> Result<Vec<Recorded>, LedgerError> {
        let mut wholes: Vec<Recorded> = Vec::new();
        for change in changes {
            let whole = match &change.membership {
                Membership::Item { batch } => Recorded::find(&mut self.tx, batch).await?,
                Membership::Alone | Membership::Batch => Some(change),
            };
            let whole = whole.ok_or_else(|| LedgerError::damaged("an item has no batch"))?;
            if !wholes.iter().any(|known| known.is_same(&whole)) {
                wholes.push(whole);
            }
        }
        Ok(wholes)
    }

    /// The changes that are charged for these: they, or their items.
    pub(crate) async fn charged_of(
        &mut self,
        changes: &[Recorded],
    ) -> Result<BTreeSet<ChangeId>, LedgerError> {
        let mut charged = BTreeSet::new();
        for change in changes {
            charged.insert(change.lease.change.clone());
            let items = self.open_items(change).await?;
            charged.extend(items.into_iter().map(|item| item.lease.change));
        }
        Ok(charged)
    }

    /// Gives up the reservations of a batch; those that people agreed to keep
    /// their money.
    pub(crate) async fn step_items_back(
        &mut self,
        batch: &Recorded,
        is_agreed: bool,
    ) -> Result<(), LedgerError> {
        let own = batch.lease.change.as_str();
        for item in self.open_items(batch).await? {
            self.free_roots(&item).await?;
            if is_agreed {
                self.move_to(&item, Progress::Executing).await?;
            }
        }
        if is_agreed {
            return Ok(());
        }
        for item in self.items(&batch.lease.change).await? {
            self.forget(&item).await?;
        }
        let alone = "UPDATE changes SET items = NULL WHERE id = $1";
        self.tx.run_later(alone, args![own]).await
    }

    /// Puts down that an item could be made at another time.
    pub(crate) async fn hold_up(&mut self, item: &Recorded) -> Result<(), LedgerError> {
        let hold = "UPDATE changes SET held_up = 1 WHERE id = $1";
        let own = item.lease.change.as_str();
        self.tx.run_later(hold, args![own]).await
    }

    /// Ends a batch whose items have all ended. Its key is free if nothing is kept
    /// of any that was to change something.
    pub(crate) async fn end_batch(&mut self, batch: &ChangeId) -> Result<(), LedgerError> {
        const KEPT: &str = "SELECT claim FROM claims WHERE change_id IN (SELECT id FROM changes \
             WHERE batch = $1 AND proposal IS NOT NULL AND held_up IS NULL) LIMIT 1";
        let items = self.items(batch).await?;
        if !items.iter().all(|item| item.progress.is_final()) {
            return Ok(());
        }
        let whole = Recorded::find(&mut self.tx, batch).await?;
        let whole = whole.ok_or_else(|| LedgerError::damaged("an item has no batch"))?;
        if self.tx.row(KEPT, args![batch.as_str()]).await?.is_none() {
            for item in &items {
                self.free_key(item).await?;
            }
            return self.give_up(&whole).await;
        }
        let is_applied = |item: &Recorded| item.progress == Progress::Applied;
        let progress = if items.iter().any(is_applied) {
            Progress::Applied
        } else {
            Progress::NotApplied
        };
        self.move_to(&whole, progress).await?;
        self.answer(&whole, None).await
    }
}

impl Recorded {
    fn is_same(&self, other: &Self) -> bool {
        self.lease.change == other.lease.change
    }
}
