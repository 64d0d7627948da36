//! `tenantry render`: the contract that the operator makes of a tenant, to read
//! or to compare before it is applied.

use tenantry_api::compile::policy::{self, Origin};
use tenantry_api::compile::{Flaw, OperatorView, compile};
use tenantry_api::document::{Document, Kind, split};
use tenantry_api::safety_policy::SafetyPolicy;
use tenantry_core::policy::Policy;
use tenantry_core::tenant::TenantConfig;

use crate::answer::{self, Answer, Unusable};
use crate::cli::documents::Render;
use crate::input::all_sources;

/// Renders what was asked for.
pub fn render(asked: &Render) -> Result<Answer, Unusable> {
    let sources = all_sources(std::slice::from_ref(&asked.path))?;
    let split::Found {
        documents, flaws, ..
    } = split::documents(&sources);
    if !flaws.is_empty() {
        // The tenant may be in what cannot be read.
        return Err(Unusable::of(&flaws));
    }
    let tenant = the_tenant(&documents, asked)?;
    let contract = contract(tenant, policies(&documents, tenant)?)?;
    let text = if asked.json {
        answer::json(&contract)
    } else {
        answer::yaml(&contract)?
    };
    Ok(Answer::good(text))
}

/// The one McpTenant that is meant.
fn the_tenant<'d>(documents: &'d [Document], asked: &Render) -> Result<&'d Document, Unusable> {
    let path = asked.path.display();
    let is_meant = |document: &&Document| {
        let wanted = asked.namespace.as_ref();
        document.head.kind() == Kind::McpTenant
            && wanted.is_none_or(|namespace| document.namespace() == *namespace)
    };
    let found: Vec<_> = documents.iter().filter(is_meant).collect();
    match (found.as_slice(), &asked.namespace) {
        ([one], _) => Ok(one),
        ([], None) => Err(Unusable::because(format!(
            "there is no McpTenant in `{path}`; name the file or folder that has it"
        ))),
        ([], Some(namespace)) => Err(Unusable::because(format!(
            "there is no McpTenant of the namespace `{namespace}` in `{path}`; leave --namespace out, or name another one"
        ))),
        (several, _) => {
            let told = several.iter().map(|one| {
                let namespace = one.namespace();
                format!("`{namespace}` ({}, line {})", one.file, one.line)
            });
            let told = told.collect::<Vec<_>>().join(", ");
            Err(Unusable::because(format!(
                "there are McpTenants of several namespaces, or one twice: {told}; choose by --namespace"
            )))
        }
    }
}

/// The organisation's own policies. Whom those of the platform select, labels
/// say that no folder has.
fn policies(documents: &[Document], tenant: &Document) -> Result<Vec<Policy>, Unusable> {
    let is_own = |document: &&Document| {
        document.head.kind() == Kind::SafetyPolicy && document.namespace() == tenant.namespace()
    };
    let mut policies = Vec::new();
    for document in documents.iter().filter(is_own) {
        let form: SafetyPolicy = document.typed().map_err(|flaw| Unusable::of(&[flaw]))?;
        let compiled = policy::compile(&form, Origin::Organization);
        policies.push(compiled.map_err(|flaws| unusable(document, &flaws))?);
    }
    policies.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(policies)
}

fn unusable(document: &Document, flaws: &[Flaw]) -> Unusable {
    let told = flaws.iter().map(|flaw| document.flaw(&flaw.message));
    Unusable::of(&told.collect::<Vec<_>>())
}

fn contract(document: &Document, policies: Vec<Policy>) -> Result<TenantConfig, Unusable> {
    let looks = [
        document.has_good_name(),
        document.has_known_version(),
        document.has_no_stray_field(),
    ];
    let flaws: Vec<_> = looks.into_iter().filter_map(Result::err).collect();
    if !flaws.is_empty() {
        return Err(Unusable::of(&flaws));
    }
    let tenant = document.tenant().map_err(|flaw| Unusable::of(&[flaw]))?;
    let view = OperatorView {
        policies,
        ..OperatorView::default()
    };
    compile(&tenant, &view).map_err(|flaws| unusable(document, &flaws))
}
