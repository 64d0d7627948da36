//! What is said of a change: to its caller, to the ledger, and to whoever comes
//! with the same key again. Pure, but for a look at what waits.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tenantry_connectors::change::view::View;
use tenantry_connectors::change::{Prepared, Sent};
use tenantry_connectors::corridor::owned::Owned;
use tenantry_core::answer::{ChangeAnswer, Envelope, RuleAnswer, Status};
use tenantry_core::audit::change_record::{ChangeRecord, Deed, Target};
use tenantry_core::audit::{Actor, Arguments, Stage};
use tenantry_core::digest::Digest;
use tenantry_core::idempotency::IdempotencyKey;
use tenantry_core::policy::Policy;
use tenantry_core::policy::decide::{Fired, Ruling, Verdict};
use tenantry_core::policy::facts::Proposal;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_ledger::approval::Approval;
use tenantry_ledger::change::{ChangeId, Intent, Membership, Progress, Recorded};
use tenantry_ledger::claim::{Claimed, Replay};
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;

use super::prepare::Ready;
use super::{Desk, batch, claim};
use crate::book;
use crate::pipeline::record::Entry;
use crate::pipeline::wish::Wish;
use crate::pipeline::{Done, Ended, Stopped, respond};

/// The word with which keys from dry runs begin.
const FORESEEN: &str = "plan-";

/// What there is to say of a prepared change.
pub(super) fn of(prepared: &Prepared, change: Option<&ChangeId>) -> ChangeAnswer {
    of_view(&prepared.view(), change)
}

/// The same of a change that another process may have prepared.
pub(crate) fn of_view(view: &View, change: Option<&ChangeId>) -> ChangeAnswer {
    ChangeAnswer {
        change_id: change.map(ToString::to_string),
        before: Some(value(&view.before)),
        after: Some(value(&view.after)),
        delta: Some(value(&view.delta)).filter(|delta| *delta != json!({})),
        currency: Some(view.currency.clone()),
        ..ChangeAnswer::default()
    }
}

/// The same, with what the rules said.
pub(super) fn ruled(
    change: ChangeAnswer,
    ruling: &Ruling,
    policies: &[Policy],
    expires_at: Option<Timestamp>,
) -> ChangeAnswer {
    ChangeAnswer {
        rules: RuleAnswer::of_all(&ruling.fired, policies),
        expires_at,
        ..change
    }
}

/// There is nothing to change.
pub(super) fn unchanged(change: ChangeAnswer) -> Done {
    let change = ChangeAnswer {
        delta: None,
        ..change
    };
    Done::Changed(Status::Unchanged, Box::new(change))
}

/// People must agree.
pub(super) fn pending(change: ChangeAnswer) -> Stopped {
    let message = format!("people must agree first{}", reasons(&change.rules, "ask"));
    stopped(Status::PendingApproval, Reason::ApprovalRequired, message).of_change(change)
}

/// A policy refuses.
pub(super) fn denied(change: ChangeAnswer, ruling: &Ruling) -> Stopped {
    let message = format!("a policy refuses{}", reasons(&change.rules, "deny"));
    let refusal = Refusal::new(Reason::PolicyDenied, message);
    // When it would not is as good as what it limits.
    let wait = wait(&ruling.fired).filter(|_| !change.rules.is_empty());
    let refusal = match wait {
        Some(wait) => refusal.with_retry_after_ms(wait),
        None => refusal,
    };
    Stopped::refused(Stage::Decide, refusal).of_change(change)
}

/// The change was sent, and nobody knows yet.
pub(super) fn settling(change: ChangeAnswer) -> Stopped {
    let message = "the change was sent, and whether the vendor made it is being found out";
    stopped(Status::Settling, Reason::OutcomeUnknown, message).of_change(change)
}

/// The change may have left, and its call has ended before it knew.
pub(crate) fn may_have_left(change: &ChangeId) -> Stopped {
    settling(named(change))
}

