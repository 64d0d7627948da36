//! What the tools of the server itself have in common: they read, and ask no
//! vendor.

use serde::de::DeserializeOwned;
use serde_json::Value;
use tenantry_core::access::ToolClass;
use tenantry_core::audit::{Arguments, Stage};
use tenantry_core::name::ToolName;
use tenantry_core::reason::{Reason, Refusal};

use super::check::unknown_tool;
use super::record::Entry;
use super::{Asked, Authenticated, Stopped};

/// The tool, if the contract permits it, and what is wanted of it.
pub(super) fn wanted<W: DeserializeOwned>(
    caller: &Authenticated,
    name: Option<ToolName>,
    asked: Asked,
    entry: &mut Entry,
) -> Result<(ToolName, W), Stopped> {
    let refused = |refusal| Stopped::refused(Stage::Check, refusal);
    let tenant = &caller.in_force.tenant;
    let tool = name.filter(|name| tenant.tools.permits(name));
    let tool = tool.ok_or_else(|| refused(unknown_tool(&asked.tool)))?;
    entry.found_own(ToolClass::Read);
    entry.arguments(Arguments::checked(&asked.arguments, &tenant.redact));
    let wanted = W::deserialize(Value::Object(asked.arguments));
    let wanted = wanted.map_err(|error| {
        let message = error.to_string();
        refused(Refusal::new(Reason::ArgumentsInvalid, message))
    })?;
    Ok((tool, wanted))
}
