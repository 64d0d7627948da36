//! Who keeps the book: opens it, brings its lines out, settles what nobody is
//! working on, has all live budgets read, and takes out what has been kept long
//! enough.

pub mod duty;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use tenantry_api::mcp_server::LedgerReport;
use tenantry_core::cause::chain;
use tenantry_core::ledger_mark::LedgerMark;
use tenantry_core::tenant::TenantConfig;
use tenantry_ledger::ledger::Ledger;

use super::outbox;
use crate::approvals;
use crate::book;
use crate::clock::Clock;
use crate::counter::Counter;
use crate::exposure;
use crate::settler::{Pace, Settler};
use duty::{Duty, supervised};

/// What was kept for months may stay for some minutes more. One sweep takes out
/// a bounded part, so this is faster than a busy organisation fills.
const SWEEP: Duration = Duration::from_mins(10);

/// Between attempts to put an acceptance on record.
const ACCEPT_AGAIN: Duration = Duration::from_secs(5);

/// Keeps the book of the first contract in force, settling and reading live
/// budgets at those paces, for as long as it is polled. No duty ends with another.
pub async fn keep(counter: Arc<Counter>, pace: Pace, reading: exposure::Pace) {
    let in_force = counter.in_force().await;
    let watch = (&counter.book.failed, counter.metrics.as_ref());
    let open = async || {
        let expected = expected(&counter, &in_force.tenant);
        let book = &counter.book;
        book.open(&in_force.tenant, expected.as_ref(), &counter.clock)
            .await
    };
    let Some(ledger) = supervised(watch, Duty::Open, open).await else {
        return;
    };
    let settle = || Settler::new(Arc::clone(&counter), Arc::clone(&ledger), pace).keep_settled();
    let empty = || outbox::keep_emptied(&counter, &ledger);
    let accept = || accept_when_told(&counter, &ledger);
    let read = || exposure::keep_read(&counter, &ledger, reading);
    let show = || approvals::keep(&counter, &ledger);
    let sweep = || keep_swept(&ledger, &counter.clock);
    futures::join!(
        supervised(watch, Duty::BringOut, empty),
        supervised(watch, Duty::Settle, settle),
        supervised(watch, Duty::Sweep, sweep),
        supervised(watch, Duty::ReadExposure, read),
        supervised(watch, Duty::Accept, accept),
        supervised(watch, Duty::Ask, show),
    );
}

/// As which the ledger must be found: as the operator knows it, or further, as
/// the replicas before this one reported.
fn expected(counter: &Counter, tenant: &TenantConfig) -> Option<LedgerMark> {
    let reports = counter.knowledge.ledgers();
    let told = reports.values().filter_map(LedgerReport::told);
    told.fold(tenant.ledger.expected.clone(), |known, told| {
        Some(LedgerMark::after(known, told))
    })
}

/// Accepts a ledger that was not expected, once the contract has the word.
async fn accept_when_told(counter: &Counter, ledger: &Ledger) {
    let mut standings = counter.standings();
    while !ledger.recognition().is_trusted() {
        let in_force = standings.borrow_and_update().in_force.clone();
        let told = in_force.and_then(|in_force| in_force.tenant.ledger.accept.clone());
        if told.is_some() && told == book::acceptance(ledger) {
            accept(counter, ledger, told).await;
            continue;
        }
        // The sender lives as long as `counter`, so there is nothing to fail.
        let _ = standings.changed().await;
    }
}

async fn accept(counter: &Counter, ledger: &Ledger, word: Option<String>) {
    let record = Map::from_iter([("accept".to_owned(), word.into())]);
    match ledger.accept(&record, counter.clock.now()).await {
        Ok(()) => {
            tracing::warn!(id = %ledger.identity().id, "the ledger that was found is accepted");
            counter.book.written.notify_one();
        }
        Err(error) => {
            tracing::error!(error = chain(&error), "the ledger could not be accepted");
            tokio::time::sleep(ACCEPT_AGAIN).await;
        }
    }
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
