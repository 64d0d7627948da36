//! A file of cases, as people write it. Whatever a case of `spec.tests` says
//! can be said here in the same words.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;
use tenantry_api::document;
use tenantry_api::document::flaw::Flaw;
use tenantry_api::safety_policy::test_case::{BeforeAfter, ExpectedDecision};
use tenantry_core::access::ToolClass;

use super::object::{Object, Status};
use super::usage::Usage;
use crate::answer::Unusable;
use crate::input::all_sources;

/// The cases of one file, each with its line.
pub struct Cases {
    pub file: String,
    pub cases: Vec<(u64, Case)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    cases: Vec<Spanned<Case>>,
}

/// A change, and what must become of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Case {
    pub name: String,
    /// When it happens; left out, at the time of the command.
    pub time: Option<Timestamp>,
    pub change: Change,
    /// The object, or what it is part of, as the vendor has it now; left out,
    /// one live object.
    pub before: Option<Object>,
    /// What was changed before; left out, nothing.
    #[serde(default)]
    pub usage: Usage,
    pub expect: Expectation,
}

/// A change, as a tool would ask for it. It is one of its last ten fields; with
/// none of them it changes a record that holds no money.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Change {
    pub tool: String,
    /// Left out, what a tool for such a change is.
    pub class: Option<ToolClass>,
    pub account: Option<String>,
    /// Left out, the one at the top of `before`.
    pub object: Option<String>,
    pub key: Option<String>,
    /// Left out, the policies' currency.
    pub currency: Option<String>,
    pub daily: Option<BeforeAfter>,
    pub lifetime: Option<BeforeAfter>,
    pub financial: Option<BeforeAfter>,
    pub r#do: Option<Deed>,
    pub create: Option<Object>,
    pub copy: Option<Copies>,
    pub schedule: Option<Schedule>,
    pub bid: Option<Bid>,
    pub state: Option<String>,
    pub records: Option<u32>,
}

/// What needs no further word.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    Activate,
    Deactivate,
    Delete,
}

/// Copies of the object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copies {
    pub times: u32,
    #[serde(default)]
    pub status: Status,
}

/// A new beginning, a new end, or both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Schedule {
    pub starts_at: Option<Moment>,
    pub ends_at: Option<Moment>,
}

/// A moment, or that there is none.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub struct Moment(pub Option<Timestamp>);

/// A bid before and after; what is left out has no cap.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bid {
    pub before: Option<String>,
    pub after: Option<String>,
}

/// What must become of a change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    pub decision: Decision,
    /// The rules that decide, each by its own name or as `policy:rule`.
    #[serde(default)]
    pub rules: Vec<String>,
}

/// What may become of a change; `spec.tests` has other words for the same.
#[derive(Deserialize, Serialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    #[serde(alias = "Permitted")]
    Allow,
    #[serde(alias = "Denied")]
    Deny,
    #[serde(alias = "NeedsApproval")]
    RequireApproval,
}

impl Decision {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
            Self::RequireApproval => "RequireApproval",
        }
    }
}

impl From<ExpectedDecision> for Decision {
    fn from(decision: ExpectedDecision) -> Self {
        match decision {
            ExpectedDecision::Permitted => Self::Allow,
            ExpectedDecision::NeedsApproval => Self::RequireApproval,
            ExpectedDecision::Denied => Self::Deny,
        }
    }
}

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        let moment = text.parse().map_err(|_| {
            format!("`{text}` is neither a time such as 2026-06-01T12:00:00Z nor `never`")
        })?;
        Ok(Self(Some(moment)))
    }
}

/// Every file of cases at `paths`. One that is wrong anywhere is not tried.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Cases>, Unusable> {
    let (mut files, mut flaws) = (Vec::new(), Vec::new());
    for source in all_sources(paths)? {
        let file = source.file;
        let text = match source.text {
            Ok(text) => text,
            Err(reason) => {
                flaws.push(Flaw::of_file(&file, reason));
                continue;
            }
        };
        match document::parse::<Form>(&text) {
            Ok(form) => {
                let cases = form.cases.into_iter();
                let cases: Vec<_> = cases
                    .map(|one| (one.referenced.line(), one.value))
                    .collect();
                flaws.extend(namesakes(&file, &cases));
                files.push(Cases { file, cases });
            }
            Err((line, reason)) => flaws.push(Flaw::of_line(&file, line, reason)),
        }
    }
    if flaws.is_empty() {
        Ok(files)
    } else {
        Err(Unusable::of(&flaws))
    }
}

/// Cases whose name another one has: nobody could tell which of them failed.
fn namesakes(file: &str, cases: &[(u64, Case)]) -> Vec<Flaw> {
    let mut seen = BTreeSet::new();
    let again = cases.iter().filter(|(_, case)| !seen.insert(&case.name));
    again
        .map(|(line, case)| {
            let reason = format!(
                "there is another case `{}`; name each of them once",
                case.name
            );
            Flaw::of_line(file, *line, reason)
        })
        .collect()
}
