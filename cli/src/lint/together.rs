//! Documents beside each other: what only one of them may have, and what one of
//! them needs.

use std::collections::BTreeMap;

use tenantry_api::compile::policy::Origin;
use tenantry_api::document::clash::{doubled, twins};
use tenantry_api::document::flaw::Flaw;
use tenantry_api::document::{Document, Kind};
use tenantry_api::mcp_tenant::McpTenant;
use tenantry_api::safety_policy::SafetyPolicy;
use tenantry_core::key::KeyRecord;

use super::place::Tree;
use crate::policy::given::origin;

/// What was found in the documents, as far as it could be read.
#[derive(Default)]
pub struct Together<'d> {
    tenants: Vec<(&'d Document, McpTenant)>,
    keys: Vec<(&'d Document, KeyRecord)>,
    policies: Vec<(&'d Document, SafetyPolicy)>,
}

impl<'d> Together<'d> {
    /// Takes one in; what cannot be read is told elsewhere.
    pub fn take(&mut self, document: &'d Document) {
        match document.head.kind() {
            Kind::McpTenant => {
                let read = document.tenant().ok();
                self.tenants.extend(read.map(|tenant| (document, tenant)));
            }
            Kind::McpApiKey => {
                let read = document.key().ok();
                self.keys.extend(read.map(|key| (document, key)));
            }
            Kind::SafetyPolicy => {
                let read = document.typed().ok();
                self.policies.extend(read.map(|policy| (document, policy)));
            }
            _ => {}
        }
    }

    /// Everything that is wrong between them.
    pub fn check(&self, documents: &[Document]) -> Vec<Flaw> {
        let mut flaws = doubled(documents);
        flaws.extend(twins(&self.keys));
        flaws.extend(self.claims());
        flaws.extend(self.missing());
        flaws
    }

    /// What an earlier tenant has already.
    fn claims(&self) -> Vec<Flaw> {
        let mut holders: BTreeMap<String, &Document> = BTreeMap::new();
        let mut flaws = Vec::new();
        for (document, tenant) in &self.tenants {
            for Claim { what, path, remedy } in claims(document, tenant) {
                let holder = *holders.entry(what.clone()).or_insert(document);
                let is_same = (&holder.head.metadata.name, holder.namespace())
                    == (&document.head.metadata.name, document.namespace());
                // A document that stands twice is told as that.
                if is_same {
                    continue;
                }
                let reason = format!(
                    "{path}: {what} is that of {} in `{}`, line {}, as well; {remedy}",
                    holder.name(),
                    holder.file,
                    holder.line
                );
                flaws.push(at(document, &path, reason));
            }
        }
        flaws
    }

    /// Policies that are required and not there.
    fn missing(&self) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        for (document, tenant) in &self.tenants {
            for wanted in &tenant.spec.required_policies {
                let is_there = self.policies.iter().any(|(policy, form)| {
                    let is_in_reach = origin(form) == Origin::Platform
                        || policy.namespace() == document.namespace();
                    policy.head.metadata.name == *wanted && is_in_reach
                });
                if !is_there {
                    let path = format!("spec.requiredPolicies[{wanted}]");
                    let reason = format!(
                        "{path}: there is no such SafetyPolicy here, and nothing is written without it; add it, or check the file that has it as well"
                    );
                    flaws.push(at(document, &path, reason));
                }
            }
        }
        flaws
    }
}

/// Something that only one tenant of a cluster may have.
struct Claim {
    what: String,
    path: String,
    remedy: &'static str,
}

fn claims(document: &Document, tenant: &McpTenant) -> Vec<Claim> {
    let spec = &tenant.spec;
    let mut claims = vec![
        Claim {
            what: format!("the namespace `{}`", document.namespace()),
            path: "metadata.namespace".into(),
            remedy: "a namespace is one organisation: give this one a namespace of its own",
        },
        Claim {
            what: format!("the organisation `{}`", spec.organization),
            path: "spec.organization".into(),
            remedy: "records carry the name: choose another one",
        },
    ];
    let host = spec
        .endpoint
        .as_ref()
        .and_then(|endpoint| endpoint.host.as_ref());
    claims.extend(host.map(|host| Claim {
        what: format!("the host `{host}`"),
        path: "spec.endpoint.host".into(),
        remedy: "choose another one",
    }));
    for connector in &spec.connectors {
        claims.extend(connector.accounts.iter().map(|account| Claim {
            what: format!("the {} account `{}`", connector.name, account.id),
            path: format!(
                "spec.connectors[{}].accounts[{}]",
                connector.name, account.id
            ),
            remedy: "an account is one organisation's: take it away from one of them",
        }));
    }
    claims
}

fn at(document: &Document, path: &str, reason: String) -> Flaw {
    let lines: Option<Tree> = document.typed().ok();
    let line = lines.and_then(|lines| lines.line(path));
    document.flaw_at(line.unwrap_or(1), reason)
}
