//! Answers as they stand on the wire.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::faults::Fault;
use super::oracle::Trace;
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
    /// A title and a text for people.
    told_people: Option<Box<(String, String)>>,
    /// The parameters that are to blame.
    blamed: Vec<String>,
}

impl GraphError {
    pub fn new(code: i64, subcode: Option<i64>, message: &str) -> Self {
        Self {
            status: 400,
            code,
            subcode,
            message: message.to_owned(),
            is_transient: false,
            told_people: None,
            blamed: Vec::new(),
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
        Self::no_such_object_for("get", id)
    }

    /// 100/33 says the method, whatever was really wrong.
    pub fn no_such_object_for(method: &str, id: &str) -> Self {
        let message = format!(
            "Unsupported {method} request. Object with ID '{id}' does not exist, cannot be loaded due to missing \
             permissions, or does not support this operation."
        );
        Self::new(100, Some(33), &message)
    }

    /// 200: the token lacks `ads_management`.
    pub fn no_permission() -> Self {
        let message = "(#200) Ad account owner has NOT grant ads_management or ads_read permission";
        Self::new(200, None, message)
    }

    /// The same with another status than 400.
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Adds what Meta shows to people.
    pub fn saying_to_people(self, title: &str, text: &str) -> Self {
        Self {
            told_people: Some(Box::new((title.to_owned(), text.to_owned()))),
            ..self
        }
    }

    /// Adds the parameters that are to blame.
    pub fn blaming(self, fields: &[&str]) -> Self {
        Self {
            blamed: fields.iter().map(ToString::to_string).collect(),
            ..self
        }
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

    fn body(&self, trace: &Trace) -> Value {
        let mut error = Map::from_iter([
            ("message".to_owned(), json!(self.message)),
            ("type".to_owned(), json!("OAuthException")),
            ("code".to_owned(), json!(self.code)),
            ("is_transient".to_owned(), json!(self.is_transient)),
            ("fbtrace_id".to_owned(), json!(trace.trace)),
        ]);
        if let Some(subcode) = self.subcode {
            error.insert("error_subcode".into(), json!(subcode));
        }
        if let Some((title, text)) = self.told_people.as_deref() {
            error.insert("error_user_title".into(), json!(title));
            error.insert("error_user_msg".into(), json!(text));
        }
        if !self.blamed.is_empty() {
            // Meta puts JSON into a text here.
            let blamed: Vec<[&String; 1]> = self.blamed.iter().map(|field| [field]).collect();
            let inner = json!({"blame_field_specs": blamed}).to_string();
            error.insert("error_data".into(), json!(inner));
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

    /// The body as a part of a batch has it; None if there is none.
    pub fn into_text(self, trace: &Trace) -> Option<String> {
        match self {
            Self::Json(value) => Some(value.to_string()),
            Self::Error(error) | Self::ErrorAsSuccess(error) => Some(error.body(trace).to_string()),
            _ => None,
        }
    }

    pub fn into_response(
        self,
        served: &str,
        used: &Used,
        fault: Option<Fault>,
        trace: &Trace,
    ) -> Response {
        let status = self.status();
        let (body, media) = match self {
            Self::Json(value) => (
                Body::from(value.to_string()),
                "application/json; charset=UTF-8",
            ),
            Self::Error(error) | Self::ErrorAsSuccess(error) => (
                Body::from(error.body(trace).to_string()),
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
        headers.push(("x-fb-request-id", trace.request.clone()));
        headers.push(("x-fb-trace-id", trace.trace.clone()));
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
