//! `tenantry lint`: documents held against what API server and operator would
//! say of them, each by itself and all together.

mod place;
mod single;
mod together;

use serde::Serialize;
use tenantry_api::document::files::Source;
use tenantry_api::document::flaw::Flaw;
use tenantry_api::document::split;

use crate::answer::{self, Answer, Unusable};
use crate::cli::documents::Lint;
use crate::input::all_sources;
use single::Single;
use together::Together;

/// One thing that is wrong, in the form for programs.
#[derive(Serialize)]
struct Finding<'f> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'f str>,
    message: &'f str,
}

#[derive(Serialize)]
struct Report<'f> {
    documents: usize,
    findings: Vec<Finding<'f>>,
}

/// Checks what was asked for.
pub fn lint(asked: &Lint) -> Result<Answer, Unusable> {
    let (count, flaws) = check(&all_sources(&asked.paths)?);
    if count == 0 && flaws.is_empty() {
        return Err(Unusable::because(
            "there is no McpTenant, McpApiKey, McpFreeze or SafetyPolicy to check; name a file or folder that has one",
        ));
    }
    let findings: Vec<_> = flaws.iter().map(Finding::of).collect();
    let is_good = findings.is_empty();
    let text = if asked.json {
        answer::json(&Report {
            documents: count,
            findings,
        })
    } else if is_good {
        let documents = if count == 1 { "document" } else { "documents" };
        format!("{count} {documents}, no findings\n")
    } else {
        findings.iter().map(Finding::line).collect()
    };
    Ok(Answer {
        is_good,
        ..Answer::good(text)
    })
}

/// How many documents of ours there are, and what is wrong with them, in their
/// order.
pub fn check(sources: &[Source]) -> (usize, Vec<Flaw>) {
    let split::Found {
        documents,
        mut flaws,
        ..
    } = split::documents(sources);
    let single = Single::new();
    let mut together = Together::default();
    for document in &documents {
        flaws.extend(single.check(document));
        together.take(document);
    }
    flaws.extend(together.check(&documents));
    flaws.sort_by(|one, other| order(one).cmp(&order(other)));
    flaws.dedup();
    let ours = documents.iter().filter(|one| one.head.kind().is_ours());
    (ours.count(), flaws)
}

fn order(flaw: &Flaw) -> Option<(&str, Option<u64>)> {
    let place = flaw.place.as_ref()?;
    Some((&place.file, place.line))
}

impl<'f> Finding<'f> {
    fn of(flaw: &'f Flaw) -> Self {
        let place = flaw.place.as_ref();
        let document = place.and_then(|place| place.document.as_ref());
        Self {
            file: place.map(|place| place.file.as_str()),
            line: place.and_then(|place| place.line),
            kind: document.map(|(kind, _)| kind.as_str()),
            name: document.map(|(_, name)| name.as_str()),
            message: &flaw.reason,
        }
    }

    /// As compilers write it, so that editors find the place.
    fn line(&self) -> String {
        let mut place = String::new();
        if let Some(file) = self.file {
            place.push_str(file);
            if let Some(line) = self.line {
                place = format!("{place}:{line}");
            }
            place.push_str(": ");
        }
        if let (Some(kind), Some(name)) = (self.kind, self.name) {
            place = format!("{place}{kind}/{name}: ");
        }
        // A line stays a line, whatever a parser says.
        let message = self.message.replace('\n', " ");
        format!("{place}{message}\n")
    }
}
