//! A dry run: what the change would do, whether it may be made, and what the
//! vendor says to it. Claims and reserves nothing (WRITES §2).

use tenantry_core::answer::{ChangeAnswer, Foreseen as Foresight, Status};
use tenantry_core::audit::Stage;
use tenantry_core::cause::chain;
use tenantry_core::policy::decide::Decision;
use tenantry_core::reason::Refusal;
use tenantry_ledger::ledger::Ledger;
use tenantry_ledger::reserve::Foreseen;

use super::decide::Question;
use super::prepare::{self, Ready};
use super::{Desk, told};
use crate::pipeline::authorize::Permitted;
use crate::pipeline::record::Entry;
use crate::pipeline::wish::Wish;
use crate::pipeline::{Done, Ended, Stopped};
use crate::{book, credentials};

/// Says what would become of a change.
pub(super) async fn rehearse(
    desk: Desk<'_>,
    ledger: &Ledger,
    permitted: Permitted<'_>,
    wish: &Wish,
    entry: &mut Entry,
) -> Ended {
    let ready = prepare::prepare(desk, permitted, wish, entry).await?;
    let own = told::of(&ready.prepared, None);
    if ready.prepared.is_reached {
        return Ok(foreseen(own, Foresight::Unchanged, None));
    }
    let (_, found) = foresee(desk, ledger, &ready, wish, entry).await?;
    let policies = &desk.caller.in_force.tenant.policies;
    let ruling = match found {
        Foreseen::Ruled(ruling) => ruling,
        Foreseen::InTheWay { change } => {
            let way = ChangeAnswer {
                change_id: Some(change.to_string()),
                ..own
            };
            return Ok(foreseen(way, Foresight::InProgress, None));
        }
    };
    let own = told::ruled(own, &ruling, policies, None);
    let foresight = match ruling.decision {
        Decision::Permitted(_) => Foresight::Permitted,
        Decision::NeedsApproval(_) => Foresight::NeedsApproval,
        Decision::Denied => return Ok(foreseen(own, Foresight::Denied, None)),
    };
    let tried = try_at_vendor(desk, &ready, entry).await;
    tried.map_err(|stopped| stopped.of_change(own.clone()))?;
    let nonce = book::random().map_err(refused)?;
    let key = told::foreseen_key(wish, &[&ready.prepared], nonce);
    Ok(foreseen(own, foresight, Some(key)))
}

/// What the vendor says to a change that it is not to make.
pub(super) async fn try_at_vendor(
    desk: Desk<'_>,
    ready: &Ready<'_>,
    entry: &Entry,
) -> Result<(), Stopped> {
    let corridor = &ready.proven.corridor;
    let work = corridor.rehearse(&ready.prepared, desk.deadline);
    let rehearsed = credentials::counting(entry.vendor_requests(), work).await;
    rehearsed.map_err(|error| {
        let call_id = entry.call_id();
        tracing::warn!(
            error = chain(&error),
            call_id,
            "the vendor would not make a change"
        );
        Stopped::failed(Stage::Send, error.refusal())
    })
}

/// What would be decided over a change now, by whom it is asked for and by what
/// the ledger holds at this moment.
pub(super) async fn foresee(
    desk: Desk<'_>,
    ledger: &Ledger,
    ready: &Ready<'_>,
    wish: &Wish,
    entry: &Entry,
) -> Result<(Question, Foreseen), Stopped> {
    desk.confirm(ready).await?;
    let question = Question::of(desk, ready, wish, entry);
    let change = book::new_change().map_err(refused)?;
    let found = question.foresee(ledger, &change, desk).await;
    let found = found.map_err(|error| refused(book::refusal(&error)))?;
    Ok((question, found))
}

fn refused(refusal: Refusal) -> Stopped {
    Stopped::refused(Stage::Decide, refusal)
}

fn foreseen(own: ChangeAnswer, dry_run: Foresight, key: Option<String>) -> Done {
    let change = ChangeAnswer {
        dry_run: Some(dry_run),
        idempotency_key: key,
        ..own
    };
    Done::Changed(Status::Done, Box::new(change))
}
