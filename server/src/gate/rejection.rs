//! A request that ends at the door: an HTTP status, and a JSON body that says
//! why and what to do.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use tenantry_core::audit::Stage;
use tenantry_core::reason::{Reason, Refusal};

/// Why a request ends at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The HTTP status.
    pub status: StatusCode,
    /// How far the request came.
    pub stage: Stage,
    /// What its sender hears.
    pub refusal: Refusal,
    header: Option<(&'static str, &'static str)>,
}

/// The body of the answer.
#[derive(Serialize)]
struct Body<'r> {
    reason: Reason,
    message: &'r str,
    remedy: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    call_id: &'r str,
}

impl Rejection {
    /// Not a request that is served here.
    pub fn receive(status: StatusCode, refusal: Refusal) -> Self {
        Self {
            status,
            stage: Stage::Receive,
            refusal,
            header: None,
        }
    }

    /// Nobody that is known here.
    pub fn unauthorized(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            stage: Stage::Authenticate,
            refusal: Refusal::new(reason, message),
            // A plain challenge: keys are not OAuth, and a client that is
            // pointed to an authorization server would look for one.
            header: Some(("www-authenticate", "Bearer")),
        }
    }

    /// Not now.
    pub fn unavailable(reason: Reason, message: impl Into<String>) -> Self {
        Self::receive(
            StatusCode::SERVICE_UNAVAILABLE,
            Refusal::new(reason, message),
        )
    }

    /// Too often.
    pub fn limited(refusal: Refusal) -> Self {
        Self {
            stage: Stage::Authorize,
            ..Self::receive(StatusCode::TOO_MANY_REQUESTS, refusal)
        }
    }

    /// Too many at the same time.
    pub fn busy(refusal: Refusal) -> Self {
        Self {
            stage: Stage::Authorize,
            ..Self::receive(StatusCode::SERVICE_UNAVAILABLE, refusal)
        }
    }

    /// Itself, or what the rates say about it. What was refused for its rate
    /// has been charged.
    pub fn charge(self, charge: impl FnOnce() -> Result<(), Refusal>) -> Result<Self, Self> {
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(self);
        }
        charge().map_err(Self::limited)?;
        Ok(self)
    }

    /// Not at this path.
    pub fn path() -> Self {
        let refusal = Refusal::new(Reason::RequestInvalid, "nothing is served at this path");
        Self::receive(StatusCode::NOT_FOUND, refusal)
    }

    /// Not by this method. There are no streams to GET and no sessions to DELETE.
    pub fn method() -> Self {
        let refusal = Refusal::new(Reason::RequestInvalid, "only POST is served here");
        Self {
            header: Some(("allow", "POST")),
            ..Self::receive(StatusCode::METHOD_NOT_ALLOWED, refusal)
        }
    }

    /// A body beyond `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        let refusal = Refusal::new(
            Reason::BodyTooLarge,
            format!("the body is longer than {limit} bytes"),
        );
        Self::receive(StatusCode::PAYLOAD_TOO_LARGE, refusal)
    }

    /// A body that is no message.
    pub fn body(message: impl Into<String>) -> Self {
        let refusal = Refusal::new(Reason::BodyInvalid, message);
        Self {
            stage: Stage::Check,
            ..Self::receive(StatusCode::BAD_REQUEST, refusal)
        }
    }

    /// The answer to the request of that id.
    pub fn answer(&self, call_id: &str) -> Response {
        let Refusal {
            reason,
            message,
            remedy,
            retry_after_ms,
        } = &self.refusal;
        let body = Json(Body {
            reason: *reason,
            message,
            remedy,
            retry_after_ms: *retry_after_ms,
            call_id,
        });
        let mut response = (self.status, body).into_response();
        if let Some((name, value)) = self.header {
            let (name, value) = (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
            response.headers_mut().insert(name, value);
        }
        if let Some(wait_ms) = retry_after_ms {
            let seconds = HeaderValue::from(wait_ms.div_ceil(1_000));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}
