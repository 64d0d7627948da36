//! Where contract, keys and freezes come from, and where the report goes.
//! Kubernetes is one such place, a folder of documents another; tests bring
//! their own.

pub mod folder;
pub mod kubernetes;

use std::sync::Arc;

use futures::future::BoxFuture;
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

    /// Puts down what this replica says of itself.
    fn report<'a>(&'a self, report: &'a ReplicaReport) -> BoxFuture<'a, Result<(), ReportError>>;
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
