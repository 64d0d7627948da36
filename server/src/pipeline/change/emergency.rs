//! Switching something off while the ledger cannot be written to: it is made
//! all the same, and put down in the journal (WRITES §5), from which the ledger
//! has it later, with whoever settles what is unknown.

use serde_json::{Value, json};
use tenantry_connectors::change::Made;
use tenantry_core::audit::Stage;
use tenantry_ledger::outbox::{OffBook, OffStep};

use super::decide::Question;
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
    // Until this call has ended nobody else looks after it.
    let _hand = desk.counter.book.hands.take(&change);
    let (sending, record) = Question::of(desk, ready, wish, entry).undecided(desk);
    let put_down = async |detail, step, record| {
        let line = OffBook {
            change: Some(change.clone()),
            detail,
            record,
            step,
        };
        desk.counter.book.put_in_journal(line).await
    };
    let leaves = Some(OffStep::Sending(Box::new(sending)));
    let leaving = json!({"outcome": "about to be sent"});
    let is_watched = put_down(leaving, leaves, record.clone()).await;
    entry.sends(&change);
    let work = ready.proven.corridor.make(&ready.prepared, desk.deadline);
    let sent = credentials::counting(entry.vendor_requests(), work).await;
    let record = told::with_requests(record, &sent, &ready.prepared);
    let made = sent.made;
    let (detail, step) = ended(&made);
    put_down(detail, step, record).await;
    let answer = told::of(&ready.prepared, Some(&change));
    if matches!(made, Made::Unknown(_)) && !is_watched {
        return Err(told::unwatched(answer));
    }
    make::outcome(made, answer, entry.call_id(), desk.now()).1
}

/// What the journal says of how it ended.
fn ended(made: &Made) -> (Value, Option<OffStep>) {
    match made {
        Made::Applied(found) => {
            let step = OffStep::Applied(told::value(found));
            (json!({"outcome": "applied"}), Some(step))
        }
        Made::NotApplied(error) => {
            let detail = json!({"outcome": "not_applied", "why": error.to_string()});
            (detail, Some(OffStep::NotApplied))
        }
        Made::Unknown(error) => {
            let detail = json!({"outcome": "unknown", "why": error.to_string()});
            (detail, None)
        }
    }
}
