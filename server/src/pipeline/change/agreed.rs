//! Carries out what people have agreed to: the same rooms as a call's, from
//! authorize on, with what they were shown in hand (WRITES §7).

use std::sync::Arc;

use serde_json::{Map, Value};
use tenantry_core::audit::{Arguments, Stage};
use tenantry_core::cause::chain;
use tenantry_core::digest::Digest;
use tenantry_core::idempotency::KEY_ARGUMENT;
use tenantry_core::policy::decide::{Agreed, Verdict};
use tenantry_core::policy::facts::Proposal;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_ledger::approval::{Approval, End};
use tenantry_ledger::change::{Lease, Progress, Recorded};
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;
use tokio::time::Instant;

use super::{Desk, Errand, batch, claim, told};
use crate::book;
use crate::book::hand::Hand;
use crate::counter::Counter;
use crate::pipeline::record::Entry;
use crate::pipeline::{
    Asked, Authenticated, CALL_LIMIT, Ended, OWN_SHARE, Stopped, authorize, check, live,
};

/// An execution that has begun.
pub struct Work {
    /// The change.
    pub change: Recorded,
    /// What people were asked.
    pub approval: Approval,
    /// The right to carry it on.
    pub lease: Lease,
    /// Held until it has ended, so that nobody looks after it meanwhile.
    pub hand: Hand,
}

/// What people have agreed to.
pub(super) struct Agreement {
    /// The rules that they were shown, each with its terms.
    pub terms: Agreed,
    /// What stands for all that was decided on.
    pub pinned: Digest,
    /// What the lines of the change carry.
    pub record: Map<String, Value>,
}

/// Begins to carry it out; nobody waits for it but the end of the process.
pub fn begin(counter: &Arc<Counter>, ledger: &Arc<Ledger>, work: Work) {
    let (counter, ledger) = (Arc::clone(counter), Arc::clone(ledger));
    let tracker = counter.calls.clone();
    tracker.spawn(async move {
        tokio::select! {
            () = carry_out(&counter, &ledger, &work) => {}
            // Whoever looks after changes takes it up again.
            () = counter.cut.cancelled() => {}
        }
        counter.book.written.notify_one();
        counter.book.asked.notify_one();
        drop(work);
    });
}

async fn carry_out(counter: &Counter, ledger: &Ledger, work: &Work) {
    let ended = once(counter, ledger, work).await;
    match ledger.find(&work.lease.change).await {
        Ok(Some(found)) if found.progress == Progress::Executing => {}
        // It was made, or sent, or is asked about anew.
        Ok(_) => return,
        Err(error) => return tell(&error),
    }
    // Nothing of it was sent.
    let stopped = ended.err().unwrap_or_else(|| {
        let message = "the object is already as it was asked to be";
        let refusal = Refusal::new(Reason::ChangeStale, message);
        Stopped::refused(Stage::Prepare, refusal)
    });
    // Whoever looks after questions tries again, for as long as people had to
    // agree.
    if !passes(&stopped) {
        let end = match stopped.refusal.reason {
            Reason::ChangeStale | Reason::NotFound => End::Stale,
            _ => End::Refused,
        };
        return give_up(counter, ledger, work, end, stopped).await;
    }
    if counter.clock.now() >= work.approval.expires_at {
        let why = &stopped.refusal.message;
        let message = format!("the change was not made in time: {why}");
        let refusal = Refusal::new(Reason::ApprovalExpired, message);
        let stopped = Stopped::refused(Stage::Decide, refusal);
        give_up(counter, ledger, work, End::Expired, stopped).await;
    }
}

/// Whether what was in the way may not be there the next time.
fn passes(stopped: &Stopped) -> bool {
    use Reason::{
        AuditUnavailable, ChangeInProgress, ContractPending, ContractUnreadable, ControlPlaneStale,
        DeadlineExceeded, GuardOpen, LedgerMismatch, LedgerUnavailable, RateLimited,
        ReconnectRequired, SecretMissing, ServerBusy, VendorThrottled, VendorUnavailable,
    };
    matches!(
        stopped.refusal.reason,
        AuditUnavailable
            | ChangeInProgress
            | ContractPending
            | ContractUnreadable
            | ControlPlaneStale
            | DeadlineExceeded
            | GuardOpen
            | LedgerMismatch
            | LedgerUnavailable
            | RateLimited
            | ReconnectRequired
            | SecretMissing
            | ServerBusy
            | VendorThrottled
            | VendorUnavailable
    )
}

