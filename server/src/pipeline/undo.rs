//! The third tool that is the server's own: takes back a change that was made
//! (WRITES §8). What it finds out is which tool of the vendor sets what was there
//! before; from then on it is a change as any other.

use std::time::Instant;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use tenantry_connectors::change::Target;
use tenantry_connectors::change::doubt::Doubt;
use tenantry_connectors::change::view::View;
use tenantry_core::access::ToolClass;
use tenantry_core::audit::{Arguments, Stage};
use tenantry_core::authorize::{self, Request};
use tenantry_core::idempotency::KEY_ARGUMENT;
use tenantry_core::name::ToolName;
use tenantry_core::policy::facts::{Proposal, Subject, Undoes};
use tenantry_core::reason::{Reason, Refusal};
use tenantry_ledger::change::{Progress, Recorded};

use super::authorize::stale;
use super::change::{claim, told};
use super::check::{self, Checked};
use super::own_tool::{self, OwnChange};
use super::record::Entry;
use super::wish::Wish;
use super::{Asked, Authenticated, Ended, Stopped};
use crate::book;
use crate::counter::Counter;

/// Its name.
pub const TOOL: &str = "undo_change";

/// The same for people.
pub const TITLE: &str = "Undo change";

/// What agents read of it.
pub const DESCRIPTION: &str = "Takes back one change that was made with this key or another one of the same owner and agent: \
the object gets what it had before, if it still is as that change left it. Possible for 7 days, and not for what was created. \
It is a change of its own with an idempotency_key of its own: policies decide over it, and where it meets a limit, people are asked.";

/// What is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    change_id: String,
}

/// What a caller says: which change is taken back, how that is wished for, and
/// what stands in the line of the call.
pub(super) struct Said {
    /// The change.
    pub change_id: String,
    wish: Wish,
    arguments: Arguments,
}

/// Another change, and how it comes to be one.
struct Inverse {
    /// The call that makes it.
    asked: Asked,
    /// What it takes back.
    undoes: Undoes,
    /// What the object must be, for it to be taken back.
    left: Target,
}

/// Its name, as tools are known by.
pub fn name() -> Option<ToolName> {
    ToolName::parse(TOOL).ok()
}

/// The schema of its own argument; a key and `dry_run` are those of every change.
pub fn input_schema() -> Map<String, Value> {
    own_tool::change_schema("the change that is taken back, as its answer named it")
}

/// What a call comes to.
pub(super) enum Resolved<'c> {
    /// The call that takes the change back, checked as if it had been asked for
    /// itself, and the wish of the caller.
    Turned(Box<(Checked<'c>, Wish)>),
    /// What was answered before, of a change that is not kept any more.
    Ended(Ended),
}

/// Finds the change, and turns it around. One that is not kept any more has been
/// taken back, if the key says so: whoever repeats a call meets its answer, which
/// is kept for longer (WRITES §1).
pub(super) async fn resolve<'c>(
    counter: &'c Counter,
    caller: &Authenticated,
    asked: Asked,
    entry: &mut Entry,
) -> Result<Resolved<'c>, Stopped> {
    let said = read(caller, asked, entry)?;
    match own_tool::own_change(counter, caller, &said.change_id).await {
        Ok(OwnChange { change, .. }) => {
            let turned = turn(counter, caller, said, &change, entry)?;
            Ok(Resolved::Turned(Box::new(turned)))
        }
        Err(gone) if gone.refusal.reason == Reason::NotFound => {
            let met = met(counter, caller, &said.wish).await?;
            met.map(Resolved::Ended).ok_or(gone)
        }
        Err(stopped) => Err(stopped),
    }
}

/// What the key of a wish opens, if it opens anything. The claim has the name of
/// the vendor's tool, which only the change that is gone could tell; what stands
/// for the arguments says that it is this wish.
async fn met(
    counter: &Counter,
    caller: &Authenticated,
    wish: &Wish,
) -> Result<Option<Ended>, Stopped> {
    let refused = |refusal| Stopped::refused(Stage::Claim, refusal);
    let failed = |error| refused(book::refusal(&error));
    let (Some(key), false) = (&wish.key, wish.is_dry_run) else {
        return Ok(None);
    };
    let place = caller.in_force.limiter.place(&caller.key.id);
    let _place = place.map_err(|refusal| Stopped::refused(Stage::Authorize, refusal))?;
    let ledger = counter.book.ledger().map_err(refused)?;
    let principal = claim::principal(&caller.key);
    let now = counter.clock.now();
    let met = ledger.meets(&principal, key.as_str(), wish.fingerprint, now);
    let Some(met) = met.await.map_err(failed)? else {
        return Ok(None);
    };
    let decided = match met.change() {
        Some(change) => told::proposal(&ledger, change).await.map_err(failed)?,
        None => None,
    };
    if let Some(proposal) = decided {
        may_hear(counter, caller, &proposal).map_err(refused)?;
    }
    let policies = &caller.in_force.tenant.policies;
    Ok(Some(told::met(&ledger, policies, met).await))
}

