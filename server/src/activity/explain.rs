//! What would become of a call: the one question of this port that a vendor is
//! asked for, so one at a time.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Map, Value};
use tenantry_core::name::KeyId;
use tenantry_core::reason::{Reason, Refusal};
use tenantry_core::strict_json;
use tokio::sync::Semaphore;

use super::Refused;
use crate::counter::Counter;
use crate::gate::rejection::Rejection;
use crate::gate::{self, headers};
use crate::pipeline::Asked;
use crate::pipeline::explain::{self, Question};

const FORM: &str =
    r#"POST /v1/explain {"tool": NAME, "key": NAME, "arguments": {…}} as application/json"#;

/// How soon it is somebody else's turn, as a rule.
const TURN_MS: u64 = 1_000;

/// Where it is asked.
#[derive(Clone)]
pub(super) struct Window {
    counter: Arc<Counter>,
    turn: Arc<Semaphore>,
}

/// What is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    tool: String,
    key: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

impl Window {
    pub(super) fn new(counter: Arc<Counter>) -> Self {
        let turn = Arc::new(Semaphore::new(1));
        Self { counter, turn }
    }
}

/// Answers it.
pub(super) async fn explain(
    State(window): State<Window>,
    request: Request,
) -> Result<Response, Refused> {
    let question = read(request).await?;
    let turn = window.turn.try_acquire();
    let _turn = turn.map_err(|_| busy())?;
    let explained = explain::explain(&window.counter, question).await?;
    // Who asked is not known here; the API server's audit log has the port-forward.
    tracing::info!(
        tool = explained.tool(),
        key = explained.key(),
        verdict = ?explained.verdict,
        "somebody asked what would become of a call"
    );
    Ok(Json(explained).into_response())
}

async fn read(request: Request) -> Result<Question, Refused> {
    let (parts, body) = request.into_parts();
    headers::check(&parts.headers)?;
    gate::check_content_type(&parts.headers)?;
    let body = gate::collect(body).await?;
    let wrong = |message: String| Refused::bad(message, FORM);
    let value = strict_json::parse(&body).map_err(|error| wrong(error.to_string()))?;
    let wanted = Wanted::deserialize(value).map_err(|error| wrong(error.to_string()))?;
    let Wanted {
        tool,
        key,
        arguments,
    } = wanted;
    // Not repeated, and not logged: it may be a key.
    let no_name = |_| wrong("`key` is the name of an McpApiKey, not the key itself".into());
    let key = KeyId::parse(&key).map_err(no_name)?;
    if explain::answers_itself(&tool) {
        let message =
            format!("`{tool}` asks no vendor and changes nothing, so there is nothing to explain");
        let remedy = "GET /v1/limits says what binds each account, GET /v1/changes/ID what became of a change";
        return Err(Refused::bad(message, remedy));
    }
    Ok(Question {
        asked: Asked { tool, arguments },
        key,
    })
}

fn busy() -> Refused {
    let message = "another question of this kind is being answered, and there is one at a time";
    let refusal = Refusal::new(Reason::ServerBusy, message).with_retry_after_ms(TURN_MS);
    let refusal = refusal.with_remedy("ask again in a moment");
    Refused(StatusCode::TOO_MANY_REQUESTS, Box::new(refusal))
}

/// What is no question at the door of clients is none here.
impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        let refusal = rejection.refusal.with_remedy(FORM);
        Self(rejection.status, Box::new(refusal))
    }
}
