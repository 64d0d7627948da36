//! The port for the cluster: is it alive, does it serve, what does it count.
//! Nothing of a tenant's business is told here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{StatusCode, header};
use serde_json::json;

use crate::counter::Counter;
use crate::readiness::obstacles;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the admin port tells about.
#[derive(Clone)]
pub struct Admin {
    /// The counter.
    pub counter: Arc<Counter>,
    /// Whether the MCP port is open.
    pub is_listening: Arc<AtomicBool>,
}

/// The routes of the admin port.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

/// The runtime turns: it answered.
async fn alive() -> Response {
    Json(json!({"alive": true})).into_response()
}

async fn ready(State(admin): State<Admin>) -> Response {
    let is_listening = admin.is_listening.load(Ordering::Relaxed);
    let obstacles = obstacles(&admin.counter, is_listening, Instant::now());
    let is_ready = !obstacles.iter().any(|obstacle| obstacle.is_blocking);
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(json!({"ready": is_ready, "reasons": obstacles})),
    )
        .into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let Counter {
        metrics, knowledge, ..
    } = admin.counter.as_ref();
    metrics
        .control_plane_age
        .set(knowledge.age(Instant::now()).as_secs_f64());
    let keys = knowledge.key_count().unwrap_or(0);
    if let Some(in_force) = admin.counter.standing().in_force {
        for (name, grant) in in_force.grants() {
            metrics.vendor_seen(name.as_str(), &grant);
        }
    }
    metrics.keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
    let is_refused = admin.counter.standing().refused.is_some();
    metrics.contract_refused.set(is_refused.into());
    let freezes = knowledge
        .freezes_now()
        .map_or(0, |freezes| freezes.iter().count());
    metrics
        .freezes
        .set(i64::try_from(freezes).unwrap_or(i64::MAX));
    ([(header::CONTENT_TYPE, OPENMETRICS)], metrics.text()).into_response()
}
