//! What there is at the fake Meta: tokens, accounts, campaigns and delivery.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::fields::{AD, AD_SET, CAMPAIGN, Node};
use super::insights::Report;

/// The token that sees every account of the sandbox.
pub const SANDBOX_TOKEN: &str = "EAATenantrySandboxToken0000000000000000000";
/// A token that has expired.
pub const EXPIRED_TOKEN: &str = "EAATenantryExpiredToken0000000000000000000";

/// A token whose owner changed the password.
pub const REVOKED_TOKEN: &str = "EAATenantryRevokedToken0000000000000000000";

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

/// A campaign, an ad set or an ad.
pub(super) struct Object {
    pub kind: Kind,
    pub row: Map<String, Value>,
}

/// What an object is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Campaign,
    AdSet,
    Ad,
}

impl Kind {
    pub fn node(self) -> &'static Node {
        match self {
            Self::Campaign => &CAMPAIGN,
            Self::AdSet => &AD_SET,
            Self::Ad => &AD,
        }
    }

    pub fn is_above(self, other: Self) -> bool {
        self < other
    }
}

/// Everything, as Meta would keep it.
pub(super) struct World {
    tokens: BTreeMap<String, BTreeSet<String>>,
    accounts: Vec<Map<String, Value>>,
    objects: Vec<Object>,
    reports: Vec<Report>,
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
        let objects = lists.iter().flat_map(|(account, rows)| {
            rows.iter()
                .zip(1..)
                .flat_map(move |(row, number)| family(&campaign(account, number, *row)))
        });
        Self {
            tokens: BTreeMap::from([(SANDBOX_TOKEN.to_owned(), BTreeSet::from(all))]),
            objects: objects.collect(),
            accounts: accounts.into(),
            reports: Vec::new(),
        }
    }

    /// Lets a token see these accounts beside those that it sees already; what
    /// is nobody's account yet is opened.
    pub fn grant(&mut self, token: String, accounts: BTreeSet<String>) {
        for account in &accounts {
            self.open(bare(account));
        }
        self.tokens.entry(token).or_default().extend(accounts);
    }

    /// Odd numbers look like the account in Berlin, even ones like that in
    /// Taipei.
    fn open(&mut self, id: &str) {
        if self
            .accounts
            .iter()
            .any(|row| text(row, "account_id") == id)
        {
            return;
        }
        let is_odd = id.ends_with(['1', '3', '5', '7', '9']);
        let (currency, time_zone, rows) = if is_odd {
            ("EUR", "Europe/Berlin", BERLIN)
        } else {
            ("TWD", "Asia/Taipei", TAIPEI)
        };
        self.accounts
            .push(account(id, "Opened later", currency, time_zone, "0"));
        let campaigns = rows.iter().zip(1..);
        let families = campaigns.flat_map(|(row, number)| family(&campaign(id, number, *row)));
        self.objects.extend(families);
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

    /// What of a kind is below an account, a campaign or an ad set; archived and
    /// deleted ones only if asked for.
    pub fn below(
        &self,
        parent: &str,
        kind: Kind,
        states: Option<&[String]>,
    ) -> Vec<Map<String, Value>> {
        let wanted = |state: &str| match states {
            Some(states) => states.iter().any(|wanted| wanted == state),
            None => !matches!(state, "ARCHIVED" | "DELETED"),
        };
        let parents = ["account_id", "campaign_id", "adset_id"];
        let is_below = |row: &Map<String, Value>| {
            let mut above = parents.iter().map(|field| text(row, field));
            above.any(|above| above == bare(parent))
        };
        let all = self.objects.iter().filter(|object| object.kind == kind);
        all.filter(|object| is_below(&object.row))
            .filter(|object| wanted(text(&object.row, "effective_status")))
            .map(|object| object.row.clone())
            .collect()
    }

    pub fn object(&self, id: &str, seen: &BTreeSet<String>) -> Option<&Object> {
        let found = self
            .objects
            .iter()
            .find(|object| text(&object.row, "id") == id);
        found.filter(|object| is_seen(&object.row, seen))
    }

    pub fn object_mut(
        &mut self,
        id: &str,
        seen: &BTreeSet<String>,
    ) -> Option<&mut Map<String, Value>> {
        let mut rows = self.objects.iter_mut().map(|object| &mut object.row);
        rows.find(|row| text(row, "id") == id && is_seen(row, seen))
    }

    /// The campaigns behind an account or an object that had any delivery.
    pub fn delivering(&self, id: &str) -> Vec<Map<String, Value>> {
        let own = |row: &&Map<String, Value>| {
            let campaign = text(row, "id");
            text(row, "account_id") == bare(id) || id.starts_with(campaign)
        };
        let campaigns = self
            .objects
            .iter()
            .filter(|object| object.kind == Kind::Campaign);
        campaigns
            .map(|object| &object.row)
            .filter(own)
            .filter(|row| text(row, "status") != "ARCHIVED")
            .filter(|row| !text(row, "spend").trim_matches(['0', '.']).is_empty())
            .cloned()
            .collect()
    }

    /// The currency of the account that these rows belong to.
    pub fn currency_of(&self, rows: &[Map<String, Value>]) -> String {
        let account = rows.first().map_or("", |row| text(row, "account_id"));
        let found = self
            .accounts
            .iter()
            .find(|row| text(row, "account_id") == account);
        found.map_or("USD", |row| text(row, "currency")).to_owned()
    }

    /// What happened in an account, the latest first.
    pub fn activities(
        &self,
        account: &str,
        since: Option<&str>,
        until: Option<&str>,
    ) -> Vec<Map<String, Value>> {
        let campaigns = self.below(account, Kind::Campaign, None);
        let all = campaigns
            .iter()
            .zip(10..)
            .map(|(row, day)| activity(row, day));
        let within = |row: &Map<String, Value>| {
            let day = text(row, "event_time")
                .get(..10)
                .unwrap_or_default()
                .to_owned();
            since.is_none_or(|since| since <= day.as_str())
                && until.is_none_or(|until| day.as_str() <= until)
        };
        let mut rows: Vec<_> = all.filter(within).collect();
        rows.reverse();
        rows
    }

    /// Adds a report; answers its id.
    pub fn add_report(&mut self, make: impl FnOnce(String) -> Report) -> String {
        let id = format!("6600{:012}", self.reports.len() + 1);
        self.reports.push(make(id.clone()));
        id
    }

    /// A report, as far as the token sees its account.
    pub fn report(&self, id: &str, seen: &BTreeSet<String>) -> Option<&Report> {
        let own = |report: &&Report| seen.contains(&format!("act_{}", report.account));
        self.reports
            .iter()
            .find(|report| report.id == id)
            .filter(own)
    }

    pub fn hurry_reports(&mut self) {
        for report in &mut self.reports {
            report.polls_left = 0;
        }
    }

    /// Somebody asked after a report: it gets on.
    pub fn poll(&mut self, id: &str) {
        if let Some(report) = self.reports.iter_mut().find(|report| report.id == id) {
            report.polls_left = report.polls_left.saturating_sub(1);
        }
    }
}

fn is_seen(row: &Map<String, Value>, seen: &BTreeSet<String>) -> bool {
    seen.contains(&format!("act_{}", text(row, "account_id")))
}

/// The number of an account, without `act_`.
pub(super) fn bare(account: &str) -> &str {
    account.trim_start_matches("act_")
}

pub(super) fn text<'m>(row: &'m Map<String, Value>, field: &str) -> &'m str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn object(value: Value) -> Map<String, Value> {
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
        "created_time": "2026-09-20T09:00:00+0200",
        "updated_time": "2026-11-01T09:00:00+0200",
        "daily_budget": "0",
        "lifetime_budget": "0",
        "budget_remaining": "0",
    }));
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
        "created_time": "2026-09-20T09:00:00+0200",
        "updated_time": "2026-11-01T09:00:00+0200",
    }))
}

fn activity(campaign: &Map<String, Value>, day: u32) -> Map<String, Value> {
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
