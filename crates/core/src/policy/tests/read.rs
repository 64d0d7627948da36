//! A case as its line says it, and what is decided over then.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::moment::{self, NOW};
use super::words;
use crate::access::ToolClass;
use crate::name::{AccountId, ConnectorName, Currency, KeyId, ObjectId, ToolName};
use crate::policy::Policy;
use crate::policy::batch::decide_all;
use crate::policy::decide::{Agreed, RuleName, Ruling, Terms, decide};
use crate::policy::facts::{ExposureSnapshot, ExposureTerms, Facts, Proposal, Subject, Undoes};
use crate::spend_root::SpendRoot;

/// One line of a table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A sentence.
    #[serde(rename = "case")]
    pub name: String,
    /// One policy; left out, one that limits nothing.
    policy: Option<Value>,
    /// Several.
    policies: Option<Vec<Value>>,
    /// The spend root, sketched; left out, a campaign with 100 a day.
    on: Option<String>,
    /// The change, in the words of `words::effect`.
    #[serde(rename = "do")]
    change: String,
    /// What is changed with it, each on a spend root of its own.
    #[serde(default)]
    pub also: Vec<Also>,
    /// How long ago what it takes back was applied, if it takes something back.
    undoes: Option<String>,
    /// Who, where it matters.
    #[serde(default, rename = "as")]
    by: BTreeMap<String, String>,
    /// What the account is in; left out, EUR.
    currency: Option<String>,
    /// Earlier changes, in the words of `words::charge`.
    #[serde(default)]
    charges: Vec<String>,
    /// Anything else that is known.
    #[serde(default)]
    facts: Known,
    /// Rules that people have agreed to.
    #[serde(default)]
    agreed: Vec<String>,
    /// What must become of it.
    pub expect: String,
}

/// A further change of a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Also {
    on: String,
    #[serde(rename = "do")]
    change: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Known {
    lowest: BTreeMap<String, String>,
    /// `15m meta/EUR=9000 google/USD=1`
    exposure: Option<String>,
    /// The accounts that it has to hold.
    must_hold: Vec<String>,
    overspend: BTreeMap<String, u32>,
    pending_of_key: u32,
    pending_of_tenant: u32,
    twin: Option<String>,
}

/// What is decided over.
pub struct Question {
    pub proposal: Proposal,
    /// What is changed with it.
    pub also: Vec<Proposal>,
    pub policies: Vec<Policy>,
    pub facts: Facts,
    /// Rules that people have agreed to.
    pub agreed: Vec<(RuleName, Terms)>,
}

impl Question {
    /// What becomes of each change, where people have agreed to this.
    pub fn rulings(&self, agreed: &Agreed) -> Vec<Ruling> {
        let (policies, facts) = (&self.policies, &self.facts);
        if self.also.is_empty() {
            return vec![decide(&self.proposal, policies, facts, agreed, NOW)];
        }
        let batch: Vec<_> = std::iter::once(&self.proposal)
            .chain(&self.also)
            .cloned()
            .collect();
        let facts = vec![facts.clone(); batch.len()];
        decide_all(&batch, facts, policies, agreed, NOW)
    }

    /// What they have agreed to, of each limit of that name that asks now.
    pub fn agreed(&self) -> Agreed {
        let rulings = self.rulings(&Agreed::new());
        let mut agreed = Agreed::new();
        for (name, terms) in &self.agreed {
            let fired = rulings.iter().flat_map(|ruling| &ruling.fired);
            let fired = fired.filter(|one| one.name == *name);
            agreed.extend(fired.map(|one| (one.key(), terms.clone())));
        }
        agreed
    }
}

pub fn question(case: &Case) -> Result<Question, String> {
    let none = json!({});
    let policies = match (&case.policies, &case.policy) {
        (Some(several), _) => several.clone(),
        (None, one) => vec![one.clone().unwrap_or(none)],
    };
    let policies = policies.into_iter().map(policy);
    Ok(Question {
        proposal: proposal(case, case.on.as_deref(), &case.change)?,
        also: case
            .also
            .iter()
            .map(|also| proposal(case, Some(&also.on), &also.change))
            .collect::<Result<_, _>>()?,
        policies: policies.collect::<Result<_, _>>()?,
        facts: facts(case),
        agreed: case.agreed.iter().map(|text| agreed(text)).collect(),
    })
}

