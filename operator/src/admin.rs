//! The port for the cluster: is it alive, has it seen the tenants, what does
//! it count.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use kube::runtime::reflector::Store;
use tenantry_api::condition::READY;

use crate::context::Context;
use crate::tenant::Tenant;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the port tells about.
#[derive(Clone)]
pub struct Admin {
    /// What is counted.
    pub ctx: Arc<Context>,
    /// The tenants as last heard.
    pub tenants: Store<Tenant>,
}

/// The routes of the port.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(async || "alive"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

/// Ready means that the first list of tenants has been read.
async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    if futures::FutureExt::now_or_never(admin.tenants.wait_until_ready()).is_some() {
        (StatusCode::OK, "ready")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the tenants have not been read yet",
        )
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let tenants = admin.tenants.state();
    let ready = tenants.iter().filter(|tenant| is_ready(tenant)).count();
    let text = admin.ctx.metrics.text(ready, tenants.len() - ready);
    ([(header::CONTENT_TYPE, OPENMETRICS)], text)
}

fn is_ready(tenant: &Tenant) -> bool {
    let status = tenant
        .0
        .as_ref()
        .ok()
        .and_then(|tenant| tenant.status.as_ref());
    let mut conditions = status.into_iter().flat_map(|status| &status.conditions);
    conditions.any(|condition| condition.type_ == READY && condition.status == "True")
}
