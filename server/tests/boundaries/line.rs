//! A line of the tables of `core`, as far as a server can be asked about it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tenantry_core::policy::Policy;

use crate::moment::{ago, length_ms};

macro_rules! pages {
    ($($page:literal),*) => {
        [$(($page, include_str!(concat!("../../../crates/core/src/policy/tests/", $page, ".yaml")))),*]
    };
}

const PAGES: [(&str, &str); 10] = pages![
    "match", "budget", "window", "currency", "exposure", "others", "asking", "rules", "undo",
    "worked"
];

/// One line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A sentence.
    #[serde(rename = "case")]
    pub name: String,
    policy: Option<Value>,
    policies: Option<Vec<Value>>,
    /// The spend root.
    pub on: Option<String>,
    /// The change.
    #[serde(rename = "do")]
    pub change: String,
    /// How long ago what it takes back was applied, if it takes something back.
    pub undoes: Option<String>,
    /// Who, where it matters.
    #[serde(default, rename = "as")]
    pub by: BTreeMap<String, String>,
    currency: Option<String>,
    /// Earlier changes.
    #[serde(default)]
    pub charges: Vec<String>,
    /// Anything else that is known.
    #[serde(default)]
    pub facts: Known,
    /// Rules that people have agreed to.
    #[serde(default)]
    pub agreed: Vec<String>,
    /// What must become of it.
    pub expect: String,
}

/// What is known.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Known {
    /// How low a budget was today.
    pub lowest: BTreeMap<String, String>,
    /// What is live, and since when that is known.
    pub exposure: Option<String>,
    /// The accounts in which it had to be known.
    pub must_hold: Vec<String>,
    /// How far a vendor overspends.
    pub overspend: BTreeMap<String, u32>,
    /// How many changes of the key wait for people.
    pub pending_of_key: u32,
    /// How many wait altogether.
    pub pending_of_tenant: u32,
    /// Another change that makes the same.
    pub twin: Option<String>,
}

/// Every line, with the page that it is on.
pub fn cases() -> impl Iterator<Item = (&'static str, Case)> {
    PAGES.iter().flat_map(|(page, text)| {
        let cases: Vec<Case> =
            serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{page}: {error}"));
        cases.into_iter().map(|case| (*page, case))
    })
}

impl Case {
    /// What the account is in.
    pub fn currency(&self) -> &str {
        self.currency.as_deref().unwrap_or("EUR")
    }

    /// Its policies, with the objects' names at the vendor.
    pub fn policies(&self) -> Result<Vec<Policy>, String> {
        let policies = match (&self.policies, &self.policy) {
            (Some(several), _) => several.clone(),
            (None, one) => vec![one.clone().unwrap_or_else(|| json!({}))],
        };
        policies
            .into_iter()
            .map(policy)
            .map(|policy| Ok(of_no_vendor(policy?)))
            .collect()
    }
}

/// The tables know no vendor's own factor unless they name it.
fn of_no_vendor(mut policy: Policy) -> Policy {
    if let Some(exposure) = &mut policy.budget.exposure {
        exposure.overspend_percent.get_or_insert(100);
    }
    policy
}

fn policy(mut value: Value) -> Result<Policy, String> {
    in_full(&mut value);
    if let Some(objects) = value.pointer_mut("/covers/objects") {
        named(objects);
    }
    if let Some(objects) = value.get_mut("protected") {
        named(objects);
    }
    let fields = value.as_object_mut().ok_or("a policy is a mapping")?;
    for (field, usual) in [("name", "p"), ("mode", "Enforce"), ("currency", "EUR")] {
        fields.entry(field).or_insert(usual.into());
    }
    fields.retain(|_, value| !value.is_null());
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn named(objects: &mut Value) {
    for object in objects.as_array_mut().into_iter().flatten() {
        *object = id(object.as_str().unwrap()).into();
    }
}

fn in_full(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name.ends_with("Ms") => *value = length_ms(text).into(),
                    Some(text) if name == "asOf" => *value = ago(text).to_string().into(),
                    _ => in_full(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(in_full),
        _ => {}
    }
}

/// An object's name at the vendor, which has numbers alone.
pub fn id(name: &str) -> String {
    let digits: Vec<String> = name.bytes().map(|byte| format!("{byte:03}")).collect();
    format!("1{}", digits.concat())
}

/// Millionths of an amount in decimals.
pub fn micros(text: &str) -> i64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = whole.parse().unwrap();
    let part: i64 = format!("{part:0<6}").parse().unwrap();
    whole * 1_000_000 + if text.starts_with('-') { -part } else { part }
}
