//! `tenantry render`: the contract that the operator makes of a tenant, to read
//! or to compare before it is applied.

use tenantry_api::compile::{OperatorView, compile};
use tenantry_api::document::{Document, Kind, split};
use tenantry_core::tenant::TenantConfig;

use crate::answer::{self, Answer, Unusable};
use crate::cli::Render;
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
    let contract = contract(the_tenant(&documents, asked)?)?;
    let text = if asked.json {
        answer::json(&contract)
    } else {
        serde_saphyr::to_string(&contract)
            .map_err(|error| Unusable::because(format!("writing YAML: {error}")))?
    };
    Ok(Answer {
        text,
        is_good: true,
    })
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

fn contract(document: &Document) -> Result<TenantConfig, Unusable> {
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
    compile(&tenant, &OperatorView::default()).map_err(|flaws| {
        let told = flaws.iter().map(|flaw| document.flaw(&flaw.message));
        Unusable::of(&told.collect::<Vec<_>>())
    })
}
