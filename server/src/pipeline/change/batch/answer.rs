//! What is said of changes that are made together: of each of them, and of the
//! whole, which stands as the worst of them does. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize as _;
use tenantry_connectors::change::view::{Moved, View};
use tenantry_core::answer::{ChangeAnswer, Foreseen as Foresight, ItemAnswer, RuleAnswer, Status};
use tenantry_core::audit::Stage;
use tenantry_core::audit::change_record::ChangeRecord;
use tenantry_core::policy::Policy;
use tenantry_core::policy::decide::{Decision, Ruling};
use tenantry_core::reason::{Reason, Refusal};
use tenantry_ledger::change::{ChangeId, Recorded};
use tenantry_ledger::claim::{Claimed, OpenItem};

use super::member::Member;
use crate::pipeline::change::told;
use crate::pipeline::{Done, Ended, Stopped};

/// Each of them, and in whose record its object stands.
pub(super) fn item(member: Option<&Member<'_>>, ended: Ended) -> ItemAnswer {
    let object = member.and_then(|member| told::changed(member.prepared()));
    let item = |status, change, refusal: Option<Refusal>| {
        let (reason, message, remedy) = match refusal {
            Some(refusal) => (
                Some(refusal.reason),
                Some(refusal.message),
                Some(refusal.remedy),
            ),
            None => (None, None, None),
        };
        ItemAnswer {
            status,
            object,
            change,
            reason,
            message,
            remedy,
        }
    };
    match ended {
        Ok(Done::Changed(status, change)) => item(status, *change, None),
        // INVARIANT: a change answers no data.
        Ok(Done::Read(_)) => item(Status::Done, ChangeAnswer::default(), None),
        Err(stopped) => {
            let change = stopped.change.map(|change| *change).unwrap_or_default();
            item(stopped.status, change, Some(stopped.refusal))
        }
    }
}

