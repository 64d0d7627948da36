//! Connector files as they are written: a closed vocabulary in which every
//! field is known and keeps its line. What it means is decided in `load`.

pub(crate) mod change;
pub(crate) mod exposure;
pub(crate) mod spend_root;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;
use tenantry_core::access::ToolClass;

use crate::plan::{Applied, Encode, ErrorClass, QuotaShape};

/// A whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectorForm {
    pub connector: Spanned<String>,
    pub api: ApiForm,
    pub auth: AuthForm,
    pub accounts: AccountsForm,
    pub objects: Option<ObjectsForm>,
    pub spend_root: Option<spend_root::SpendRootForm>,
    pub exposure: Option<exposure::ExposureForm>,
    pub changes: Option<change::ChangesForm>,
    pub error_body: ErrorBodyForm,
    pub errors: Vec<Spanned<ErrorForm>>,
    pub quota: Vec<QuotaForm>,
    pub tools: Vec<ToolForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiForm {
    pub base: Spanned<String>,
    pub version: Spanned<String>,
    pub version_header: Option<Spanned<String>>,
    pub warning_header: Option<Spanned<String>>,
    #[serde(default)]
    pub request_id_headers: Vec<Spanned<String>>,
}

/// How requests are authenticated. There is one way so far.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuthForm {
    #[serde(rename = "kind")]
    pub _kind: AuthKind,
    pub proof: Option<ProofForm>,
    pub inspect: Option<InspectForm>,
}

