//! The cases that a policy carries along, tried before it is accepted.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tenantry_core::access::ToolClass;
use tenantry_core::effect::{Change, Effect, Impossible};
use tenantry_core::money::MoneyError;
use tenantry_core::name::{
    AccountId, ConnectorName, Currency, KeyId, NameError, ObjectId, ToolName,
};
use tenantry_core::policy::amount::Amount;
use tenantry_core::policy::decide::{Agreed, Decision, Ruling, decide};
use tenantry_core::policy::facts::{Facts, Proposal, Subject};
use tenantry_core::policy::{Mode, Policy};
use tenantry_core::spend_root::{Budget, Node, SpendRoot};

use crate::safety_policy::test_case::{self, BeforeAfter, Expectation, ExpectedDecision, TestCase};

/// What stands for whatever a case leaves out.
const UNNAMED: &str = "case";

/// ISO 4217 for no currency, where neither case nor policy has one.
const NO_CURRENCY: &str = "XXX";

/// Why a case is no change.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An amount is none.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// The change cannot be made.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// There are amounts of several kinds.
    #[error("a change has one of daily, lifetime and financial")]
    Several,
}

/// When the cases that a policy carries are tried: at the time of its newest
/// rate, so that what was accepted once is accepted again at any time. That a
/// rate has aged denies increases; it is no flaw of the policy.
pub fn time_of_proof(policy: &Policy) -> Timestamp {
    let rates = policy.exchange_rates.iter().map(|rate| rate.as_of);
    rates.max().unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Tries every case against the policy alone, as if it were enforced, at the
/// time of its proof and with nothing changed before. Answers what decided out
/// otherwise.
pub fn prove(policy: &Policy, cases: &[TestCase]) -> Vec<String> {
    let now = time_of_proof(policy);
    cases
        .iter()
        .filter_map(|case| {
            let told = match try_case(policy, case, now) {
                Ok(ruling) => difference(&ruling, &case.expect),
                Err(error) => Some(error.to_string()),
            };
            told.map(|told| format!("tests[{}]: {told}", case.name))
        })
        .collect()
}

/// What the policy alone decides over a case, as if it were enforced, at `now`
/// and with nothing changed before.
pub fn try_case(policy: &Policy, case: &TestCase, now: Timestamp) -> Result<Ruling, CaseError> {
    let enforced = [Policy {
        mode: Mode::Enforce,
        ..policy.clone()
    }];
    let proposal = proposal(policy.currency.as_ref(), &case.change, now)?;
    let (facts, agreed) = (Facts::default(), Agreed::new());
    Ok(decide(&proposal, &enforced, &facts, &agreed, now))
}

/// The decision in the word that cases have for it.
pub fn decided(ruling: &Ruling) -> ExpectedDecision {
    match ruling.decision {
        Decision::Permitted(_) => ExpectedDecision::Permitted,
        Decision::NeedsApproval(_) => ExpectedDecision::NeedsApproval,
        Decision::Denied => ExpectedDecision::Denied,
    }
}

/// The rules in `expected` that did not fire: each by its name, or by that of
/// its policy and its own, as in `caps:protected`.
pub fn missing<'e>(ruling: &Ruling, expected: &'e [String]) -> Vec<&'e str> {
    let has_fired = |wanted: &str| {
        let mut fired = ruling.fired.iter().map(|one| &one.name);
        fired.any(|name| match wanted.split_once(':') {
            Some((policy, rule)) => name.policy == policy && name.rule == rule,
            None => name.rule == wanted,
        })
    };
    let wanted = expected.iter().map(String::as_str);
    wanted.filter(|rule| !has_fired(rule)).collect()
}

fn difference(ruling: &Ruling, expected: &Expectation) -> Option<String> {
    let decided = decided(ruling);
    let missing = missing(ruling, expected.rules.as_deref().unwrap_or_default());
    if decided == expected.decision && missing.is_empty() {
        return None;
    }
    let fired: BTreeSet<&str> = ruling
        .fired
        .iter()
        .map(|one| one.name.rule.as_str())
        .collect();
    let list = |rules: Vec<&str>| {
        if rules.is_empty() {
            "none".to_owned()
        } else {
            rules.join(", ")
        }
    };
    let mut told = format!(
        "{decided:?} instead of {:?}; the rules that fired: {}",
        expected.decision,
        list(fired.into_iter().collect())
    );
    if !missing.is_empty() {
        told = format!("{told}; missing: {}", list(missing));
    }
    Some(told)
}

/// The change of a case; `currency` is what its amounts are in where it does
/// not say.
pub fn proposal(
    currency: Option<&Currency>,
    change: &test_case::Change,
    now: Timestamp,
) -> Result<Proposal, CaseError> {
    let currency = match (&change.currency, currency) {
        (Some(code), _) => Currency::parse(code)?,
        (None, Some(currency)) => currency.clone(),
        (None, None) => Currency::parse(NO_CURRENCY)?,
    };
    let object = ObjectId::parse(change.object.as_deref().unwrap_or(UNNAMED))?;
    let daily = change.daily.as_ref().map(amounts).transpose()?;
    let lifetime = change.lifetime.as_ref().map(amounts).transpose()?;
    let financial = change.financial.as_ref().map(amounts).transpose()?;
    let (class, effect) = match (daily, lifetime, financial) {
        (Some((before, after)), None, None) => {
            let budget = |amount_micros| Budget::Daily { amount_micros };
            let effect = set_budget(&object, &currency, before.map(budget), budget(after), now)?;
            (ToolClass::Spend, effect)
        }
        (None, Some((before, after)), None) => {
            let budget = |amount_micros| Budget::Lifetime {
                amount_micros,
                spent_micros: 0,
            };
            let effect = set_budget(&object, &currency, before.map(budget), budget(after), now)?;
            (ToolClass::Spend, effect)
        }
        (None, None, Some((before, after))) => {
            let effect = Effect::financial(object.clone(), currency, before, after)?;
            (ToolClass::Financial, effect)
        }
        (None, None, None) => (ToolClass::Write, Effect::records([object.clone()])),
        _ => return Err(CaseError::Several),
    };
    let (connector, _) = change.tool.split_once('_').unwrap_or((&change.tool, ""));
    let subject = Subject {
        connector: ConnectorName::parse(connector)?,
        account: AccountId::parse(change.account.as_deref().unwrap_or(UNNAMED))?,
        tool: ToolName::parse(&change.tool)?,
        class,
        key: KeyId::parse(UNNAMED)?,
        path: vec![object],
    };
    Ok(Proposal {
        subject,
        effect,
        undoes: None,
        batch: None,
    })
}

fn amounts(form: &BeforeAfter) -> Result<(Option<i64>, i64), MoneyError> {
    let before = form.before.as_deref().map(Amount::parse).transpose()?;
    let after = Amount::parse(&form.after)?;
    Ok((before.map(Amount::micros), after.micros()))
}

/// The budget of an object that is live, as most are when an agent asks.
fn set_budget(
    object: &ObjectId,
    currency: &Currency,
    before: Option<Budget>,
    after: Budget,
    now: Timestamp,
) -> Result<Effect, CaseError> {
    let root = SpendRoot {
        currency: currency.clone(),
        top: Node {
            budget: before,
            children: Some(vec![Node::bare(ObjectId::parse("below")?, "object")]),
            ..Node::bare(object.clone(), "object")
        },
    };
    let change = Change::SetBudget {
        object: object.clone(),
        budget: after,
    };
    Ok(Effect::of(Some(&root), currency, &change, now)?)
}
