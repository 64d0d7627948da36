//! What there is at the fake Meta: tokens, accounts, campaigns and delivery.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::fields::{AD, AD_SET, CAMPAIGN, Node};
use super::insights::Report;
use super::sandbox;

/// The token that sees every account of the sandbox.
pub const SANDBOX_TOKEN: &str = "EAATenantrySandboxToken0000000000000000000";
/// A token that has expired.
pub const EXPIRED_TOKEN: &str = "EAATenantryExpiredToken0000000000000000000";

/// A token whose owner changed the password.
pub const REVOKED_TOKEN: &str = "EAATenantryRevokedToken0000000000000000000";

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
    /// The accounts of the sandbox and what is in them.
    pub fn sandbox() -> Self {
        let all = ["act_1001", "act_1002", "act_2001"].map(str::to_owned);
        Self {
            tokens: BTreeMap::from([(SANDBOX_TOKEN.to_owned(), BTreeSet::from(all))]),
            objects: sandbox::objects(),
            accounts: sandbox::accounts(),
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

    fn open(&mut self, id: &str) {
        let mut accounts = self.accounts.iter();
        if accounts.any(|row| text(row, "account_id") == id) {
            return;
        }
        let (account, objects) = sandbox::opened(id);
        self.accounts.push(account);
        self.objects.extend(objects);
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
            .map(|(row, day)| sandbox::activity(row, day));
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
