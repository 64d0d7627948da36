//! What an expression may ask about a change. Every field always has a value:
//! no amount is 0, no text is "".

use crate::access::ToolClass;
use crate::effect::{Primitive, Step};
use crate::policy::facts::Proposal;

/// A field, by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Amount(Amount),
    Count(Count),
    Flag(Flag),
    Text(Text),
}

/// Millionths of the policy's currency, or of the account's where the policy
/// has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    DailyIncrease,
    DailyDecrease,
    LifetimeIncrease,
    LifetimeDecrease,
    FinancialIncrease,
    FinancialDecrease,
    FinancialAfter,
    Exposure,
    BidBefore,
    BidAfter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Percent,
    Created,
    Records,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    HasPercent,
    BecomesEndless,
    CreatesRunning,
    HasBidBefore,
    HasBidAfter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Tool,
    Class,
    Connector,
    Account,
    Object,
    Currency,
    Primitive,
    State,
    Key,
}

/// Every field, by its name.
pub(super) const FIELDS: &[(&str, Field)] = &[
    ("change.tool", Field::Text(Text::Tool)),
    ("change.class", Field::Text(Text::Class)),
    ("change.connector", Field::Text(Text::Connector)),
    ("change.account", Field::Text(Text::Account)),
    // The object that is changed; "" for what is created on its own.
    ("change.object", Field::Text(Text::Object)),
    // The account's; "" where no money moves.
    ("change.currency", Field::Text(Text::Currency)),
    ("change.primitive", Field::Text(Text::Primitive)),
    // The state that a financial record gets.
    ("change.state", Field::Text(Text::State)),
    (
        "change.daily.increase",
        Field::Amount(Amount::DailyIncrease),
    ),
    (
        "change.daily.decrease",
        Field::Amount(Amount::DailyDecrease),
    ),
    (
        "change.lifetime.increase",
        Field::Amount(Amount::LifetimeIncrease),
    ),
    (
        "change.lifetime.decrease",
        Field::Amount(Amount::LifetimeDecrease),
    ),
    (
        "change.financial.increase",
        Field::Amount(Amount::FinancialIncrease),
    ),
    (
        "change.financial.decrease",
        Field::Amount(Amount::FinancialDecrease),
    ),
    (
        "change.financial.after",
        Field::Amount(Amount::FinancialAfter),
    ),
    // By how much more can be spent a day.
    ("change.exposure", Field::Amount(Amount::Exposure)),
    // The largest increase in whole percents, rounded up; 0 when there is none.
    ("change.percent", Field::Count(Count::Percent)),
    // False for what is switched on or created, and for what had nothing before.
    ("change.has_percent", Field::Flag(Flag::HasPercent)),
    ("change.becomes_endless", Field::Flag(Flag::BecomesEndless)),
    ("change.creates_running", Field::Flag(Flag::CreatesRunning)),
    ("change.created", Field::Count(Count::Created)),
    ("change.records", Field::Count(Count::Records)),
    ("change.bid.before", Field::Amount(Amount::BidBefore)),
    ("change.bid.after", Field::Amount(Amount::BidAfter)),
    ("change.bid.has_before", Field::Flag(Flag::HasBidBefore)),
    ("change.bid.has_after", Field::Flag(Flag::HasBidAfter)),
    ("key", Field::Text(Text::Key)),
];

/// One change, as expressions see it.
#[derive(Clone, Copy)]
pub struct Known<'k> {
    /// Who and what.
    pub proposal: &'k Proposal,
    /// What an amount of the change is worth in the policy's currency; none if
    /// nobody can say.
    pub worth: &'k dyn Fn(i64) -> Option<i128>,
}

impl Text {
    /// The words that it can be, if there are only some: a comparison with
    /// another one would never hold, and its rule never fire.
    pub(super) fn words(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Class => Some(ToolClass::ALL.map(ToolClass::as_str).to_vec()),
            Self::Primitive => Some(Primitive::ALL.map(Primitive::as_str).to_vec()),
            _ => None,
        }
    }
}

impl Known<'_> {
    /// An amount, in millionths; none if nobody can say it in the currency.
    pub(super) fn amount(&self, amount: Amount) -> Option<i64> {
        let effect = &self.proposal.effect;
        let bid = effect.bid;
        let micros = match amount {
            Amount::DailyIncrease => effect.daily.increase_micros,
            Amount::DailyDecrease => effect.daily.decrease_micros,
            Amount::LifetimeIncrease => effect.lifetime.increase_micros,
            Amount::LifetimeDecrease => effect.lifetime.decrease_micros,
            Amount::FinancialIncrease => effect.financial.increase_micros,
            Amount::FinancialDecrease => effect.financial.decrease_micros,
            Amount::FinancialAfter => effect.amount_micros.unwrap_or(0),
            Amount::Exposure => effect.exposure_micros,
            Amount::BidBefore => bid.and_then(|bid| bid.before_micros).unwrap_or(0),
            Amount::BidAfter => bid.and_then(|bid| bid.after_micros).unwrap_or(0),
        };
        i64::try_from((self.worth)(micros)?).ok()
    }

    pub(super) fn count(&self, count: Count) -> i64 {
        let effect = &self.proposal.effect;
        match count {
            Count::Percent => {
                let percents = effect.steps.iter().map(|step| Step::percent(*step));
                percents.max().unwrap_or(0).max(0)
            }
            Count::Created => effect.created.into(),
            Count::Records => effect.records.into(),
        }
    }

    pub(super) fn flag(&self, flag: Flag) -> bool {
        let effect = &self.proposal.effect;
        let bid = effect.bid;
        match flag {
            Flag::HasPercent => !effect.steps.is_empty() && !effect.is_percent_undefined,
            Flag::BecomesEndless => effect.becomes_endless,
            Flag::CreatesRunning => effect.creates_running,
            Flag::HasBidBefore => bid.is_some_and(|bid| bid.before_micros.is_some()),
            Flag::HasBidAfter => bid.is_some_and(|bid| bid.after_micros.is_some()),
        }
    }

    pub(super) fn text(&self, text: Text) -> &str {
        let Proposal {
            subject, effect, ..
        } = self.proposal;
        match text {
            Text::Tool => subject.tool.as_str(),
            Text::Class => subject.class.as_str(),
            Text::Connector => subject.connector.as_str(),
            Text::Account => subject.account.as_str(),
            Text::Object => subject.path.last().map_or("", |object| object.as_str()),
            Text::Currency => effect.currency.as_ref().map_or("", |it| it.as_str()),
            Text::Primitive => effect.primitive.as_str(),
            Text::State => effect.state.as_deref().unwrap_or_default(),
            Text::Key => subject.key.as_str(),
        }
    }
}
