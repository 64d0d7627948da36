//! What there is at the fake Meta: tokens, accounts, campaigns and delivery.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The token that sees every account of the sandbox.
pub const SANDBOX_TOKEN: &str = "EAATenantrySandboxToken0000000000000000000";
/// A token that has expired.
pub const EXPIRED_TOKEN: &str = "EAATenantryExpiredToken0000000000000000000";

/// Campaigns by account: name, status, objective, daily and lifetime budget, spend of the last days.
type CampaignRow = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    &'static str,
);

const BERLIN: &[CampaignRow] = &[
    (
        "Spring sale",
        "ACTIVE",
        "OUTCOME_SALES",
        Some("5000"),
        None,
        "312.40",
    ),
    (
        "Brand film",
        "ACTIVE",
        "OUTCOME_AWARENESS",
        None,
        Some("300000"),
        "1204.07",
    ),
    (
        "Newsletter",
        "PAUSED",
        "OUTCOME_LEADS",
        Some("1500"),
        None,
        "0.00",
    ),
    (
        "Retargeting",
        "ACTIVE",
        "OUTCOME_SALES",
        None,
        None,
        "88.15",
    ),
    (
        "Autumn test",
        "PAUSED",
        "OUTCOME_TRAFFIC",
        Some("999"),
        None,
        "0.00",
    ),
    (
        "App installs",
        "ACTIVE",
        "OUTCOME_APP_PROMOTION",
        Some("12050"),
        None,
        "640.00",
    ),
    (
        "Old campaign",
        "ARCHIVED",
        "OUTCOME_SALES",
        Some("100"),
        None,
        "0.00",
    ),
];

const TAIPEI: &[CampaignRow] = &[
    (
        "Night market",
        "ACTIVE",
        "OUTCOME_SALES",
        Some("300"),
        None,
        "2100",
    ),
    (
        "Tea house",
        "PAUSED",
        "OUTCOME_AWARENESS",
        None,
        Some("45000"),
        "0",
    ),
    (
        "Moon festival",
        "ACTIVE",
        "OUTCOME_TRAFFIC",
        Some("1250"),
        None,
        "8790",
    ),
];

const STRANGER: &[CampaignRow] = &[
    (
        "Somebody else's launch",
        "ACTIVE",
        "OUTCOME_SALES",
        Some("70000"),
        None,
        "4900.00",
    ),
    (
        "Somebody else's test",
        "PAUSED",
        "OUTCOME_LEADS",
        Some("2000"),
        None,
        "0.00",
    ),
];

/// Everything, as Meta would keep it.
pub(super) struct World {
    tokens: BTreeMap<String, BTreeSet<String>>,
    accounts: Vec<Map<String, Value>>,
    campaigns: Vec<Map<String, Value>>,
}

impl World {
    /// Two accounts of ours, and a third that the same token sees.
    pub fn sandbox() -> Self {
        let accounts = [
            account("1001", "Acme Berlin", "EUR", "Europe/Berlin", "250000"),
            account("1002", "Acme Taipei", "TWD", "Asia/Taipei", "0"),
            account("2001", "Somebody Else", "USD", "America/New_York", "0"),
        ];
        let all = ["act_1001", "act_1002", "act_2001"].map(str::to_owned);
        let lists = [("1001", BERLIN), ("1002", TAIPEI), ("2001", STRANGER)];
        let campaigns = lists.iter().flat_map(|(account, rows)| {
            rows.iter()
                .zip(1..)
                .map(move |(row, number)| campaign(account, number, *row))
        });
        Self {
            tokens: BTreeMap::from([(SANDBOX_TOKEN.to_owned(), BTreeSet::from(all))]),
            campaigns: campaigns.collect(),
            accounts: accounts.into(),
        }
    }

    /// Adds a token that sees these accounts.
    pub fn grant(&mut self, token: String, accounts: BTreeSet<String>) {
        self.tokens.insert(token, accounts);
    }

    /// The accounts that a token sees.
    pub fn seen_by(&self, token: &str) -> Option<&BTreeSet<String>> {
        self.tokens.get(token)
    }

    pub fn accounts(&self, seen: &BTreeSet<String>) -> Vec<Map<String, Value>> {
        self.accounts
            .iter()
            .filter(|account| seen.contains(text(account, "id")))
            .cloned()
            .collect()
    }