async fn give_up(counter: &Counter, ledger: &Ledger, work: &Work, end: End, stopped: Stopped) {
    let why = stopped.refusal.message.clone();
    let said = Map::from_iter([("why".to_owned(), Value::from(why))]);
    let answer = told::kept(call_id(work), &work.lease.change, stopped);
    let now = counter.clock.now();
    let ended = ledger.end_execution(&work.lease, end, Some(&answer), &said, now);
    if let Err(error) = ended.await {
        tell(&error);
    }
}

async fn once(counter: &Counter, ledger: &Ledger, work: &Work) -> Ended {
    let proposal = told::proposal(ledger, &work.lease.change).await;
    let proposal = proposal.map_err(|error| refused(book::refusal(&error)))?;
    let caller = caller(counter, work, proposal.as_ref()).await?;
    let agreement = Agreement {
        terms: agreed(&work.approval),
        pinned: work.approval.pinned,
        record: work.change.record.clone(),
    };
    let desk = Desk {
        counter,
        caller: &caller,
        deadline: caller.arrived + CALL_LIMIT - OWN_SHARE,
    };
    if work.change.is_batch() {
        return Box::pin(batch::carry_out(desk, ledger, work, &agreement)).await;
    }
    let mut entry = Entry::without_line(call_id(work).to_owned(), Arc::clone(&counter.metrics));
    let mut arguments = work.approval.arguments.clone();
    // Its key is claimed; this one stands in its place.
    arguments.insert(KEY_ARGUMENT.into(), work.lease.change.as_str().into());
    let asked = Asked {
        tool: work.change.tool.to_string(),
        arguments,
    };
    let catalog = &counter.workshop.catalog;
    let mut checked = check::check(catalog, &caller.in_force, asked, &mut entry)?;
    let Some(mut wish) = checked.wish.take() else {
        let message = "the tool changes nothing";
        return Err(refused(Refusal::new(Reason::InternalFault, message)));
    };
    wish.undoes = proposal.and_then(|proposal| proposal.undoes);
    entry.arguments(Arguments::unchecked(&Map::new()));
    let permitted = authorize::permit(counter, &caller, checked, desk.deadline, &mut entry);
    let permitted = permitted.await?;
    let errand = Errand {
        desk,
        ledger,
        lease: &work.lease,
        agreement: Some(&agreement),
    };
    Box::pin(errand.run(permitted, &wish, &mut entry)).await
}

/// Who asked, if the key that did is still good, where somebody vouches for who
/// decides.
async fn caller(
    counter: &Counter,
    work: &Work,
    proposal: Option<&Proposal>,
) -> Result<Authenticated, Stopped> {
    let no = |reason, message| Err(refused(Refusal::new(reason, message)));
    let key = match proposal {
        Some(proposal) => live::key(counter, &proposal.subject.key).await,
        None => Ok(None),
    };
    let own = |key: &Arc<_>| claim::principal(key) == work.change.principal;
    let Some(key) = key.map_err(refused)?.filter(own) else {
        return no(
            Reason::KeyUnknown,
            "the key that asked is not there any more",
        );
    };
    if let Err(reason) = key.standing(counter.clock.now()) {
        return no(reason, "the key that asked is not good any more");
    }
    let Some(in_force) = counter.standing().in_force else {
        return no(Reason::ContractPending, "the server has no contract");
    };
    if !in_force.tenant.guard_proven {
        let message = "nobody vouches for who decides at this moment";
        return no(Reason::GuardOpen, message);
    }
    Ok(Authenticated {
        key,
        in_force,
        arrived: Instant::now(),
        source: None,
        call_id: call_id(work).to_owned(),
    })
}

fn refused(refusal: Refusal) -> Stopped {
    Stopped::refused(Stage::Authorize, refusal)
}

/// The rules that people were shown, on the terms on which each of them asked.
fn agreed(approval: &Approval) -> Agreed {
    let asking = approval
        .fired
        .iter()
        .filter_map(|fired| match &fired.verdict {
            Verdict::Ask(terms) => Some((fired.key(), terms.clone())),
            Verdict::Deny => None,
        });
    asking.collect()
}

/// The call that asked.
fn call_id(work: &Work) -> &str {
    let call_id = work.change.record.get("call_id");
    call_id.and_then(Value::as_str).unwrap_or_default()
}

fn tell(error: &LedgerError) {
    tracing::error!(
        error = chain(error),
        "the ledger failed; what people agreed to is taken up again"
    );
}
