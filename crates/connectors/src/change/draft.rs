//! Something that is not there yet: what it is made of, and how it is known once
//! it is there. It is made paused, so that nothing is spent by it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tenantry_core::effect::{Change, Effect, Impossible};
use tenantry_core::money::{Money, MoneyError};
use tenantry_core::name::{Currency, ObjectId};
use tenantry_core::spend_root::{Budget, Node, Switch};
use unicode_normalization::is_nfc;

use super::{PrepareError, amount, name};
use crate::plan::MoneyUnit;
use crate::plan::change::CreatePlan;
use crate::plan::spend_root::LevelPlan;
use crate::snapshot::{MOMENT, Seen, Snapshot, unspent};

/// The object of an effect before the vendor has named it.
const NEW: &str = "new";

/// What a new object is made of, as far as it can be read again. What else the
/// vendor is told of it is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Draft {
    /// Its name: nothing beside it has the same, so that it is found by it.
    pub name: String,
    /// Its own budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// Its bid or the cap of it, in millionths of the major unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bid_micros: Option<i64>,
}

impl Draft {
    /// What the arguments ask for. They match the tool's schema.
    pub(crate) fn of(
        plan: &CreatePlan,
        args: &Map<String, Value>,
        currency: &Currency,
    ) -> Result<Self, PrepareError> {
        let given = |argument: &Option<String>| {
            let value = argument.as_ref().and_then(|argument| args.get(argument));
            amount(value, currency)
        };
        let budget = match (given(&plan.daily)?, given(&plan.lifetime)?) {
            (None, None) => None,
            (Some(amount_micros), None) => Some(Budget::Daily { amount_micros }),
            (None, Some(amount_micros)) => Some(Budget::Lifetime {
                amount_micros,
                spent_micros: 0,
            }),
            (Some(_), Some(_)) => {
                let message = "a budget is for a day or for the whole life, not both";
                return Err(PrepareError::Arguments(message.into()));
            }
        };
        Ok(Self {
            name: plain_name(args, &plan.name)?,
            budget,
            ends_at: moment(args, plan.ends.as_deref())?,
            bid_micros: given(&plan.bid)?,
        })
    }

    /// The fields that say it to the vendor, and that it is paused.
    pub(crate) fn parameters(
        &self,
        level: &LevelPlan,
        unit: MoneyUnit,
        currency: &Currency,
    ) -> Result<Vec<(String, String)>, MoneyError> {
        let said = |micros: i64| unit.text(&Money::from_micros(micros, currency.clone()));
        let mut all = vec![
            (level.name_field.clone(), self.name.clone()),
            (level.switch_field.clone(), level.off_word.clone()),
        ];
        if let (Some(budget), Some(fields)) = (self.budget, &level.budget) {
            let field = fields.field(budget).to_owned();
            all.push((field, said(budget.amount_micros())?));
        }
        if let (Some(at), Some(field)) = (self.ends_at, &level.ends_field) {
            let text = at.strftime(MOMENT).to_string();
            all.push((field.clone(), text));
        }
        if let (Some(bid), Some(field)) = (self.bid_micros, &level.bid_field) {
            all.push((field.clone(), said(bid)?));
        }
        Ok(all)
    }

    /// What it does, below an object of a snapshot or as a root of its own.
    pub(crate) fn effect(
        &self,
        kind: &str,
        above: Option<(&ObjectId, &Snapshot)>,
        currency: &Currency,
        now: Timestamp,
    ) -> Result<Effect, Impossible> {
        let id = ObjectId::parse(NEW).map_err(|_| Impossible::Meaningless("a name of ours"))?;
        let node = Node {
            switch: Switch::Off,
            ends_at: self.ends_at,
            budget: self.budget,
            ..Node::bare(id, kind)
        };
        let change = Change::Create {
            under: above.map(|(id, _)| id.clone()),
            node: Box::new(node),
        };
        let root = above.map(|(_, snapshot)| &snapshot.root);
        Effect::of(root, currency, &change, now)
    }

    /// What an object is of the same, as far as it was asked for.
    pub(crate) fn found(&self, seen: Seen<'_>) -> Self {
        Self {
            name: seen.name.to_owned(),
            budget: seen.budget,
            ends_at: seen.ends_at.filter(|_| self.ends_at.is_some()),
            bid_micros: seen.bid_micros.filter(|_| self.bid_micros.is_some()),
        }
    }

    /// The same, whatever is spent by now.
    pub(crate) fn unspent(&self) -> Self {
        Self {
            budget: self.budget.map(unspent),
            ..self.clone()
        }
    }
}

/// A name that a vendor keeps as it is: some trim or compose what they get, and
/// then it is not found by what was asked for.
fn plain_name(args: &Map<String, Value>, argument: &str) -> Result<String, PrepareError> {
    let text = name(args, argument)?;
    let is_odd = |one: char| one.is_whitespace() && one != ' ';
    let is_padded = text.trim() != text || text.contains("  ");
    if is_padded || text.contains(is_odd) || !is_nfc(&text) {
        return Err(PrepareError::Arguments(format!(
            "{argument} begins or ends with a space, has two together or odd ones, or letters that are not composed (NFC)"
        )));
    }
    Ok(text)
}

/// A moment of the arguments, to the second, as vendors keep them.
fn moment(
    args: &Map<String, Value>,
    argument: Option<&str>,
) -> Result<Option<Timestamp>, PrepareError> {
    let Some((argument, value)) = argument.and_then(|name| Some((name, args.get(name)?))) else {
        return Ok(None);
    };
    let read = value
        .as_str()
        .and_then(|text| text.parse::<Timestamp>().ok());
    let whole = read.filter(|at| at.subsec_nanosecond() == 0);
    whole.map(Some).ok_or_else(|| {
        PrepareError::Arguments(format!(
            "{argument} is no moment with an offset, such as 2026-10-01T00:00:00+02:00"
        ))
    })
}
