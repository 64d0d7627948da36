//! The words of the tables: changes, charges and lengths of time.

use std::collections::BTreeSet;

use super::moment::{NOW, ago};
use super::read::{set, someone};
use crate::effect::{Effect, Primitive, sketch};
use crate::money;
use crate::name::{Currency, ObjectId};
use crate::policy::facts::{Charge, Standing};
use crate::spend_root::SpendRoot;

pub fn id(text: &str) -> ObjectId {
    ObjectId::parse(text).unwrap()
}

pub fn micros(text: &str) -> i64 {
    money::micros(text).unwrap()
}

/// What a change does, and the object that it names: those of
/// `effect::sketch`, `records 5`, `amount d 100 150`, `state d won`.
pub fn effect(root: &SpendRoot, text: &str) -> Result<(Effect, Option<ObjectId>), String> {
    let words: Vec<&str> = text.split(' ').collect();
    let object = id(words[1]);
    let (effect, object) = match words[0] {
        "records" => {
            let count: usize = words[1].parse().unwrap();
            let objects = (0..count).map(|number| id(&format!("r{number}")));
            (Ok(Effect::records(objects)), Some(id("r0")))
        }
        "state" => (
            Ok(Effect::financial_state(object.clone(), words[2])),
            Some(object),
        ),
        "amount" => {
            let before = (words[2] != "none").then(|| micros(words[2]));
            let currency = root.currency.clone();
            let effect = Effect::financial(object.clone(), currency, before, micros(words[3]));
            (effect, Some(object))
        }
        _ => {
            let change = sketch::change(text, NOW);
            let before = (words[1] != "-").then_some(root);
            let effect = Effect::of(before, &root.currency, &change, NOW);
            (effect, change.object().cloned())
        }
    };
    Ok((effect.map_err(|error| error.to_string())?, object))
}

/// An earlier change: `applied 24h-1ms daily=4000`, `open lifetime=5`,
/// `pending daily=1 connector=google currency=USD path=c>a kind=create`.
pub fn charge(text: &str) -> Charge {
    let mut words = text.split_whitespace();
    let standing = match words.next().unwrap() {
        "applied" => Standing::Applied(ago(words.next().unwrap())),
        "open" => Standing::Open,
        "pending" => Standing::Pending,
        other => panic!("nothing is `{other}`"),
    };
    let mut charge = Charge {
        batch: None,
        subject: someone(),
        standing,
        primitive: Primitive::SetBudget,
        currency: Currency::parse("EUR").ok(),
        budgets: BTreeSet::new(),
        daily_micros: 0,
        lifetime_micros: 0,
        exposure_micros: 0,
        financial_micros: 0,
        created: 0,
        records: 0,
    };
    set(&mut charge.subject, "path", "other");
    for word in words {
        let (field, value) = word.split_once('=').unwrap();
        match field {
            "budgets" => charge.budgets = value.split('+').map(id).collect(),
            "daily" => charge.daily_micros = micros(value),
            "lifetime" => charge.lifetime_micros = micros(value),
            "exposure" => charge.exposure_micros = micros(value),
            "financial" => charge.financial_micros = micros(value),
            "created" => charge.created = value.parse().unwrap(),
            "records" => charge.records = value.parse().unwrap(),
            "currency" => charge.currency = Currency::parse(value).ok(),
            "kind" => charge.primitive = serde_json::from_value(value.into()).unwrap(),
            _ => set(&mut charge.subject, field, value),
        }
    }
    charge
}