/// A parameter computed from the token and the app's secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProofForm {
    pub parameter: Spanned<String>,
    #[serde(rename = "kind")]
    pub _kind: ProofKind,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProofKind {
    HmacSha256Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InspectForm {
    pub path: Spanned<String>,
    pub parameter: Spanned<String>,
    pub valid: Spanned<String>,
    pub expires: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuthKind {
    Bearer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountsForm {
    pub pattern: Spanned<String>,
    pub confirm: Option<ConfirmForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmForm {
    pub path: Spanned<String>,
    pub id: Spanned<String>,
    pub currency: Spanned<String>,
}

/// Objects that belong to an account: campaigns, ads.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectsForm {
    pub kinds: Vec<Spanned<String>>,
    pub pattern: Spanned<String>,
    pub own: OwnForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnForm {
    pub path: Spanned<String>,
    pub id: Spanned<String>,
    pub account: RowAccountForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorBodyForm {
    pub code: Spanned<String>,
    pub subcode: Spanned<String>,
    pub message: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorForm {
    pub when: WhenForm,
    #[serde(default)]
    pub match_success: bool,
    pub class: ErrorClass,
    pub applied: Applied,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhenForm {
    pub status: Option<Vec<u16>>,
    #[serde(default)]
    pub body: Vec<ConditionForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConditionForm {
    pub at: Spanned<String>,
    pub present: Option<bool>,
    #[serde(rename = "in")]
    pub one_of: Option<Vec<i64>>,
    pub between: Option<Vec<(i64, i64)>>,
    pub begins: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuotaForm {
    pub bucket: Spanned<String>,
    pub header: Spanned<String>,
    pub shape: QuotaShape,
    #[serde(default)]
    pub of_account: bool,
    pub used_percent: Vec<String>,
    pub wait: Option<WaitForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitForm {
    pub field: String,
    pub unit: WaitUnit,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WaitUnit {
    Seconds,
    Minutes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolForm {
    pub name: Spanned<String>,
    pub title: Spanned<String>,
    pub description: Spanned<String>,
    pub class: Spanned<ToolClass>,
    pub annotations: Spanned<AnnotationsForm>,
    #[serde(default)]
    pub subject: Vec<SubjectForm>,
    pub input: Spanned<SchemaForm>,
    pub change: Option<Spanned<change::ChangeForm>>,
    pub request: Option<RequestForm>,
    pub report: Option<ReportForm>,
    pub rows: Option<RowsForm>,
    pub row: Option<RowForm>,
    pub paging: Option<PagingForm>,
    pub output: Option<OutputForm>,
}

/// What a call is about, if this argument is given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectForm {
    pub argument: Spanned<String>,
    pub kind: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the four hints of MCP")]
pub(crate) struct AnnotationsForm {
    pub read_only: bool,
    pub destructive: bool,
    pub idempotent: bool,
    pub open_world: bool,
}

/// The part of JSON Schema 2020-12 that arguments may use.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct SchemaForm {
    #[serde(rename = "type")]
    pub kind: SchemaKind,
    pub description: Option<String>,
    pub properties: Option<Entries<Spanned<SchemaForm>>>,
    pub required: Option<Vec<Spanned<String>>>,
    pub additional_properties: Option<bool>,
    pub items: Option<Box<Spanned<SchemaForm>>>,
    pub min_items: Option<u32>,
    pub max_items: Option<u32>,
    pub unique_items: Option<bool>,
    #[serde(rename = "enum")]
    pub words: Option<Vec<String>>,
    pub pattern: Option<Spanned<String>>,
    pub min_length: Option<u32>,
    pub max_length: Option<u32>,
    pub minimum: Option<i64>,
    pub maximum: Option<i64>,
    pub default: Option<Spanned<serde_json::Value>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SchemaKind {
    Object,
    Array,
    String,
    Integer,
    Boolean,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestForm {
    #[serde(rename = "method")]
    pub _method: Method,
    pub path: Spanned<String>,
    pub query: Entries<QueryForm>,
    #[serde(default)]
    pub exclusive: Vec<Spanned<String>>,
}

/// Reads use nothing else; other methods come with effects.
#[derive(Deserialize)]
pub(crate) enum Method {
    #[serde(rename = "GET")]
    Get,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryForm {
    pub fields: Option<Vec<Spanned<String>>>,
    pub constant: Option<String>,
    pub argument: Option<Spanned<String>>,
    pub encode: Option<Encode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowsForm {
    pub at: Spanned<String>,
    pub account: Option<RowAccountForm>,
    /// The rows say nothing of their account: they are those of the path's.
    pub account_of_path: Option<Spanned<bool>>,
}

/// A question that is too large is asked as a report.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportForm {
    pub kind: Spanned<String>,
    pub id: Spanned<String>,
    pub status: Spanned<String>,
    pub done: Vec<String>,
    pub failed: Vec<String>,
}

/// An answer that is one object instead of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowForm {
    pub id: Spanned<String>,
    pub account: RowAccountForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowAccountForm {
    pub field: Spanned<String>,
    #[serde(default)]
    pub prefix: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PagingForm {
    pub next: Spanned<String>,
    pub cursor: Spanned<String>,
    pub limit: Spanned<String>,
    pub after: Spanned<String>,
    pub most_pages: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputForm {
    pub name: Spanned<String>,
    pub fields: Vec<FieldForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldForm {
    pub name: Spanned<String>,
    pub from: Option<Spanned<String>>,
    /// The value is an object, and this member of it is meant.
    pub inner: Option<Spanned<String>>,
    /// The vendor adds the field when the argument names it, and only then.
    pub comes_with: Option<Spanned<String>>,
    pub description: Option<String>,
    #[serde(default)]
    pub always: bool,
    pub absent_when: Option<String>,
    pub kind: Spanned<KindForm>,
    pub unit: Option<UnitForm>,
    pub currency: Option<Spanned<CurrencyForm>>,
    pub labels: Option<BTreeMap<i64, String>>,
    pub fields: Option<Vec<FieldForm>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KindForm {
    Text,
    Integer,
    Decimal,
    Boolean,
    Labels,
    Money,
    List,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnitForm {
    MetaMinor,
    Micros,
    Major,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CurrencyForm {
    Account,
    Row(String),
}

/// The entries of a mapping in their order, each key with its line.
pub(crate) struct Entries<V>(pub Vec<(Spanned<String>, V)>);

impl<V> Entries<V> {
    pub fn get(&self, name: &str) -> Option<&V> {
        self.0
            .iter()
            .find(|(key, _)| key.value == name)
            .map(|(_, value)| value)
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for InOrder<V> {
            type Value = Entries<V>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<V>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(InOrder(PhantomData))
    }
}
