//! A request, as Meta reads it.

use http::{HeaderMap, Method, Uri, header};
use serde_json::{Map, Value};

use super::batch::Part;
use super::oracle::{Logged, TokenPlace};

/// Meta: a read costs one point of the account's score, a write three.
const READ_POINTS: u32 = 1;
const WRITE_POINTS: u32 = 3;

/// A request as Meta reads it.
#[derive(Clone)]
pub(super) struct Asked {
    pub method: String,
    wire_method: String,
    path: String,
    pub parameters: Vec<(String, String)>,
    pub token: Option<String>,
    /// The token that is asked about; like the other it enters no log.
    pub input_token: Option<String>,
    token_place: TokenPlace,
}

impl Asked {
    /// Reads query and form alike; `?method=` overrides the method, as at Meta.
    pub fn read(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Self {
        let query = uri.query().unwrap_or_default().as_bytes();
        let mut pairs = form(query);
        pairs.extend(if is_json(headers) {
            members(body)
        } else {
            form(body)
        });
        let mut asked = Self {
            method: method.to_string(),
            wire_method: method.to_string(),
            path: uri.path().to_owned(),
            parameters: Vec::new(),
            token: None,
            input_token: None,
            token_place: TokenPlace::Absent,
        };
        if let Some(bearer) = bearer(headers) {
            asked.token = Some(bearer);
            asked.token_place = TokenPlace::Header;
        }
        asked.take(pairs);
        asked
    }

    /// A part of a batch, which goes by the batch's version and, unless it has
    /// its own, token.
    pub fn part(&self, part: &Part) -> Self {
        let (path, query) = part
            .relative_url
            .split_once('?')
            .unwrap_or((&part.relative_url, ""));
        let path = path.trim_start_matches('/');
        let version = self.version();
        let is_whole = version.is_empty() || path.starts_with(&format!("{version}/"));
        let mut asked = Self {
            method: part.method.clone(),
            wire_method: part.method.clone(),
            path: if is_whole {
                format!("/{path}")
            } else {
                format!("/{version}/{path}")
            },
            // The proof goes with the token, which is the batch's.
            parameters: self.only("appsecret_proof"),
            ..self.clone()
        };
        asked.take(form(query.as_bytes()));
        asked.take(form(part.body.as_bytes()));
        asked
    }

    /// What a request costs of the account's score.
    pub fn points(&self) -> u32 {
        if self.method == "GET" {
            READ_POINTS
        } else {
            WRITE_POINTS
        }
    }

    fn only(&self, name: &str) -> Vec<(String, String)> {
        let own = self.parameters.iter().filter(|(key, _)| key == name);
        own.cloned().collect()
    }

    fn take(&mut self, pairs: Vec<(String, String)>) {
        for (name, value) in pairs {
            match name.as_str() {
                "access_token" => {
                    self.token = Some(value);
                    self.token_place = TokenPlace::Parameter;
                }
                "input_token" => self.input_token = Some(value),
                "method" => {
                    self.method = value.to_ascii_uppercase();
                    self.parameters.push((name, value));
                }
                _ => self.parameters.push((name, value)),
            }
        }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// The version in the path.
    pub fn version(&self) -> String {
        self.segments()
            .first()
            .map_or_else(String::new, |&version| version.to_owned())
    }

    /// The account in the path.
    pub fn account(&self) -> Option<String> {
        self.segments()
            .get(1)
            .filter(|id| id.starts_with("act_"))
            .map(|&id| id.to_owned())
    }

    pub fn logged(&self, request_id: &str) -> Logged {
        Logged {
            method: self.method.clone(),
            wire_method: self.wire_method.clone(),
            path: self.path.clone(),
            parameters: self.parameters.iter().map(without_token).collect(),
            token: self.token_place,
            status: 0,
            request_id: request_id.to_owned(),
        }
    }

    pub fn segments(&self) -> Vec<&str> {
        self.path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect()
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The parts of a batch can have tokens of their own.
fn without_token((name, value): &(String, String)) -> (String, String) {
    let value = if name == "batch" && value.contains("access_token") {
        "[]"
    } else {
        value
    };
    (name.clone(), value.to_owned())
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE);
    let media = media.and_then(|value| value.to_str().ok());
    media.is_some_and(|media| media.starts_with("application/json"))
}

fn form(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).into_owned().collect()
}

/// The members of a JSON object as if they had come in a form.
fn members(body: &[u8]) -> Vec<(String, String)> {
    let members: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let plain = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    members
        .into_iter()
        .map(|(name, value)| (name, plain(value)))
        .collect()
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::to_owned)
}
