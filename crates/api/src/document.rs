//! Documents as `kubectl apply` takes them, without a cluster: one is cut out of
//! its file, read strictly, and never repeated where it may be a Secret. What
//! several of them mean together is for whoever reads them to say.

pub mod clash;
pub mod files;
pub mod flaw;
pub mod split;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::Resource as _;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter as _};
use tenantry_core::access::Access;
use tenantry_core::cause::chain;
use tenantry_core::freeze::Freeze;
use tenantry_core::key::KeyRecord;
use tenantry_core::name::{KeyId, is_dns_label};

use crate::mcp_api_key::McpApiKey;
use crate::mcp_freeze;
use crate::mcp_tenant::McpTenant;
use flaw::{Flaw, Place};

/// The namespace of documents that name none, as for kubectl.
const DEFAULT_NAMESPACE: &str = "default";

const LIST: &str = "a List is not read; write its items as documents, parted by `---`";

/// What Kubernetes knows of a document's metadata, beside its name and namespace.
const METADATA: [&str; 13] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// One document and where it begins.
pub struct Document {
    /// Its file.
    pub file: String,
    /// The line of the file in which it begins, from 1.
    pub line: u64,
    text: String,
    /// What every document has.
    pub head: Head,
}

/// What every document has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// Its `apiVersion`.
    pub api_version: String,
    /// Its `kind`.
    pub kind: String,
    /// Its `metadata`.
    pub metadata: Names,
    /// The names of its other fields.
    #[serde(flatten)]
    #[expect(clippy::zero_sized_map_values, reason = "no set can be flattened")]
    others: BTreeMap<String, IgnoredAny>,
}

/// What a document is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are those of documents")]
pub enum Kind {
    McpTenant,
    McpApiKey,
    McpFreeze,
    SafetyPolicy,
    /// Of our group, and not for people to write.
    Unknown,
    Secret,
    /// Kubernetes' own collection of documents.
    List,
    /// Of no meaning here.
    Foreign,
}

/// The names in a document's metadata.
#[derive(Deserialize)]
pub struct Names {
    /// Its name; empty in a List alone.
    #[serde(default)]
    pub name: String,
    namespace: Option<String>,
    /// The names of its other fields.
    #[serde(flatten)]
    #[expect(clippy::zero_sized_map_values, reason = "no set can be flattened")]
    others: BTreeMap<String, IgnoredAny>,
}

/// A document whose spec is read elsewhere.
#[derive(Deserialize)]
struct Open {
    #[serde(default)]
    spec: Value,
}

impl Head {
    /// Ours by its name alone: a freeze under a mistyped `apiVersion` is one
    /// that somebody relies on.
    pub fn kind(&self) -> Kind {
        let is_core = !self.api_version.contains('/');
        let group = self.api_version.split('/').next();
        match self.kind.as_str() {
            "McpTenant" => Kind::McpTenant,
            "McpApiKey" => Kind::McpApiKey,
            "McpFreeze" => Kind::McpFreeze,
            "SafetyPolicy" => Kind::SafetyPolicy,
            _ if group == Some(&*McpTenant::group(&())) => Kind::Unknown,
            "Secret" => Kind::Secret,
            kind if is_core && kind.ends_with("List") => Kind::List,
            _ => Kind::Foreign,
        }
    }

    fn is_named(&self) -> bool {
        !self.metadata.name.is_empty() || self.kind() == Kind::List
    }
}

impl Kind {
    /// Whether it is of our group.
    pub fn is_ours(self) -> bool {
        !matches!(self, Self::Secret | Self::List | Self::Foreign)
    }

    /// The fields beside `apiVersion`, `kind` and `metadata`; `None` where they
    /// are nobody's business here.
    fn fields(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Secret => Some(&["type", "immutable", "data", "stringData"]),
            _ if self.is_ours() => Some(&["spec", "status"]),
            _ => None,
        }
    }
}

impl Document {
    /// The document in `text`, which begins in that line of the file.
    pub fn read(file: &str, line: u64, text: &str) -> Result<Self, Flaw> {
        match parse::<Head>(text) {
            Ok(head) if head.is_named() => Ok(Self {
                file: file.to_owned(),
                line,
                text: text.to_owned(),
                head,
            }),
            other => Err(Flaw::of_line(
                file,
                line - 1 + other.err().map_or(1, |(at, _)| at),
                // Without the parser's words: it may be a Secret.
                "this is no document with apiVersion, kind and metadata.name, or its YAML is broken",
            )),
        }
    }

    /// Its kind and name, for a sentence.
    pub fn name(&self) -> String {
        format!("{} `{}`", self.head.kind, self.head.metadata.name)
    }

    /// Its namespace, as kubectl understands it.
    pub fn namespace(&self) -> String {
        let namespace = self.head.metadata.namespace.as_deref();
        namespace.unwrap_or(DEFAULT_NAMESPACE).to_owned()
    }

    /// What is wrong with it as a whole.
    pub fn flaw(&self, reason: impl Into<String>) -> Flaw {
        self.flaw_at(1, reason)
    }

    /// At that line of the document, from 1.
    pub fn flaw_at(&self, line: u64, reason: impl Into<String>) -> Flaw {
        self.place(self.line - 1 + line).flaw(reason)
    }

