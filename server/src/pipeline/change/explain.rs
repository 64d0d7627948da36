//! What people are told of a change that nobody has asked for yet: all that its
//! caller would hear, and what policies keep from callers. Claims and reserves
//! nothing, and does not have the vendor try it.

use serde::Serialize;
use tenantry_connectors::change::view::View;
use tenantry_core::audit::Stage;
use tenantry_core::policy::decide::{Decision, Fired, Ruling, Terms, Verdict};
use tenantry_core::policy::{Disclose, Mode, Policy};
use tenantry_ledger::change::ChangeId;
use tenantry_ledger::reserve::Foreseen;

use super::decide::Question;
use super::prepare::{self, Ready};
use super::rehearse::foresee;
use super::{Desk, told};
use crate::pipeline::Stopped;
use crate::pipeline::authorize::Permitted;
use crate::pipeline::explain::Outcome;
use crate::pipeline::record::Entry;
use crate::pipeline::wish::Wish;
use crate::summary;

/// Why a stop is made of which the ledger takes no note.
const OFF_THE_BOOK: &str = "the ledger cannot take the change; what only switches something off is made all the same, and put down in the journal";

/// What a change would be.
#[derive(Debug, Serialize)]
pub(crate) struct Outlook {
    /// The same in a line.
    summary: String,
    /// Each change of a batch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<Outlook>,
    #[serde(flatten)]
    view: View,
    /// The change that it takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    undoes: Option<String>,
    /// What each policy says that binds it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) rules: Vec<Said>,
    /// Who would be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) approval: Option<Asks>,
    /// The change that is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) change_id: Option<ChangeId>,
    /// What else is to be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// What a rule says, or a policy of which none speaks.
#[derive(Debug, Serialize)]
pub(super) struct Said {
    policy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// Which of several limits of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    mode: Mode,
    verdict: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    headroom: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<i64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    asks: Option<Asks>,
}

/// Of whom is asked what.
#[derive(Debug, Serialize)]
pub(super) struct Asks {
    approver_classes: Vec<String>,
    approvers: u32,
    expires_after_ms: i64,
}

/// Says what a change would be, and what would become of it.
pub(crate) async fn explain(
    desk: Desk<'_>,
    permitted: Permitted<'_>,
    wish: &Wish,
    entry: &mut Entry,
) -> Result<(Outcome, Option<Outlook>), Stopped> {
    let is_stop = permitted.checked.found.tool.only_stops();
    let ledger = desk.counter.book.ledger();
    // As of the call itself: what needs the ledger does not come as far as the
    // vendor without one.
    if let Err(refusal) = &ledger
        && !is_stop
    {
        return Err(Stopped::refused(Stage::Claim, refusal.clone()));
    }
    let ready = prepare::prepare(desk, permitted, wish, entry).await?;
    let outlook = Outlook::of(&ready, wish);
    if ready.prepared.is_reached {
        return Ok((Outcome::Unchanged, Some(outlook)));
    }
    let found = match ledger {
        Ok(ledger) => foresee(desk, &ledger, &ready, wish, entry).await,
        Err(refusal) => match desk.confirm(&ready).await {
            Ok(()) => Err(Stopped::refused(Stage::Decide, refusal)),
            Err(stopped) => Err(stopped),
        },
    };
    let policies = &desk.caller.in_force.tenant.policies;
    Ok(match found {
        Ok((question, found)) => outlook.foreseen(&question, found, policies),
        Err(stopped) if ready.is_stop() && stopped.stage == Stage::Decide => {
            let note = Some(OFF_THE_BOOK);
            (Outcome::Permitted, Some(Outlook { note, ..outlook }))
        }
        Err(stopped) => (Outcome::Stopped(stopped), Some(outlook)),
    })
}

impl Outlook {
    /// Of a batch, by what each of its changes and all of them would do.
    pub(super) fn of_all(items: Vec<Self>, view: View) -> Self {
        let lines: Vec<_> = items.iter().map(|item| item.summary.as_str()).collect();
        Self {
            summary: summary::of_batch(&lines),
            items,
            view,
            undoes: None,
            rules: Vec::new(),
            approval: None,
            change_id: None,
            note: None,
        }
    }

