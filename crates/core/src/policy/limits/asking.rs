//! When people are asked.

use super::look::{Look, Part};
use crate::policy::amount::Amount;
use crate::policy::decide::{Fired, Terms};
use crate::policy::{Ask, WindowIncrease};

pub(super) fn approvals(look: &Look<'_>) -> Vec<Fired> {
    let asking = look.policy.approvals.iter().filter(|ask| asks(look, ask));
    let fired = asking.map(|ask| {
        let terms = Terms {
            approver_classes: [ask.approver_class.clone()].into(),
            // An entry that asks nobody is no consent.
            approvers: ask.approvers.max(1),
            expires_after_ms: ask.expires_after_ms,
        };
        let message = format!("`{}` must agree", ask.approver_class);
        look.ask(format!("approvals.{}", ask.name), terms, message)
    });
    fired.collect()
}

/// Everything that is said must hold. What cannot be compared may be more, and
/// holds; an increase that cannot be is denied elsewhere as well.
fn asks(look: &Look<'_>, ask: &Ask) -> bool {
    let effect = &look.proposal.effect;
    let when = &ask.when;
    let is_over = |limit: Option<Amount>, micros: Option<i64>| match (limit, micros) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(limit), Some(micros)) => look
            .own(micros)
            .is_none_or(|amount| amount > i128::from(limit.micros())),
    };
    let is_percent_over = |percent: u32| {
        let from_nothing = effect.is_percent_undefined && effect.rises();
        from_nothing || effect.steps.iter().any(|step| step.rises_over(percent))
    };
    let class = look.proposal.subject.class;
    is_over(when.daily_increase_over, Some(effect.daily.increase_micros))
        && is_over(
            when.lifetime_increase_over,
            Some(effect.lifetime.increase_micros),
        )
        && is_over(when.amount_over, effect.amount_micros)
        && when.increase_percent_over.is_none_or(is_percent_over)
        && when
            .window_increase_over
            .as_ref()
            .is_none_or(|window| adds_up(look, window))
        && when
            .classes
            .as_ref()
            .is_none_or(|classes| classes.contains(&class))
}

/// Whether increases add up to more than that, of daily or lifetime budgets.
fn adds_up(look: &Look<'_>, window: &WindowIncrease) -> bool {
    let effect = &look.proposal.effect;
    let parts: [(i64, Part); 2] = [
        (effect.daily.increase_micros, |charge| charge.daily_micros),
        (effect.lifetime.increase_micros, |charge| {
            charge.lifetime_micros
        }),
    ];
    parts
        .into_iter()
        .filter(|(micros, _)| *micros > 0)
        .any(|(micros, part)| {
            let used = look.used(window.scope, window.window_ms, part);
            let sum = used
                .zip(look.own(micros))
                .map(|(used, rise)| used.saturating_add(rise));
            // A sum that cannot be known may be more.
            sum.is_none_or(|sum| sum > i128::from(window.amount.micros()))
        })
}