/// A stop was sent, and nobody looks after it.
pub(super) fn unwatched(change: ChangeAnswer) -> Stopped {
    let message = "the vendor did not say whether it switched the object off, and the ledger is not there to find out";
    let mut told = stopped(Status::NeedsHuman, Reason::OutcomeUndecided, message);
    told.refusal.remedy = "read the object, and switch it off again if it still runs".into();
    told.of_change(change)
}

/// Another change has the same budget, or asks for the same.
pub(super) fn in_the_way(other: &ChangeId) -> Stopped {
    let message = "another change of the same budget is on its way";
    stopped(Status::InProgress, Reason::ChangeInProgress, message).of_change(named(other))
}

/// The change itself has come so far.
pub(super) fn on_its_way(change: &ChangeId, progress: Progress) -> Stopped {
    let told = match progress {
        Progress::Sending | Progress::Unknown => return settling(named(change)),
        Progress::Pending => {
            let message = "the change waits for people to agree";
            stopped(Status::PendingApproval, Reason::ApprovalRequired, message)
        }
        Progress::NeedsHuman => {
            let message = "people must find out what became of the change";
            stopped(Status::NeedsHuman, Reason::OutcomeUndecided, message)
        }
        Progress::Claimed
        | Progress::Executing
        | Progress::Reserved
        | Progress::Applied
        | Progress::NotApplied => {
            let message = "the same change is on its way";
            stopped(Status::InProgress, Reason::ChangeInProgress, message)
        }
    };
    told.of_change(named(change))
}

/// The change was not made, and its key is free.
pub(crate) fn given_up(change: &ChangeId) -> Stopped {
    let message = "the change was not made, and its idempotency_key is free";
    Stopped::refused(Stage::Claim, Refusal::new(Reason::ChangeNotMade, message))
        .of_change(named(change))
}

/// The answer to a key that was used before.
pub(crate) async fn met(ledger: &Ledger, policies: &[Policy], claimed: Claimed) -> Ended {
    let refused = |reason, message| {
        let refusal = Refusal::new(reason, message);
        Err(Stopped::refused(Stage::Claim, refusal))
    };
    match claimed {
        Claimed::Replay(replay) => replayed(&replay),
        Claimed::InProgress { change, progress } => {
            let mut told = on_its_way(&change, progress);
            if progress == Progress::Pending {
                let asked = waiting(ledger, &change).await;
                let (approval, items) =
                    asked.map_err(|error| Stopped::refused(Stage::Claim, book::refusal(&error)))?;
                if let (Some(told), Some(approval)) = (told.change.as_mut(), approval) {
                    told.expires_at = Some(approval.expires_at);
                    told.rules = RuleAnswer::of_all(&approval.fired, policies);
                    told.items = batch::answer::waiting(&items);
                }
            }
            Err(told)
        }
        Claimed::Batch {
            change,
            items,
            ended_at,
        } => batch::answer::opened(&change, &items, ended_at),
        Claimed::Superseded { change } => {
            let message = "a newer change of the object took the place of this one";
            refused(Reason::ChangeSuperseded, message)
                .map_err(|stopped| stopped.of_change(named(&change)))
        }
        Claimed::Mismatch => refused(
            Reason::IdempotencyMismatch,
            "the idempotency_key was used with another tool or other arguments",
        ),
        Claimed::Expired => refused(
            Reason::IdempotencyExpired,
            "the idempotency_key was used before, too long ago for its answer to be kept",
        ),
        // INVARIANT: a new claim is carried out.
        Claimed::New(_) => refused(Reason::InternalFault, "the change was not taken up"),
    }
}

/// What people are asked of a change that waits, and the changes that it is made
/// of, where it is a batch.
async fn waiting(
    ledger: &Ledger,
    change: &ChangeId,
) -> Result<(Option<Approval>, Vec<Recorded>), LedgerError> {
    let found = ledger.find(change).await?;
    let asked_as = found.as_ref().map_or(change, Recorded::asked_as);
    Ok((
        ledger.approval(asked_as).await?,
        ledger.items(change).await?,
    ))
}

