//! The truth: what Meta answers when nothing is switched.

use std::collections::BTreeSet;

use http::{HeaderMap, Method, Uri, header};
use serde_json::{Map, Value, json};

use super::faults::Faults;
use super::oracle::{Logged, TokenPlace};
use super::wire::{GraphError, Told};
use super::world::{EXPIRED_TOKEN, World, bare};

const ACCOUNT_FIELDS: &[&str] = &[
    "id",
    "account_id",
    "name",
    "currency",
    "timezone_name",
    "account_status",
    "amount_spent",
    "balance",
    "spend_cap",
    "min_daily_budget",
];
const CAMPAIGN_FIELDS: &[&str] = &[
    "id",
    "account_id",
    "name",
    "status",
    "effective_status",
    "objective",
    "bid_strategy",
    "buying_type",
    "daily_budget",
    "lifetime_budget",
    "budget_remaining",
    "start_time",
    "stop_time",
    "spend_cap",
];
const INSIGHT_FIELDS: &[&str] = &[
    "account_id",
    "account_currency",
    "campaign_id",
    "campaign_name",
    "adset_id",
    "adset_name",
    "ad_id",
    "ad_name",
    "date_start",
    "date_stop",
    "spend",
    "impressions",
    "clicks",
    "reach",
    "frequency",
    "ctr",
    "actions",
];
/// What a campaign's POST may change here.
const WRITABLE: &[&str] = &["name", "status", "daily_budget", "lifetime_budget"];
const LARGEST_PAGE: usize = 500;
const DEFAULT_PAGE: usize = 25;

/// A request as Meta reads it.
pub(super) struct Asked {
    method: String,
    wire_method: String,
    path: String,
    parameters: Vec<(String, String)>,
    token: Option<String>,
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

    fn segments(&self) -> Vec<&str> {
        self.path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect()
    }

