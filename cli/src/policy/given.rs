//! The policies that a command is given, read as the operator reads them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tenantry_api::compile::policy::{Origin, compile};
use tenantry_api::document::flaw::{Flaw, Place};
use tenantry_api::document::{Document, Kind, split};
use tenantry_api::safety_policy::SafetyPolicy;
use tenantry_core::policy::Policy;

use crate::answer::Unusable;
use crate::input::all_sources;

/// One policy, and where it stands.
pub struct Given {
    pub form: SafetyPolicy,
    pub policy: Policy,
    pub place: Place,
}

/// Every SafetyPolicy at `paths`. One that is wrong anywhere decides nothing.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Given>, Unusable> {
    let sources = all_sources(paths)?;
    let split::Found {
        documents,
        mut flaws,
        ..
    } = split::documents(&sources);
    let policies = documents
        .iter()
        .filter(|document| document.head.kind() == Kind::SafetyPolicy);
    let mut given: Vec<Given> = Vec::new();
    let mut names = BTreeSet::new();
    for document in policies {
        match one(document) {
            Ok(one) if names.insert(one.policy.name.clone()) => given.push(one),
            Ok(one) => flaws.push(document.flaw(format!(
                "there is another policy `{}`; give each of them once",
                one.policy.name
            ))),
            Err(found) => flaws.extend(found),
        }
    }
    if !flaws.is_empty() {
        return Err(Unusable::of(&flaws));
    }
    if given.is_empty() {
        return Err(Unusable::because(format!(
            "there is no SafetyPolicy in {}; name a file that has one",
            listed(paths)
        )));
    }
    Ok(given)
}

fn one(document: &Document) -> Result<Given, Vec<Flaw>> {
    let one = |flaw| vec![flaw];
    document.has_good_name().map_err(one)?;
    document.has_known_version().map_err(one)?;
    document.has_no_stray_field().map_err(one)?;
    let form: SafetyPolicy = document.typed().map_err(one)?;
    let policy = compile(&form, origin(&form)).map_err(|flaws| {
        let told = flaws.iter().map(|flaw| document.flaw(&flaw.message));
        told.collect::<Vec<_>>()
    })?;
    Ok(Given {
        form,
        policy,
        place: document.place(document.line),
    })
}

/// Only the platform's policies select namespaces.
pub fn origin(form: &SafetyPolicy) -> Origin {
    if form.spec.namespace_selector.is_some() {
        Origin::Platform
    } else {
        Origin::Organization
    }
}

fn listed(paths: &[PathBuf]) -> String {
    let quoted = |path: &PathBuf| format!("`{}`", Path::display(path));
    paths.iter().map(quoted).collect::<Vec<_>>().join(", ")
}