/// What a change was decided over; of a batch and of an item that changes nothing,
/// the first that does.
pub(crate) async fn proposal(
    ledger: &Ledger,
    change: &ChangeId,
) -> Result<Option<Proposal>, LedgerError> {
    let Some(found) = ledger.find(change).await? else {
        return Ok(None);
    };
    if found.proposal.is_some() || found.membership == Membership::Alone {
        return Ok(found.proposal);
    }
    let items = ledger.items(found.asked_as()).await?;
    Ok(items.into_iter().find_map(|item| item.proposal))
}

/// What was answered then, word for word, and that it was then.
pub(super) fn replayed(replay: &Replay) -> Ended {
    let stored: Envelope = serde_json::from_str(&replay.answer).map_err(|error| {
        tracing::error!(%error, change = %replay.change, "a stored answer cannot be read");
        let message = "the stored answer cannot be read";
        Stopped::failed(Stage::Claim, Refusal::new(Reason::InternalFault, message))
    })?;
    let mut change = stored.change.unwrap_or_default();
    change.change_id = Some(replay.change.to_string());
    change.replayed = true;
    change.executed_at = Some(replay.executed_at);
    change.no_longer_current = replay.no_longer_current;
    let Some(reason) = stored.reason else {
        return Ok(Done::Changed(stored.status, change));
    };
    let refusal = Refusal {
        reason,
        message: stored.message.unwrap_or_default(),
        remedy: stored.remedy.unwrap_or_default(),
        retry_after_ms: None,
    };
    Err(Stopped {
        stage: Stage::Claim,
        status: stored.status,
        refusal,
        change: Some(change),
    })
}

/// What a key is answered with from now on.
pub(crate) fn stored(call_id: &str, ended: &Ended) -> String {
    // INVARIANT: an envelope of strings and JSON always has a JSON form.
    serde_json::to_string(&respond(call_id, ended.clone())).unwrap_or_default()
}

/// What the ledger keeps, so that another process can look after the change.
pub(super) fn intent(prepared: &Prepared) -> Intent {
    Intent {
        target: value(&prepared.doubt()),
        before: value(&prepared.view()),
    }
}

/// What every audit line of the change carries.
pub(super) fn record(
    desk: Desk<'_>,
    ready: &Ready<'_>,
    wish: &Wish,
    entry: &Entry,
) -> Map<String, Value> {
    let found = &ready.checked().found;
    let prepared = &ready.prepared;
    let view = prepared.view();
    let redact = &desk.caller.in_force.tenant.redact;
    let record = ChangeRecord {
        call_id: entry.call_id().to_owned(),
        trace: entry.trace(),
        source: desk.caller.source,
        actor: Actor::of(&desk.caller.key),
        issued_by: desk.caller.key.issued_by.clone(),
        tool: found.tool.name.clone(),
        class: found.tool.class,
        deed: if prepared.creates() {
            Deed::Create
        } else {
            Deed::Update
        },
        connector: found.connector.name().clone(),
        account: prepared.place.account().id().clone(),
        object: changed(prepared),
        arguments: Arguments::checked(&ready.checked().arguments, redact),
        undoes: wish.undoes.as_ref().map(|undoes| undoes.change.clone()),
        batch: wish.batch.clone(),
        before: Some(value(&view.before)),
        after: Some(value(&view.after)),
        policy_digest: Some(desk.caller.in_force.policy_digest),
        idempotency_digest: claim::digest(wish),
        vendor_request_ids: Vec::new(),
    };
    record.to_map()
}

/// The object that changes; what is about to be made has no id yet.
pub(super) fn changed(prepared: &Prepared) -> Option<Target> {
    match &prepared.place {
        Owned::Object(object) if !prepared.creates() => Some(Target {
            kind: object.kind().to_owned(),
            id: object.id().to_owned(),
        }),
        _ => None,
    }
}

