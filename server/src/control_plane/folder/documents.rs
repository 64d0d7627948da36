//! What a set of documents declares: the same ones that `kubectl apply` takes,
//! read strictly. Pure; no error repeats what stands in a Secret.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret;
use kube::Resource as _;
use tenantry_api::compile::{OperatorView, compile};
use tenantry_api::document::files::Source;
use tenantry_api::document::flaw::{Flaw, Flaws, Place};
use tenantry_api::document::{Document, Head, Kind, split};
use tenantry_api::mcp_tenant::McpTenant;
use tenantry_core::access::Access;
use tenantry_core::freeze::Freezes;
use tenantry_core::key::KeyRecord;
use tenantry_core::name::{ConnectorName, KeyId};
use tenantry_core::tenant::TenantConfig;

use super::restraint::put_beside;
use crate::credentials::held::Secrets;

/// What the documents declare together.
pub struct Declared {
    /// The organisation.
    pub tenant: TenantConfig,
    /// Its keys.
    pub keys: Vec<KeyRecord>,
    /// What is frozen.
    pub freezes: Freezes,
    /// The content of each connector's Secret, where it is among the documents.
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

const LIST: &str = "a List is not read; write its items as documents, parted by `---`";

/// What was found in the documents, one after the other.
#[derive(Default)]
struct Found<'d> {
    tenant: Option<(&'d Document, McpTenant)>,
    keys: Vec<(&'d Document, KeyRecord)>,
    /// Of documents that are right and of those that are not.
    named: Vec<(KeyId, Option<KeyRecord>)>,
    freezes: Freezes,
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
    let config = found.tenant.and_then(|(home, mut tenant)| {
        flaws.extend(strangers(&documents, &home.namespace()));
        complete(&mut tenant, home);
        let compiled = compile(&tenant, view);
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
            Kind::SafetyPolicy => {
                let name = document.name();
                self.ignored
                    .push(format!("{name} (no tool of this release writes)"));
            }
            Kind::Unknown => {
                return Err(document.flaw("this kind is not written by hand, or does not exist"));
            }
            Kind::Secret => self.secrets.push(document.secret()?),
            Kind::List => return Err(document.flaw(LIST)),
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
        self.tenant = Some((document, document.typed()?));
        Ok(())
    }
}

/// What the API server would have filled in.
fn complete(tenant: &mut McpTenant, home: &Document) {
    let (namespace, name) = (home.namespace(), &home.head.metadata.name);
    tenant.metadata.uid = Some(format!("folder/{namespace}/{name}"));
    tenant.metadata.namespace = Some(namespace);
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

/// Documents that are not of the organisation in `namespace`, or stand twice.
fn strangers(documents: &[Document], namespace: &str) -> Vec<Flaw> {
    let mut seen = BTreeSet::new();
    let mut flaws = Vec::new();
    for document in documents {
        let Head { kind, metadata, .. } = &document.head;
        if !seen.insert((kind, &metadata.name, document.namespace())) {
            flaws.push(document.flaw("the document stands twice"));
        }
        let counts = matches!(kind.as_str(), "McpApiKey" | "McpFreeze" | "Secret");
        if counts && document.namespace() != namespace {
            let reason = format!(
                "metadata.namespace: the organisation's is `{namespace}`, and a folder is one organisation"
            );
            flaws.push(document.flaw(reason));
        }
    }
    flaws
}

/// Keys that one text opens. Were one of them revoked, whoever holds the text
/// would come in by the other.
fn twins(keys: &[(&Document, KeyRecord)]) -> Vec<Flaw> {
    let mut first: BTreeMap<String, &Document> = BTreeMap::new();
    let mut flaws = Vec::new();
    for (document, key) in keys {
        match first.get(&key.digest.to_string()) {
            Some(twin) => flaws.push(document.flaw(format!(
                "spec.digest is that of {} in `{}`, line {}, as well; make a key of its own for each",
                twin.name(),
                twin.file,
                twin.line
            ))),
            None => {
                first.insert(key.digest.to_string(), document);
            }
        }
    }
    flaws
}

fn secrets_of(tenant: &McpTenant, secrets: &[Secret]) -> Secrets {
    let of = |wanted: &str| {
        let mut named = secrets.iter();
        let secret = named.find(|secret| secret.meta().name.as_deref() == Some(wanted))?;
        let bytes = secret.data.iter().flatten();
        let texts = secret.string_data.iter().flatten();
        let bytes = bytes.map(|(key, value)| (key.clone(), value.0.clone()));
        // As in Kubernetes, stringData wins.
        let texts = texts.map(|(key, value)| (key.clone(), value.clone().into_bytes()));
        Some(bytes.chain(texts).collect())
    };
    let connectors = tenant.spec.connectors.iter();
    connectors
        .filter_map(|form| {
            let name = ConnectorName::parse(&form.name).ok()?;
            Some((name, of(&form.credentials.secret_name)?))
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests;