    fn parameter(&self, name: &str) -> Option<&str> {
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

/// Answers truthfully, but for faults in the content of lists.
pub(super) fn tell(world: &mut World, faults: &Faults, asked: &Asked) -> Told {
    answer(world, faults, asked).map_or_else(Told::Error, Told::Json)
}

fn answer(world: &mut World, faults: &Faults, asked: &Asked) -> Result<Value, GraphError> {
    let seen = authenticate(world, asked)?;
    match (
        asked.method.as_str(),
        asked.segments().get(1..).unwrap_or_default(),
    ) {
        ("GET", ["me", "adaccounts"]) => {
            page(faults, asked, &world.accounts(&seen), ACCOUNT_FIELDS, "id")
        }
        ("GET", [account]) if account.starts_with("act_") => {
            let found = world
                .accounts(&seen)
                .into_iter()
                .find(|row| row.get("id") == Some(&json!(account)));
            let found = found.ok_or_else(|| GraphError::no_such_object(account))?;
            select(&found, asked, ACCOUNT_FIELDS, "id").map(Value::Object)
        }
        ("GET", [account, "campaigns"]) => {
            visible(account, &seen)?;
            let states = states(asked)?;
            let mut rows = world.campaigns(account, states.as_deref());
            if faults.foreign_row {
                rows.splice(
                    1..1,
                    world
                        .campaigns(&another(account, &seen), None)
                        .into_iter()
                        .take(1),
                );
            }
            page(faults, asked, &rows, CAMPAIGN_FIELDS, "id")
        }
        ("GET", [account, "insights"]) => {
            visible(account, &seen)?;
            let (since, until) = days(asked)?;
            let level = asked.parameter("level").unwrap_or("account");
            let mut rows = world.insights(account, level, &since, &until);
            if faults.foreign_row {
                rows.extend(world.insights(&another(account, &seen), level, &since, &until));
            }
            page(faults, asked, &rows, INSIGHT_FIELDS, "date_start")
        }
        ("GET", [id]) => {
            let row = world
                .campaign(id, &seen)
                .ok_or_else(|| GraphError::no_such_object(id))?;
            select(row, asked, CAMPAIGN_FIELDS, "id").map(Value::Object)
        }
        ("POST", [id]) => change(world, asked, id, &seen),
        _ => Err(GraphError::new(
            2500,
            None,
            &format!("Unknown path components: {}", asked.path),
        )),
    }
}

fn authenticate(world: &World, asked: &Asked) -> Result<BTreeSet<String>, GraphError> {
    let message =
        "An active access token must be used to query information about the current user.";
    let token = asked
        .token
        .as_deref()
        .ok_or_else(|| GraphError::new(2500, None, message))?;
    if token == EXPIRED_TOKEN {
        return Err(GraphError::expired());
    }
    world
        .seen_by(token)
        .cloned()
        .ok_or_else(GraphError::invalid_token)
}

fn visible(account: &str, seen: &BTreeSet<String>) -> Result<(), GraphError> {
    if seen.contains(account) {
        Ok(())
    } else {
        Err(GraphError::no_such_object(account))
    }
}

fn another(account: &str, seen: &BTreeSet<String>) -> String {
    seen.iter()
        .find(|other| bare(other) != bare(account))
        .cloned()
        .unwrap_or_default()
}

fn states(asked: &Asked) -> Result<Option<Vec<String>>, GraphError> {
    let Some(text) = asked.parameter("effective_status") else {
        return Ok(None);
    };
    let wrong = |_| GraphError::new(100, None, "(#100) Param effective_status must be an array");
    serde_json::from_str(text).map(Some).map_err(wrong)
}

fn days(asked: &Asked) -> Result<(String, String), GraphError> {
    let Some(text) = asked.parameter("time_range") else {
        return Ok(("2026-10-24".into(), "2026-11-22".into()));
    };
    let range: Value = serde_json::from_str(text).unwrap_or_default();
    match (
        range.get("since").and_then(Value::as_str),
        range.get("until").and_then(Value::as_str),
    ) {
        (Some(since), Some(until)) if since <= until => Ok((since.to_owned(), until.to_owned())),
        _ => Err(GraphError::new(
            100,
            Some(1_487_534),
            "(#100) Must be a valid time range: since <= until",
        )),
    }
}

fn change(
    world: &mut World,
    asked: &Asked,
    id: &str,
    seen: &BTreeSet<String>,
) -> Result<Value, GraphError> {
    let row = world
        .campaign(id, seen)
        .ok_or_else(|| GraphError::no_such_object(id))?;
    for (name, value) in asked
        .parameters
        .iter()
        .filter(|(name, _)| WRITABLE.contains(&name.as_str()))
    {
        row.insert(name.clone(), json!(value));
        if name == "status" {
            row.insert("effective_status".into(), json!(value));
        }
    }
    Ok(json!({"success": true}))
}

/// The fields asked for; without any, the one that Meta always gives.
fn select(
    row: &Map<String, Value>,
    asked: &Asked,
    known: &[&str],
    always: &str,
) -> Result<Map<String, Value>, GraphError> {
    let mut fields: Vec<&str> = asked
        .parameter("fields")
        .unwrap_or_default()
        .split(',')
        .collect();
    fields.retain(|field| !field.is_empty());
    if let Some(unknown) = fields.iter().find(|field| !known.contains(field)) {
        let message = format!("(#100) Tried accessing nonexisting field ({unknown})");
        return Err(GraphError::new(100, None, &message));
    }
    fields.push(always);
    let kept = row
        .iter()
        .filter(|(name, _)| fields.contains(&name.as_str()));
    Ok(kept
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect())
}

/// One page: cursors always, `next` only if there is more, and the next URL
/// carries the token, as the real one does.
fn page(
    faults: &Faults,
    asked: &Asked,
    rows: &[Map<String, Value>],
    known: &[&str],
    always: &str,
) -> Result<Value, GraphError> {
    let limit = asked
        .parameter("limit")
        .map_or(Ok(DEFAULT_PAGE), str::parse);
    let limit = limit
        .ok()
        .filter(|limit| (1..=LARGEST_PAGE).contains(limit));
    let limit = limit
        .ok_or_else(|| GraphError::new(100, None, "(#100) Param limit must be a valid number"))?;
    let (start, was_empty) = asked.parameter("after").map_or(Ok((0, false)), cursor)?;
    let empty = faults.empty_page && start > 0 && !was_empty;
    let end = if empty {
        start
    } else {
        (start + limit).min(rows.len())
    };
    let data: Result<Vec<Value>, GraphError> = rows
        .get(start.min(end)..end)
        .unwrap_or_default()
        .iter()
        .map(|row| select(row, asked, known, always).map(Value::Object))
        .collect();
    let end = if faults.endless_pages { start } else { end };
    let after = if empty {
        format!("QVFI{end}EZD")
    } else {
        format!("QVFI{end}ZD")
    };
    let mut paging = json!({"cursors": {"before": format!("QVFI{start}ZD"), "after": after}});
    if end < rows.len()
        && let Some(fields) = paging.as_object_mut()
    {
        let token = asked.token.as_deref().unwrap_or_default();
        let next = format!(
            "https://graph.facebook.com{}?access_token={token}&after={after}",
            asked.path
        );
        fields.insert("next".into(), json!(next));
    }
    Ok(json!({"data": data?, "paging": paging}))
}

fn cursor(text: &str) -> Result<(usize, bool), GraphError> {
    let wrong = || GraphError::new(100, None, "(#100) Invalid cursors values");
    let inner = text
        .strip_prefix("QVFI")
        .and_then(|rest| rest.strip_suffix("ZD"))
        .ok_or_else(wrong)?;
    let (number, was_empty) = inner
        .strip_suffix('E')
        .map_or((inner, false), |number| (number, true));
    number
        .parse()
        .map(|start| (start, was_empty))
        .map_err(|_| wrong())
}
