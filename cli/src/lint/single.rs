//! One document by itself: its form, the rules of its kind, and what the
//! operator makes of it.

use std::collections::BTreeMap;

use serde_json::Value;
use tenantry_api::compile::policy::proof::prove;
use tenantry_api::compile::{self, OperatorView};
use tenantry_api::document::flaw::Flaw;
use tenantry_api::document::{Document, Kind};
use tenantry_api::judge::Judge;
use tenantry_api::safety_policy::SafetyPolicy;

use super::place::Tree;
use crate::policy::given::origin;

/// What documents are held against.
pub struct Single {
    judges: BTreeMap<String, Judge>,
}

impl Single {
    /// The rules of this release.
    pub fn new() -> Self {
        Self {
            judges: Judge::all(),
        }
    }

    /// Everything that is wrong with `document`.
    pub fn check(&self, document: &Document) -> Vec<Flaw> {
        let looks = [
            document.has_known_kind(),
            document.has_good_name(),
            document.has_known_version(),
            document.has_no_stray_field(),
        ];
        let flaws: Vec<_> = looks.into_iter().filter_map(Result::err).collect();
        if !flaws.is_empty() {
            // What it means is told when it is known what it is.
            return flaws;
        }
        self.meaning(document).unwrap_or_else(|flaw| vec![flaw])
    }

    /// What is wrong with a document that is one; `Err` if it cannot be read.
    fn meaning(&self, document: &Document) -> Result<Vec<Flaw>, Flaw> {
        let made = match document.head.kind() {
            Kind::McpTenant => {
                let tenant = document.tenant()?;
                let made = compile::compile(&tenant, &OperatorView::default());
                let flaws = made.err().into_iter().flatten();
                flaws.map(|flaw| flaw.message).collect()
            }
            Kind::SafetyPolicy => policy(&document.typed()?),
            Kind::McpFreeze => document.freeze()?.flaw.into_iter().collect(),
            Kind::McpApiKey => match document.key() {
                Ok(_) => Vec::new(),
                Err(flaw) => vec![flaw.reason],
            },
            Kind::Secret => {
                document.secret()?;
                return Ok(Vec::new());
            }
            Kind::Unknown | Kind::List | Kind::Foreign => return Ok(Vec::new()),
        };
        let lines: Tree = document.typed()?;
        let mut flaws = Vec::new();
        for refusal in self.refusals(document)? {
            flaws.push(at(document, &lines, &refusal.0, refusal.1));
        }
        for message in made {
            let path = message.split([' ', ':']).next().unwrap_or_default();
            let flaw = at(document, &lines, path, message.clone());
            // API server and operator say the same of most mistakes; once is
            // enough. Whoever names no field of it speaks of any.
            let is_told = |known: &Flaw| lines.line(path).is_none() || known.place == flaw.place;
            if !flaws.iter().any(is_told) {
                flaws.push(flaw);
            }
        }
        Ok(flaws)
    }

    /// What the API server would refuse it for: the field, and the whole sentence.
    fn refusals(&self, document: &Document) -> Result<Vec<(String, String)>, Flaw> {
        let Some(judge) = self.judges.get(&document.head.kind) else {
            return Ok(Vec::new());
        };
        let value: Value = document.typed()?;
        let mut refusals = judge.structure(&value);
        if refusals.is_empty() {
            refusals = judge.rules(&value);
        }
        let told = refusals.into_iter().map(|one| {
            let told = format!("{}: {}", one.path, one.message);
            (one.path, told)
        });
        Ok(told.collect())
    }
}

/// What the operator would say of a policy.
fn policy(form: &SafetyPolicy) -> Vec<String> {
    match compile::policy::compile(form, origin(form)) {
        Ok(policy) => prove(&policy, &form.spec.tests)
            .into_iter()
            .map(|told| format!("spec.{told}; mend the policy, or the case"))
            .collect(),
        Err(flaws) => flaws.into_iter().map(|flaw| flaw.message).collect(),
    }
}

/// In the line of the field at `path`.
fn at(document: &Document, lines: &Tree, path: &str, reason: String) -> Flaw {
    document.flaw_at(lines.line(path).unwrap_or(1), reason)
}
