//! What a reconcile may touch.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::Store;

use crate::allowance::Allowance;
use crate::freshness::Written;
use crate::guard::Guard;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::retry::Retries;
use crate::settings::Settings;
use crate::tenant::seen::Tenant;
use crate::waiting::Waiting;
use crate::watch::Optionals;

/// What a reconcile may touch. Steps that decide get their parts of it, never
/// the client.
pub struct Context {
    /// The way to the API server.
    pub client: Client,
    /// The platform's choices.
    pub settings: Settings,
    /// The Service `default/kubernetes`; its address never changes.
    pub api_service: Service,
    /// What stands behind it, as last heard.
    pub api_server_slices: Store<EndpointSlice>,
    /// The children that not every tenant has.
    pub optionals: Optionals,
    /// The way to Events.
    pub recorder: Recorder,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who failed how often.
    pub retries: Retries,
    /// How the children were left.
    pub memory: Memory,
    /// How often drift was told.
    pub drift_events: Allowance,
    /// The tenants, as last heard.
    pub tenants: Store<Tenant>,
    /// The policies, as last heard.
    pub policies: Policies,
    /// Who waits for another tenant to give way.
    pub waiting: Waiting,
    /// Whether the admission policies are in force.
    pub guard: Arc<Guard>,
    /// What this operator wrote last.
    pub written: Written,
}
