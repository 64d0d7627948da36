//! What would become of a call if a key made it now, for people who want to know
//! why it would be refused: the rooms of the pipeline in their order, until one
//! of them stops it. Nothing is charged, claimed, sent or put on record; a vendor
//! is asked what a dry run asks it to say whose an object is and what is there.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tenantry_core::access::ToolClass;
use tenantry_core::answer::Status;
use tenantry_core::audit::{Actor, Stage, Standing};
use tenantry_core::idempotency::{DRY_RUN_ARGUMENT, KEY_ARGUMENT};
use tenantry_core::key::KeyRecord;
use tenantry_core::name::{AccountId, KeyId};
use tenantry_core::reason::{Reason, Refusal};
use tokio::time::Instant;

use super::authorize::permit_unplaced;
use super::change::explain::{self as change, Outlook};
use super::change::{Desk, batch};
use super::own_tool::{self, OwnChange};
use super::record::Entry;
use super::{
    Asked, Authenticated, CALL_LIMIT, OWN_SHARE, Stopped, check, describe, get_change, late, own,
    set_budgets, undo,
};
use crate::counter::Counter;
use crate::gate::bearer;
use crate::in_force::InForce;

/// A call that nobody has made.
pub struct Question {
    /// What would be asked for.
    pub asked: Asked,
    /// By which key.
    pub key: KeyId,
}

/// What would become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It would be made.
    Permitted,
    /// There is nothing to change.
    Unchanged,
    /// People would be asked.
    NeedsApproval,
    /// A policy would refuse it.
    Denied,
    /// Another change would be in its way.
    InProgress,
    /// It may not be made.
    Refused,
    /// It would be tried in vain, so that what it would come to is not known.
    Failed,
}

/// The same, with what its caller would hear where it is not made.
pub(crate) enum Outcome {
    Permitted,
    Unchanged,
    NeedsApproval(Stopped),
    Denied(Stopped),
    InTheWay(Stopped),
    Stopped(Stopped),
}

/// All there is to say of it.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// What would become of it.
    pub verdict: Verdict,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    stopped: Option<Halt>,
    tool: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<ToolClass>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connector: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<Thing>,
    actor: Who,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    change: Option<Outlook>,
    /// Arguments that were not looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<&'static str>,
    /// What the vendor was asked for this.
    vendor_requests: u32,
}

/// Where it would end, and what its caller would hear.
#[derive(Debug, Serialize)]
struct Halt {
    room: Stage,
    reason: Reason,
    message: String,
    remedy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

/// What the arguments name, and whose it is: the caller would not hear of what
/// is somebody else's.
#[derive(Debug, Serialize)]
struct Thing {
    kind: String,
    id: String,
    standing: Standing,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
}

/// Whose key it is, or the name of none.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Who {
    Known(Actor),
    Unknown { key: KeyId },
}

/// Whether a tool is the server's own and asks nothing of a vendor: what it
/// answers is its explanation.
pub fn answers_itself(tool: &str) -> bool {
    [describe::TOOL, get_change::TOOL].contains(&tool)
}

/// Says what would become of a call.
pub async fn explain(counter: &Counter, question: Question) -> Result<Explained, Refusal> {
    let pending = || Refusal::new(Reason::ContractPending, "the server has no contract");
    let in_force = counter.standing().in_force.ok_or_else(pending)?;
    let Question { mut asked, key } = question;
    let call_id = counter.next_call_id();
    let mut entry = Entry::without_line(call_id.clone(), Arc::clone(&counter.metrics));
    let name = asked.tool.clone();
    entry.tool(&name);
    let ignored = leave_out(counter, &mut asked);
    let record = counter.knowledge.key(&key);
    let found = match good(record.as_ref(), Timestamp::now()) {
        Err(refusal) => Err(Stopped::refused(Stage::Authenticate, refusal)),
        Ok(key) => {
            let caller = Authenticated {
                key,
                in_force,
                arrived: Instant::now(),
                source: None,
                call_id,
            };
            let walk = walk(counter, &caller, asked, &mut entry);
            let walked = tokio::time::timeout_at(caller.arrived + CALL_LIMIT, walk).await;
            let walked = walked.unwrap_or_else(|_| Err(late()));
            walked.map_err(|stopped| unhidden(counter, &caller.in_force, &name, stopped))
        }
    };
    let (outcome, change) = found.unwrap_or_else(|stopped| (Outcome::Stopped(stopped), None));
    let (verdict, stopped) = outcome.told();
    let who = record.map_or(Who::Unknown { key }, |key| Who::Known(Actor::of(&key)));
    let explained = Explained::of(verdict, stopped, who, &entry);
    Ok(Explained {
        change,
        ignored,
        ..explained
    })
}

/// The key, if it is good; decided as at the door.
fn good(key: Option<&Arc<KeyRecord>>, now: Timestamp) -> Result<Arc<KeyRecord>, Refusal> {
    let Some(key) = key else {
        let message = "no key of this organisation has that name";
        return Err(Refusal::new(Reason::KeyUnknown, message));
    };
    let bad = |reason| Refusal::new(reason, bearer::message(reason));
    key.standing(now).map_err(bad)?;
    Ok(Arc::clone(key))
}

