//! The port for whoever may reach into the pod: the last lines of the audit
//! stream, to be read and nothing else. It listens on loopback alone, so the
//! Kubernetes API decides who comes (a port-forward is a right of its own).

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde::Deserialize;
use tenantry_core::reason::{Reason, Refusal};

use crate::audit::Audit;
use crate::gate::loopback;
use crate::gate::rejection::Rejection;

/// One JSON object a line, to the byte as on stdout, so that it can be proven.
const JSON_LINES: &str = "application/x-ndjson";

/// Which lines are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Those after this number.
    #[serde(default)]
    after: u64,
}

/// The routes of the activity port.
pub fn router(audit: Arc<Audit>) -> Router {
    Router::new()
        .route("/activity", get(activity))
        .layer(middleware::from_fn(loopback::only))
        .with_state(audit)
}

async fn activity(
    State(audit): State<Arc<Audit>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    if let Ok(Query(Wanted { after })) = wanted {
        let lines = audit.recent().after(after);
        ([(header::CONTENT_TYPE, JSON_LINES)], lines).into_response()
    } else {
        let message = "the query is ?after=NUMBER, or none";
        let refusal = Refusal::new(Reason::RequestInvalid, message)
            .with_remedy("GET /activity?after=SEQUENCE");
        Rejection::receive(StatusCode::BAD_REQUEST, refusal).answer("")
    }
}
