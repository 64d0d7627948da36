//! The parts of OCSF (Open Cybersecurity Schema Framework) that an audit line
//! is made of: API Activity, class 6003, for whatever happened, and Application
//! Lifecycle, class 6002, for what a process says of its own chain. Borrowed
//! structs that serde writes as they stand; what they say is for the one who
//! fills them. Facts that OCSF has no place for go into `unmapped`.
//!
//! The tests hold lines of every kind against the released schema.

mod result;

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::change_record::Deed;
use super::{AUDIT_VERSION, Actor, Arguments, Standing};
use crate::access::ToolClass;
use crate::digest::Digest;
use crate::trace::Id;
pub use result::{Control, EventResult, EventStatus, Severity};

/// The released version of the schema that lines keep to.
pub const OCSF_VERSION: &str = "1.8.0";

/// What is in every audit line, and in no other.
pub const LOG_NAME: &str = "tenantry.audit";

/// The server, where it acts by itself.
pub const SERVER: &str = "tenantry-server";

/// Stands where the schema wants a text and nothing is known.
pub(super) const UNKNOWN: &str = "unknown";

const API_ACTIVITY: u16 = 6003;
const APPLICATION_LIFECYCLE: u16 = 6002;

/// Who has not said who they are, in the words of Kubernetes.
const ANONYMOUS: &str = "system:anonymous";

/// An event of class 6003, with our own facts in `unmapped`.
#[derive(Serialize)]
pub struct ApiActivity<'l, U> {
    /// The line itself.
    pub metadata: Metadata<'l>,
    /// When, in milliseconds since 1970.
    pub time: i64,
    /// Which event it is.
    #[serde(flatten)]
    pub class: EventClass,
    /// How it ended.
    #[serde(flatten)]
    pub result: EventResult<'l>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// Who did it.
    pub actor: EventActor<'l>,
    /// What was asked.
    pub api: Api<'l>,
    /// From where.
    pub src_endpoint: Endpoint<'l>,
    /// On what: the account, and the object.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource<'l>>,
    /// Under what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy<'l>>,
    /// The caller's trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// The rest.
    pub unmapped: U,
}

/// An event of class 6002.
#[derive(Serialize)]
pub(super) struct Lifecycle<'l, U> {
    pub metadata: Metadata<'l>,
    pub time: i64,
    #[serde(flatten)]
    pub class: EventClass,
    pub severity_id: Severity,
    pub app: Product<'l>,
    pub unmapped: U,
}

/// The line, whatever it says.
#[derive(Serialize)]
pub struct Metadata<'l> {
    version: &'static str,
    product: Product<'static>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    profiles: &'static [&'static str],
    log_name: &'static str,
    log_version: &'static str,
    event_code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_uid: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_uid: Option<&'l str>,
    sequence: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_truncated: bool,
}

/// What differs between lines.
#[derive(Clone, Copy)]
pub struct MetadataParts<'l> {
    /// What kind of line it is.
    pub event_code: &'static str,
    /// Its place in its chain.
    pub sequence: u64,
    /// The UID of the tenant's object.
    pub tenant_uid: Option<&'l str>,
    /// What it has in common with others.
    pub correlation_uid: Option<&'l str>,
    /// Whether something was cut.
    pub is_truncated: bool,
    /// Whether a control decided, and the line says how.
    pub is_controlled: bool,
    /// Whether it belongs to a trace.
    pub is_traced: bool,
}

/// A product: ours, or the part of it that runs.
#[derive(Serialize)]
pub(super) struct Product<'l> {
    pub name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'l str>,
}

/// The class of an event, and what kind of it.
#[derive(Serialize)]
pub struct EventClass {
    category_uid: u8,
    class_uid: u16,
    activity_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    activity_name: Option<&'static str>,
    type_uid: u32,
}

/// Who acts: a person, by a program.
#[derive(Serialize)]
pub struct EventActor<'l> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'l>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_name: Option<&'l str>,
}

#[derive(Serialize)]
struct User<'l> {
    name: &'l str,
}

/// What is asked.
#[derive(Serialize)]
pub struct Api<'l> {
    /// The tool, or the method where there is none.
    operation: &'l str,
    /// The connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service<'l>>,
    /// The public id of the key that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<KeyName<'l>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<ApiRequest<'l>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<ApiResponse<'l>>,
}

#[derive(Serialize)]
struct Service<'l> {
    name: &'l str,
}

/// The name of a key. OCSF calls the object a token; it has no place for one.
#[derive(Serialize)]
struct KeyName<'l> {
    type_id: u8,
    uid: &'l str,
}

#[derive(Serialize)]
struct ApiRequest<'l> {
    uid: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'l Arguments>,
}

#[derive(Serialize)]
struct ApiResponse<'l> {
    data: &'l Value,
}

/// Where something came from: an address, or a name where there is none.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint<'l> {
    /// An address.
    Ip(IpAddr),
    /// A name.
    Name(&'l str),
    /// The server itself.
    SvcName(&'static str),
}

/// Something at a vendor.
#[derive(Serialize)]
pub struct Resource<'l> {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: &'l str,
    /// Its id.
    pub uid: &'l str,
    /// The account in which that id is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<&'l str>,
    /// What else is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<ResourceData<'l>>,
}

/// What is known of an object.
#[derive(Serialize)]
#[serde(untagged)]
pub enum ResourceData<'l> {
    /// How it stands to the organisation.
    Standing {
        /// So.
        standing: Standing,
    },
    /// How it changes.
    Change {
        /// What was.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<&'l Value>,
        /// What is, or shall be.
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<&'l Value>,
    },
}

