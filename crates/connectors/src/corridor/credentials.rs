//! The token itself: whether the vendor takes it, and when it ends.

use serde_json::Value;

use super::path::Slot;
use super::{Corridor, path};
use crate::call_error::{CallError, VendorText};
use crate::token::TokenFacts;

impl Corridor {
    /// What the vendor said when it last refused the token; nothing if it has
    /// taken it since.
    pub fn token_refused(&self) -> Option<VendorText> {
        self.exchange.refused()
    }

    /// Asks the vendor about the token; `None` if the connector cannot.
    pub async fn inspect_token(&self) -> Result<Option<TokenFacts>, CallError> {
        let api = &self.connector.api;
        let Some(plan) = &api.auth.inspect else {
            return Ok(None);
        };
        let path = path::fill(&plan.path, &api.version, Slot::None);
        let url = self.exchange.url(path);
        let body = self.exchange.inspect(api, &url, &plan.parameter).await?;
        let is_valid = plan.valid.find(&body).and_then(Value::as_bool);
        let is_valid = is_valid.ok_or_else(|| CallError::Malformed {
            problem: "nothing about the token".into(),
        })?;
        let ends = plan
            .expires
            .iter()
            .filter_map(|at| at.find(&body)?.as_i64());
        Ok(Some(TokenFacts {
            is_valid,
            expires_at: ends.filter(|end| *end > 0).min(),
        }))
    }
}
