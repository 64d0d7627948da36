//! A change as a task of its caller: followed, and taken back while it waits for
//! people, by the change's own id. Whatever a task is lies in the ledger, so it
//! outlives this process and is every replica's.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tenantry_core::access::ToolClass;
use tenantry_core::audit::{Arguments, Stage};
use tenantry_ledger::approval::End;
use tenantry_ledger::change::{ChangeId, Progress};
use tenantry_ledger::error::LedgerError;

use super::own_tool::OwnChange;
use super::record::Entry;
use super::{Authenticated, Ended, Stopped, get_change};
use crate::approvals::end;
use crate::book;
use crate::counter::Counter;

/// When a task began, when it last came further, and how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When the change was asked for.
    pub created_at: Timestamp,
    /// Since when it stands as it does.
    pub updated_at: Timestamp,
    /// For how long it can be followed, at least.
    pub kept_for: Duration,
}

/// What became of the change, as repeating its call would say.
pub(super) async fn follow(
    counter: &Counter,
    caller: &Authenticated,
    id: &str,
    entry: &mut Entry,
) -> Ended {
    let found = own(counter, caller, id, ToolClass::Read, entry).await?;
    get_change::what_became(counter, caller, &found).await
}

/// Ends the change if it waits for people. One that is on its way goes on, and
/// one that has ended stays as it is.
pub(super) async fn withdraw(
    counter: &Counter,
    caller: &Authenticated,
    id: &str,
    entry: &mut Entry,
) -> Ended {
    let found = own(counter, caller, id, ToolClass::Write, entry).await?;
    let change = &found.change.lease.change;
    let failed = |error| Stopped::refused(Stage::Claim, book::refusal(&error));
    let asked = found.ledger.approval(change).await.map_err(failed)?;
    let asked = asked.filter(|_| found.change.progress == Progress::Pending);
    // An item waits with its batch, and is taken back with it.
    if let Some(asked) = asked {
        let why = "who asked took it back";
        let answer = end::answer(change, End::Withdrawn, why);
        let key = caller.key.id.as_str();
        let said = [("why", why), ("key", key)].map(|(name, text)| (name.into(), text.into()));
        let said = Map::from_iter(said);
        let now = counter.clock.now();
        let ledger = &found.ledger;
        let ended = ledger.end_question(&asked, End::Withdrawn, Some(&answer), &said, now);
        match ended.await {
            // People were faster, or its time.
            Ok(()) | Err(LedgerError::OutOfOrder { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
        counter.book.written.notify_one();
        counter.book.asked.notify_one();
    }
    get_change::what_became(counter, caller, &found).await
}

/// The times of a task; nothing if it is not there, or the ledger is not.
pub async fn times(counter: &Counter, id: &str) -> Option<Times> {
    let id = ChangeId::parse(id).ok()?;
    let ledger = counter.book.ledger().ok()?;
    let found = ledger.find(&id).await.ok()??;
    let approval = ledger.approval(&id).await.ok()?;
    let asked_at = approval.map(|approval| approval.asked_at);
    Some(Times {
        created_at: asked_at.or(found.reserved_at).unwrap_or(found.since),
        updated_at: found.since,
        kept_for: ledger.retention().try_into().unwrap_or_default(),
    })
}

async fn own(
    counter: &Counter,
    caller: &Authenticated,
    id: &str,
    class: ToolClass,
    entry: &mut Entry,
) -> Result<OwnChange, Stopped> {
    entry.found_own(class);
    let said = Map::from_iter([("change_id".to_owned(), Value::from(id))]);
    entry.arguments(Arguments::unchecked(&said));
    let found = get_change::find(counter, caller, id, entry).await?;
    entry.arguments(Arguments::checked(&said, &caller.in_force.tenant.redact));
    Ok(found)
}
