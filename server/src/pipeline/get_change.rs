//! The second tool that is the server's own: what became of a change, for whoever
//! asked for it and has not kept the call. It asks no vendor.

use std::time::Instant;

use serde::Deserialize;
use serde_json::{Map, Value};
use tenantry_core::access::ToolClass;
use tenantry_core::audit::Stage;
use tenantry_core::authorize::{self, Request};
use tenantry_core::name::ToolName;
use tenantry_core::policy::facts::Proposal;
use tenantry_core::reason::Refusal;

use super::authorize::stale;
use super::change::told;
use super::own_tool::{self, OwnChange};
use super::record::Entry;
use super::{Asked, Authenticated, Ended, Stopped};
use crate::book;
use crate::counter::Counter;

/// Its name.
pub const TOOL: &str = "get_change";

/// The same for people.
pub const TITLE: &str = "Get change";

/// What agents read of it.
pub const DESCRIPTION: &str = "Says what became of one change that was asked for with this key or another one of the same owner \
and agent: whether it waits for people and until when, is on its way, was made, or why not. It answers as repeating the call with its \
idempotency_key does, and changes nothing.";

/// What it is about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    change_id: String,
}

/// Its name, as tools are known by.
pub fn name() -> Option<ToolName> {
    ToolName::parse(TOOL).ok()
}

/// The schema of its arguments.
pub fn input_schema() -> Map<String, Value> {
    own_tool::change_schema("as the answer to the change named it")
}

/// Answers it.
pub(super) async fn answer(
    counter: &Counter,
    caller: &Authenticated,
    asked: Asked,
    entry: &mut Entry,
) -> Ended {
    let (_, wanted) = own_tool::wanted::<Wanted>(caller, name(), asked, entry)?;
    let found = find(counter, caller, &wanted.change_id, entry).await?;
    what_became(counter, caller, &found).await
}

/// Finds a change that the caller may hear of.
pub(super) async fn find(
    counter: &Counter,
    caller: &Authenticated,
    id: &str,
    entry: &mut Entry,
) -> Result<OwnChange, Stopped> {
    let found = own_tool::own_change(counter, caller, id).await?;
    let decided = told::proposal(&found.ledger, &found.change.lease.change).await;
    let decided = decided.map_err(|error| Stopped::refused(Stage::Own, book::refusal(&error)))?;
    may_read(counter, caller, decided.as_ref())
        .map_err(|refusal| Stopped::refused(Stage::Authorize, refusal))?;
    entry.change(&found.change.lease.change);
    Ok(found)
}

/// What repeating the call of a change would answer.
pub(super) async fn what_became(
    counter: &Counter,
    caller: &Authenticated,
    found: &OwnChange,
) -> Ended {
    let OwnChange { ledger, change } = found;
    let id = &change.lease.change;
    let met = ledger.opens(id, counter.clock.now()).await;
    let met = met.map_err(|error| Stopped::refused(Stage::Own, book::refusal(&error)))?;
    match met {
        Some(met) => told::met(ledger, &caller.in_force.tenant.policies, met).await,
        None => Err(told::given_up(id)),
    }
}

/// Whether the key may still read where the change is: another one of the same
/// owner may be good for fewer accounts. Before it is decided, a change tells
/// nothing of its object.
fn may_read(
    counter: &Counter,
    caller: &Authenticated,
    decided: Option<&Proposal>,
) -> Result<(), Refusal> {
    // INVARIANT: the name of this tool is one.
    let (Some(proposal), Some(tool)) = (decided, name()) else {
        return Ok(());
    };
    let freezes = counter.knowledge.freezes_now();
    let freezes = freezes.filter(|_| !counter.is_stale(Instant::now()));
    let freezes = freezes.ok_or_else(stale)?;
    let request = Request {
        tool: &tool,
        connector: &proposal.subject.connector,
        class: ToolClass::Read,
        stops: false,
        account: Some(proposal.subject.account.as_str()),
    };
    let tenant = &caller.in_force.tenant;
    authorize::authorize(tenant, &freezes, &caller.key, &request).map(|_| ())
}
