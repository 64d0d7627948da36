//! What became of the cases: a table for people, JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;
use tenantry_api::compile::policy::proof::{decided, missing};
use tenantry_core::policy::decide::{Fired, Ruling, Verdict};

use super::case::Decision;
use crate::answer;
use crate::columns::aligned;
use crate::tone;

/// Where a case stands.
#[derive(Serialize)]
pub struct Source {
    pub file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The policy that carries it along, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// One case, and what became of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    name: String,
    #[serde(flatten)]
    source: Source,
    expected: Decision,
    got: Decision,
    is_as_expected: bool,
    rules: Vec<Told>,
    /// Rules that were expected and did not fire.
    missing: Vec<String>,
    /// What policies in Shadow would have said.
    shadow: Vec<Told>,
}

/// A rule that fired.
#[derive(Serialize)]
struct Told {
    policy: String,
    rule: String,
    verdict: Decision,
    message: String,
}

#[derive(Serialize)]
struct Report<'r> {
    cases: &'r [Row],
    count: usize,
    different: usize,
}

impl Row {
    /// The case of that name, of which `wanted` was expected.
    pub fn new(source: Source, name: &str, wanted: (Decision, &[String]), ruling: &Ruling) -> Self {
        let (expected, rules) = wanted;
        let got = decided(ruling).into();
        let missing = missing(ruling, rules);
        Self {
            name: name.to_owned(),
            source,
            expected,
            got,
            is_as_expected: got == expected && missing.is_empty(),
            missing: missing.into_iter().map(str::to_owned).collect(),
            rules: ruling.fired.iter().map(Told::of).collect(),
            shadow: ruling.shadow.iter().map(Told::of).collect(),
        }
    }

    /// Whether it came out as it should.
    pub fn is_as_expected(&self) -> bool {
        self.is_as_expected
    }

    /// Cases of files by their names, those of policies by both.
    fn title(&self) -> String {
        match &self.source.policy {
            Some(policy) => format!("{policy}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// The rules that decided, in one line.
    fn deciders(&self) -> String {
        let names = self.rules.iter().map(Told::name);
        let shadows = self
            .shadow
            .iter()
            .map(|rule| format!("shadow {}", rule.name()));
        let told: Vec<_> = names.chain(shadows).collect();
        if told.is_empty() {
            "-".to_owned()
        } else {
            told.join(", ")
        }
    }
}

impl Told {
    fn of(fired: &Fired) -> Self {
        Self {
            policy: fired.name.policy.clone(),
            rule: fired.name.rule.clone(),
            verdict: match fired.verdict {
                Verdict::Deny => Decision::Deny,
                Verdict::Ask(_) => Decision::RequireApproval,
            },
            message: fired.message.clone(),
        }
    }

    fn name(&self) -> String {
        format!("{}:{}", self.policy, self.rule)
    }
}

/// The form for programs.
pub fn json(rows: &[Row]) -> String {
    answer::json(&Report {
        cases: rows,
        count: rows.len(),
        different: different(rows).count(),
    })
}

/// A line a case, then each that differs with the reasons, then how many there are.
pub fn table(rows: &[Row]) -> String {
    let head = ["", "CASE", "EXPECTED", "GOT", "DECIDED BY"].map(str::to_owned);
    let lines = rows.iter().map(|row| {
        let mark = tone::state(if row.is_as_expected { "ok" } else { "DIFFERS" });
        let (expected, got) = (row.expected.as_str(), row.got.as_str());
        let columns = [&mark, &row.title(), expected, got, &row.deciders()];
        columns.map(str::to_owned)
    });
    let mut text = aligned(&std::iter::once(head).chain(lines).collect::<Vec<_>>());
    for row in different(rows) {
        text.push_str(&reasons(row));
    }
    let count = match rows.len() {
        1 => "1 case".to_owned(),
        count => format!("{count} cases"),
    };
    let verdict = match different(rows).count() {
        0 => "all as expected".to_owned(),
        1 => "1 differs".to_owned(),
        differing => format!("{differing} differ"),
    };
    // Writing to a text cannot fail.
    let _ = writeln!(text, "\n{count}, {verdict}");
    text
}

fn different(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|row| !row.is_as_expected)
}

fn reasons(row: &Row) -> String {
    let Source { file, line, .. } = &row.source;
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    let (expected, got) = (row.expected.as_str(), row.got.as_str());
    let mut text = format!("\n{file}{line}: {}: {got}", row.title());
    if row.got != row.expected {
        let _ = write!(text, ", not {expected}");
    }
    if !row.missing.is_empty() {
        let _ = write!(text, "; did not fire: {}", row.missing.join(", "));
    }
    text.push('\n');
    for rule in &row.rules {
        let _ = writeln!(text, "  {}: {}", rule.name(), rule.message);
    }
    text
}
