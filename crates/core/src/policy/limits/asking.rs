//! When people are asked.

use super::look::{Look, Part};
use crate::policy::amount::Amount;
use crate::policy::decide::{Fired, Terms};
use crate::policy::expression::{Doubt, Expression, Known};
use crate::policy::{Ask, RuleAction, WindowIncrease};

pub(super) fn approvals(look: &Look<'_>) -> Vec<Fired> {
    let entries = look.policy.approvals.iter();
    entries.filter_map(|ask| approval(look, ask)).collect()
}

fn approval(look: &Look<'_>, ask: &Ask) -> Option<Fired> {
    if !asks(look, ask) {
        return None;
    }
    let rule = format!("approvals.{}", ask.name);
    match ask.when.cel.as_ref().map(|cel| holds(look, cel)) {
        None | Some(Ok(true)) => {}
        Some(Ok(false)) => return None,
        // Nobody can be asked to agree to what nobody knows: whom it would
        // concern is what the expression was to say.
        Some(Err(doubt)) => return Some(look.deny(rule, in_doubt(doubt))),
    }
    let terms = Terms {
        approver_classes: [ask.approver_class.clone()].into(),
        // An entry that asks nobody is no consent.
        approvers: ask.approvers.max(1),
        expires_after_ms: ask.expires_after_ms,
    };
    let class = &ask.approver_class;
    let message = match terms.approvers {
        0 | 1 => format!("`{class}` must agree"),
        several => format!("{several} people of `{class}` must agree"),
    };
    Some(look.ask(rule, terms, message))
}

/// A rule that fails denies.
pub(super) fn rules(look: &Look<'_>) -> Vec<Fired> {
    let fired = look.policy.rules.iter().filter_map(|rule| {
        let name = format!("rules.{}", rule.name);
        match (holds(look, &rule.when), &rule.action) {
            (Ok(false), _) => None,
            (Err(doubt), _) => Some(look.deny(name, in_doubt(doubt))),
            (Ok(true), RuleAction::Deny) => Some(look.deny(name, &rule.message)),
            (Ok(true), RuleAction::Ask { approver_class }) => {
                let terms = Terms {
                    approver_classes: [approver_class.clone()].into(),
                    ..Terms::of_default()
                };
                Some(look.ask(name, terms, &rule.message))
            }
        }
    });
    fired.collect()
}

fn holds(look: &Look<'_>, expression: &Expression) -> Result<bool, Doubt> {
    // A policy without a currency sees amounts as the account has them.
    let worth = |micros: i64| match look.policy.currency {
        Some(_) => look.own(micros),
        None => Some(micros.into()),
    };
    expression.holds(&Known {
        proposal: look.with_batch().as_ref(),
        worth: &worth,
    })
}

fn in_doubt(doubt: Doubt) -> String {
    format!("its expression comes to nothing here: {doubt}")
}

/// Everything that is said in fields must hold. What cannot be compared may be more, and
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
    is_over(when.daily_increase_over, Some(look.daily_micros()))
        && is_over(when.lifetime_increase_over, Some(look.lifetime_micros()))
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
            let sum = look.used_with(micros, window.scope, window.window_ms, part);
            // A sum that cannot be known may be more.
            sum.is_none_or(|sum| sum > i128::from(window.amount.micros()))
        })
}