/// What an event was decided under, and how.
#[derive(Serialize)]
pub struct Policy<'l> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'l Value>,
}

/// The caller's trace.
#[derive(Serialize)]
pub struct Trace {
    /// Its id.
    pub uid: Id<16>,
}

impl<'l> Metadata<'l> {
    /// Of one line.
    pub fn of(parts: MetadataParts<'l>) -> Self {
        Self {
            version: OCSF_VERSION,
            product: Product {
                name: "Tenantry",
                version: None,
            },
            profiles: match (parts.is_controlled, parts.is_traced) {
                (false, false) => &[],
                (true, false) => &["security_control"],
                (false, true) => &["trace"],
                (true, true) => &["security_control", "trace"],
            },
            log_name: LOG_NAME,
            log_version: AUDIT_VERSION,
            event_code: parts.event_code,
            tenant_uid: parts.tenant_uid,
            correlation_uid: parts.correlation_uid,
            sequence: parts.sequence,
            is_truncated: parts.is_truncated,
        }
    }
}

impl EventClass {
    /// A call of a tool, of which more is known than its class where it says
    /// what it does.
    pub fn of_call(class: Option<ToolClass>, deed: Option<Deed>) -> Self {
        match (deed, class) {
            (Some(deed), _) => Self::of_deed(Some(deed)),
            (None, None) => Self::of_deed(None),
            (None, Some(ToolClass::Read)) => Self::new(API_ACTIVITY, 2, None),
            // What it would have done was not asked any more.
            (None, Some(class)) => Self::new(API_ACTIVITY, 99, Some(class.as_str())),
        }
    }

    /// A change.
    pub fn of_deed(deed: Option<Deed>) -> Self {
        let activity = match deed {
            None => 0,
            Some(Deed::Create) => 1,
            Some(Deed::Update) => 3,
            Some(Deed::Delete) => 4,
        };
        Self::new(API_ACTIVITY, activity, None)
    }

    /// A process begins.
    pub(super) fn start() -> Self {
        Self::new(APPLICATION_LIFECYCLE, 3, None)
    }

    /// A process ends.
    pub(super) fn stop() -> Self {
        Self::new(APPLICATION_LIFECYCLE, 4, None)
    }

    /// A process vouches for what it has said.
    pub(super) fn checkpoint() -> Self {
        Self::new(APPLICATION_LIFECYCLE, 99, Some("checkpoint"))
    }

    fn new(class_uid: u16, activity_id: u8, activity_name: Option<&'static str>) -> Self {
        Self {
            category_uid: 6,
            class_uid,
            activity_id,
            activity_name,
            type_uid: u32::from(class_uid) * 100 + u32::from(activity_id),
        }
    }
}

impl<'l> EventActor<'l> {
    /// Who called, if that is known.
    pub fn of(actor: Option<&'l Actor>) -> Self {
        Self {
            user: Some(User {
                name: actor.map_or(ANONYMOUS, |actor| &actor.owner),
            }),
            app_name: actor.and_then(|actor| actor.agent.as_deref()),
        }
    }

    /// The server, of its own accord.
    pub fn server() -> Self {
        Self {
            user: None,
            app_name: Some(SERVER),
        }
    }
}

impl<'l> Api<'l> {
    /// An operation of which nothing else is known.
    pub fn of(operation: Option<&'l str>) -> Self {
        Self {
            operation: operation.unwrap_or(UNKNOWN),
            service: None,
            token: None,
            request: None,
            response: None,
        }
    }

    /// At that connector.
    #[must_use]
    pub fn at(mut self, connector: Option<&'l str>) -> Self {
        self.service = connector.map(|name| Service { name });
        self
    }

    /// With that key.
    #[must_use]
    pub fn with_key_of(mut self, actor: Option<&'l Actor>) -> Self {
        // An API token, in the schema's words.
        self.token = actor.map(|actor| KeyName {
            type_id: 7,
            uid: &actor.key,
        });
        self
    }

    /// In that call.
    #[must_use]
    pub fn asked(mut self, call_id: &'l str, arguments: Option<&'l Arguments>) -> Self {
        self.request = Some(ApiRequest {
            uid: call_id,
            data: arguments,
        });
        self
    }

    /// And this came of it.
    #[must_use]
    pub fn answered(mut self, data: Option<&'l Value>) -> Self {
        self.response = data.map(|data| ApiResponse { data });
        self
    }
}

impl Endpoint<'_> {
    /// That address, if it is known.
    pub fn of(source: Option<IpAddr>) -> Self {
        source.map_or(Self::Name(UNKNOWN), Self::Ip)
    }

    /// The server itself.
    pub fn server() -> Self {
        Self::SvcName(SERVER)
    }
}

impl<'l> Resource<'l> {
    /// An account.
    pub fn account(account: &'l str) -> Self {
        Self {
            kind: "account",
            uid: account,
            namespace: None,
            data: None,
        }
    }
}

impl<'l> Policy<'l> {
    /// All policies of a tenant, by their common digest, and how they decided.
    pub fn of(digest: Option<Digest>, decided: Option<&'l Value>) -> Self {
        Self {
            kind: "SafetyPolicy",
            uid: digest.map(|digest| digest.to_string()),
            data: decided,
        }
    }
}

/// A moment as the schema has it.
pub fn epoch_ms(time: Timestamp) -> i64 {
    time.as_millisecond()
}