    pub(super) fn of(ready: &Ready<'_>, wish: &Wish) -> Self {
        let prepared = &ready.prepared;
        let view = prepared.view();
        let object = told::changed(prepared);
        Self {
            summary: summary::line(object.as_ref(), &prepared.doubt(), &view),
            items: Vec::new(),
            view,
            undoes: wish.undoes.as_ref().map(|undoes| undoes.change.clone()),
            rules: Vec::new(),
            approval: None,
            change_id: None,
            note: None,
        }
    }

    /// The same, with what would be decided.
    fn foreseen(
        mut self,
        question: &Question,
        found: Foreseen,
        policies: &[Policy],
    ) -> (Outcome, Option<Self>) {
        let ruling = match found {
            Foreseen::Ruled(ruling) => ruling,
            Foreseen::InTheWay { change } => {
                let stopped = told::in_the_way(&change);
                self.change_id = Some(change);
                return (Outcome::InTheWay(stopped), Some(self));
            }
        };
        let bound = question.bound(policies);
        self.rules = Said::all(&ruling, &bound.collect::<Vec<_>>());
        let open = openly(policies);
        let own = told::ruled(told::of_view(&self.view, None), &ruling, &open, None);
        let outcome = match &ruling.decision {
            Decision::Permitted(_) => Outcome::Permitted,
            Decision::NeedsApproval(terms) => {
                self.approval = Some(Asks::of(terms));
                Outcome::NeedsApproval(told::pending(own))
            }
            Decision::Denied => Outcome::Denied(told::denied(own, &ruling)),
        };
        (outcome, Some(self))
    }
}

/// The policies as they speak to who asks here, who may know all of it, whatever
/// agents are told.
pub(super) fn openly(policies: &[Policy]) -> Vec<Policy> {
    let open = policies.iter().map(|policy| Policy {
        disclose: Disclose::Headroom,
        ..policy.clone()
    });
    open.collect()
}

impl Said {
    /// What fired, in force first, and then the policies that have nothing to say
    /// against it.
    pub(super) fn all(ruling: &Ruling, bound: &[&Policy]) -> Vec<Self> {
        let fired = ruling.fired.iter().map(|one| Self::of(one, Mode::Enforce));
        let shadow = ruling.shadow.iter().map(|one| Self::of(one, Mode::Shadow));
        let mut all: Vec<_> = fired.chain(shadow).collect();
        let spoke = |policy: &Policy| all.iter().any(|said| said.policy == policy.name);
        let silent: Vec<_> = bound.iter().filter(|policy| !spoke(policy)).collect();
        all.extend(silent.into_iter().map(|policy| Self::nothing(policy)));
        all
    }

    fn of(fired: &Fired, mode: Mode) -> Self {
        let (verdict, asks) = match &fired.verdict {
            Verdict::Deny => ("deny", None),
            Verdict::Ask(terms) => ("ask", Some(Asks::of(terms))),
        };
        Self {
            policy: fired.name.policy.clone(),
            rule: Some(fired.name.rule.clone()),
            of: fired.of.clone(),
            mode,
            verdict,
            message: fired.message.clone(),
            headroom: fired.headroom.clone(),
            retry_after_ms: fired.retry_after_ms,
            asks,
        }
    }

    fn nothing(policy: &Policy) -> Self {
        Self {
            policy: policy.name.clone(),
            rule: None,
            of: None,
            mode: policy.mode,
            verdict: "allow",
            message: "none of its rules speaks".into(),
            headroom: None,
            retry_after_ms: None,
            asks: None,
        }
    }
}

impl Asks {
    pub(super) fn of(terms: &Terms) -> Self {
        Self {
            approver_classes: terms.approver_classes.iter().cloned().collect(),
            approvers: terms.approvers,
            expires_after_ms: terms.expires_after_ms,
        }
    }
}
