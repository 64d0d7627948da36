//! `tenantry policy`: decisions made without a cluster, by the code that makes
//! them in one.

mod case;
pub mod given;
mod object;
mod question;
mod row;
mod usage;

use std::collections::BTreeSet;

use jiff::Timestamp;
use tenantry_api::compile::policy::proof::{time_of_proof, try_case};
use tenantry_core::name::Currency;
use tenantry_core::policy::Policy;
use tenantry_core::policy::decide::{Agreed, decide};

use crate::answer::{Answer, Unusable};
use crate::cli::policy::PolicyTest;
use case::Cases;
use given::Given;
use row::{Row, Source};

/// Tries what was asked for; what has no time of its own happens at `now`.
pub fn test(asked: &PolicyTest, now: Timestamp) -> Result<Answer, Unusable> {
    let now = asked.time.unwrap_or(now);
    let given = given::read(&asked.policy)?;
    let files = case::read(&asked.cases)?;
    let own = given.iter().flat_map(tests_of);
    let policies: Vec<Policy> = given.iter().map(|one| one.policy.clone()).collect();
    let cases = files.iter().flat_map(|file| tried(file, &policies, now));
    let (mut rows, mut flaws) = (Vec::new(), Vec::new());
    for outcome in own.chain(cases) {
        match outcome {
            Ok(row) => rows.push(row),
            Err(flaw) => flaws.push(flaw),
        }
    }
    if !flaws.is_empty() {
        return Err(Unusable::all(flaws));
    }
    if rows.is_empty() {
        return Err(Unusable::because(
            "there is no case: name a file of them with --cases, or write some into spec.tests",
        ));
    }
    let text = if asked.json {
        row::json(&rows)
    } else {
        row::table(&rows)
    };
    Ok(Answer {
        is_good: rows.iter().all(Row::is_as_expected),
        ..Answer::good(text)
    })
}

/// The cases that a policy carries along, each against that policy alone, as the
/// operator tries them.
fn tests_of(given: &Given) -> Vec<Result<Row, String>> {
    let Given {
        form,
        policy,
        place,
    } = given;
    let cases = form.spec.tests.iter();
    cases
        .map(|case| match try_case(policy, case, time_of_proof(policy)) {
            Ok(ruling) => {
                let source = Source {
                    file: place.file.clone(),
                    line: place.line,
                    policy: Some(policy.name.clone()),
                };
                let rules = case.expect.rules.as_deref().unwrap_or_default();
                let wanted = (case.expect.decision.into(), rules);
                Ok(Row::new(source, &case.name, wanted, &ruling))
            }
            Err(error) => Err(format!("{place}: spec.tests[{}]: {error}", case.name)),
        })
        .collect()
}

/// The cases of a file, each against all policies.
fn tried(file: &Cases, policies: &[Policy], now: Timestamp) -> Vec<Result<Row, String>> {
    let currency = one_currency(policies);
    let cases = file.cases.iter();
    cases
        .map(|(line, case)| {
            let asked = question::question(case, currency, now).map_err(|error| {
                format!("`{}`, line {line} ({}): {error}", file.file, case.name)
            })?;
            let ruling = decide(
                &asked.proposal,
                policies,
                &asked.facts,
                &Agreed::new(),
                asked.now,
            );
            let source = Source {
                file: file.file.clone(),
                line: Some(*line),
                policy: None,
            };
            let wanted = (case.expect.decision, case.expect.rules.as_slice());
            Ok(Row::new(source, &case.name, wanted, &ruling))
        })
        .collect()
}

/// What amounts are in where a case does not say: the currency that all
/// policies with one have.
fn one_currency(policies: &[Policy]) -> Option<&Currency> {
    let all: BTreeSet<_> = policies
        .iter()
        .filter_map(|one| one.currency.as_ref())
        .collect();
    if all.len() > 1 {
        return None;
    }
    all.into_iter().next()
}
