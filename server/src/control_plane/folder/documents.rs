//! What a set of documents declares: the same ones that `kubectl apply` takes,
//! read strictly. Pure; no error repeats what stands in a Secret.

use k8s_openapi::api::core::v1::Secret;
use kube::Resource as _;
use tenantry_api::compile::policy::proof::prove;
use tenantry_api::compile::policy::{self, Origin};
use tenantry_api::compile::{OperatorView, compile};
use tenantry_api::document::clash::{doubled, twins};
use tenantry_api::document::files::Source;
use tenantry_api::document::flaw::{Flaw, Flaws, Place};
use tenantry_api::document::{Document, Kind, split};
use tenantry_api::mcp_tenant::McpTenant;
use tenantry_api::safety_policy::SafetyPolicy;
use tenantry_core::access::Access;
use tenantry_core::freeze::Freezes;
use tenantry_core::key::KeyRecord;
use tenantry_core::name::{ConnectorName, DestinationName, KeyId};
use tenantry_core::policy::Policy;
use tenantry_core::tenant::TenantConfig;

use super::restraint::put_beside;
use crate::credentials::held::{Keys, Secrets};

/// What the documents declare together.
pub struct Declared {
    /// The organisation.
    pub tenant: TenantConfig,
    /// Its keys.
    pub keys: Vec<KeyRecord>,
    /// What is frozen.
    pub freezes: Freezes,
    /// The content of the Secrets that the McpTenant names, where they are among
    /// the documents.
    pub secrets: Secrets,
    /// Documents that say nothing here.
    pub ignored: Vec<String>,
    /// Where the McpTenant stands.
    home: Place,
}

impl Declared {
    /// The same where the organisation cannot be obeyed after all.
    pub fn refused(self, reason: &str) -> Refused {
        let keys = self.keys.into_iter();
        let access = Some(self.tenant.access);
        Refused {
            flaws: Flaws(vec![self.home.flaw(reason)]),
            freezes: self.freezes,
            keys: keys.map(|key| (key.id.clone(), Some(key))).collect(),
            access,
            is_whole: true,
        }
    }
}

/// Documents that are wrong somewhere, and what holds all the same: nobody's
/// typing error may keep a freeze or a revocation from taking hold.
#[derive(Debug)]
pub struct Refused {
    /// What is wrong.
    pub flaws: Flaws,
    /// The freezes that could be read.
    pub freezes: Freezes,
    /// What each document of a key says; `None` of one that cannot be read.
    /// One that is wrong in another way says that its key is revoked.
    pub keys: Vec<(KeyId, Option<KeyRecord>)>,
    /// The strictest access that the organisation asks for, where that can be read.
    pub access: Option<Access>,
    /// Whether every document could be read as far as its name.
    pub is_whole: bool,
}