    /// The campaigns of an account; archived and deleted ones only if asked for.
    pub fn campaigns(&self, account: &str, states: Option<&[String]>) -> Vec<Map<String, Value>> {
        let wanted = |state: &str| match states {
            Some(states) => states.iter().any(|wanted| wanted == state),
            None => !matches!(state, "ARCHIVED" | "DELETED"),
        };
        let own = self
            .campaigns
            .iter()
            .filter(|row| text(row, "account_id") == bare(account));
        own.filter(|row| wanted(text(row, "effective_status")))
            .cloned()
            .collect()
    }

    pub fn campaign(
        &mut self,
        id: &str,
        seen: &BTreeSet<String>,
    ) -> Option<&mut Map<String, Value>> {
        let ours =
            |row: &Map<String, Value>| seen.contains(&format!("act_{}", text(row, "account_id")));
        self.campaigns
            .iter_mut()
            .find(|row| text(row, "id") == id && ours(row))
    }

    /// Delivery of an account, one row for each thing of the level that had any.
    pub fn insights(
        &self,
        account: &str,
        level: &str,
        since: &str,
        until: &str,
    ) -> Vec<Map<String, Value>> {
        let campaigns = self.campaigns(account, None);
        let delivered = campaigns
            .iter()
            .filter(|row| !text(row, "spend").trim_matches(['0', '.']).is_empty());
        let currency = self.accounts.iter().find(|row| text(row, "id") == account);
        let currency = currency.map_or("USD", |row| text(row, "currency"));
        let mut rows: Vec<Map<String, Value>> = delivered
            .map(|row| insight(row, level, currency, since, until))
            .collect();
        if level == "account" {
            rows.truncate(1);
        }
        rows
    }
}

/// The number of an account, without `act_`.
pub(super) fn bare(account: &str) -> &str {
    account.trim_start_matches("act_")
}

fn text<'m>(row: &'m Map<String, Value>, field: &str) -> &'m str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn account(
    id: &str,
    name: &str,
    currency: &str,
    time_zone: &str,
    spend_cap: &str,
) -> Map<String, Value> {
    object(json!({
        "id": format!("act_{id}"),
        "account_id": id,
        "name": name,
        "currency": currency,
        "timezone_name": time_zone,
        "account_status": 1,
        "amount_spent": "123456",
        "balance": "2550",
        "spend_cap": spend_cap,
        "min_daily_budget": 100,
    }))
}

fn campaign(account: &str, number: u32, row: CampaignRow) -> Map<String, Value> {
    let (name, status, objective, daily, lifetime, spend) = row;
    let mut campaign = object(json!({
        "id": format!("1200{account}{number:03}"),
        "account_id": account,
        "name": name,
        "status": status,
        "effective_status": status,
        "objective": objective,
        "buying_type": "AUCTION",
        "budget_remaining": daily.or(lifetime).unwrap_or("0"),
        "start_time": "2026-10-01T00:00:00+0200",
        "spend": spend,
    }));
    for (field, value) in [("daily_budget", daily), ("lifetime_budget", lifetime)] {
        if let Some(value) = value {
            campaign.insert(field.to_owned(), json!(value));
            campaign.insert("bid_strategy".to_owned(), json!("LOWEST_COST_WITHOUT_CAP"));
        }
    }
    campaign
}

fn insight(
    campaign: &Map<String, Value>,
    level: &str,
    currency: &str,
    since: &str,
    until: &str,
) -> Map<String, Value> {
    let (id, name) = (text(campaign, "id"), text(campaign, "name"));
    let mut row = object(json!({
        "account_id": text(campaign, "account_id"),
        "account_currency": currency,
        "date_start": since,
        "date_stop": until,
        "spend": text(campaign, "spend"),
        "impressions": "18233",
        "clicks": "412",
        "reach": "15001",
        "frequency": "1.215452",
        "ctr": "2.259639",
        "actions": [
            {"action_type": "link_click", "value": "377"},
            {"action_type": "purchase", "value": "12"},
        ],
    }));
    let levels = [
        ("campaign", "", ""),
        ("adset", "1", " / everyone"),
        ("ad", "11", " / film"),
    ];
    for (part, more_id, more_name) in levels {
        if level == "account" {
            break;
        }
        row.insert(format!("{part}_id"), json!(format!("{id}{more_id}")));
        row.insert(format!("{part}_name"), json!(format!("{name}{more_name}")));
        if level == part {
            break;
        }
    }
    row
}
