//! One policy and one change, and the sums that several limits need.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;

use crate::money;
use crate::name::Currency;
use crate::policy::amount::Amount;
use crate::policy::decide::{Fired, RuleName, Terms, Verdict};
use crate::policy::facts::{Charge, Facts, Proposal, Standing};
use crate::policy::{Policy, Scope};

/// The rule that denies what cannot be converted.
pub const UNCONVERTED: &str = "exchangeRates";

/// Milliseconds of the day that limits mean: the last 24 hours.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// Milliseconds of an hour.
pub const HOUR_MS: i64 = 60 * 60 * 1000;

/// The part of a charge that a window adds up.
pub type Part = fn(&Charge) -> i64;

/// One policy, one change.
#[derive(Clone, Copy)]
pub struct Look<'l> {
    pub policy: &'l Policy,
    pub proposal: &'l Proposal,
    pub beside: Beside,
    pub facts: &'l Facts,
    pub now: Timestamp,
}

/// What the other changes of a batch add to one: a batch is judged on its sum as
/// well (WRITES §4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "units are said")]
pub struct Beside {
    daily_micros: i64,
    lifetime_micros: i64,
    exposure_micros: i64,
}

impl Beside {
    pub fn of<'p>(others: impl Iterator<Item = &'p &'p Proposal>) -> Self {
        others.fold(Self::default(), |sum, other| {
            let effect = &other.effect;
            let add = |sum: i64, rise: i64| sum.saturating_add(rise.max(0));
            Self {
                daily_micros: add(sum.daily_micros, effect.daily.increase_micros),
                lifetime_micros: add(sum.lifetime_micros, effect.lifetime.increase_micros),
                exposure_micros: add(sum.exposure_micros, effect.exposure_micros),
            }
        })
    }
}

impl<'l> Look<'l> {
    pub fn deny(&self, rule: impl Into<String>, message: impl Into<String>) -> Fired {
        self.fired(rule, Verdict::Deny, message)
    }

    /// A limit that the change does not keep: it denies, but asks where the
    /// change only takes another one back (WRITES §8).
    pub fn exceeds(&self, rule: impl Into<String>, message: impl Into<String>) -> Fired {
        let verdict = match self.proposal.undoes {
            Some(_) => Verdict::Ask(Terms::of_default()),
            None => Verdict::Deny,
        };
        self.fired(rule, verdict, message)
    }

    pub fn ask(&self, rule: impl Into<String>, terms: Terms, message: impl Into<String>) -> Fired {
        self.fired(rule, Verdict::Ask(terms), message)
    }

    fn fired(
        &self,
        rule: impl Into<String>,
        verdict: Verdict,
        message: impl Into<String>,
    ) -> Fired {
        Fired {
            name: RuleName {
                policy: self.policy.name.clone(),
                rule: rule.into(),
            },
            of: None,
            verdict,
            message: message.into(),
            headroom: None,
            retry_after_ms: None,
        }
    }

    /// An amount in the policy's currency; none if one of both is unknown, or
    /// no fresh rate leads there. Nothing is nothing in every currency.
    pub fn worth(&self, micros: i64, currency: Option<&Currency>) -> Option<i128> {
        if micros == 0 {
            return Some(0);
        }
        let (from, into) = (currency?, self.policy.currency.as_ref()?);
        if from == into {
            return Some(micros.into());
        }
        let rates = &self.policy.exchange_rates;
        let rate = rates.iter().find(|rate| rate.currency == *from)?;
        rate.is_fresh(self.now).then(|| rate.convert(micros.into()))
    }

    /// An amount of this change in the policy's currency.
    pub fn own(&self, micros: i64) -> Option<i128> {
        self.worth(micros, self.proposal.effect.currency.as_ref())
    }

    /// The increase of live daily budgets, with all of its batch.
    pub fn daily_micros(&self) -> i64 {
        let own = self.proposal.effect.daily.increase_micros;
        own.saturating_add(self.beside.daily_micros)
    }

    /// The same of live lifetime budgets.
    pub fn lifetime_micros(&self) -> i64 {
        let own = self.proposal.effect.lifetime.increase_micros;
        own.saturating_add(self.beside.lifetime_micros)
    }

