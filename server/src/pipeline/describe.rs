//! The one tool that is the server's own: what binds changes of an account,
//! said before anything is refused (WRITES §11). It asks no vendor.

use std::time::Instant;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tenantry_core::access::{Access, ToolClass};
use tenantry_core::audit::Stage;
use tenantry_core::authorize::{self, Request};
use tenantry_core::cause::chain;
use tenantry_core::effect::Effect;
use tenantry_core::name::{ConnectorName, ToolName};
use tenantry_core::policy::describe::{Described, describe, is_something_undisclosed};
use tenantry_core::policy::facts::{Facts, Proposal, Subject};
use tenantry_core::policy::longest_window;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_core::tenant::AccountConfig;

use super::authorize::stale;
use super::record::Entry;
use super::{Asked, Authenticated, Done, Ended, Stopped, own_tool};
use crate::counter::Counter;
use crate::in_force::InForce;

/// Its name.
pub const TOOL: &str = "describe_limits";

/// The same for people.
pub const TITLE: &str = "Describe limits";

/// What agents read of it.
pub const DESCRIPTION: &str = "Says what may be changed in one account now, and which limits and approval rules of the \
organisation's safety policies bind its changes. Ask it before planning changes; it changes nothing. What it lists \
may change at any time: every change is decided anew when it is made.";

/// What it is about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    connector: String,
    account_id: String,
}

/// Its name, as tools are known by.
pub fn name() -> Option<ToolName> {
    ToolName::parse(TOOL).ok()
}

/// The schema of its arguments.
pub fn input_schema() -> Map<String, Value> {
    object(json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["connector", "account_id"],
        "properties": {
            "connector": {"type": "string", "description": "the vendor, such as meta"},
            "account_id": {"type": "string", "description": "an account, as the list tool of that vendor names it"},
        },
    }))
}

/// The schema of what it answers.
pub fn data_schema() -> Map<String, Value> {
    let limit = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["rule", "says"],
        "properties": {
            "rule": {"type": "string", "description": "as refusals name it"},
            "says": {"type": "string"},
            "left": {"type": "string", "description": "how much of it is left now"},
        },
    });
    let policy = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["policy", "limits"],
        "properties": {
            "policy": {"type": "string"},
            "limits": {"type": "array", "items": limit},
        },
    });
    object(json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["connector", "account_id", "currency", "access", "changes", "policies", "undisclosed"],
        "properties": {
            "connector": {"type": "string"},
            "account_id": {"type": "string"},
            "currency": {"type": "string"},
            "access": {"type": "string", "description": "what the organisation allows on the account now"},
            "changes": {"type": "string", "description": "whether changes can be made at all, in a sentence"},
            "policies": {"type": "array", "items": policy, "description": "all must be kept at once"},
            "undisclosed": {"type": "boolean", "description": "other policies bind the account and do not say how"},
        },
    }))
}

/// Answers it.
pub(super) async fn answer(
    counter: &Counter,
    caller: &Authenticated,
    asked: Asked,
    entry: &mut Entry,
) -> Ended {
    let (tool, wanted) = own_tool::wanted::<Wanted>(caller, name(), asked, entry)?;
    let tenant = &caller.in_force.tenant;
    let refused = |refusal| Stopped::refused(Stage::Authorize, refusal);
    let connector = ConnectorName::parse(&wanted.connector)
        .ok()
        .filter(|connector| caller.in_force.uses(connector))
        .ok_or_else(|| refused(no_connector()))?;
    let freezes = counter.knowledge.freezes_now();
    let freezes = freezes.filter(|_| !counter.is_stale(Instant::now()));
    let freezes = freezes.ok_or_else(|| refused(stale()))?;
    let request = Request {
        tool: &tool,
        connector: &connector,
        class: ToolClass::Read,
        stops: false,
        account: Some(&wanted.account_id),
    };
    let account = authorize::authorize(tenant, &freezes, &caller.key, &request).map_err(refused)?;
    // INVARIANT: an account was named, so one is answered.
    let account = account.ok_or_else(|| refused(no_connector()))?;
    entry.account(&account.id);
    let place = caller.in_force.limiter.place(&caller.key.id);
    let _place = place.map_err(refused)?;
    let frozen = freezes.on(&connector, Some(&account.id));
    let frozen = frozen.map_or(Access::ReadWrite, |freeze| freeze.access);
    let access = tenant.access_in_force().strictest(account.access);
    let access = access.strictest(frozen);
    let view = View {
        counter,
        caller,
        tool,
        connector,
        account,
        access,
    };
    Ok(Done::Read(view.data().await))
}

/// What there is to describe.
struct View<'v> {
    counter: &'v Counter,
    caller: &'v Authenticated,
    tool: ToolName,
    connector: ConnectorName,
    account: &'v AccountConfig,
    access: Access,
}

impl View<'_> {
    async fn data(&self) -> Value {
        let policies = &self.caller.in_force.tenant.policies;
        let proposal = nothing(Subject {
            connector: self.connector.clone(),
            account: self.account.id.clone(),
            tool: self.tool.clone(),
            class: ToolClass::Read,
            key: self.caller.key.id.clone(),
            path: Vec::new(),
        });
        let facts = facts(self.counter, &self.caller.in_force, &proposal).await;
        let (facts, now) = facts.unzip();
        let now = now.unwrap_or_else(|| self.counter.clock.now());
        let described = describe(policies, &proposal, facts.as_ref(), now);
        json!({
            "connector": self.connector,
            "account_id": self.account.id,
            "currency": self.account.currency,
            "access": self.access.as_str(),
            "changes": self.changes(&described, &proposal.subject),
            "policies": described,
            "undisclosed": is_something_undisclosed(policies, &proposal.subject),
        })
    }

    fn changes(&self, described: &[Described], subject: &Subject) -> &'static str {
        let policies = &self.caller.in_force.tenant.policies;
        let is_bound = !described.is_empty() || is_something_undisclosed(policies, subject);
        let may_write = self.access.permits(ToolClass::Write);
        match (may_write, self.access.permits_stops(), is_bound) {
            (false, false, _) => "none: the access permits reading only",
            (false, true, _) => "things can be switched off, and nothing else",
            (true, _, false) => "none but switching off: no policy covers the account",
            (true, _, true) if self.counter.book.ledger().is_err() => {
                "none but switching off: the ledger is not open"
            }
            (true, _, true) => "those that every policy permits",
        }
    }
}

/// A change of that subject that moves nothing.
pub(crate) fn nothing(subject: Subject) -> Proposal {
    Proposal {
        subject,
        effect: Effect::records([]),
        undoes: None,
        batch: None,
    }
}

/// What has been used, and the ledger's time; nothing while it is away.
pub(crate) async fn facts(
    counter: &Counter,
    in_force: &InForce,
    proposal: &Proposal,
) -> Option<(Facts, Timestamp)> {
    let ledger = counter.book.ledger().ok()?;
    let lookback = longest_window(&in_force.tenant.policies);
    let now = counter.clock.now();
    let facts = ledger.facts(proposal, lookback, in_force.limited_exposure(), now);
    let facts = facts.await;
    facts
        .inspect_err(|error| {
            tracing::warn!(error = chain(error), "what is left of limits is not known");
        })
        .ok()
}

fn no_connector() -> Refusal {
    let message = "the organisation does not use that connector";
    Refusal::new(Reason::AccountRefused, message)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
