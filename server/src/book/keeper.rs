//! Who keeps the book: opens it, brings its lines out, settles what nobody is
//! working on, and takes out what has been kept long enough.

pub mod duty;

use std::sync::Arc;
use std::time::Duration;

use tenantry_core::cause::chain;
use tenantry_ledger::ledger::Ledger;

use super::outbox;
use crate::clock::Clock;
use crate::counter::Counter;
use crate::settler::{Pace, Settler};
use duty::{Duty, supervised};

/// What was kept for months may stay for some minutes more. One sweep takes out
/// a bounded part, so this is faster than a busy organisation fills.
const SWEEP: Duration = Duration::from_mins(10);

/// Keeps the book of the first contract in force, settling at that pace, for
/// as long as it is polled. No duty ends with another.
pub async fn keep(counter: Arc<Counter>, pace: Pace) {
    let in_force = counter.in_force().await;
    let watch = (&counter.book.failed, counter.metrics.as_ref());
    let open = || counter.book.open(&in_force.tenant, &counter.clock);
    let Some(ledger) = supervised(watch, Duty::Open, open).await else {
        return;
    };
    let settle = || Settler::new(Arc::clone(&counter), Arc::clone(&ledger), pace).keep_settled();
    let empty = || outbox::keep_emptied(&counter, &ledger);
    let sweep = || keep_swept(&ledger, &counter.clock);
    futures::join!(
        supervised(watch, Duty::BringOut, empty),
        supervised(watch, Duty::Settle, settle),
        supervised(watch, Duty::Sweep, sweep),
    );
}

async fn keep_swept(ledger: &Ledger, clock: &Clock) {
    loop {
        tokio::time::sleep(SWEEP).await;
        match ledger.sweep(clock.now()).await {
            Ok(swept) => tracing::debug!(?swept, "what was kept long enough is out of the ledger"),
            Err(error) => tracing::warn!(error = chain(&error), "the ledger could not be swept"),
        }
    }
}
