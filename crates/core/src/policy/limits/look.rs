//! One policy and one change, and the sums that several limits need.

use jiff::Timestamp;

use crate::money;
use crate::name::Currency;
use crate::policy::amount::Amount;
use crate::policy::decide::{Fired, RuleName, Terms, Verdict};
use crate::policy::facts::{Charge, Facts, Proposal, Standing};
use crate::policy::{Policy, Scope};

/// Milliseconds of the day that limits mean: the last 24 hours.
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// One policy, one change.
#[derive(Clone, Copy)]
pub struct Look<'l> {
    pub policy: &'l Policy,
    pub proposal: &'l Proposal,
    pub facts: &'l Facts,
    pub now: Timestamp,
}

impl<'l> Look<'l> {
    pub fn deny(&self, rule: impl Into<String>, message: impl Into<String>) -> Fired {
        self.fired(rule, Verdict::Deny, message)
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
            verdict,
            message: message.into(),
            retry_after_ms: None,
        }
    }

    /// An amount in the policy's currency; none if no fresh rate leads there.
    /// Nothing is nothing in every currency.
    pub fn worth(&self, micros: i64, currency: Option<&Currency>) -> Option<i128> {
        if micros == 0 || currency == self.policy.currency.as_ref() {
            return Some(micros.into());
        }
        let rates = &self.policy.exchange_rates;
        let rate = rates.iter().find(|rate| Some(&rate.currency) == currency)?;
        rate.is_fresh(self.now).then(|| rate.convert(micros.into()))
    }

    /// An amount of this change in the policy's currency. What cannot be
    /// converted is denied elsewhere, once.
    pub fn own(&self, micros: i64) -> Option<i128> {
        self.worth(micros, self.proposal.effect.currency.as_ref())
    }

    /// An increase that the policy limits and cannot convert.
    pub fn unconvertible(&self) -> Option<Fired> {
        let effect = &self.proposal.effect;
        let currency = effect.currency.as_ref()?;
        // A policy without amounts has no currency, and nothing to convert to.
        let into = self.policy.currency.as_ref()?;
        let rises = effect.rises();
        if !rises || currency == into || self.worth(1, Some(currency)).is_some() {
            return None;
        }
        let message = format!("there is no fresh exchange rate from {currency} to {into}");
        Some(self.deny("exchangeRates", message))
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
        } = *self;
        facts.charges.iter().filter(move |charge| {
            charge.is_within(window_ms, now)
                && scope.adds(&proposal.subject, &charge.subject)
                && policy.covers.covers(&charge.subject)
        })
    }

    /// What those charges add up to in the policy's currency; none if one of
    /// them cannot be converted.
    pub fn used(&self, scope: Scope, window_ms: i64, part: fn(&Charge) -> i64) -> Option<i128> {
        self.charges(scope, window_ms)
            .map(|charge| self.worth(part(charge), charge.currency.as_ref()))
            .sum()
    }

    /// The changes of the same object in the last `window_ms`: what was
    /// applied, is open or unknown. What waits for people has not happened.
    pub fn changes_of_object(&self, window_ms: i64) -> impl Iterator<Item = &'l Charge> + use<'l> {
        let Self {
            proposal,
            facts,
            now,
            ..
        } = *self;
        let object = proposal.subject.path.last();
        facts.charges.iter().filter(move |charge| {
            object.is_some()
                && charge.subject.path.last() == object
                && charge.subject.connector == proposal.subject.connector
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
