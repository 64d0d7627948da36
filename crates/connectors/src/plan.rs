//! Compiled connector files: what the corridor executes. Everything here was
//! checked by the loader; nothing here is looked at twice.

pub(crate) mod change;
pub(crate) mod exposure;
pub(crate) mod spend_root;

use http::HeaderName;
use tenantry_core::money::{MinorUnit, Money, MoneyError};
use url::Url;

use crate::pattern::Pattern;
use crate::pointer::Pointer;

/// What holds for every tool of a connector.
#[derive(Debug)]
pub(crate) struct ApiPlan {
    pub base_url: Url,
    pub version: String,
    /// The header in which the vendor says what version it served.
    pub version_header: Option<HeaderName>,
    /// The header in which it warns that the version will end.
    pub warning_header: Option<HeaderName>,
    /// The headers in which it names a request, for its support.
    pub request_id_headers: Vec<HeaderName>,
    pub auth: AuthPlan,
    pub account_pattern: Pattern,
    pub confirm: Option<ConfirmPlan>,
    pub objects: Option<ObjectsPlan>,
    pub spend_root: Option<spend_root::SpendRootPlan>,
    pub exposure: Option<exposure::ExposurePlan>,
    pub changes: Option<change::ChangesPlan>,
    pub error_body: ErrorBodyPlan,
    pub errors: Vec<ErrorRule>,
    pub quota: Vec<QuotaRule>,
}

/// What goes with the token, beside its header.
#[derive(Debug)]
pub(crate) struct AuthPlan {
    /// The parameter that proves that whoever holds the token knows the app's
    /// secret, where that is given: HMAC-SHA256 of the token, in hexadecimal.
    pub proof_parameter: Option<String>,
    pub inspect: Option<InspectPlan>,
}

/// How to ask the vendor about a token.
#[derive(Debug)]
pub(crate) struct InspectPlan {
    pub path: Vec<Segment>,
    pub parameter: String,
    pub valid: Pointer,
    /// Where it says in seconds since 1970 when the token ends; 0 is never. The
    /// earliest counts.
    pub expires: Vec<Pointer>,
}

/// How to ask the vendor who an account is, before its money is read.
#[derive(Debug)]
pub(crate) struct ConfirmPlan {
    pub path: Vec<Segment>,
    pub id_field: String,
    pub currency_field: String,
}

/// What the ids of objects look like, and how to ask whose one is.
#[derive(Debug)]
pub(crate) struct ObjectsPlan {
    pub kinds: Vec<String>,
    pub pattern: Pattern,
    pub path: Vec<Segment>,
    pub id_field: String,
    pub account: AccountPlan,
}

/// Where a row says whose it is.
#[derive(Debug)]
pub(crate) struct AccountPlan {
    pub field: String,
    /// What stands before the vendor's figure in our spelling of the account.
    pub prefix: String,
}

/// Where an error body keeps its parts (JSON pointers).
#[derive(Debug)]
pub(crate) struct ErrorBodyPlan {
    pub code: Pointer,
    pub subcode: Pointer,
    pub message: Pointer,
}

/// One row of the error table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrorRule {
    /// `None` matches every status that `match_success` lets through.
    pub status: Option<Vec<u16>>,
    /// All of them must hold.
    pub body: Vec<BodyCondition>,
    /// Whether an answer with a 2xx status may be this error.
    pub match_success: bool,
    pub class: ErrorClass,
    pub applied: Applied,
}

/// Something that must hold of an error body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyCondition {
    pub pointer: Pointer,
    pub test: Test,
}

/// What must hold of the value there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    /// There is one.
    Present,
    /// It is a number within one of these inclusive ranges.
    Codes(Vec<(i64, i64)>),
    /// It is a text that begins so.
    Begins(String),
}

/// What an error means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorClass {
    Throttled,
    Unauthorized,
    Forbidden,
    NotFound,
    Rejected,
    /// Too much was asked for at once; a report may do.
    TooLarge,
    Unavailable,
}

/// Whether a request that ended in the error took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Applied {
    Yes,
    No,
    Unknown,
}

/// A header that tells how much of a quota is used.
#[derive(Debug)]
pub(crate) struct QuotaRule {
    pub bucket: String,
    pub header: HeaderName,
    pub shape: QuotaShape,
    /// It is used up for the account of the request, not for all of them.
    pub of_account: bool,
    pub used_percent: Vec<String>,
    /// The field that says how long to wait, and the milliseconds of its unit.
    pub wait: Option<(String, u64)>,
}

/// How the header's JSON is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QuotaShape {
    /// One object of figures.
    Object,
    /// An object of lists of such objects, by the id of what they limit.
    ObjectOfLists,
}

