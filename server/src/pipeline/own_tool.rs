//! What the tools of the server itself have in common: the contract permits
//! them, and they are about changes of whoever asks.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tenantry_core::access::ToolClass;
use tenantry_core::audit::{Arguments, Stage};
use tenantry_core::name::ToolName;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_ledger::change::{ChangeId, Recorded};
use tenantry_ledger::ledger::Ledger;

use super::change::claim;
use super::check::{excerpt, unknown_tool};
use super::record::Entry;
use super::{Asked, Authenticated, Stopped};
use crate::book;
use crate::counter::Counter;

/// The tool, if the contract permits it, and what is wanted of it.
pub(super) fn wanted<W: DeserializeOwned>(
    caller: &Authenticated,
    name: Option<ToolName>,
    asked: Asked,
    entry: &mut Entry,
) -> Result<(ToolName, W), Stopped> {
    let tool = found(caller, name, ToolClass::Read, &asked, entry)?;
    entry.arguments(Arguments::unchecked(&asked.arguments));
    let said = Arguments::checked(&asked.arguments, &caller.in_force.tenant.redact);
    let wanted = read(asked.arguments);
    let wanted = wanted.map_err(|refusal| Stopped::refused(Stage::Check, refusal))?;
    entry.arguments(said);
    Ok((tool, wanted))
}

/// The tool, if the contract permits it.
pub(super) fn found(
    caller: &Authenticated,
    name: Option<ToolName>,
    class: ToolClass,
    asked: &Asked,
    entry: &mut Entry,
) -> Result<ToolName, Stopped> {
    let tools = &caller.in_force.tenant.tools;
    let tool = name.filter(|name| tools.permits(name));
    let tool = tool.ok_or_else(|| Stopped::refused(Stage::Check, unknown_tool(&asked.tool)))?;
    entry.found_own(class);
    Ok(tool)
}

/// The schema of arguments that name a change.
pub(super) fn change_schema(told: &str) -> Map<String, Value> {
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["change_id"],
        "properties": {"change_id": {"type": "string", "description": told}},
    });
    schema.as_object().cloned().unwrap_or_default()
}

/// What is wanted, by arguments that say that and nothing else.
pub(super) fn read<W: DeserializeOwned>(arguments: Map<String, Value>) -> Result<W, Refusal> {
    W::deserialize(Value::Object(arguments))
        .map_err(|error| Refusal::new(Reason::ArgumentsInvalid, masked(&error.to_string())))
}

/// What is wrong, without the value that came: it may be a megabyte, or a secret
/// in the wrong place. A name is what its caller chose.
fn masked(error: &str) -> String {
    let is_of_value = ["invalid type: ", "invalid value: "]
        .iter()
        .any(|kind| error.starts_with(kind));
    let expected = error.rfind("expected ").map(|at| &error[at..]);
    match expected.filter(|_| is_of_value) {
        Some(expected) => format!("an argument is of the wrong kind: {expected}"),
        None => excerpt(error),
    }
}

/// A change of whoever asks about it, and the book that it stands in.
pub(super) struct OwnChange {
    /// The book.
    pub ledger: Arc<Ledger>,
    /// The change.
    pub change: Recorded,
}

/// Finds a change that was asked for by the same owner and agent. What is
/// somebody else's is not there, word for word.
pub(super) async fn own_change(
    counter: &Counter,
    caller: &Authenticated,
    id: &str,
) -> Result<OwnChange, Stopped> {
    let place = caller.in_force.limiter.place(&caller.key.id);
    let _place = place.map_err(|refusal| Stopped::refused(Stage::Authorize, refusal))?;
    own_change_in_question(counter, caller, id).await
}

/// The same for a call that is only asked about, which takes nobody's place.
pub(super) async fn own_change_in_question(
    counter: &Counter,
    caller: &Authenticated,
    id: &str,
) -> Result<OwnChange, Stopped> {
    let refused = |refusal| Stopped::refused(Stage::Own, refusal);
    let id = ChangeId::parse(id).map_err(|_| refused(unknown()))?;
    let ledger = counter.book.ledger().map_err(refused)?;
    let change = ledger.find(&id).await;
    let change = change.map_err(|error| refused(book::refusal(&error)))?;
    let own = |change: &Recorded| change.principal == claim::principal(&caller.key);
    let change = change.filter(own);
    let change = change.ok_or_else(|| refused(unknown()))?;
    Ok(OwnChange { ledger, change })
}

fn unknown() -> Refusal {
    let mut refusal = Refusal::new(Reason::NotFound, "there is no such change");
    refusal.remedy =
        "use a change_id that was answered to a key of the same owner and agent".into();
    refusal
}
