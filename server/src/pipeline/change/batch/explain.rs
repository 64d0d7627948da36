//! What people are told of changes that nobody has asked for together yet.

use tenantry_connectors::change::view::{Moved, Settings, View};
use tenantry_core::audit::Stage;
use tenantry_core::policy::Policy;
use tenantry_core::policy::batch::{Together, together};
use tenantry_ledger::batch::ForeseenAll;

use super::member::{Member, names, permit_all, prepare_all};
use super::rehearse::foresee;
use super::{Several, answer};
use crate::pipeline::Stopped;
use crate::pipeline::change::explain::{Asks, Outlook, Said, openly};
use crate::pipeline::change::{Desk, told};
use crate::pipeline::explain::Outcome;
use crate::pipeline::record::Entry;

/// Says what they would be, and what would become of them.
pub(crate) async fn explain(
    desk: Desk<'_>,
    several: Several<'_>,
    entry: &mut Entry,
) -> Result<(Outcome, Option<Outlook>), Stopped> {
    let permitted = permit_all(desk, several.items, entry)?;
    let ledger = desk.counter.book.ledger();
    let ledger = ledger.map_err(|refusal| Stopped::refused(Stage::Claim, refusal))?;
    let names = names(permitted.len())?;
    let members = prepare_all(desk, permitted, names, None, entry).await?;
    let outlook = outlook(&members);
    if !members.iter().any(Member::changes) {
        return Ok((Outcome::Unchanged, outlook));
    }
    if let Some(first) = members.first()
        && let Err(stopped) = desk.confirm(&first.ready).await
    {
        return Ok((Outcome::Stopped(stopped), outlook));
    }
    let policies = &desk.caller.in_force.tenant.policies;
    Ok(match foresee(desk, &ledger, &members).await {
        Ok(found) => foreseen(&members, found, outlook, policies),
        Err(stopped) => (Outcome::Stopped(stopped), outlook),
    })
}

/// What they would be: each in a line, and together.
fn outlook(members: &[Member<'_>]) -> Option<Outlook> {
    let items = members
        .iter()
        .map(|member| Outlook::of(&member.ready, &member.wish));
    let items: Vec<_> = items.collect();
    let views: Vec<_> = members
        .iter()
        .map(|member| member.prepared().view())
        .collect();
    let currency = views.first()?.currency.clone();
    let view = View {
        before: Settings::default(),
        after: Settings::default(),
        delta: Moved::sum(views.iter().map(|view| &view.delta), &currency),
        currency,
    };
    Some(Outlook::of_all(items, view))
}

fn foreseen(
    members: &[Member<'_>],
    found: ForeseenAll,
    mut outlook: Option<Outlook>,
    policies: &[Policy],
) -> (Outcome, Option<Outlook>) {
    let rulings = match found {
        ForeseenAll::Ruled(rulings) => rulings,
        ForeseenAll::InTheWay { change, .. } => {
            let stopped = told::in_the_way(&change);
            if let Some(outlook) = &mut outlook {
                outlook.change_id = Some(change);
            }
            return (Outcome::InTheWay(stopped), outlook);
        }
    };
    if let Some(outlook) = &mut outlook {
        let rules = rulings.iter().map(|ruling| Said::all(ruling, &[]));
        outlook.rules = rules.flatten().collect();
    }
    let open = openly(policies);
    let outcome = match together(&rulings) {
        Together::Permitted => Outcome::Permitted,
        Together::NeedsApproval(terms) => {
            if let Some(outlook) = &mut outlook {
                outlook.approval = Some(Asks::of(&terms));
            }
            Outcome::NeedsApproval(answer::needs_approval(members, &rulings, &open))
        }
        Together::Denied => Outcome::Denied(answer::denied(members, &rulings, &open)),
    };
    (outcome, outlook)
}
