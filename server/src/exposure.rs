//! Reads all live budgets of the organisation, where policies limit what they
//! may spend together, and keeps what was found in the ledger (WRITES §4). No
//! decision waits for it: where it fails for long, people are asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use tenantry_connectors::call_error::CallError;
use tenantry_core::cause::chain;
use tenantry_core::effect::{Impossible, active_daily};
use tenantry_core::name::{AccountId, ConnectorName, Currency};
use tenantry_core::policy::facts::ExposureSnapshot;
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;
use tokio::time::{Instant, timeout_at};

use crate::counter::Counter;
use crate::in_force::InForce;

/// Accounts that are read at the same time: few, for calls share the vendor's
/// quotas with them.
const AT_ONCE: usize = 4;

/// For one reading of all accounts. What would take longer could hardly be
/// kept fresh: it is good for 15 minutes from its beginning.
const READ_WITHIN: Duration = Duration::from_mins(4);

/// How often it is read.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between the beginnings of two readings.
    pub every: Duration,
    /// After a failure; growing up to that.
    pub again: Duration,
}

impl Pace {
    /// Two failures in a row leave what was read before good.
    pub const PRODUCTION: Self = Self {
        every: Duration::from_mins(5),
        again: Duration::from_secs(15),
    };
}

/// An account, and whose.
type Place = (ConnectorName, AccountId);

/// Why there is no reading.
#[derive(Debug, thiserror::Error)]
enum Unread {
    /// The contract has no way to an account of its own.
    #[error("there is no way to account `{0}`")]
    NoWay(AccountId),
    /// The vendor did not show all of an account.
    #[error("reading the live budgets of account `{account}`")]
    Vendor {
        /// Which.
        account: AccountId,
        /// Why not.
        #[source]
        cause: CallError,
    },
    /// What it showed has no sum.
    #[error("adding up the live budgets of account `{account}`")]
    Sum {
        /// Which.
        account: AccountId,
        /// Why not.
        #[source]
        cause: Impossible,
    },
    /// It was read, and could not be kept.
    #[error("keeping what all live budgets may spend")]
    Ledger(#[source] LedgerError),
}

/// When to read, and what.
struct Plan {
    pace: Pace,
    /// Nothing while no policy asks for it.
    places: Option<BTreeSet<Place>>,
    due: Instant,
    pause: Duration,
}

/// Reads at that pace for as long as it is polled: while a policy in force
/// limits live budgets, and at once when that or the accounts change.
pub async fn keep_read(counter: &Counter, ledger: &Ledger, pace: Pace) {
    let mut standings = counter.standings();
    let mut plan = Plan::new(pace, Instant::now());
    loop {
        let in_force = standings.borrow_and_update().in_force.clone();
        let in_force = in_force.filter(|now| now.limited_exposure().is_some());
        plan.follow(in_force.as_deref(), Instant::now());
        let Some(in_force) = in_force else {
            // The sender lives as long as `counter`, so there is nothing to fail.
            let _ = standings.changed().await;
            continue;
        };
        if timeout_at(plan.due, standings.changed()).await.is_ok() {
            continue;
        }
        let began = Instant::now();
        let read = read_and_keep(counter, ledger, &in_force, began).await;
        if let Err(error) = &read {
            tracing::warn!(
                error = chain(error),
                pause_ms = plan.pause.as_millis(),
                "live budgets cannot be read; without a reading of the last 15 minutes people \
                 are asked"
            );
        }
        plan.read(read.is_ok(), began);
    }
}

impl Plan {
    fn new(pace: Pace, now: Instant) -> Self {
        Self {
            pace,
            places: None,
            due: now,
            pause: pace.again,
        }
    }

    /// Other accounts are read at once.
    fn follow(&mut self, in_force: Option<&InForce>, now: Instant) {
        let places = in_force.map(|in_force| &in_force.exposure_terms.accounts);
        if places != self.places.as_ref() {
            self.places = places.cloned();
            self.due = now;
            self.pause = self.pace.again;
        }
    }

    /// A reading that began then has ended.
    fn read(&mut self, well: bool, began: Instant) {
        if well {
            self.due = began + self.pace.every;
            self.pause = self.pace.again;
        } else {
            self.due = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(self.pace.every);
        }
    }
}

async fn read_and_keep(
    counter: &Counter,
    ledger: &Ledger,
    in_force: &InForce,
    began: Instant,
) -> Result<(), Unread> {
    let before = counter.clock.now();
    let active_daily_micros = active(in_force, before, began + READ_WITHIN).await?;
    let now = counter.clock.now();
    let snapshot = ExposureSnapshot {
        // A clock that was set back meanwhile dates changes earlier, too.
        as_of: before.min(now),
        accounts: in_force.exposure_terms.accounts.clone(),
        active_daily_micros,
    };
    let kept = ledger.keep_exposure(&snapshot, now).await;
    if !kept.map_err(Unread::Ledger)? {
        // Another replica has read later.
        return Ok(());
    }
    counter
        .metrics
        .exposure_read
        .set(snapshot.as_of.as_second());
    tracing::debug!(as_of = %snapshot.as_of, "all live budgets are read");
    Ok(())
}

/// What can be spent a day in all accounts, by vendor and currency.
async fn active(
    in_force: &InForce,
    now: Timestamp,
    deadline: Instant,
) -> Result<BTreeMap<(ConnectorName, Currency), i64>, Unread> {
    let places = in_force.exposure_terms.accounts.iter().cloned();
    let work = places.map(|place| active_in(in_force, place, now, deadline));
    let all: Vec<_> = futures::stream::iter(work)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let mut sums: BTreeMap<(ConnectorName, Currency), i64> = BTreeMap::new();
    for (place, micros) in all {
        let sum = sums.entry(place).or_default();
        // Beyond every number is over every limit.
        *sum = sum.saturating_add(micros);
    }
    Ok(sums)
}

async fn active_in(
    in_force: &InForce,
    (connector, account): Place,
    now: Timestamp,
    deadline: Instant,
) -> Result<((ConnectorName, Currency), i64), Unread> {
    let corridor = in_force.corridor(&connector);
    let way = corridor.and_then(|corridor| Some((corridor, corridor.own(account.as_str())?)));
    let (corridor, owned) = way.ok_or_else(|| Unread::NoWay(account.clone()))?;
    let place = (connector, owned.currency().clone());
    if !corridor.holds_budgets() {
        return Ok((place, 0));
    }
    let roots = corridor.running(&owned, deadline).await;
    let roots = roots.map_err(|cause| Unread::Vendor {
        account: account.clone(),
        cause,
    })?;
    let mut sum = 0_i64;
    for root in &roots {
        let micros = active_daily(root, now).map_err(|cause| Unread::Sum {
            account: account.clone(),
            cause,
        })?;
        sum = sum.saturating_add(micros);
    }
    Ok((place, sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_read_sooner_after_a_failure_and_each_time_later() {
        let now = Instant::now();
        let pace = Pace {
            every: 10 * SECOND,
            again: 3 * SECOND,
        };
        let mut plan = Plan::new(pace, now);
        let mut pauses = Vec::new();
        for well in [false, false, false, false, true, false] {
            pauses.push(plan.pause.as_secs());
            plan.read(well, now);
        }
        assert_eq!(pauses, [3, 6, 10, 10, 10, 3]);
        plan.read(true, now);
        assert_eq!(plan.due, now + pace.every);
    }
}
