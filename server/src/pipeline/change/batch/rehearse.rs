//! A dry run of changes that would be made together: claims and reserves nothing.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tenantry_core::answer::Foreseen as Foresight;
use tenantry_core::audit::Stage;
use tenantry_core::policy::batch::{Together, decide_all, together};
use tenantry_core::policy::decide::Agreed;
use tenantry_core::policy::facts::{Facts, Proposal};
use tenantry_ledger::batch::{ForeseenAll, Item, What};
use tenantry_ledger::ledger::Ledger;

use super::answer;
use super::member::{Member, all_prepared, at, in_order, names, prepare_all};
use crate::book;
use crate::pipeline::authorize::Permitted;
use crate::pipeline::change::rehearse::try_at_vendor;
use crate::pipeline::change::{Desk, told};
use crate::pipeline::record::Entry;
use crate::pipeline::wish::Wish;
use crate::pipeline::{Ended, Stopped};

/// Says what would become of them.
pub(super) async fn rehearse(
    desk: Desk<'_>,
    ledger: &Ledger,
    permitted: Vec<Permitted<'_>>,
    wish: &Wish,
    entry: &mut Entry,
) -> Ended {
    let refused = |refusal| Stopped::refused(Stage::Decide, refusal);
    let names = names(permitted.len())?;
    let members = prepare_all(desk, permitted, names, None, entry).await?;
    if !members.iter().any(Member::changes) {
        let unchanged = answer::foreseen(&members, &[], &[], Foresight::Unchanged, None);
        return Ok(unchanged);
    }
    if let Some(first) = members.first() {
        desk.confirm(&first.ready).await?;
    }
    let policies = &desk.caller.in_force.tenant.policies;
    let rulings = match foresee(desk, ledger, &members).await? {
        ForeseenAll::Ruled(rulings) => rulings,
        ForeseenAll::InTheWay { change, .. } => {
            let told = told::named(&change);
            return Ok(answer::of_dry_run(told, Foresight::InProgress, None));
        }
    };
    let foresight = match together(&rulings) {
        Together::Permitted => Foresight::Permitted,
        Together::NeedsApproval(_) => Foresight::NeedsApproval,
        Together::Denied => {
            let denied = Foresight::Denied;
            return Ok(answer::foreseen(&members, &rulings, policies, denied, None));
        }
    };
    rehearse_all(desk, &members).await?;
    let random = book::random().map_err(refused)?;
    let key = told::foreseen_key(wish, &all_prepared(&members), random);
    let told = answer::foreseen(&members, &rulings, policies, foresight, Some(key));
    Ok(told)
}

/// What would be decided over them now.
pub(super) async fn foresee(
    desk: Desk<'_>,
    ledger: &Ledger,
    members: &[Member<'_>],
) -> Result<ForeseenAll, Stopped> {
    let in_force = &desk.caller.in_force;
    let changing = members.iter().filter(|member| member.changes());
    let changing: Vec<_> = changing
        .map(|member| (member, member.question(desk, None)))
        .collect();
    let items = changing.iter().map(|(member, question)| Item {
        change: &member.change,
        tool: &member.ready.checked().found.tool.name,
        what: What::Change(question.asked(in_force)),
    });
    let items: Vec<_> = items.collect();
    let proposals: Vec<Proposal> = changing
        .iter()
        .map(|(_, question)| question.proposal.clone())
        .collect();
    let nothing = Agreed::new();
    let policies = &in_force.tenant.policies;
    let rule = |facts: Vec<Facts>, now| decide_all(&proposals, facts, policies, &nothing, now);
    let foreseen = ledger.foresee_all(&items, desk.now(), rule).await;
    foreseen.map_err(|error| Stopped::refused(Stage::Decide, book::refusal(&error)))
}

/// What the vendor says to each of them.
async fn rehearse_all(desk: Desk<'_>, members: &[Member<'_>]) -> Result<(), Stopped> {
    let changing = members.iter().enumerate();
    let changing = changing.filter(|(_, member)| member.changes());
    let work = changing.map(|(place, member)| -> BoxFuture<'_, Result<(), Stopped>> {
        let Member { ready, entry, .. } = member;
        let tried = try_at_vendor(desk, ready, entry);
        tried
            .map(move |tried| tried.map_err(|stopped| at(place, stopped)))
            .boxed()
    });
    in_order(work.collect()).await.into_iter().collect()
}
