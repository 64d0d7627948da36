//! Decisions as tables: one line a case, in YAML, by topic. Every case goes
//! through `decide`, on an effect that is computed from a spend root.

pub(super) mod moment;
mod properties;
pub(super) mod read;
pub(super) mod words;

use std::collections::BTreeSet;

use super::Policy;
use super::decide::{Agreed, Decision, Fired, Ruling, Verdict, decide};
use read::{Case, Question};

/// The pages, by name.
const PAGES: &[(&str, &str)] = &[
    ("match", include_str!("tests/match.yaml")),
    ("budget", include_str!("tests/budget.yaml")),
    ("window", include_str!("tests/window.yaml")),
    ("currency", include_str!("tests/currency.yaml")),
    ("exposure", include_str!("tests/exposure.yaml")),
    ("others", include_str!("tests/others.yaml")),
    ("asking", include_str!("tests/asking.yaml")),
    ("rules", include_str!("tests/rules.yaml")),
    ("undo", include_str!("tests/undo.yaml")),
    ("batch", include_str!("tests/batch.yaml")),
    ("worked", include_str!("tests/worked.yaml")),
];

/// Every case, with the page it is on.
fn cases() -> impl Iterator<Item = (&'static str, Case)> {
    PAGES.iter().flat_map(|(page, text)| {
        let cases: Vec<Case> =
            serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{page}: {error}"));
        cases.into_iter().map(|case| (*page, case))
    })
}

#[test]
fn every_case_is_decided_as_its_line_says() {
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for (page, case) in cases() {
        let name = format!("{page}: {}", case.name);
        match outcome(&case) {
            Ok(found) if found == case.expect => {}
            Ok(found) => wrong.push(format!("{name}\n  {} expected, not {found}", case.expect)),
            Err(error) => wrong.push(format!("{name}\n  {error}")),
        }
        assert!(names.insert(name.clone()), "two cases are called `{name}`");
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(names.len() >= 350, "{} cases", names.len());
}

#[test]
fn a_policy_reads_back_as_it_is_written() {
    for (page, case) in cases() {
        for policy in read::question(&case).unwrap().policies {
            let text = serde_json::to_string(&policy).unwrap();
            assert_eq!(
                serde_json::from_str::<Policy>(&text).unwrap(),
                policy,
                "{page}"
            );
        }
    }
}

/// Two windows have one name: who agreed to go beyond one of them has said nothing
/// of the other.
#[test]
fn another_limit_of_the_same_name_asks_anew() {
    let line = "{case: '', undoes: 1h, do: set c 150, policy: {budget: {perWindow: [\
        {windowMs: 48h, scope: Account, maxDailyIncrease: '100'}, \
        {windowMs: 1h, scope: Account, maxDailyIncrease: '100'}]}}, charges: [CHARGE], expect: ''}";
    let ruled = |charge: &str, agreed: &Agreed| {
        let case: Case = serde_saphyr::from_str(&line.replace("CHARGE", charge)).unwrap();
        let question = read::question(&case).unwrap();
        let Question {
            proposal,
            policies,
            facts,
            ..
        } = question;
        decide(&proposal, &policies, &facts, agreed, moment::NOW)
    };
    let (long, both) = ("applied 2h daily=60", "applied 1m daily=60");
    let first = ruled(long, &Agreed::new());
    let rule = "asks default 1 24h budget.perWindow.maxDailyIncrease?";
    assert_eq!(written(&first), rule);
    let agreed = first.fired.iter().map(|one| match &one.verdict {
        Verdict::Ask(terms) => (one.key(), terms.clone()),
        Verdict::Deny => panic!("{} denies", one.name.rule),
    });
    let agreed: Agreed = agreed.collect();
    assert_eq!(written(&ruled(long, &agreed)), "permitted");
    let twice = format!("{rule} budget.perWindow.maxDailyIncrease?");
    assert_eq!(written(&ruled(both, &agreed)), twice);
}

/// Who agreed to what one change of a batch meets has said nothing of what another
/// one meets, and then sees all of it anew.
#[test]
fn another_change_of_a_batch_asks_anew() {
    let line = "{case: '', policy: {approvals: [{name: steep, approverClass: fin, approvers: 1, \
        expiresAfterMs: 1h, when: {increasePercentOver: 50}}]}, \
        do: set c FIRST, also: [{on: 'cc:100[b]', do: set cc SECOND}], expect: ''}";
    let ruled = |first: &str, second: &str, agreed: &Agreed| {
        let line = line.replace("FIRST", first).replace("SECOND", second);
        let case: Case = serde_saphyr::from_str(&line).unwrap();
        let rulings = read::question(&case).unwrap().rulings(agreed);
        let written: Vec<_> = rulings.iter().map(written).collect();
        (written.join("; "), rulings)
    };
    let asks = "asks fin 1 1h approvals.steep?";
    let (_, rulings) = ruled("160", "150", &Agreed::new());
    let fired = rulings.iter().flat_map(|ruling| &ruling.fired);
    let agreed = fired.map(|one| match &one.verdict {
        Verdict::Ask(terms) => (one.key(), terms.clone()),
        Verdict::Deny => panic!("{} denies", one.name.rule),
    });
    let agreed: Agreed = agreed.collect();
    assert_eq!(ruled("160", "150", &agreed).0, "permitted; permitted");
    assert_eq!(ruled("150", "160", &agreed).0, format!("permitted; {asks}"));
    assert_eq!(ruled("160", "160", &agreed).0, format!("{asks}; {asks}"));
}

fn outcome(case: &Case) -> Result<String, String> {
    let question = read::question(case)?;
    let rulings = question.rulings(&question.agreed());
    let written: Vec<_> = rulings.iter().map(written).collect();
    Ok(written.join("; "))
}

/// A ruling as the tables write it: the decision, the rules that led to it and
/// the terms, where people are asked; then what Shadow would have said.
fn written(ruling: &Ruling) -> String {
    let mut text = match &ruling.decision {
        Decision::Permitted(_) => "permitted".to_owned(),
        Decision::Denied => format!("denied {}", rules(&ruling.fired)),
        Decision::NeedsApproval(terms) => {
            let classes: Vec<_> = terms.approver_classes.iter().map(String::as_str).collect();
            let (count, hours) = (terms.approvers, terms.expires_after_ms / 3_600_000);
            let classes = classes.join("+");
            format!("asks {classes} {count} {hours}h {}", rules(&ruling.fired))
        }
    };
    if !ruling.shadow.is_empty() {
        text = format!("{text} | shadow {}", rules(&ruling.shadow));
    }
    text
}

/// The rules, with the policy before those of any but `p`; those that ask are
/// marked.
fn rules(fired: &[Fired]) -> String {
    let one = |fired: &Fired| {
        let mark = match fired.verdict {
            Verdict::Deny => "",
            Verdict::Ask(_) => "?",
        };
        match fired.name.policy.as_str() {
            "p" => format!("{}{mark}", fired.name.rule),
            policy => format!("{policy}:{}{mark}", fired.name.rule),
        }
    };
    fired.iter().map(one).collect::<Vec<_>>().join(" ")
}
