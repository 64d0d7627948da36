//! Answers as they stand on the wire.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::faults::Fault;
use super::usage::Used;

/// Larger than any client of ours should read.
const HUGE_BYTES: usize = 8 << 20;

/// Deeper than any answer of Meta's.
const DEPTH: usize = 100_000;

/// An answer, before it has headers.
pub(super) enum Told {
    Json(Value),
    Error(GraphError),
    /// The same error with status 200.
    ErrorAsSuccess(GraphError),
    /// A page for people, with this status.
    Page(u16),
    Nothing(u16),
    Redirect,
    Huge,
    Deep,
    Reset,
}

/// Meta's error body.
#[derive(Clone, Debug)]
pub(super) struct GraphError {
    pub status: u16,
    pub code: i64,
    pub subcode: Option<i64>,
    pub message: String,
    pub is_transient: bool,
}

impl GraphError {
    pub fn new(code: i64, subcode: Option<i64>, message: &str) -> Self {
        Self {
            status: 400,
            code,
            subcode,
            message: message.to_owned(),
            is_transient: false,
        }
    }

    pub fn expired() -> Self {
        let message =
            "Error validating access token: Session has expired on Monday, 23-Nov-26 00:00:00 PST.";
        Self {
            status: 401,
            ..Self::new(190, Some(463), message)
        }
    }

    pub fn revoked() -> Self {
        let message = "Error validating access token: The session has been invalidated because the user changed their password.";
        Self {
            status: 401,
            ..Self::new(190, Some(460), message)
        }
    }

    pub fn invalid_token() -> Self {
        let message = "Invalid OAuth access token - Cannot parse access token";
        Self {
            status: 401,
            ..Self::new(190, None, message)
        }
    }

    pub fn no_such_object(id: &str) -> Self {
        let message = format!(
            "Unsupported get request. Object with ID '{id}' does not exist, cannot be loaded due to missing \
             permissions, or does not support this operation."
        );
        Self::new(100, Some(33), &message)
    }

    /// 100: a parameter is wrong.
    pub fn parameter(message: &str) -> Self {
        Self::new(100, None, &format!("(#100) {message}"))
    }

    pub fn no_such_field(field: &str, node: &str) -> Self {
        Self::parameter(&format!(
            "Tried accessing nonexisting field ({field}) on node type ({node})"
        ))
    }

    pub fn transient(code: i64) -> Self {
        let message = "An unexpected error has occurred. Please retry your request later.";
        Self {
            is_transient: true,
            ..Self::new(code, None, message)
        }
    }

    fn body(&self) -> Value {
        let mut error = json!({
            "message": self.message,
            "type": "OAuthException",
            "code": self.code,
            "is_transient": self.is_transient,
            "fbtrace_id": "AFakeTraceId00000000000",
        });
        if let (Some(fields), Some(subcode)) = (error.as_object_mut(), self.subcode) {
            fields.insert("error_subcode".into(), json!(subcode));
        }
        json!({"error": error})
    }
}

impl Told {
    pub fn throttled() -> Self {
        Self::Error(GraphError::new(
            17,
            Some(2_446_079),
            "(#17) User request limit reached",
        ))
    }

    /// The same error in other words.
    pub fn saying(self, message: Option<&String>) -> Self {
        match (self, message) {
            (Self::Error(error), Some(message)) => Self::Error(GraphError {
                message: message.clone(),
                ..error
            }),
            (told, _) => told,
        }
    }

    pub fn into_success(self) -> Self {
        match self {
            Self::Error(error) => Self::ErrorAsSuccess(error),
            other => other,
        }
    }

    pub fn status(&self) -> u16 {
        match self {
            Self::Json(_) | Self::ErrorAsSuccess(_) | Self::Huge | Self::Deep => 200,
            Self::Error(error) => error.status,
            Self::Page(status) | Self::Nothing(status) => *status,
            Self::Redirect => 302,
            Self::Reset => 0,
        }
    }

    pub fn into_response(self, served: &str, used: &Used, fault: Option<Fault>) -> Response {
        let status = self.status();
        let (body, media) = match self {
            Self::Json(value) => (
                Body::from(value.to_string()),
                "application/json; charset=UTF-8",
            ),
            Self::Error(error) | Self::ErrorAsSuccess(error) => (
                Body::from(error.body().to_string()),
                "text/javascript; charset=UTF-8",
            ),
            Self::Page(_) => (
                Body::from("<!DOCTYPE html><p>Sorry, something went wrong."),
                "text/html",
            ),
            Self::Huge => {
                // Good but for its length, so that only a bound can refuse it.
                let padding = "x".repeat(HUGE_BYTES);
                let body = json!({"data": [], "paging": {}, "padding": padding});
                (Body::from(body.to_string()), "application/json")
            }
            Self::Deep => {
                let (open, close) = ("[".repeat(DEPTH), "]".repeat(DEPTH));
                let body = format!(r#"{{"data": {open}{close}, "paging": {{}}}}"#);
                (Body::from(body), "application/json")
            }
            Self::Nothing(_) | Self::Redirect => (Body::empty(), "text/plain"),
            Self::Reset => (super::broken_body(), "application/json"),
        };
        let mut response = Response::new(body);
        if let Ok(status) = http::StatusCode::from_u16(status) {
            *response.status_mut() = status;
        }
        let mut headers = used.headers(fault);
        headers.push(("facebook-api-version", served.to_owned()));
        headers.push(("content-type", media.to_owned()));
        if status == 302 {
            headers.push((
                "location",
                "https://elsewhere.example/v26.0/me/adaccounts".to_owned(),
            ));
        }
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response
                    .headers_mut()
                    .insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