/// Takes out of the arguments of a change what says how it is asked for, and asks
/// for it as a dry run; answers what was left out.
fn leave_out(counter: &Counter, asked: &mut Asked) -> Vec<&'static str> {
    let found = counter.workshop.catalog.find(&asked.tool);
    let makes_changes = found.is_some_and(|found| found.tool.makes_changes());
    if !makes_changes && ![undo::TOOL, set_budgets::TOOL].contains(&asked.tool.as_str()) {
        return Vec::new();
    }
    let mut said = |name: &&'static str| asked.arguments.remove(*name).is_some();
    let ignored = [KEY_ARGUMENT, DRY_RUN_ARGUMENT];
    let ignored = ignored.into_iter().filter(|name| said(name)).collect();
    asked.arguments.insert(DRY_RUN_ARGUMENT.into(), true.into());
    ignored
}

async fn walk(
    counter: &Counter,
    caller: &Authenticated,
    asked: Asked,
    entry: &mut Entry,
) -> Result<(Outcome, Option<Outlook>), Stopped> {
    let deadline = caller.arrived + CALL_LIMIT - OWN_SHARE;
    let desk = Desk {
        counter,
        caller,
        deadline,
    };
    if asked.tool == set_budgets::TOOL {
        let (several, _) = set_budgets::resolve(counter, caller, asked, entry)?;
        return Box::pin(batch::explain::explain(desk, several, entry)).await;
    }
    let (checked, wish) = if asked.tool == undo::TOOL {
        let said = undo::read(caller, asked, entry)?;
        let found = own_tool::own_change_in_question(counter, caller, &said.change_id);
        let OwnChange { change, .. } = found.await?;
        let (checked, wish) = undo::turn(counter, caller, said, &change, entry)?;
        (checked, Some(wish))
    } else {
        let catalog = &counter.workshop.catalog;
        let mut checked = check::check(catalog, &caller.in_force, asked, entry)?;
        let wish = checked.wish.take();
        (checked, wish)
    };
    let permitted = permit_unplaced(counter, caller, checked, entry)?;
    let Some(wish) = wish else {
        own::own(caller, permitted, deadline, entry).await?;
        return Ok((Outcome::Permitted, None));
    };
    Box::pin(change::explain(desk, permitted, &wish, entry)).await
}

/// What is not there for a key is there for people: says why it is not.
fn unhidden(counter: &Counter, in_force: &InForce, name: &str, stopped: Stopped) -> Stopped {
    if stopped.refusal.reason != Reason::ToolUnknown {
        return stopped;
    }
    let found = counter.workshop.catalog.find(name);
    let connector = found.map(|found| found.connector.name());
    let (message, remedy) = match connector {
        None if ![undo::TOOL, set_budgets::TOOL].contains(&name) => return stopped,
        Some(connector) if !in_force.uses(connector) => (
            format!("the organisation does not use the connector `{connector}`"),
            "connect it in the McpTenant's spec.connectors",
        ),
        _ => (
            format!("spec.tools of the McpTenant does not permit `{name}`"),
            "change its allow or deny, or use another tool",
        ),
    };
    let refusal = Refusal::new(Reason::ToolUnknown, message).with_remedy(remedy);
    Stopped { refusal, ..stopped }
}

impl Outcome {
    fn told(self) -> (Verdict, Option<Stopped>) {
        match self {
            Self::Permitted => (Verdict::Permitted, None),
            Self::Unchanged => (Verdict::Unchanged, None),
            Self::NeedsApproval(stopped) => (Verdict::NeedsApproval, Some(stopped)),
            Self::Denied(stopped) => (Verdict::Denied, Some(stopped)),
            Self::InTheWay(stopped) => (Verdict::InProgress, Some(stopped)),
            Self::Stopped(stopped) if stopped.status == Status::Failed => {
                (Verdict::Failed, Some(stopped))
            }
            Self::Stopped(stopped) => (Verdict::Refused, Some(stopped)),
        }
    }
}

impl Explained {
    fn of(verdict: Verdict, stopped: Option<Stopped>, actor: Who, entry: &Entry) -> Self {
        let known = entry.known();
        let object = known.object.as_ref().map(|object| Thing {
            kind: object.kind.clone(),
            id: object.id.clone(),
            standing: object.standing,
            account: object.account.clone(),
        });
        Self {
            verdict,
            stopped: stopped.map(Halt::of),
            tool: known.tool.clone().unwrap_or_default(),
            class: known.class,
            connector: known.connector.clone(),
            account: known.account.clone(),
            object,
            actor,
            change: None,
            ignored: Vec::new(),
            vendor_requests: entry.asked_so_far(),
        }
    }

    /// The name of the key that it is about.
    pub fn key(&self) -> &str {
        match &self.actor {
            Who::Known(actor) => &actor.key,
            Who::Unknown { key } => key.as_str(),
        }
    }

    /// The tool, cut short.
    pub fn tool(&self) -> &str {
        &self.tool
    }
}

impl Halt {
    fn of(stopped: Stopped) -> Self {
        let Refusal {
            reason,
            message,
            remedy,
            retry_after_ms,
        } = stopped.refusal;
        Self {
            room: stopped.stage,
            reason,
            message,
            remedy,
            retry_after_ms,
        }
    }
}
