//! A change for people and agents: allow-listed settings in the words of the
//! tools, amounts in major units with their currency.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tenantry_core::effect::{Delta, Effect};
use tenantry_core::money::Money;
use tenantry_core::name::Currency;
use tenantry_core::spend_root::Budget;

use crate::change::Target;
use crate::snapshot::Seen;

/// What a change does to its object, and to the money that can be spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// What the object was set to.
    pub before: Settings,
    /// What it is set to then.
    pub after: Settings,
    /// By how much more or less can be spent.
    pub delta: Moved,
    /// What every amount is in.
    pub currency: Currency,
}

/// What an object is set to, as far as a change is concerned with it; what is
/// absent is not there, or is not what the change is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What the vendor calls it, where it did not exist before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its budget for a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_budget: Option<Money>,
    /// Its budget for its whole life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_budget: Option<Money>,
    /// How it is switched, in the vendor's word; an open one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Its bid, or the cap of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bid: Option<Money>,
    /// Its name, fit to be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Timestamp>,
}

/// What becomes spendable, or, below zero, stops being so; absent where nothing
/// does. If ever one change did both, it is what becomes spendable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// Of live daily budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily: Option<Money>,
    /// Of live lifetime budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Money>,
}

impl Settings {
    /// What an object says, of what `target` is about.
    pub(crate) fn found(target: &Target, seen: Seen<'_>, currency: &Currency) -> Self {
        let found = target.found(seen);
        found.map_or_else(Self::default, |found| {
            Self::said(&found, seen.word, currency)
        })
    }

    /// What an object of that target is set to; `word` is the vendor's for a switch.
    pub(crate) fn said(target: &Target, word: &str, currency: &Currency) -> Self {
        let money = |micros: i64| Some(Money::from_micros(micros, currency.clone()));
        let nothing = Self::default();
        match target {
            Target::Budget(Budget::Daily { amount_micros }) => Self {
                daily_budget: money(*amount_micros),
                ..nothing
            },
            Target::Budget(Budget::Lifetime { amount_micros, .. }) => Self {
                lifetime_budget: money(*amount_micros),
                ..nothing
            },
            Target::Switch(_) => Self {
                status: Some(word.to_owned()),
                ..nothing
            },
            Target::BidMicros(micros) => Self {
                bid: money(*micros),
                ..nothing
            },
            Target::Name(name) => Self {
                name: Some(name.clone()),
                ..nothing
            },
            Target::New(draft) => Self {
                name: Some(draft.name.clone()),
                status: Some(word.to_owned()),
                bid: draft.bid_micros.and_then(money),
                end_time: draft.ends_at,
                ..draft.budget.map_or(nothing, |budget| {
                    Self::said(&Target::Budget(budget), word, currency)
                })
            },
        }
    }
}

impl Moved {
    /// What several do together: what one of them stops pays for what another
    /// one begins.
    pub fn sum<'m>(all: impl Iterator<Item = &'m Self>, currency: &Currency) -> Self {
        let micros = |money: &Option<Money>| money.as_ref().map_or(0, Money::amount_micros);
        let (daily, lifetime) = all.fold((0_i64, 0_i64), |(daily, lifetime), one| {
            (
                daily.saturating_add(micros(&one.daily)),
                lifetime.saturating_add(micros(&one.lifetime)),
            )
        });
        let moved =
            |micros: i64| (micros != 0).then(|| Money::from_micros(micros, currency.clone()));
        Self {
            daily: moved(daily),
            lifetime: moved(lifetime),
        }
    }

    pub(crate) fn by(effect: &Effect, currency: &Currency) -> Self {
        let moved = |delta: Delta| {
            let micros = match delta.increase_micros {
                0 => delta.decrease_micros.saturating_neg(),
                increase => increase,
            };
            (micros != 0).then(|| Money::from_micros(micros, currency.clone()))
        };
        Self {
            daily: moved(effect.daily),
            lifetime: moved(effect.lifetime),
        }
    }
}
