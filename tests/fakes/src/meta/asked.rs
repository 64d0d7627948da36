//! A request, as Meta reads it.

use http::{HeaderMap, Method, Uri, header};

use super::oracle::{Logged, TokenPlace};

/// A request as Meta reads it.
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
        let pairs = url::form_urlencoded::parse(query).chain(url::form_urlencoded::parse(body));
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
        for (name, value) in pairs {
            let (name, value) = (name.into_owned(), value.into_owned());
            match name.as_str() {
                "access_token" => {
                    asked.token = Some(value);
                    asked.token_place = TokenPlace::Parameter;
                }
                "input_token" => asked.input_token = Some(value),
                "method" => {
                    asked.method = value.to_ascii_uppercase();
                    asked.parameters.push((name, value));
                }
                _ => asked.parameters.push((name, value)),
            }
        }
        asked
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

    pub fn logged(&self) -> Logged {
        Logged {
            method: self.method.clone(),
            wire_method: self.wire_method.clone(),
            path: self.path.clone(),
            parameters: self.parameters.clone(),
            token: self.token_place,
            status: 0,
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

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::to_owned)
}
