//! The way of one call, a room after the other (WRITES §1):
//! authenticate → check → authorize → own → send → record → respond. A change
//! leaves it after authorize, for `change`.
//!
//! Each room takes what the last one proved and adds one proof; none can be
//! entered otherwise. Authentication stands at the door, in `gate`.

pub mod authorize;
pub mod change;
pub mod check;
pub mod describe;
pub mod explain;
pub mod get_change;
pub mod live;
pub mod own;
mod own_tool;
pub mod record;
pub mod send;
pub mod set_budgets;
pub mod task;
pub mod undo;
pub mod wish;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Map, Value};
use tenantry_core::answer::{ChangeAnswer, Envelope, Status};
use tenantry_core::audit::Stage;
use tenantry_core::key::KeyRecord;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_ledger::change::ChangeId;
use tokio::time::Instant;

use crate::counter::Counter;
use crate::crash::{self, Step};
use crate::in_force::InForce;
use record::Entry;
use undo::Resolved;

/// From the arrival of a request to its answer (WRITES §1).
pub const CALL_LIMIT: Duration = Duration::from_secs(25);

/// The vendor gets what is left after this, so that the caller still hears
/// what became of the call.
pub(crate) const OWN_SHARE: Duration = Duration::from_secs(1);

/// A caller whose key was found good.
#[derive(Clone)]
pub struct Authenticated {
    /// The key.
    pub key: Arc<KeyRecord>,
    /// The contract under which the request is handled, from its first byte
    /// to its last.
    pub in_force: Arc<InForce>,
    /// When the request arrived.
    pub arrived: Instant,
    /// Where it came from.
    pub source: Option<IpAddr>,
    /// Identifies the request.
    pub call_id: String,
}

/// What is asked for, in the caller's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The tool's name.
    pub tool: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
}

/// What a caller wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// A tool is called.
    Tool(Asked),
    /// What became of the change of that id, as a task.
    Follow(String),
    /// The change of that id is not wanted any more.
    Withdraw(String),
}

/// Why a call ended before its answer, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Stopped {
    /// In which room.
    pub stage: Stage,
    /// Refused, or tried in vain.
    pub status: Status,
    /// What the caller hears.
    pub refusal: Refusal,
    /// What there is to say of the change, where there is one.
    pub change: Option<Box<ChangeAnswer>>,
}

/// A call after which nothing is left to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// It was a question, with this answer.
    Read(Value),
    /// The change was made, or there was nothing to change.
    Changed(Status, Box<ChangeAnswer>),
}

impl Done {
    /// The word for it.
    pub fn status(&self) -> Status {
        match self {
            Self::Read(_) => Status::Done,
            Self::Changed(status, _) => *status,
        }
    }
}

impl Stopped {
    /// A call that may not be carried out.
    pub fn refused(stage: Stage, refusal: Refusal) -> Self {
        Self {
            stage,
            status: Status::Refused,
            refusal,
            change: None,
        }
    }

    /// A call that was tried, or could not be.
    pub fn failed(stage: Stage, refusal: Refusal) -> Self {
        Self {
            stage,
            status: Status::Failed,
            refusal,
            change: None,
        }
    }

    /// The same, with what there is to say of the change.
    #[must_use]
    pub fn of_change(self, change: ChangeAnswer) -> Self {
        Self {
            change: Some(Box::new(change)),
            ..self
        }
    }
}

/// How a call ended.
pub type Ended = Result<Done, Stopped>;

/// Carries a call out and puts it on record. Once begun it goes on whether or
/// not somebody still listens, so the record says how it really ended.
pub async fn carry_out(
    counter: Arc<Counter>,
    caller: Authenticated,
    call: Call,
    entry: Entry,
) -> Ended {
    let deadline = caller.arrived + CALL_LIMIT;
    let sent = entry.sent();
    let work = recorded(Arc::clone(&counter), caller, call, entry);
    match tokio::time::timeout_at(deadline, counter.calls.spawn(work)).await {
        Ok(Ok(ended)) => ended,
        // A panic: its entry was put on record when the task unwound.
        Ok(Err(_)) => {
            let fault = fault("the server failed while it handled the call");
            Err(cut_short(fault, &sent))
        }
        Err(_) => Err(cut_short(late(), &sent)),
    }
}