/// One piece of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(String),
    Version,
    /// What was proven to be the organisation's, or, where whose it is is the
    /// very question, the object that is claimed.
    Slot,
}

/// What a tool does.
#[derive(Debug)]
pub(crate) enum ToolPlan {
    Read(Box<RequestPlan>),
    Change(change::ChangePlan),
}

/// How a tool asks and how it reads the answer.
#[derive(Debug)]
pub(crate) struct RequestPlan {
    pub path: Vec<Segment>,
    pub query: Vec<(String, QueryValue)>,
    /// Arguments of which at most one may be given.
    pub exclusive: Vec<String>,
    pub shape: Shape,
    pub report: Option<ReportPlan>,
    pub output: OutputPlan,
}

/// What a query parameter is filled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QueryValue {
    Text(String),
    Argument {
        name: String,
        /// Sent when the argument is absent, as its schema promises.
        default: Option<serde_json::Value>,
        encode: Encode,
    },
}

/// How an argument is written into the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Encode {
    /// A text, number or boolean as it is.
    Plain,
    /// The JSON text of the value.
    Json,
}

/// What the vendor's answer is.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Pages of rows.
    List(RowsPlan, PagingPlan),
    /// The object that was asked for.
    One(RowPlan),
}

/// How to have the vendor compute what is too large to be answered at once: the
/// same question as a POST starts a report, which is asked after until it is
/// done and then read in place of the subject.
#[derive(Debug)]
pub(crate) struct ReportPlan {
    /// The kind of object that a report is.
    pub kind: String,
    /// Where the answer to the POST says which report it is.
    pub id_field: String,
    pub status_field: String,
    pub done: Vec<String>,
    pub failed: Vec<String>,
}

/// Where the rows are, and whose each of them is.
#[derive(Debug)]
pub(crate) struct RowsPlan {
    pub pointer: Pointer,
    /// `None` where rows say nothing: they are the account's in the path.
    pub account: Option<AccountPlan>,
}

/// Where an object says which one it is, and whose.
#[derive(Debug)]
pub(crate) struct RowPlan {
    pub id_field: String,
    pub account: AccountPlan,
}

/// How to come from one page to the next.
#[derive(Debug)]
pub(crate) struct PagingPlan {
    pub next: Pointer,
    pub cursor: Pointer,
    pub limit_argument: String,
    pub after_argument: String,
    /// What a cursor looks like: another could not be given back.
    pub cursor_pattern: Pattern,
    pub default_limit: u64,
    pub most_pages: u32,
}

/// The rows as the tool answers them.
#[derive(Debug)]
pub(crate) struct OutputPlan {
    pub name: String,
    /// One object instead of a list.
    pub is_one: bool,
    pub fields: Vec<OutputField>,
}

/// One allow-listed field of an answer.
#[derive(Debug)]
pub(crate) struct OutputField {
    pub name: String,
    pub from: String,
    /// The member that is meant, where the value is an object.
    pub inner: Option<String>,
    pub description: Option<String>,
    pub always: bool,
    /// A value by which the vendor says that there is none.
    pub absent_when: Option<String>,
    pub kind: FieldKind,
}

/// How a vendor's value is read, and what it becomes.
#[derive(Debug)]
pub(crate) enum FieldKind {
    Text,
    Integer,
    Decimal,
    Boolean,
    Labels(std::collections::BTreeMap<i64, String>),
    Money {
        unit: MoneyUnit,
        currency: CurrencyFrom,
    },
    List(Vec<OutputField>),
}

/// How the vendor writes the amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MoneyUnit {
    Minor(MinorUnit),
    Major,
}

/// Where the amount's currency stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CurrencyFrom {
    /// The account's own, confirmed with the vendor.
    Account,
    /// A field of the same row.
    Row(String),
}

impl MoneyUnit {
    /// The amount as the vendor writes it; one that it cannot write exactly is
    /// refused, never rounded.
    pub fn text(self, amount: &Money) -> Result<String, MoneyError> {
        match self {
            Self::Minor(unit) => amount.to_minor(unit).map(|count| count.to_string()),
            Self::Major => Ok(amount.amount()),
        }
    }
}

impl PagingPlan {
    /// Whether an argument says which part of a list is meant.
    pub fn is_about(&self, argument: &str) -> bool {
        argument == self.limit_argument || argument == self.after_argument
    }
}

impl Encode {
    /// The value as query text.
    pub fn text(self, value: &serde_json::Value) -> String {
        match (self, value.as_str()) {
            (Self::Plain, Some(text)) => text.to_owned(),
            _ => value.to_string(),
        }
    }
}
