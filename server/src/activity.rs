//! The port for whoever may reach into the pod: what was called, what changed,
//! what counts against which limit and what would become of a call, to be read
//! and nothing else. It listens on loopback alone, so the Kubernetes API decides
//! who comes (a port-forward is a right of its own).

mod calls;
mod changes;
mod explain;
mod limits;

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::{Deserialize, Serialize};
use tenantry_core::reason::{Reason, Refusal};
use tenantry_ledger::error::LedgerError;

use crate::book;
use crate::counter::Counter;
use crate::gate::loopback;
use crate::gate::rejection::Rejection;

/// One JSON object a line, to the byte as on stdout, so that it can be proven.
const JSON_LINES: &str = "application/x-ndjson";

/// Entries of one page, where nothing is said, and at most.
const USUAL: u32 = 50;
const MOST: u32 = 500;

/// Which lines are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Those after this number.
    #[serde(default)]
    after: u64,
}

/// One page of a list.
#[derive(Serialize)]
struct Page<T> {
    items: Vec<T>,
    /// What `after` is to be for the next one, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The routes of the activity port.
pub fn router(counter: Arc<Counter>) -> Router {
    let window = explain::Window::new(Arc::clone(&counter));
    Router::new()
        .route("/activity", get(activity))
        .route("/v1/calls", get(calls::list))
        .route("/v1/changes", get(changes::list))
        .route("/v1/changes/{id}", get(changes::one))
        .route("/v1/limits", get(limits::list))
        .route("/v1/explain", post(explain::explain).with_state(window))
        .layer(middleware::from_fn(loopback::only))
        .with_state(counter)
}

async fn activity(
    State(counter): State<Arc<Counter>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Refused> {
    let form = "?after=NUMBER, or none";
    let Wanted { after } = asked(wanted, form, "GET /activity?after=SEQUENCE")?;
    let lines = counter.audit.recent().after(after);
    Ok(([(header::CONTENT_TYPE, JSON_LINES)], lines).into_response())
}

/// A question that is not answered.
struct Refused(StatusCode, Box<Refusal>);

impl Refused {
    /// It cannot be understood.
    fn bad(message: impl Into<String>, remedy: &str) -> Self {
        let refusal = Refusal::new(Reason::RequestInvalid, message).with_remedy(remedy);
        Self(StatusCode::BAD_REQUEST, Box::new(refusal))
    }
}

/// Whoever should know is away.
impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, Box::new(refusal))
    }
}

impl From<LedgerError> for Refused {
    fn from(error: LedgerError) -> Self {
        book::refusal(&error).into()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, refusal) = self;
        Rejection::receive(status, *refusal).answer("")
    }
}

/// What a query says, or that it is not one of these.
fn asked<T>(
    query: Result<Query<T>, QueryRejection>,
    form: &str,
    remedy: &str,
) -> Result<T, Refused> {
    query
        .map(|Query(wanted)| wanted)
        .map_err(|_| Refused::bad(format!("the query is {form}"), remedy))
}

fn page<T: Serialize>(items: Vec<T>, next: Option<String>) -> Response {
    Json(Page { items, next }).into_response()
}

/// How many are wanted, within what there is.
fn most(limit: Option<u32>) -> u32 {
    limit.unwrap_or(USUAL).clamp(1, MOST)
}