/// Whether the key might still do what was done, as it is asked before each
/// answer that is repeated.
fn may_hear(counter: &Counter, caller: &Authenticated, proposal: &Proposal) -> Result<(), Refusal> {
    let Subject {
        connector,
        account,
        tool,
        class,
        ..
    } = &proposal.subject;
    let in_force = &caller.in_force;
    let found = counter.workshop.catalog.find(tool.as_str());
    let found = found.filter(|_| in_force.uses(connector) && in_force.tenant.tools.permits(tool));
    let found = found.ok_or_else(|| check::unknown_tool(tool.as_str()))?;
    let stops = found.tool.only_stops();
    let freezes = counter.knowledge.freezes_now();
    let freezes = freezes.filter(|_| stops || !counter.is_stale(Instant::now()));
    let freezes = freezes.ok_or_else(stale)?;
    let request = Request {
        tool,
        connector,
        class: *class,
        stops,
        account: Some(account.as_str()),
    };
    authorize::authorize(&in_force.tenant, &freezes, &caller.key, &request).map(|_| ())
}

/// Reads what is wanted.
pub(super) fn read(
    caller: &Authenticated,
    asked: Asked,
    entry: &mut Entry,
) -> Result<Said, Stopped> {
    let refused = |refusal| Stopped::refused(Stage::Check, refusal);
    let tool = own_tool::found(caller, name(), ToolClass::Write, &asked, entry)?;
    let mut own = asked.arguments;
    let wish = Wish::take(&mut own, &tool, true);
    entry.arguments(Arguments::unchecked(&own));
    let wish = wish.map_err(refused)?;
    let arguments = Arguments::checked(&own, &caller.in_force.tenant.redact);
    let wanted: Wanted = own_tool::read(own).map_err(refused)?;
    entry.arguments(arguments.clone());
    Ok(Said {
        change_id: wanted.change_id,
        wish,
        arguments,
    })
}

/// Turns the change around: the call of a tool of the vendor, and its wish.
pub(super) fn turn<'c>(
    counter: &'c Counter,
    caller: &Authenticated,
    said: Said,
    change: &Recorded,
    entry: &mut Entry,
) -> Result<(Checked<'c>, Wish), Stopped> {
    let inverse = inverse(counter, caller, change);
    let inverse = inverse.map_err(|refusal| Stopped::refused(Stage::Own, refusal))?;
    let catalog = &counter.workshop.catalog;
    let checked = check::check(catalog, &caller.in_force, inverse.asked, entry)?;
    // The line of the call says what its caller said.
    entry.arguments(said.arguments);
    let wish = Wish {
        undoes: Some(inverse.undoes),
        left: Some(inverse.left),
        ..said.wish
    };
    Ok((checked, wish))
}

/// How a change is taken back, if it can be.
fn inverse(
    counter: &Counter,
    caller: &Authenticated,
    change: &Recorded,
) -> Result<Inverse, Refusal> {
    let in_force = &caller.in_force;
    if change.is_batch() {
        let message = "the change is a batch, and is taken back one by one";
        let refusal = Refusal::new(Reason::ChangeNotUndoable, message);
        return Err(refusal.with_remedy("undo its items, each by its own change_id"));
    }
    if let Some(proposal) = &change.proposal {
        let Subject {
            connector, account, ..
        } = &proposal.subject;
        authorize::account(&in_force.tenant, &caller.key, connector, account.as_str())?;
    }
    let applied_at = applied_at(change)?;
    let sent_at = change.sent_at.unwrap_or(applied_at);
    let intent = change.intent.as_ref();
    let kept = intent.and_then(|intent| {
        let doubt = Doubt::deserialize(&intent.target).ok()?;
        let view = View::deserialize(&intent.before).ok()?;
        Some((doubt, view.currency))
    });
    let (doubt, currency) = kept.ok_or_else(no_inverse)?;
    let catalog = &counter.workshop.catalog;
    let connector = catalog.connector(&doubt.connector);
    let found = connector.and_then(|connector| connector.inverse(&doubt, &currency));
    let found = found.filter(|(tool, _)| in_force.tenant.tools.permits(&tool.name));
    let (tool, mut arguments) = found.ok_or_else(no_inverse)?;
    // The key of the caller is this call's; that of the other is never claimed.
    let change = change.lease.change.as_str();
    arguments.insert(KEY_ARGUMENT.into(), change.into());
    Ok(Inverse {
        asked: Asked {
            tool: tool.name.to_string(),
            arguments,
        },
        undoes: Undoes {
            change: change.to_owned(),
            sent_at,
            applied_at,
        },
        left: doubt.target,
    })
}

/// When it was made at the latest, if it was.
fn applied_at(change: &Recorded) -> Result<Timestamp, Refusal> {
    let (reason, message) = match change.progress {
        Progress::Applied => match change.applied_at {
            Some(at) => return Ok(at),
            None => return Err(no_inverse()),
        },
        Progress::NotApplied => {
            let message = "the change was not made, so there is nothing to take back";
            return Err(Refusal::new(Reason::ChangeNotMade, message).with_remedy("nothing to do"));
        }
        Progress::NeedsHuman => (
            Reason::OutcomeUndecided,
            "people must find out first whether the change was made",
        ),
        Progress::Claimed
        | Progress::Pending
        | Progress::Executing
        | Progress::Reserved
        | Progress::Sending
        | Progress::Unknown => (
            Reason::ChangeInProgress,
            "the change has not ended, so it cannot be taken back yet",
        ),
    };
    Err(Refusal::new(reason, message))
}

fn no_inverse() -> Refusal {
    let message = "no tool that may be used here gives the object what it had before this change";
    Refusal::new(Reason::ChangeNotUndoable, message)
}