    /// The change as expressions see it: with the increases of all its batch.
    pub fn with_batch(&self) -> Cow<'l, Proposal> {
        if self.beside == Beside::default() {
            return Cow::Borrowed(self.proposal);
        }
        let mut whole = self.proposal.clone();
        let own = whole.effect.exposure_micros;
        whole.effect.daily.increase_micros = self.daily_micros();
        whole.effect.lifetime.increase_micros = self.lifetime_micros();
        whole.effect.exposure_micros = own.saturating_add(self.beside.exposure_micros);
        Cow::Owned(whole)
    }

    /// An increase that the policy cannot convert.
    pub fn unconvertible(&self) -> Option<Fired> {
        // A policy without amounts has no currency, and nothing to convert to.
        let has_currency = self.policy.currency.is_some();
        let is_known = self.own(1).is_some();
        (has_currency && self.proposal.effect.rises() && !is_known).then(|| self.unconverted())
    }

    /// An amount of this change that a limit needs and nobody can convert.
    pub fn unconverted(&self) -> Fired {
        let name = |currency: Option<&Currency>| match currency {
            Some(currency) => currency.to_string(),
            None => "no currency".to_owned(),
        };
        let from = name(self.proposal.effect.currency.as_ref());
        let into = name(self.policy.currency.as_ref());
        let message = format!("there is no fresh exchange rate from {from} to {into}");
        self.deny(UNCONVERTED, message)
    }

    /// Speaks against an amount of this change above a limit, and one that nobody can
    /// compare with it; `say` is given both.
    pub fn above(
        &self,
        rule: &str,
        micros: i64,
        limit: Option<Amount>,
        say: impl FnOnce(String, String) -> String,
    ) -> Option<Fired> {
        let limit = limit?;
        let Some(amount) = self.own(micros) else {
            return Some(self.unconverted());
        };
        let is_above = amount > i128::from(limit.micros());
        is_above.then(|| self.exceeds(rule, say(self.sum(amount), self.amount(limit))))
    }

    /// The charges within a window that this policy adds to this change.
    pub fn charges(
        &self,
        scope: Scope,
        window_ms: i64,
    ) -> impl Iterator<Item = &'l Charge> + use<'l> {
        let Self {
            policy,
            proposal,
            facts,
            now,
            ..
        } = *self;
        facts.charges.iter().map(Arc::as_ref).filter(move |charge| {
            charge.is_within(window_ms, now)
                && scope.adds(&proposal.subject, &charge.subject)
                && policy.covers.counts(charge)
        })
    }

    /// What those charges add up to in the policy's currency; none if one of
    /// them cannot be converted.
    pub fn used(
        &self,
        scope: Scope,
        window_ms: i64,
        part: impl Fn(&Charge) -> i64,
    ) -> Option<i128> {
        self.charges(scope, window_ms)
            .map(|charge| self.worth(part(charge), charge.currency.as_ref()))
            .try_fold(0_i128, |sum, one| Some(sum.saturating_add(one?)))
    }

    /// The same with an amount of this change added; none if something in it
    /// cannot be converted, and so may be more than anything.
    pub fn used_with(
        &self,
        micros: i64,
        scope: Scope,
        window_ms: i64,
        part: impl Fn(&Charge) -> i64,
    ) -> Option<i128> {
        let used = self.used(scope, window_ms, part)?;
        Some(used.saturating_add(self.own(micros)?))
    }

    /// The changes of the same object in the last `window_ms`: what was
    /// applied, is open or unknown. What waits for people has not happened, and
    /// what is created below or beside an object does not change it.
    pub fn changes_of_object(&self, window_ms: i64) -> impl Iterator<Item = &'l Charge> + use<'l> {
        let Self {
            proposal,
            facts,
            now,
            ..
        } = *self;
        let object = proposal.subject.path.last();
        facts.charges.iter().map(Arc::as_ref).filter(move |charge| {
            object.is_some()
                && charge.subject.path.last() == object
                && Scope::Account.adds(&proposal.subject, &charge.subject)
                && !charge.primitive.creates()
                && charge.standing != Standing::Pending
                && charge.is_within(window_ms, now)
        })
    }

    /// How an amount of the policy reads to a caller.
    pub fn amount(&self, amount: Amount) -> String {
        match &self.policy.currency {
            Some(currency) => format!("{amount} {currency}"),
            None => amount.to_string(),
        }
    }

    /// How a sum in the policy's currency reads to a caller.
    pub fn sum(&self, micros: i128) -> String {
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        let text = money::decimal(micros, 2);
        match &self.policy.currency {
            Some(currency) => format!("{text} {currency}"),
            None => text,
        }
    }
}

/// How a length of time reads to a caller: `24 h`, `5 min`.
pub fn length(ms: i64) -> String {
    match ms {
        ms if ms >= HOUR_MS && ms % HOUR_MS == 0 => format!("{} h", ms / HOUR_MS),
        ms if ms >= 60_000 && ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms => format!("{} s", ms / 1000),
    }
}
