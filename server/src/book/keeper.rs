//! Who keeps the book: opens it, brings its lines out, settles what nobody is
//! working on, and takes out what has been kept long enough.

use std::sync::Arc;
use std::time::Duration;

use tenantry_core::cause::chain;
use tenantry_ledger::ledger::Ledger;

use super::outbox;
use crate::clock::Clock;
use crate::counter::Counter;
use crate::settler::Settler;

/// What was kept for months may stay for some minutes more. One sweep takes out
/// a bounded part, so this is faster than a busy organisation fills.
const SWEEP: Duration = Duration::from_mins(10);

/// Keeps the book of the contract in force, looking at unsettled changes that
/// often, for as long as it is polled.
pub async fn keep(counter: Arc<Counter>, settle_every: Duration) {
    counter.in_force().await;
    let Some(in_force) = counter.standing().in_force else {
        return;
    };
    let Some(ledger) = counter.book.open(&in_force.tenant, &counter.clock).await else {
        return;
    };
    let settler = Settler::new(Arc::clone(&counter), Arc::clone(&ledger), settle_every);
    futures::join!(
        outbox::keep_emptied(&counter, &ledger),
        settler.keep_settled(),
        keep_swept(&ledger, &counter.clock),
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
