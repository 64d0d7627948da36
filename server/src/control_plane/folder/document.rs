//! One document: cut out of its file, read strictly, and never repeated where
//! it may be a Secret.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::Resource as _;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter as _};
use tenantry_api::mcp_api_key::McpApiKey;
use tenantry_api::mcp_freeze;
use tenantry_api::mcp_tenant::McpTenant;
use tenantry_core::access::Access;
use tenantry_core::freeze::Freezes;
use tenantry_core::key::KeyRecord;
use tenantry_core::name::{KeyId, is_dns_label};

use super::flaw::Flaw;
use super::restraint::put_beside;
use crate::cause::chain;

/// The namespace of documents that name none, as for kubectl.
const DEFAULT_NAMESPACE: &str = "default";

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
pub(super) struct Document {
    pub(super) file: String,
    pub(super) line: u64,
    text: String,
    pub(super) head: Head,
}

/// What every document has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) metadata: Names,
    /// The names of its other fields.
    #[serde(flatten)]
    #[expect(clippy::zero_sized_map_values, reason = "no set can be flattened")]
    others: BTreeMap<String, IgnoredAny>,
}

/// What a document is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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

#[derive(Deserialize)]
pub(super) struct Names {
    /// Empty in a List alone.
    #[serde(default)]
    pub(super) name: String,
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
    pub(super) fn kind(&self) -> Kind {
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
    fn is_ours(self) -> bool {
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
    pub(super) fn read(file: &str, line: u64, text: &str) -> Result<Self, Flaw> {
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

    pub(super) fn name(&self) -> String {
        format!("{} `{}`", self.head.kind, self.head.metadata.name)
    }

    pub(super) fn namespace(&self) -> String {
        let namespace = self.head.metadata.namespace.as_deref();
        namespace.unwrap_or(DEFAULT_NAMESPACE).to_owned()
    }

    pub(super) fn flaw(&self, reason: impl Into<String>) -> Flaw {
        self.flaw_at(1, reason)
    }

    /// At that line of the document, from 1.
    fn flaw_at(&self, line: u64, reason: impl Into<String>) -> Flaw {
        Flaw {
            place: self.place(self.line - 1 + line),
            reason: reason.into(),
        }
    }

    /// For whoever has to mend it.
    pub(super) fn place(&self, line: u64) -> String {
        format!("`{}`, line {line} ({})", self.file, self.name())
    }

    pub(super) fn put_tenant<'d>(
        &'d self,
        place: &mut Option<(&'d Self, McpTenant)>,
    ) -> Result<(), Flaw> {
        if let Some((first, _)) = place {
            let first = &first.head.metadata.name;
            return Err(self.flaw(format!(
                "a folder is one organisation, and has the McpTenant `{first}` already"
            )));
        }
        *place = Some((self, self.typed()?));
        Ok(())
    }

    /// Which key it is about, if it is about one.
    pub(super) fn key_id(&self) -> Option<KeyId> {
        let is_key = self.head.kind() == Kind::McpApiKey;
        is_key.then(|| KeyId::parse(&self.head.metadata.name).ok())?
    }

    pub(super) fn key(&self) -> Result<KeyRecord, Flaw> {
        let key: McpApiKey = self.typed()?;
        key.record().map_err(|error| self.flaw(chain(&error)))
    }

    pub(super) fn put_freeze(&self, freezes: &mut Freezes) -> Result<(), Flaw> {
        let open: Open = self.typed()?;
        let freeze = mcp_freeze::read(&self.head.metadata.name, &open.spec);
        // A document that stands twice is refused; until then both hold.
        put_beside(freezes, freeze);
        Ok(())
    }

    /// The access that an McpTenant asks for, whatever else is wrong with it.
    pub(super) fn access(&self) -> Option<Access> {
        if self.head.kind() != Kind::McpTenant {
            return None;
        }
        let open: Open = self.typed().ok()?;
        match open.spec.get("access") {
            Some(access) => Access::deserialize(access).ok(),
            None => Some(Access::ReadOnly),
        }
    }

    /// And a name that no cluster would take.
    pub(super) fn has_good_name(&self) -> Result<(), Flaw> {
        let kind = self.head.kind();
        if kind.fields().is_none() || is_dns_subdomain(&self.head.metadata.name) {
            return Ok(());
        }
        Err(self.flaw("metadata.name: a name is 1-253 of a-z, 0-9, `-` and `.`, and each part of it starts and ends with a letter or digit"))
    }

    /// What kubectl would refuse: a version that there is not.
    pub(super) fn has_known_version(&self) -> Result<(), Flaw> {
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
    pub(super) fn has_no_stray_field(&self) -> Result<(), Flaw> {
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

    pub(super) fn secret(&self) -> Result<Secret, Flaw> {
        // The parser's own words might repeat what it could not read.
        parse(&self.text)
            .map_err(|(line, _)| self.flaw_at(line, "the Secret does not have the form of one"))
    }

    pub(super) fn typed<T: DeserializeOwned>(&self) -> Result<T, Flaw> {
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

/// Reads strictly; else the line, from 1, and what is wrong there.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, (u64, String)> {
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