/// What was found in the documents, one after the other.
#[derive(Default)]
struct Found<'d> {
    tenant: Option<(&'d Document, McpTenant)>,
    keys: Vec<(&'d Document, KeyRecord)>,
    /// Of documents that are right and of those that are not.
    named: Vec<(KeyId, Option<KeyRecord>)>,
    freezes: Freezes,
    policies: Vec<Policy>,
    secrets: Vec<Secret>,
    ignored: Vec<String>,
}

/// Reads all of `sources` as one organisation.
pub fn declared(sources: &[Source], view: &OperatorView) -> Result<Declared, Refused> {
    let split::Found {
        documents,
        mut flaws,
        hides,
    } = split::documents(sources);
    let mut found = Found::default();
    for document in &documents {
        flaws.extend(found.take(document).err());
    }
    flaws.extend(twins(&found.keys));
    let config = found.tenant.and_then(|(home, tenant)| {
        flaws.extend(doubled(&documents));
        flaws.extend(strangers(&documents, &home.namespace()));
        let mut policies = found.policies;
        policies.sort_by(|one, other| one.name.cmp(&other.name));
        let view = OperatorView {
            policies,
            ..view.clone()
        };
        let compiled = compile(&tenant, &view);
        let told = compiled.as_ref().err().into_iter().flatten();
        flaws.extend(told.map(|flaw| home.flaw(&flaw.message)));
        compiled.ok().map(|config| (config, tenant, home))
    });
    match config {
        Some((config, tenant, home)) if flaws.is_empty() => Ok(Declared {
            secrets: secrets_of(&tenant, &found.secrets),
            tenant: config,
            keys: found.keys.into_iter().map(|(_, key)| key).collect(),
            freezes: found.freezes,
            ignored: found.ignored,
            home: home.place(home.line),
        }),
        _ => Err(Refused {
            flaws: or_no_tenant(sources, flaws),
            freezes: found.freezes,
            keys: found.named,
            access: documents.iter().filter_map(Document::access).max(),
            is_whole: !hides,
        }),
    }
}

impl<'d> Found<'d> {
    fn take(&mut self, document: &'d Document) -> Result<(), Flaw> {
        let read = self
            .read(document)
            .and_then(|()| document.has_good_name())
            .and_then(|()| document.has_known_version())
            .and_then(|()| document.has_no_stray_field());
        if let Some(id) = document.key_id() {
            let last = self.keys.last();
            let own = last.filter(|(of, _)| std::ptr::eq(*of, document));
            let said = own.map(|(_, key)| KeyRecord {
                disabled: key.disabled || read.is_err(),
                ..key.clone()
            });
            self.named.push((id, said));
        }
        read
    }

    fn read(&mut self, document: &'d Document) -> Result<(), Flaw> {
        match document.head.kind() {
            Kind::McpTenant => self.put_tenant(document)?,
            Kind::McpApiKey => self.keys.push((document, document.key()?)),
            // A document that stands twice is refused; until then both hold.
            Kind::McpFreeze => put_beside(&mut self.freezes, document.freeze()?),
            Kind::SafetyPolicy => self.policies.push(policy_in(document)?),
            Kind::Unknown | Kind::List => document.has_known_kind()?,
            Kind::Secret => self.secrets.push(document.secret()?),
            Kind::Foreign => self.ignored.push(document.name()),
        }
        Ok(())
    }

    fn put_tenant(&mut self, document: &'d Document) -> Result<(), Flaw> {
        if let Some((first, _)) = &self.tenant {
            let first = &first.head.metadata.name;
            return Err(document.flaw(format!(
                "a folder is one organisation, and has the McpTenant `{first}` already"
            )));
        }
        self.tenant = Some((document, document.tenant()?));
        Ok(())
    }
}

/// The policy that it is, its own cases tried: as for the operator, one that
/// fails them is none.
fn policy_in(document: &Document) -> Result<Policy, Flaw> {
    let form: SafetyPolicy = document.typed()?;
    let compiled = policy::compile(&form, Origin::Organization).map_err(|flaws| {
        let told: Vec<_> = flaws.iter().map(ToString::to_string).collect();
        document.flaw(told.join("; "))
    })?;
    let told = prove(&compiled, &form.spec.tests);
    if told.is_empty() {
        return Ok(compiled);
    }
    Err(document.flaw(told.join("; ")))
}

fn or_no_tenant(sources: &[Source], mut flaws: Vec<Flaw>) -> Flaws {
    // A document that cannot be read may be the very one.
    if flaws.is_empty() {
        let found = match sources {
            [] => "there is no McpTenant, and no file *.yaml, *.yml or *.json at all",
            _ => "there is no McpTenant among the documents",
        };
        flaws.push(Flaw::of_all(format!(
            "{found}; it says what there is to serve: put one here, such as the one in examples/acme.yaml"
        )));
    }
    Flaws(flaws)
}

/// Documents that are not of the organisation in `namespace`.
fn strangers(documents: &[Document], namespace: &str) -> Vec<Flaw> {
    let counts = |document: &&Document| {
        let kind = document.head.kind.as_str();
        matches!(kind, "McpApiKey" | "McpFreeze" | "SafetyPolicy" | "Secret")
    };
    let strangers = documents
        .iter()
        .filter(counts)
        .filter(|document| document.namespace() != namespace);
    strangers
        .map(|document| {
            document.flaw(format!(
                "metadata.namespace: the organisation's is `{namespace}`, and a folder is one organisation"
            ))
        })
        .collect()
}

fn secrets_of(tenant: &McpTenant, secrets: &[Secret]) -> Secrets {
    let of = |wanted: &str| -> Option<Keys> {
        let mut named = secrets.iter();
        let secret = named.find(|secret| secret.meta().name.as_deref() == Some(wanted))?;
        let bytes = secret.data.iter().flatten();
        let texts = secret.string_data.iter().flatten();
        let bytes = bytes.map(|(key, value)| (key.clone(), value.0.clone()));
        // As in Kubernetes, stringData wins.
        let texts = texts.map(|(key, value)| (key.clone(), value.clone().into_bytes()));
        Some(bytes.chain(texts).collect())
    };
    let connectors = tenant.spec.connectors.iter().filter_map(|form| {
        let name = ConnectorName::parse(&form.name).ok()?;
        Some((name, of(&form.credentials.secret_name)?))
    });
    let destinations = tenant.spec.notifications.iter().filter_map(|form| {
        let name = DestinationName::parse(&form.name).ok()?;
        Some((name, of(&form.secret_name)?))
    });
    Secrets {
        connectors: connectors.collect(),
        destinations: destinations.collect(),
    }
}

#[cfg(test)]
pub(super) mod tests;
