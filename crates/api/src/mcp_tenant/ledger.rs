//! Where the server keeps its record: the choice is made when a tenant is
//! created, because money is counted there.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenantry_core::digest::Digest;
use tenantry_core::ledger_mark::{LedgerId, LedgerMark};

/// Where the server keeps its record: exactly one of the two.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.sqlite) != has(self.postgres)").message("a ledger is either sqlite or postgres"))]
#[x_kube(validation = Rule::new("has(self.sqlite) == has(oldSelf.sqlite)").message("the kind of the ledger is chosen when the tenant is created; it is immutable"))]
pub struct Ledger {
    /// A file on a volume of its own; one replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlite: Option<Sqlite>,

    /// A PostgreSQL database; any number of replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Postgres>,

    /// Accepts the ledger that was found in the place of the expected one: the
    /// word in the message of the condition `LedgerHealthy`. Every window of a
    /// policy is full from then on for its length, and earlier idempotency keys
    /// are expired. It does nothing more afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 16, max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-f]{16}$')").message("accept is the word of 16 hexadecimal digits in the message of the condition LedgerHealthy"))]
    pub accept: Option<String>,
}

/// A ledger in a file on a volume of its own.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self == oldSelf").message("the ledger's volume is chosen when the tenant is created; storage and storageClassName are immutable"))]
pub struct Sqlite {
    /// The size of the volume.
    #[serde(default = "one_gibibyte")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))").message("storage is a size, such as 1Gi"))]
    pub storage: String,

    /// The StorageClass of the volume. Left out, the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')").message("storageClassName is the name of a StorageClass: words of a-z, 0-9 and `-`, parted by `.`, each starting and ending with a letter or digit"))]
    pub storage_class_name: Option<String>,
}

/// A ledger in a PostgreSQL database of the organisation's own role and schema.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Postgres {
    /// The host name or address of the database.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$')").message("host is a host name or an address, without scheme and port"))]
    pub host: String,

    /// Its port. Left out, 5432.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    #[schemars(extend("format" = "int32"))]
    pub port: Option<u16>,

    /// The database. Immutable: another database is another record.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z_][A-Za-z0-9_-]*$')").message("database is 1-63 of A-Z, a-z, 0-9, `_` and `-`, starting with a letter or `_`"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("database is immutable; another database is another record"))]
    pub database: String,

    /// The Secret in this namespace with `username`, `password` and, for a
    /// private authority, `ca.crt`.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')").message("secretName is the name of a Secret in this namespace: words of a-z, 0-9 and `-`, parted by `.`, each starting and ending with a letter or digit"))]
    pub secret_name: String,
}

/// A ledger as it was last reported.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LedgerStatus {
    /// Its identity, drawn when it was made.
    pub id: String,
    /// How often it was opened.
    pub epoch: i64,
    /// The number of its last audit event.
    pub audit_sequence: i64,
    /// The hash of that event.
    pub audit_head: String,
}

impl LedgerStatus {
    /// What it means; nothing if it means nothing.
    pub fn mark(&self) -> Option<LedgerMark> {
        Some(LedgerMark {
            id: LedgerId::kept(self.id.clone()),
            epoch: self.epoch.try_into().ok()?,
            sequence: self.audit_sequence.try_into().ok()?,
            digest: Digest::parse(&self.audit_head).ok()?,
        })
    }
}

impl From<&LedgerMark> for LedgerStatus {
    fn from(mark: &LedgerMark) -> Self {
        let counted = |count| i64::try_from(count).unwrap_or(i64::MAX);
        Self {
            id: mark.id.to_string(),
            epoch: counted(mark.epoch),
            audit_sequence: counted(mark.sequence),
            audit_head: mark.digest.to_string(),
        }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            sqlite: Some(Sqlite::default()),
            postgres: None,
            accept: None,
        }
    }
}

impl Default for Sqlite {
    fn default() -> Self {
        Self {
            storage: one_gibibyte(),
            storage_class_name: None,
        }
    }
}

fn one_gibibyte() -> String {
    "1Gi".into()
}
