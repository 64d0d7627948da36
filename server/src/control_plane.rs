//! Where contract, keys and freezes come from, and where the report goes.
//! Kubernetes is one such place, a folder of documents another; tests bring
//! their own.

pub mod folder;
pub mod kubernetes;

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tenantry_api::mcp_approval::{ApprovalRequest, McpApprovalSpec, McpApprovalStatus};
use tenantry_api::mcp_server::ReplicaReport;
use tenantry_core::freeze::Freezes;
use tenantry_core::key::KeyRecord;
use tenantry_core::name::KeyId;

use crate::knowledge::{Knowledge, RawContract};

/// A source of contract, keys and freezes that also takes the report.
pub trait ControlPlane: Send + Sync {
    /// Keeps `knowledge` up to date for as long as it is polled. It never
    /// gives up; it logs what goes wrong and tries again.
    fn follow(&self, knowledge: Arc<Knowledge>) -> BoxFuture<'_, ()>;

    /// What stands there at this moment, past everything that was watched: for
    /// calls that change something (WRITES §9). The caller sets the time limit.
    fn read_live<'a>(&'a self, key: &'a KeyId) -> BoxFuture<'a, Result<Live, LiveError>>;

    /// Where people see questions and answer them; nothing where nobody can.
    fn approvals(&self) -> Option<&dyn Approvals> {
        None
    }

    /// Puts down what this replica says of itself.
    fn report<'a>(&'a self, report: &'a ReplicaReport) -> BoxFuture<'a, Result<(), ReportError>>;
}

/// Where people see questions. The caller sets the time limits.
pub trait Approvals: Send + Sync {
    /// Puts a question before people under that name, once: where it stands
    /// already, that one is answered.
    fn ask<'a>(
        &'a self,
        name: &'a str,
        request: &'a ApprovalRequest,
    ) -> BoxFuture<'a, Result<Question, AskError>>;

    /// What stands there at this moment; `None` if there is nothing.
    fn look<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Question>, LiveError>>;

    /// Says where it stands, of that very object.
    fn tell<'a>(
        &'a self,
        question: &'a Question,
        status: &'a McpApprovalStatus,
    ) -> BoxFuture<'a, Result<(), LiveError>>;

    /// Takes that very object away.
    fn clear<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<(), LiveError>>;
}

/// A question as people see it, and what they have said.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Its name.
    pub name: String,
    /// Its UID: another object of the same name is another one.
    pub uid: String,
    /// What is asked, and what was said.
    pub spec: McpApprovalSpec,
    /// Where it was said to stand.
    pub status: McpApprovalStatus,
    /// Since when it is there.
    pub created_at: Option<Timestamp>,
    /// Whether somebody deleted it.
    pub is_going: bool,
}

/// A question was not put before people.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There are as many objects as there may be.
    #[error("there are as many approvals as there may be")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is refused: trying again is of no use.
    #[error("the API server refuses it")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It may be tried again.
    #[error("the API server did not take it")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What was just read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The contract; `None` if there is none.
    pub contract: Option<RawContract>,
    /// The key asked about; `None` if there is none, or none that can be read.
    pub key: Option<KeyRecord>,
    /// Every freeze.
    pub freezes: Freezes,
}

/// What stands there now could not be read.
#[derive(Debug, thiserror::Error)]
#[error("reading {what} live")]
pub struct LiveError {
    /// What.
    pub what: &'static str,
    /// What went wrong.
    #[source]
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}

/// The report could not be put down; it may be tried again.
#[derive(Debug, thiserror::Error)]
#[error("putting down the report of pod `{pod}`")]
pub struct ReportError {
    /// The pod.
    pub pod: String,
    /// What went wrong.
    #[source]
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}
