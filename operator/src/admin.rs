//! The port for the cluster: is it alive, has it seen the tenants, what does
//! it count.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use kube::runtime::reflector::Store;
use tenantry_api::condition::READY;
use tokio::sync::watch;

use crate::guard::Guard;
use crate::leader::Fence;
use crate::metrics::{Metrics, Now};
use crate::policies::Policies;
use crate::tenant::seen::Tenant;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where this operator stands: by, or in the lead.
pub struct Standing {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether the admission policies are in force.
    pub guard: Arc<Guard>,
    fence: Fence,
    lease_seen: AtomicBool,
    heard: OnceLock<Heard>,
}

/// What a leader hears of.
pub struct Heard {
    /// The tenants.
    pub tenants: Store<Tenant>,
    /// Whether the first list of them is whole.
    pub is_known: watch::Receiver<bool>,
    /// The policies.
    pub policies: Policies,
}

impl Standing {
    /// An operator that has just begun.
    pub fn new(fence: Fence) -> Self {
        Self {
            metrics: Arc::new(Metrics::new()),
            guard: Arc::new(Guard::default()),
            fence,
            lease_seen: AtomicBool::new(false),
            heard: OnceLock::new(),
        }
    }

    /// Who leads is known, so this operator could follow.
    pub fn saw_the_lease(&self) {
        self.lease_seen.store(true, Ordering::Relaxed);
    }

    /// This operator leads, and hears of these.
    pub fn leads(&self, heard: Heard) {
        // It leads once; when that is over, the process is.
        let _ = self.heard.set(heard);
    }
}

/// The routes of the port.
pub fn router(standing: Arc<Standing>) -> Router {
    Router::new()
        .route("/livez", get(async || "alive"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(standing)
}

/// Ready means, for the leader, that the first list of tenants has been read;
/// for one that stands by, that it knows who leads.
async fn ready(State(standing): State<Arc<Standing>>) -> (StatusCode, &'static str) {
    let waiting = |why| (StatusCode::SERVICE_UNAVAILABLE, why);
    match standing.heard.get() {
        Some(heard) if *heard.is_known.borrow() => (StatusCode::OK, "leading"),
        Some(_) => waiting("the tenants have not been read yet"),
        None if standing.lease_seen.load(Ordering::Relaxed) => (StatusCode::OK, "standing by"),
        None => waiting("the Lease has not been read yet"),
    }
}

async fn metrics(State(standing): State<Arc<Standing>>) -> impl IntoResponse {
    let heard = standing.heard.get();
    let tenants = heard.map(|heard| heard.tenants.state()).unwrap_or_default();
    let ready = tenants.iter().filter(|tenant| is_ready(tenant)).count();
    let policies = heard.and_then(|heard| heard.policies.all());
    let policies = policies.unwrap_or_default();
    let accepted = policies.iter().filter(|policy| policy.verdict.is_ok());
    let accepted = accepted.count();
    let text = standing.metrics.text(Now {
        accepted,
        not_accepted: policies.len() - accepted,
        ready,
        not_ready: tenants.len() - ready,
        leads: standing.fence.is_open(),
        guard_proven: standing.guard.is_proven(),
    });
    ([(header::CONTENT_TYPE, OPENMETRICS)], text)
}

fn is_ready(tenant: &Tenant) -> bool {
    let status = tenant
        .read
        .as_ref()
        .ok()
        .and_then(|tenant| tenant.status.as_ref());
    let mut conditions = status.into_iter().flat_map(|status| &status.conditions);
    conditions.any(|condition| condition.type_ == READY && condition.status == "True")
}