/// The same, with what the vendor calls the requests of the change, and what it
/// made.
pub(super) fn with_requests(
    mut record: Map<String, Value>,
    sent: &Sent,
    prepared: &Prepared,
) -> Map<String, Value> {
    if !sent.request_ids.is_empty() {
        record.insert("vendor_request_ids".into(), json!(sent.request_ids));
    }
    if let Some(id) = &sent.made_id {
        record = with_object(record, &prepared.kind, id.as_str());
    }
    record
}

/// The same, with what the vendor calls what it made.
pub(crate) fn with_object(
    mut record: Map<String, Value>,
    kind: &str,
    id: &str,
) -> Map<String, Value> {
    let made = Target {
        kind: kind.to_owned(),
        id: id.to_owned(),
    };
    record.insert("object".into(), value(&made));
    record
}

/// A key for making the change just as it was looked at.
pub(super) fn foreseen_key(wish: &Wish, prepared: &[&Prepared], nonce: [u8; 16]) -> String {
    let nonce = format!("{:032x}", u128::from_be_bytes(nonce));
    let seal = seal(&nonce, wish, prepared);
    format!("{FORESEEN}{nonce}-{seal}")
}

/// Whether a key is none of a dry run, or of one that found the object as it is.
pub(super) fn is_foreseen(key: &IdempotencyKey, wish: &Wish, prepared: &[&Prepared]) -> bool {
    let Some(rest) = key.as_str().strip_prefix(FORESEEN) else {
        return true;
    };
    rest.split_once('-')
        .is_some_and(|(nonce, found)| found == seal(nonce, wish, prepared))
}

/// What binds a key to the arguments, to what was there, and to what the change
/// would do to money: that can rise by another object of the spend root.
fn seal(nonce: &str, wish: &Wish, prepared: &[&Prepared]) -> String {
    let mut told = vec![json!(nonce), json!(wish.fingerprint)];
    for one in prepared {
        let view = one.view();
        told.extend([value(&view.before), value(&view.delta)]);
    }
    let told = Value::Array(told).to_string();
    let digest = Digest::of(told.as_bytes()).to_string();
    // Half of it: a key has 128 characters at most.
    digest.chars().rev().take(32).collect()
}

/// The JSON form of what always has one.
pub(crate) fn value(shown: &impl Serialize) -> Value {
    serde_json::to_value(shown).unwrap_or_default()
}

/// A change of which there is nothing else to say.
pub(crate) fn named(change: &ChangeId) -> ChangeAnswer {
    ChangeAnswer {
        change_id: Some(change.to_string()),
        ..ChangeAnswer::default()
    }
}

/// What the key of a change that was not made is answered with from now on: it
/// names the change, whatever there is to say of it.
pub(super) fn kept(call_id: &str, change: &ChangeId, stopped: Stopped) -> String {
    let stopped = match stopped.change {
        Some(_) => stopped,
        None => stopped.of_change(named(change)),
    };
    stored(call_id, &Err(stopped))
}

pub(super) fn stopped(status: Status, reason: Reason, message: impl Into<String>) -> Stopped {
    Stopped {
        stage: Stage::Decide,
        status,
        refusal: Refusal::new(reason, message),
        change: None,
    }
}

/// The sentences of the rules that said that, after a colon; nothing if nobody
/// may hear them.
pub(super) fn reasons(rules: &[RuleAnswer], verdict: &str) -> String {
    let spoke = rules.iter().filter(|rule| rule.verdict == verdict);
    let told: Vec<String> = spoke
        .map(|rule| format!("{} ({}/{})", rule.message, rule.policy, rule.rule))
        .collect();
    if told.is_empty() {
        return String::new();
    }
    format!(": {}", told.join("; "))
}

/// When no rule refuses the same change any more, if all of them say when.
pub(super) fn wait(fired: &[Fired]) -> Option<u64> {
    let denying = fired.iter().filter(|one| one.verdict == Verdict::Deny);
    let waits: Option<Vec<i64>> = denying.map(|one| one.retry_after_ms).collect();
    let longest = waits?.into_iter().max()?;
    u64::try_from(longest).ok()
}
