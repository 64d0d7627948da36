//! Switching something off while the ledger cannot be written to: it is made
//! all the same, and put down in the journal (WRITES §5).

use serde_json::{Map, Value, json};
use tenantry_connectors::change::{Made, Sent};
use tenantry_core::audit::Stage;
use tenantry_ledger::outbox::OffBook;

use super::prepare::Ready;
use super::{Desk, make, prepare, told};
use crate::book;
use crate::credentials;
use crate::pipeline::authorize::Permitted;
use crate::pipeline::record::Entry;
use crate::pipeline::wish::Wish;
use crate::pipeline::{Ended, Stopped};

/// Makes a stop for which nothing was claimed.
pub(super) async fn stop(
    desk: Desk<'_>,
    permitted: Permitted<'_>,
    wish: &Wish,
    entry: &mut Entry,
) -> Ended {
    let ready = prepare::prepare(desk, permitted, wish, entry).await?;
    if ready.prepared.is_reached {
        return Ok(told::unchanged(told::of(&ready.prepared, None)));
    }
    desk.confirm(&ready).await?;
    stop_prepared(desk, &ready, wish, entry).await
}

/// Makes a stop that the ledger could not take.
pub(super) async fn stop_prepared(
    desk: Desk<'_>,
    ready: &Ready<'_>,
    wish: &Wish,
    entry: &mut Entry,
) -> Ended {
    let refused = |refusal| Stopped::refused(Stage::Decide, refusal);
    // INVARIANT: whoever comes here has looked.
    if !ready.is_stop() {
        let refusal = desk.counter.book.ledger().err();
        let refusal = refusal.unwrap_or_else(book::unrecordable);
        return Err(refused(refusal));
    }
    let change = book::new_change().map_err(refused)?;
    entry.change(&change);
    let record = told::record(desk, ready, wish, entry);
    let put_down = async |detail: Value, record: Map<String, Value>| {
        let line = OffBook {
            change: Some(change.clone()),
            detail,
            record,
        };
        desk.counter.book.put_in_journal(line).await;
    };
    put_down(json!({"outcome": "about to be sent"}), record.clone()).await;
    entry.sends(&change);
    let work = ready.proven.corridor.make(&ready.prepared, desk.deadline);
    let Sent { made, request_ids } = credentials::counting(entry.vendor_requests(), work).await;
    let detail = match &made {
        Made::Applied(_) => json!({"outcome": "applied"}),
        Made::NotApplied(error) => json!({"outcome": "not_applied", "why": error.to_string()}),
        Made::Unknown(error) => json!({"outcome": "unknown", "why": error.to_string()}),
    };
    put_down(detail, told::with_requests(record, &request_ids)).await;
    let answer = told::of(&ready.prepared, Some(&change));
    if matches!(made, Made::Unknown(_)) {
        // There is no ledger in which somebody would look after it.
        return Err(told::unwatched(answer));
    }
    make::outcome(made, answer, entry.call_id(), desk.now()).1
}
