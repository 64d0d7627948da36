//! Where the contract and the keys come from, and where the report goes.
//! Kubernetes is one such place; tests bring their own, files may follow.

pub mod kubernetes;

use std::sync::Arc;

use futures::future::BoxFuture;
use tenantry_api::mcp_server::ReplicaReport;

use crate::knowledge::Knowledge;

/// A source of contract and keys that also takes the report.
pub trait ControlPlane: Send + Sync {
    /// Keeps `knowledge` up to date for as long as it is polled. It never
    /// gives up; it logs what goes wrong and tries again.
    fn follow(&self, knowledge: Arc<Knowledge>) -> BoxFuture<'_, ()>;

    /// Puts down what this replica says of itself.
    fn report<'a>(&'a self, report: &'a ReplicaReport) -> BoxFuture<'a, Result<(), ReportError>>;
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