/// A policy in its own form, except that `p`, Enforce and EUR are understood,
/// durations carry a unit and `asOf` is an age.
fn policy(mut value: Value) -> Result<Policy, String> {
    in_full(&mut value);
    let fields = value.as_object_mut().ok_or("a policy is a mapping")?;
    for (field, usual) in [("name", "p"), ("mode", "Enforce"), ("currency", "EUR")] {
        fields.entry(field).or_insert(usual.into());
    }
    fields.retain(|_, value| !value.is_null());
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn in_full(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name.ends_with("Ms") => *value = moment::length_ms(text).into(),
                    Some(text) if name == "asOf" => *value = moment::ago(text).to_string().into(),
                    _ => in_full(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(in_full),
        _ => {}
    }
}

/// `q:approvals.big = fin+legal 2 48h`; without terms, those of no entry.
fn agreed(text: &str) -> (RuleName, Terms) {
    let (name, terms) = text.split_once(" = ").unwrap_or((text, "default 1 24h"));
    let (policy, rule) = name.split_once(':').unwrap_or(("p", name));
    let name = RuleName {
        policy: policy.into(),
        rule: rule.into(),
    };
    let words: Vec<&str> = terms.split(' ').collect();
    let terms = Terms {
        approver_classes: words[0].split('+').map(str::to_owned).collect(),
        approvers: words[1].parse().unwrap(),
        expires_after_ms: moment::length_ms(words[2]),
    };
    (name, terms)
}

fn proposal(case: &Case, on: Option<&str>, change: &str) -> Result<Proposal, String> {
    let root = root(case, on);
    let (effect, object) = words::effect(&root, change)?;
    let path = object.map(|object| {
        let path = root.path(&object).unwrap_or_default();
        let mut path: Vec<_> = path.iter().map(|node| node.id.clone()).collect();
        if path.is_empty() {
            path.push(object);
        }
        path
    });
    let mut subject = Subject {
        path: path.unwrap_or_default(),
        ..someone()
    };
    for (field, value) in &case.by {
        set(&mut subject, field, value);
    }
    let undoes = case.undoes.as_deref().map(|age| Undoes {
        change: "0".repeat(32),
        sent_at: moment::ago(age),
        applied_at: moment::ago(age),
    });
    Ok(Proposal {
        subject,
        effect,
        undoes,
        batch: None,
    })
}

fn root(case: &Case, on: Option<&str>) -> SpendRoot {
    let text = on.unwrap_or("c:100[a]");
    let mut root = crate::spend_root::sketch::root(text, NOW);
    if let Some(currency) = &case.currency {
        root.currency = Currency::parse(currency).unwrap();
    }
    root
}

pub fn someone() -> Subject {
    Subject {
        connector: ConnectorName::parse("meta").unwrap(),
        account: AccountId::parse("act_1").unwrap(),
        tool: ToolName::parse("meta_set_budget").unwrap(),
        class: ToolClass::Spend,
        key: KeyId::parse("bot").unwrap(),
        path: Vec::new(),
    }
}

pub fn set(subject: &mut Subject, field: &str, value: &str) {
    match field {
        "connector" => subject.connector = ConnectorName::parse(value).unwrap(),
        "account" => subject.account = AccountId::parse(value).unwrap(),
        "tool" => subject.tool = ToolName::parse(value).unwrap(),
        "class" => subject.class = serde_json::from_value(value.into()).unwrap(),
        "key" => subject.key = KeyId::parse(value).unwrap(),
        "path" => subject.path = value.split('>').map(words::id).collect(),
        _ => panic!("nobody has a `{field}`"),
    }
}

fn facts(case: &Case) -> Facts {
    let known = &case.facts;
    let lowest = known.lowest.iter();
    Facts {
        charges: case
            .charges
            .iter()
            .map(|text| words::charge(text).into())
            .collect(),
        lowest_micros: lowest
            .map(|(id, amount)| (words::id(id), words::micros(amount)))
            .collect::<BTreeMap<ObjectId, i64>>(),
        exposure: known.exposure.as_deref().map(exposure),
        exposure_terms: ExposureTerms {
            accounts: known.must_hold.iter().map(|text| account(text)).collect(),
            overspend_percent: known
                .overspend
                .iter()
                .map(|(name, percent)| (ConnectorName::parse(name).unwrap(), *percent))
                .collect(),
        },
        twin: known.twin.clone(),
        pending_of_key: known.pending_of_key,
        pending_of_tenant: known.pending_of_tenant,
    }
}

/// `meta/act_1`.
fn account(text: &str) -> (ConnectorName, AccountId) {
    let (connector, account) = text.split_once('/').unwrap();
    let connector = ConnectorName::parse(connector).unwrap();
    (connector, AccountId::parse(account).unwrap())
}

/// How long ago, in which accounts, and what: `5m meta/act_1 meta/EUR=100`.
fn exposure(text: &str) -> ExposureSnapshot {
    let mut words = text.split_whitespace();
    let as_of = moment::ago(words.next().unwrap());
    let (accounts, words): (Vec<_>, Vec<_>) = words.partition(|word| !word.contains('='));
    ExposureSnapshot {
        as_of,
        accounts: accounts.into_iter().map(account).collect(),
        active_daily_micros: words
            .into_iter()
            .map(|word| {
                let (place, amount) = word.split_once('=').unwrap();
                let (connector, currency) = place.split_once('/').unwrap();
                let connector = ConnectorName::parse(connector).unwrap();
                let currency = Currency::parse(currency).unwrap();
                ((connector, currency), words::micros(amount))
            })
            .collect(),
    }
}
