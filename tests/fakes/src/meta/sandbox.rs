//! What the sandbox holds at first: accounts, campaigns, ad sets and ads.

use serde_json::{Map, Value, json};

use super::world::{Kind, Object, object, text};

const CREATED: &str = "2026-09-20T09:00:00+0200";
const UPDATED: &str = "2026-11-01T09:00:00+0200";
/// What has a lifetime budget has an end.
const END: &str = "2026-12-31T00:00:00+0100";

/// The campaigns that an account starts with.
enum Stock {
    Berlin,
    Taipei,
    Stranger,
}

/// Two accounts of ours, and a third that the same token sees.
pub(super) fn accounts() -> Vec<Map<String, Value>> {
    vec![
        account("1001", "Acme Berlin", "EUR", "Europe/Berlin", "250000"),
        account("1002", "Acme Taipei", "TWD", "Asia/Taipei", "0"),
        account("2001", "Somebody Else", "USD", "America/New_York", "0"),
    ]
}

/// What is in those accounts.
pub(super) fn objects() -> Vec<Object> {
    let stocks = [
        ("1001", Stock::Berlin),
        ("1002", Stock::Taipei),
        ("2001", Stock::Stranger),
    ];
    let all = stocks.iter().map(|(account, stock)| stock.filled(account));
    all.flatten().collect()
}

/// An account that is opened later, and what is in it: odd numbers look like
/// the account in Berlin, even ones like that in Taipei.
pub(super) fn opened(id: &str) -> (Map<String, Value>, Vec<Object>) {
    let is_odd = id.ends_with(['1', '3', '5', '7', '9']);
    let (currency, time_zone, stock) = if is_odd {
        ("EUR", "Europe/Berlin", Stock::Berlin)
    } else {
        ("TWD", "Asia/Taipei", Stock::Taipei)
    };
    let row = account(id, "Opened later", currency, time_zone, "0");
    (row, stock.filled(id))
}

/// An account of a currency, with what the one in Berlin has in its own.
pub(super) fn opened_in(id: &str, currency: &str) -> (Map<String, Value>, Vec<Object>) {
    let row = account(id, "Opened later", currency, "Europe/Berlin", "0");
    (row, Stock::Berlin.filled(id))
}

/// A campaign that runs, with budgets on its ad sets.
pub(super) fn further(account: &str, number: u32) -> Vec<Object> {
    let row = (
        "Further campaign",
        "ACTIVE",
        "OUTCOME_SALES",
        None,
        None,
        "0.00",
    );
    family(&campaign(account, number, row))
}

impl Stock {
    fn filled(&self, account: &str) -> Vec<Object> {
        let rows = match self {
            Self::Berlin => BERLIN,
            Self::Taipei => TAIPEI,
            Self::Stranger => STRANGER,
        };
        let campaigns = rows.iter().zip(1..);
        let families = campaigns.map(|(row, number)| family(&campaign(account, number, *row)));
        families.flatten().collect()
    }
}

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
        "created_time": CREATED,
        "updated_time": UPDATED,
        "special_ad_categories": [],
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

/// A campaign with its two ad sets and their ads. Where the campaign has no
/// budget, its ad sets have.
fn family(campaign: &Map<String, Value>) -> Vec<Object> {
    let mut all = vec![Object {
        kind: Kind::Campaign,
        row: campaign.clone(),
    }];
    let has_budget = campaign.contains_key("bid_strategy");
    for (number, (name, budget)) in [("everyone", "2000"), ("returning", "3050")]
        .iter()
        .enumerate()
    {
        let ad_set = ad_set(campaign, number + 1, name, (!has_budget).then_some(budget));
        let ad = ad(&ad_set);
        all.push(Object {
            kind: Kind::AdSet,
            row: ad_set,
        });
        all.push(Object {
            kind: Kind::Ad,
            row: ad,
        });
    }
    all
}

fn ad_set(
    campaign: &Map<String, Value>,
    number: usize,
    name: &str,
    budget: Option<&&str>,
) -> Map<String, Value> {
    let status = text(campaign, "status");
    let effective = if status == "PAUSED" {
        "CAMPAIGN_PAUSED"
    } else {
        status
    };
    let mut row = object(json!({
        "id": format!("{}{number}", text(campaign, "id")),
        "account_id": text(campaign, "account_id"),
        "campaign_id": text(campaign, "id"),
        "name": format!("{} / {name}", text(campaign, "name")),
        "status": "ACTIVE",
        "effective_status": effective,
        "billing_event": "IMPRESSIONS",
        "optimization_goal": "OFFSITE_CONVERSIONS",
        "is_budget_schedule_enabled": false,
        "start_time": "2026-10-01T00:00:00+0200",
        "created_time": CREATED,
        "updated_time": UPDATED,
        "daily_budget": "0",
        "lifetime_budget": "0",
        "budget_remaining": "0",
    }));
    if campaign.contains_key("lifetime_budget") {
        row.insert("end_time".into(), json!(END));
    }
    if let Some(budget) = budget {
        // Amounts of bids are numbers, amounts of budgets are texts.
        row.insert("daily_budget".into(), json!(budget));
        row.insert("budget_remaining".into(), json!(budget));
        row.insert("bid_strategy".into(), json!("LOWEST_COST_WITH_BID_CAP"));
        row.insert("bid_amount".into(), json!(250));
    }
    row
}

fn ad(ad_set: &Map<String, Value>) -> Map<String, Value> {
    let id = format!("{}1", text(ad_set, "id"));
    object(json!({
        "id": id,
        "account_id": text(ad_set, "account_id"),
        "campaign_id": text(ad_set, "campaign_id"),
        "adset_id": text(ad_set, "id"),
        "name": format!("{} / film", text(ad_set, "name")),
        "status": "ACTIVE",
        "effective_status": text(ad_set, "effective_status"),
        "creative": {"id": format!("77{id}")},
        "created_time": CREATED,
        "updated_time": UPDATED,
    }))
}

/// What the account did to a campaign of its own.
pub(super) fn activity(campaign: &Map<String, Value>, day: u32) -> Map<String, Value> {
    object(json!({
        "actor_id": "990001",
        "actor_name": "Alice",
        "application_id": "119211728144504",
        "application_name": "Power Editor",
        "event_time": format!("2026-11-{day}T12:00:00+0000"),
        "event_type": "update_campaign_budget",
        "extra_data": r#"{"old_value":"4000","new_value":"5000"}"#,
        "object_id": text(campaign, "id"),
        "object_name": text(campaign, "name"),
        "object_type": "CAMPAIGN",
        "translated_event_type": "Campaign budget updated",
    }))
}