async fn recorded(
    counter: Arc<Counter>,
    caller: Authenticated,
    call: Call,
    mut entry: Entry,
) -> Ended {
    let sent = entry.sent();
    let ended = {
        let walk = walk(&counter, &caller, call, &mut entry);
        tokio::select! {
            ended = walk => ended,
            () = counter.cut.cancelled() => Err(cut_short(stopping(), &sent)),
        }
    };
    entry.finish(&ended);
    crash::at(Step::Recorded);
    ended
}

async fn walk(counter: &Counter, caller: &Authenticated, call: Call, entry: &mut Entry) -> Ended {
    let asked = match call {
        Call::Tool(asked) => asked,
        Call::Follow(id) => return task::follow(counter, caller, &id, entry).await,
        Call::Withdraw(id) => return task::withdraw(counter, caller, &id, entry).await,
    };
    if asked.tool == describe::TOOL {
        return describe::answer(counter, caller, asked, entry).await;
    }
    if asked.tool == get_change::TOOL {
        return get_change::answer(counter, caller, asked, entry).await;
    }
    let deadline = caller.arrived + CALL_LIMIT - OWN_SHARE;
    let desk = change::Desk {
        counter,
        caller,
        deadline,
    };
    if asked.tool == set_budgets::TOOL {
        let (several, wish) = set_budgets::resolve(counter, caller, asked, entry)?;
        return Box::pin(change::batch::carry(desk, several, &wish, entry)).await;
    }
    let (checked, wish) = if asked.tool == undo::TOOL {
        match undo::resolve(counter, caller, asked, entry).await? {
            Resolved::Turned(turned) => (turned.0, Some(turned.1)),
            Resolved::Ended(ended) => return ended,
        }
    } else {
        let catalog = &counter.workshop.catalog;
        let mut checked = check::check(catalog, &caller.in_force, asked, entry)?;
        let wish = checked.wish.take();
        (checked, wish)
    };
    let permitted = authorize::permit(counter, caller, checked, deadline, entry).await?;
    if let Some(wish) = wish {
        return Box::pin(change::carry(desk, permitted, &wish, entry)).await;
    }
    let proven = own::own(caller, permitted, deadline, entry).await?;
    send::send(proven, deadline, entry).await
}

/// Ends a call that is over its rates, with its line.
pub fn turn_away(entry: Entry, refusal: Refusal) -> Ended {
    let ended = Err(Stopped::refused(Stage::Authorize, refusal));
    entry.finish(&ended);
    ended
}

/// The answer to a call that ended so.
pub fn respond(call_id: &str, ended: Ended) -> Envelope {
    match ended {
        Ok(Done::Read(data)) => Envelope::done(call_id, data),
        Ok(Done::Changed(status, change)) => Envelope::of_change(status, call_id, change),
        Err(stopped) => Envelope {
            change: stopped.change,
            ..Envelope::not_done(stopped.status, call_id, stopped.refusal)
        },
    }
}

/// What the caller hears of a call that did not come to its own end: nothing
/// was changed, unless its change may have left by then.
fn cut_short(stopped: Stopped, sent: &OnceLock<ChangeId>) -> Stopped {
    sent.get().map_or(stopped, change::told::may_have_left)
}

fn stopping() -> Stopped {
    let message = "the server stopped before the vendor answered";
    Stopped::failed(Stage::Send, Refusal::new(Reason::ServerStopping, message))
}

fn fault(message: &str) -> Stopped {
    Stopped::failed(Stage::Respond, Refusal::new(Reason::InternalFault, message))
}

fn late() -> Stopped {
    let message = format!("the call took longer than {} seconds", CALL_LIMIT.as_secs());
    Stopped::failed(Stage::Send, Refusal::new(Reason::DeadlineExceeded, message))
}