    /// That line of its file, for whoever has to mend it.
    pub fn place(&self, line: u64) -> Place {
        let Head { kind, metadata, .. } = &self.head;
        Place {
            file: self.file.clone(),
            line: Some(line),
            document: Some((kind.clone(), metadata.name.clone())),
        }
    }

    /// Which key it is about, if it is about one.
    pub fn key_id(&self) -> Option<KeyId> {
        let is_key = self.head.kind() == Kind::McpApiKey;
        is_key.then(|| KeyId::parse(&self.head.metadata.name).ok())?
    }

    /// The tenant that it is, with the namespace and a UID that the API server
    /// would have filled in.
    pub fn tenant(&self) -> Result<McpTenant, Flaw> {
        let mut tenant: McpTenant = self.typed()?;
        let (namespace, name) = (self.namespace(), &self.head.metadata.name);
        tenant.metadata.uid = Some(format!("folder/{namespace}/{name}"));
        tenant.metadata.namespace = Some(namespace);
        Ok(tenant)
    }

    /// The key that it is.
    pub fn key(&self) -> Result<KeyRecord, Flaw> {
        let key: McpApiKey = self.typed()?;
        key.record().map_err(|error| self.flaw(chain(&error)))
    }

    /// The freeze that it is; one whose spec cannot be read freezes everything.
    pub fn freeze(&self) -> Result<Freeze, Flaw> {
        let open: Open = self.typed()?;
        Ok(mcp_freeze::read(&self.head.metadata.name, &open.spec))
    }

    /// The access that an McpTenant asks for, whatever else is wrong with it.
    pub fn access(&self) -> Option<Access> {
        if self.head.kind() != Kind::McpTenant {
            return None;
        }
        let open: Open = self.typed().ok()?;
        match open.spec.get("access") {
            Some(access) => Access::deserialize(access).ok(),
            None => Some(Access::ReadOnly),
        }
    }

    /// What nobody can write, or is not read.
    pub fn has_known_kind(&self) -> Result<(), Flaw> {
        match self.head.kind() {
            Kind::Unknown => Err(self.flaw("this kind is not written by hand, or does not exist")),
            Kind::List => Err(self.flaw(LIST)),
            _ => Ok(()),
        }
    }

    /// And a name that no cluster would take.
    pub fn has_good_name(&self) -> Result<(), Flaw> {
        let kind = self.head.kind();
        if kind.fields().is_none() || is_dns_subdomain(&self.head.metadata.name) {
            return Ok(());
        }
        Err(self.flaw("metadata.name: a name is 1-253 of a-z, 0-9, `-` and `.`, and each part of it starts and ends with a letter or digit"))
    }

    /// What kubectl would refuse: a version that there is not.
    pub fn has_known_version(&self) -> Result<(), Flaw> {
        let known = McpTenant::api_version(&());
        let given = &self.head.api_version;
        if !self.head.kind().is_ours() || *given == known {
            return Ok(());
        }
        Err(self.flaw(format!(
            "apiVersion `{given}` is not known to this release; it knows `{known}`"
        )))
    }

    /// And `spce`, or `disabled` beside the spec.
    pub fn has_no_stray_field(&self) -> Result<(), Flaw> {
        let kind = self.head.kind();
        let Some(known) = kind.fields() else {
            return Ok(());
        };
        let Head {
            metadata, others, ..
        } = &self.head;
        let beside_spec = stray(others.keys(), known).map(|field| format!("`{field}`"));
        let found = beside_spec.or_else(|| {
            let field = stray(metadata.others.keys(), &METADATA)?;
            Some(format!("metadata.{field}"))
        });
        match found {
            // In a Secret even a name may be one, if it is indented wrong.
            Some(_) if kind == Kind::Secret => {
                Err(self.flaw("it has a field that a Secret does not have"))
            }
            Some(field) => Err(self.flaw(format!("{field}: there is no such field here"))),
            None => Ok(()),
        }
    }

    /// The Secret that it is.
    pub fn secret(&self) -> Result<Secret, Flaw> {
        // The parser's own words might repeat what it could not read.
        parse(&self.text)
            .map_err(|(line, _)| self.flaw_at(line, "the Secret does not have the form of one"))
    }

    /// The document as a `T`, read strictly.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<T, Flaw> {
        parse(&self.text).map_err(|(line, reason)| self.flaw_at(line, reason))
    }
}

fn stray<'f>(mut fields: impl Iterator<Item = &'f String>, known: &[&str]) -> Option<&'f String> {
    fields.find(|field| !known.contains(&field.as_str()))
}

fn is_dns_subdomain(name: &str) -> bool {
    const LONGEST: usize = 253;
    name.len() <= LONGEST && name.split('.').all(|part| is_dns_label(part, LONGEST))
}

/// Reads one document strictly; else the line, from 1, and what is wrong there.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, (u64, String)> {
    let mut options = serde_saphyr::Options::default();
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    options.merge_keys = MergeKeyPolicy::Error;
    options.alias_limits.max_total_replayed_events = 0;
    options.strict_booleans = true;
    options.with_snippet = false;
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error
            .location()
            .map_or(1, |location| location.line().max(1));
        let reason = DefaultMessageFormatter.format_message(&error);
        (line, reason.into_owned())
    })
}