/// The whole, by its changes.
pub(super) fn together(change: Option<&ChangeId>, items: Vec<ItemAnswer>) -> Ended {
    // What was not made moves nothing.
    let moves = |item: &ItemAnswer| !matches!(item.status, Status::Refused | Status::Failed);
    let whole = whole(change, items, moves);
    let placed = whole.items.iter().enumerate();
    let worst = placed.max_by_key(|(place, item)| (rank(item.status), std::cmp::Reverse(*place)));
    let Some((place, worst)) = worst else {
        return Ok(Done::Changed(Status::Unchanged, Box::new(whole)));
    };
    let Some(reason) = worst.reason else {
        return Ok(Done::Changed(worst.status, Box::new(whole)));
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let made = whole.items.iter();
    let made = made.filter(|item| matches!(item.status, Status::Done | Status::Unchanged));
    let (made, all) = (made.count(), whole.items.len());
    let message = format!(
        "{made} of {all} changes are made; changes[{place}]: {}",
        text(&worst.message)
    );
    let refusal = Refusal {
        reason,
        message,
        remedy: text(&worst.remedy),
        retry_after_ms: None,
    };
    let stopped = Stopped {
        stage: Stage::Send,
        status: worst.status,
        refusal,
        change: None,
    };
    Err(stopped.of_change(whole))
}

/// How bad it is: the key of a batch stands as its worst change does.
fn rank(status: Status) -> u8 {
    match status {
        Status::Unchanged => 0,
        Status::Done => 1,
        Status::Refused => 2,
        Status::Failed => 3,
        Status::PendingApproval => 4,
        Status::InProgress => 5,
        Status::Settling => 6,
        Status::NeedsHuman => 7,
    }
}

/// What there is to say of all: the sum of what moves, and every rule once.
fn whole(
    change: Option<&ChangeId>,
    items: Vec<ItemAnswer>,
    counts: impl Fn(&ItemAnswer) -> bool,
) -> ChangeAnswer {
    let currency = items.iter().find_map(|item| item.change.currency.clone());
    let moved = items.iter().filter(|item| counts(item));
    let moved = moved.filter_map(|item| item.change.delta.as_ref());
    let moved: Vec<_> = moved
        .filter_map(|delta| Moved::deserialize(delta).ok())
        .collect();
    let sum = currency
        .as_ref()
        .map(|currency| Moved::sum(moved.iter(), currency));
    let sum = sum.filter(|sum| *sum != Moved::default());
    let mut seen = BTreeSet::new();
    let rules = items.iter().flat_map(|item| &item.change.rules);
    let rules = rules.filter(|rule| seen.insert((&rule.policy, &rule.rule, &rule.message)));
    ChangeAnswer {
        change_id: change.map(ToString::to_string),
        delta: sum.as_ref().map(told::value),
        currency,
        rules: rules.cloned().collect(),
        items,
        ..ChangeAnswer::default()
    }
}

/// There is nothing to change in any of them.
pub(super) fn unchanged(members: &[Member<'_>]) -> Ended {
    let items = members.iter().map(|member| {
        let own = told::of(member.prepared(), None);
        item(Some(member), Ok(told::unchanged(own)))
    });
    together(None, items.collect())
}

/// What the keys of those are answered with that are so already.
pub(super) fn so_already(members: &[Member<'_>], call_id: &str) -> Vec<Option<String>> {
    let answers = members.iter().map(|member| {
        let own = told::of(member.prepared(), Some(&member.change));
        let is_so = !member.changes();
        is_so.then(|| told::stored(call_id, &Ok(told::unchanged(own))))
    });
    answers.collect()
}

/// What would be said if people had to agree.
pub(super) fn needs_approval(
    members: &[Member<'_>],
    rulings: &[Ruling],
    policies: &[Policy],
) -> Stopped {
    let items = ruled(members, rulings, policies, false, Status::PendingApproval);
    asking(whole(None, items, |_| true))
}

/// People must agree, to all of them.
pub(super) fn pending(
    change: &ChangeId,
    members: &[Member<'_>],
    rulings: &[Ruling],
    policies: &[Policy],
    expires_at: Timestamp,
) -> Stopped {
    let items = ruled(members, rulings, policies, true, Status::PendingApproval);
    let whole = ChangeAnswer {
        expires_at: Some(expires_at),
        ..whole(Some(change), items, |_| true)
    };
    asking(whole)
}

fn asking(whole: ChangeAnswer) -> Stopped {
    let reasons = told::reasons(&whole.rules, "ask");
    let message = format!("people must agree first{reasons}");
    told::stopped(Status::PendingApproval, Reason::ApprovalRequired, message).of_change(whole)
}

/// A policy refuses one of them, and so all.
pub(super) fn denied(members: &[Member<'_>], rulings: &[Ruling], policies: &[Policy]) -> Stopped {
    let items = ruled(members, rulings, policies, false, Status::Refused);
    let whole = whole(None, items, |_| true);
    let placed = changing(members).zip(rulings);
    let denied = placed.filter(|(_, ruling)| ruling.decision == Decision::Denied);
    let denied: Vec<_> = denied
        .map(|((place, _), _)| format!("changes[{place}]"))
        .collect();
    let message = format!(
        "a policy refuses {}, so none was made{}",
        denied.join(", "),
        told::reasons(&whole.rules, "deny")
    );
    let refusal = Refusal::new(Reason::PolicyDenied, message);
    // When it would not is as good as what it limits.
    let fired: Vec<_> = rulings.iter().flat_map(|one| &one.fired).cloned().collect();
    let wait = told::wait(&fired).filter(|_| !whole.rules.is_empty());
    let refusal = match wait {
        Some(wait) => refusal.with_retry_after_ms(wait),
        None => refusal,
    };
    Stopped::refused(Stage::Decide, refusal).of_change(whole)
}

/// What a dry run says of them.
pub(super) fn foreseen(
    members: &[Member<'_>],
    rulings: &[Ruling],
    policies: &[Policy],
    dry_run: Foresight,
    key: Option<String>,
) -> Done {
    let items = ruled(members, rulings, policies, false, Status::Done);
    of_dry_run(whole(None, items, |_| true), dry_run, key)
}

/// The answer of a dry run.
pub(super) fn of_dry_run(whole: ChangeAnswer, dry_run: Foresight, key: Option<String>) -> Done {
    let change = ChangeAnswer {
        dry_run: Some(dry_run),
        idempotency_key: key,
        ..whole
    };
    Done::Changed(Status::Done, Box::new(change))
}

/// Each of them with what the rules said; those that are so already say that.
fn ruled(
    members: &[Member<'_>],
    rulings: &[Ruling],
    policies: &[Policy],
    is_kept: bool,
    status: Status,
) -> Vec<ItemAnswer> {
    let mut rulings = rulings.iter();
    let items = members.iter().map(|member| {
        let name = Some(&member.change).filter(|_| is_kept);
        let own = told::of(member.prepared(), name);
        if !member.changes() {
            return item(Some(member), Ok(told::unchanged(own)));
        }
        let fired = rulings.next().map_or(&[][..], |ruling| &ruling.fired);
        let own = ChangeAnswer {
            rules: RuleAnswer::of_all(fired, policies),
            ..own
        };
        item(Some(member), Ok(Done::Changed(status, Box::new(own))))
    });
    items.collect()
}

fn changing<'m>(members: &'m [Member<'m>]) -> impl Iterator<Item = (usize, &'m Member<'m>)> {
    let placed = members.iter().enumerate();
    placed.filter(|(_, member)| member.changes())
}

/// What the key of a batch opens whose changes have left: what became of each.
pub(in crate::pipeline::change) fn opened(
    change: &ChangeId,
    items: &[OpenItem],
    ended_at: Option<Timestamp>,
) -> Ended {
    let mut latest = ended_at;
    let is_open = items
        .iter()
        .any(|open| matches!(open.opens, Some(Claimed::InProgress { .. })));
    let items = items.iter().map(|open| {
        let ended = match &open.opens {
            Some(Claimed::Replay(replay)) => told::replayed(replay),
            Some(Claimed::InProgress { change, progress }) => {
                Err(told::on_its_way(change, *progress))
            }
            Some(_) | None => Err(told::given_up(&open.change.lease.change)),
        };
        let mut answer = item(None, ended);
        answer.object = object(&open.change);
        // The whole says it.
        answer.change.replayed = false;
        latest = latest.max(answer.change.executed_at.take());
        answer
    });
    let items: Vec<_> = items.collect();
    let replayed = |change: ChangeAnswer| ChangeAnswer {
        replayed: !is_open,
        executed_at: latest.filter(|_| !is_open),
        ..change
    };
    match together(Some(change), items) {
        Ok(Done::Changed(status, change)) => Ok(Done::Changed(status, Box::new(replayed(*change)))),
        Ok(done) => Ok(done),
        Err(stopped) => Err(Stopped {
            change: stopped.change.map(|change| Box::new(replayed(*change))),
            ..stopped
        }),
    }
}

/// The changes that people are asked about.
pub(in crate::pipeline::change) fn waiting(items: &[Recorded]) -> Vec<ItemAnswer> {
    let waiting = items.iter().map(|found| {
        let name = Some(&found.lease.change);
        let view = found.intent.as_ref();
        let view = view.and_then(|intent| View::deserialize(&intent.before).ok());
        let (status, change) = match view {
            Some(view) => (Status::PendingApproval, told::of_view(&view, name)),
            None => (Status::Unchanged, told::named(&found.lease.change)),
        };
        ItemAnswer {
            object: object(found),
            ..item(None, Ok(Done::Changed(status, Box::new(change))))
        }
    });
    waiting.collect()
}

fn object(change: &Recorded) -> Option<tenantry_core::audit::change_record::Target> {
    ChangeRecord::of_map(&change.record)?.object
}
