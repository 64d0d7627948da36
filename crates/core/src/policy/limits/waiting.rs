//! How much may wait for people.

use super::look::{Look, length};
use crate::policy::Scope;
use crate::policy::amount::Amount;
use crate::policy::decide::Fired;
use crate::policy::facts::{Charge, Standing};

/// The largest part of a window that may wait, whatever a policy says (WRITES
/// §4): the rest stays for what needs nobody.
const MOST_PERCENT: u32 = 50;

/// Denies what would wait for people when too much does.
pub(in crate::policy) fn pending(look: &Look<'_>) -> Vec<Fired> {
    let mut fired: Vec<_> = counts(look).collect();
    let effect = &look.proposal.effect;
    for window in &look.policy.budget.per_window {
        let window_of =
            |most: Option<Amount>| most.map(|most| (window.scope, window.window_ms, most));
        let daily = look.daily_micros();
        let most = window_of(window.max_daily_increase);
        fired.extend(share(look, most, daily, |charge| charge.daily_micros));
        let lifetime = look.lifetime_micros();
        let most = window_of(window.max_lifetime_increase);
        fired.extend(share(look, most, lifetime, |charge| charge.lifetime_micros));
    }
    let financial = look.policy.financial.iter();
    for window in financial.flat_map(|limits| &limits.per_window) {
        let most = Some((window.scope, window.window_ms, window.max_increase));
        let rise = effect.financial.increase_micros;
        fired.extend(share(look, most, rise, |charge| charge.financial_micros));
    }
    fired
}

fn counts(look: &Look<'_>) -> impl Iterator<Item = Fired> {
    let (limits, facts) = (look.policy.pending, look.facts);
    let (of_key, of_tenant) = (facts.pending_of_key, facts.pending_of_tenant);
    let all = [
        ("pending.maxPerKey", of_key, limits.max_per_key),
        ("pending.maxPerTenant", of_tenant, limits.max_per_tenant),
    ];
    let full = all.into_iter().filter(|(_, waiting, most)| waiting >= most);
    full.map(|(rule, waiting, most)| {
        let message = format!("{waiting} changes wait for people; {most} is the limit");
        look.deny(rule, message)
    })
}

/// Whether too much of a window would wait.
fn share(
    look: &Look<'_>,
    window: Option<(Scope, i64, Amount)>,
    micros: i64,
    part: impl Fn(&Charge) -> i64,
) -> Option<Fired> {
    let (scope, window_ms, most) = window.filter(|_| micros > 0)?;
    let percent = look.policy.pending.share_percent.min(MOST_PERCENT);
    let sum = look.used_with(micros, scope, window_ms, |charge| match charge.standing {
        Standing::Pending => part(charge),
        Standing::Applied(_) | Standing::Open => 0,
    });
    let share = i128::from(most.micros()) * i128::from(percent);
    // What cannot be added up may be more.
    let is_too_much = sum.is_none_or(|sum| sum.saturating_mul(100) > share);
    is_too_much.then(|| {
        let (most, length) = (look.amount(most), length(window_ms));
        let message = format!("more than {percent} % of {most} in {length} would wait for people");
        look.deny("pending.share", message)
    })
}
