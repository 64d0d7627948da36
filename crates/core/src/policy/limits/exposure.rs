//! The limit of all live budgets together.

use jiff::SignedDuration;

use super::look::Look;
use crate::name::{ConnectorName, Currency};
use crate::policy::Exposure;
use crate::policy::decide::{Fired, Terms};
use crate::policy::facts::{ExposureSnapshot, Standing};

/// How old a reading of all live budgets may be (WRITES §4).
const MAX_AGE: SignedDuration = SignedDuration::from_mins(15);

/// What was applied so long before a reading may not be in it: vendors show
/// changes late, and clocks of replicas differ. It counts twice rather than not
/// at all.
const MARGIN: SignedDuration = SignedDuration::from_mins(2);

/// What all live budgets may spend a day.
pub enum Exposed {
    /// Nobody has read them lately, or not in all accounts.
    Unread,
    /// Some are in a currency without a fresh exchange rate.
    Unconverted,
    /// That many hundredths of a millionth, as factors are percents.
    Known(i128),
}

/// What all live budgets may add up to.
pub(super) fn limit(look: &Look<'_>) -> Option<Fired> {
    const RULE: &str = "budget.exposure.maxActiveDaily";
    let limits = look.policy.budget.exposure.as_ref()?;
    let rise = look.proposal.effect.exposure_micros;
    if rise <= 0 {
        return None;
    }
    let exposed = match exposed(look, limits, rise) {
        Exposed::Unread => {
            let message = "what is live was not read in the last 15 minutes";
            return Some(look.ask(RULE, Terms::of_default(), message));
        }
        Exposed::Unconverted => {
            let message = "live budgets are in a currency without a fresh exchange rate";
            return Some(look.deny(RULE, message));
        }
        Exposed::Known(exposed) => exposed,
    };
    if exposed <= i128::from(limits.max_active_daily.micros()).saturating_mul(100) {
        return None;
    }
    let most = look.amount(limits.max_active_daily);
    let message = format!("live budgets could spend more than {most} a day then");
    Some(Fired {
        headroom: Some(format!("they could spend {}", look.sum(exposed / 100))),
        ..look.exceeds(RULE, message)
    })
}

/// The last reading, every increase since, and `rise` of the change itself.
pub fn exposed(look: &Look<'_>, limits: &Exposure, rise: i64) -> Exposed {
    let read = look.facts.exposure.as_ref();
    let Some(snapshot) = read.filter(|snapshot| is_good(look, snapshot)) else {
        return Exposed::Unread;
    };
    let active = snapshot
        .active_daily_micros
        .iter()
        .map(|((connector, currency), micros)| (connector, Some(currency), *micros));
    let charges = look.facts.charges.iter();
    let since = charges.filter(|charge| match charge.standing {
        Standing::Applied(at) => snapshot.as_of.duration_since(at) <= MARGIN,
        Standing::Open | Standing::Pending => true,
    });
    let since = since.map(|charge| {
        let connector = &charge.subject.connector;
        (connector, charge.currency.as_ref(), charge.exposure_micros)
    });
    let subject = &look.proposal.subject;
    let own = (
        &subject.connector,
        look.proposal.effect.currency.as_ref(),
        rise,
    );
    let all = active.chain(since).chain([own]);
    let worth = |(connector, currency, micros): (&ConnectorName, Option<&Currency>, i64)| {
        let terms = &look.facts.exposure_terms;
        let known = terms.overspend_percent.get(connector).copied();
        let said = limits.overspend_percent.or(known);
        let percent = said.map_or(100, |percent| percent.max(100));
        Some(look.worth(micros, currency)?.saturating_mul(percent.into()))
    };
    let sum = all
        .map(worth)
        .try_fold(0_i128, |sum, one| Some(sum.saturating_add(one?)));
    sum.map_or(Exposed::Unconverted, Exposed::Known)
}

/// Whether it is of late, and holds all that it must.
fn is_good(look: &Look<'_>, snapshot: &ExposureSnapshot) -> bool {
    let age = look.now.duration_since(snapshot.as_of);
    let wanted = &look.facts.exposure_terms.accounts;
    !age.is_negative() && age <= MAX_AGE && wanted.is_subset(&snapshot.accounts)
}
