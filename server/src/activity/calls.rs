//! The last calls, as the audit stream of this process has them.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use tenantry_core::audit::chain::Kind;
use tenantry_core::audit::read::AuditLine;

use super::{Refused, asked, most, page};
use crate::counter::Counter;

/// Which calls are wanted; what is absent excludes nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The first behind an earlier page, as its `next` says; without it, the last
    /// there are.
    after: Option<String>,
    /// So many.
    limit: Option<u32>,
    tool: Option<String>,
    outcome: Option<String>,
    key: Option<String>,
    account: Option<String>,
    change: Option<String>,
}

/// The last calls that fit, in order.
pub(super) async fn list(
    State(counter): State<Arc<Counter>>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Refused> {
    let form = "any of after, limit, tool, outcome, key, account and change, each once";
    let wanted = asked(query, form, "GET /v1/calls?tool=NAME&limit=20")?;
    // Lines are numbered in each process anew.
    let boot = counter.audit.boot_id();
    let after = wanted
        .after
        .as_deref()
        .and_then(|after| after.split_once('.'));
    let after = after.filter(|(known, _)| *known == boot);
    let after = after.and_then(|(_, sequence)| sequence.parse().ok());
    let lines = counter.audit.recent().after(after.unwrap_or(0));
    let lines = lines.split(|byte| *byte == b'\n');
    let lines = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let told = lines.filter_map(|line| Some(AuditLine::of(&line)?.facts()));
    let mut calls: Vec<_> = told.filter(|call| wanted.fits(call)).collect();
    let most = usize::try_from(most(wanted.limit)).unwrap_or(usize::MAX);
    if wanted.after.is_some() {
        calls.truncate(most);
    } else {
        calls.drain(..calls.len().saturating_sub(most));
    }
    let sequence = calls.last().and_then(|call| call.get("sequence"));
    let next = sequence.and_then(Value::as_u64).or(after).unwrap_or(0);
    Ok(page(calls, Some(format!("{boot}.{next}"))))
}

impl Wanted {
    fn fits(&self, call: &Value) -> bool {
        let is = |place: &str, wanted: Option<&str>| {
            let said = call.pointer(place).and_then(Value::as_str);
            wanted.is_none_or(|wanted| said == Some(wanted))
        };
        is("/kind", Some(Kind::Event.as_str()))
            && is("/tool", self.tool.as_deref())
            && is("/outcome", self.outcome.as_deref())
            && is("/actor/key", self.key.as_deref())
            && is("/account", self.account.as_deref())
            && is("/change", self.change.as_deref())
    }
}
