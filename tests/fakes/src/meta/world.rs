//! What there is at the fake Meta: tokens, accounts, campaigns and delivery.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::apply::Done;
use super::clock::{self, Clock};
use super::effects::{Effect, Effects};
use super::fields::{AD, AD_SET, CAMPAIGN, Node};
use super::insights::Report;
use super::pace::Pace;
use super::sandbox;
use super::wire::GraphError;

/// The token that sees every account of the sandbox.
pub const SANDBOX_TOKEN: &str = "EAATenantrySandboxToken0000000000000000000";
/// A token that has expired.
pub const EXPIRED_TOKEN: &str = "EAATenantryExpiredToken0000000000000000000";

/// A token whose owner changed the password.
pub const REVOKED_TOKEN: &str = "EAATenantryRevokedToken0000000000000000000";

/// A token that sees what the sandbox's one sees and may change nothing.
pub const READ_ONLY_TOKEN: &str = "EAATenantryReadOnlyToken00000000000000000";

/// A campaign, an ad set or an ad.
#[derive(Clone)]
pub(super) struct Object {
    pub kind: Kind,
    pub row: Map<String, Value>,
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What holds ad sets.
    Campaign,
    /// What holds ads.
    AdSet,
    /// What people see.
    Ad,
}

impl Kind {
    pub(super) fn node(self) -> &'static Node {
        match self {
            Self::Campaign => &CAMPAIGN,
            Self::AdSet => &AD_SET,
            Self::Ad => &AD,
        }
    }

    pub(super) fn is_above(self, other: Self) -> bool {
        self < other
    }

    /// Campaigns stop, ad sets end.
    pub(super) fn end_field(self) -> &'static str {
        match self {
            Self::Campaign => "stop_time",
            Self::AdSet | Self::Ad => "end_time",
        }
    }
}

impl Object {
    /// The campaign that it is or is below.
    pub fn campaign(&self) -> &str {
        match self.kind {
            Kind::Campaign => text(&self.row, "id"),
            Kind::AdSet | Kind::Ad => text(&self.row, "campaign_id"),
        }
    }
}

/// What a token may do, and where.
#[derive(Default)]
pub(super) struct Holder {
    pub accounts: BTreeSet<String>,
    pub is_read_only: bool,
}

/// Everything, as Meta would keep it.
pub(super) struct World {
    pub objects: Vec<Object>,
    pub periods: Vec<Map<String, Value>>,
    pub clock: Clock,
    pub effects: Effects,
    pub pace: Pace,
    tokens: BTreeMap<String, Holder>,
    accounts: Vec<Map<String, Value>>,
    reports: Vec<Report>,
    ids_given: u32,
    /// The objects as they were before the last write.
    before: Option<Vec<Object>>,
}

impl World {
    /// The accounts of the sandbox and what is in them.
    pub fn sandbox(clock: Clock) -> Self {
        let holder = |is_read_only| Holder {
            accounts: ["act_1001", "act_1002", "act_2001"]
                .map(str::to_owned)
                .into(),
            is_read_only,
        };
        let tokens = [
            (SANDBOX_TOKEN.to_owned(), holder(false)),
            (READ_ONLY_TOKEN.to_owned(), holder(true)),
        ];
        Self {
            objects: sandbox::objects(),
            periods: Vec::new(),
            clock,
            effects: Effects::default(),
            pace: Pace::default(),
            tokens: tokens.into(),
            accounts: sandbox::accounts(),
            reports: Vec::new(),
            ids_given: 0,
            before: None,
        }
    }

    /// Lets a token see these accounts beside those that it sees already; what
    /// is nobody's account yet is opened.
    pub fn grant(&mut self, token: String, accounts: BTreeSet<String>) {
        for account in &accounts {
            self.open(bare(account));
        }
        let holder = self.tokens.entry(token).or_default();
        holder.accounts.extend(accounts);
    }

    /// The same for a token that may change nothing.
    pub fn grant_reading(&mut self, token: String, accounts: BTreeSet<String>) {
        self.grant(token.clone(), accounts);
        self.tokens.entry(token).or_default().is_read_only = true;
    }

    /// Opens an account of a currency unless it is there. Amounts are in Meta's
    /// own minor units: CLP COP CRC HUF ISK IDR JPY KRW PYG TWD VND have none, all
    /// others a hundred, whatever the standard says of theirs.
    pub fn open_in(&mut self, id: &str, currency: &str) {
        if !self.has_account(id) {
            self.add(sandbox::opened_in(id, currency));
        }
    }

    /// Adds a campaign that runs to an account; answers the ids of its ad sets,
    /// each with a daily budget.
    pub fn add_campaign(&mut self, account: &str) -> Vec<String> {
        let own = |object: &&Object| {
            object.kind == Kind::Campaign && text(&object.row, "account_id") == account
        };
        let number = self.objects.iter().filter(own).count() + 1;
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let family = sandbox::further(account, number);
        let ad_sets = family.iter().filter(|object| object.kind == Kind::AdSet);
        let ids = ad_sets.map(|object| text(&object.row, "id").to_owned());
        let ids = ids.collect();
        self.objects.extend(family);
        ids
    }

    /// Adds an object as it stands in `row`.
    pub fn put(&mut self, kind: Kind, row: Map<String, Value>) {
        let object = Object { kind, row };
        let campaign = object.campaign().to_owned();
        self.objects.push(object);
        self.settle_statuses(&campaign);
    }

    fn open(&mut self, id: &str) {
        if !self.has_account(id) {
            self.add(sandbox::opened(id));
        }
    }

    fn has_account(&self, id: &str) -> bool {
        let mut accounts = self.accounts.iter();
        accounts.any(|row| text(row, "account_id") == id)
    }

    fn add(&mut self, (account, objects): (Map<String, Value>, Vec<Object>)) {
        self.accounts.push(account);
        self.objects.extend(objects);
    }

    /// What a token may do, if it is one.
    pub fn holder(&self, token: &str) -> Option<&Holder> {
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

    /// What an ad shows, as far as there is one that does.
    pub fn creative(&self, id: &str, seen: &BTreeSet<String>) -> Option<Map<String, Value>> {
        let is_shown =
            |object: &&Object| object.row.get("creative").is_some_and(|it| it["id"] == id);
        let ad = self.objects.iter().find(is_shown)?;
        let creative = json!({"id": id, "account_id": ad.row.get("account_id")});
        creative
            .as_object()
            .filter(|row| is_seen(row, seen))
            .cloned()
    }

    pub fn object(&self, id: &str, seen: &BTreeSet<String>) -> Option<&Object> {
        let found = self
            .objects
            .iter()
            .find(|object| text(&object.row, "id") == id);
        found.filter(|object| is_seen(&object.row, seen))
    }

    /// An object, whoever may see it.
    pub fn row(&self, id: &str) -> Option<&Map<String, Value>> {
        let mut rows = self.objects.iter().map(|object| &object.row);
        rows.find(|row| text(row, "id") == id)
    }

    pub fn row_mut(&mut self, id: &str) -> Option<&mut Map<String, Value>> {
        let mut rows = self.objects.iter_mut().map(|object| &mut object.row);
        rows.find(|row| text(row, "id") == id)
    }

    /// The high-demand periods of a campaign or an ad set.
    pub fn periods_of(&self, id: &str) -> Vec<Map<String, Value>> {
        let all = self.periods.iter();
        all.filter(|row| text(row, "ad_object_id") == id)
            .cloned()
            .collect()
    }

    /// What an account's budgets have to be at least, by the day.
    pub fn least_daily_budget(&self, account: &str) -> u64 {
        let mut accounts = self.accounts.iter();
        let found = accounts.find(|row| text(row, "account_id") == account);
        let least = found.and_then(|row| row.get("min_daily_budget"));
        least.and_then(Value::as_u64).unwrap_or_default()
    }

    /// Comes before every write. What cannot be told is not done.
    pub fn begin_write(&mut self) -> Result<(), GraphError> {
        if self.effects.is_full() {
            return Err(GraphError::transient(1));
        }
        self.before = Some(self.objects.clone());
        Ok(())
    }

    /// Goes back to before the last write; once more undoes it.
    pub fn swap_with_before(&mut self) {
        if let Some(before) = &mut self.before {
            std::mem::swap(before, &mut self.objects);
        }
    }

    /// The account of an object, with `act_`.
    pub fn account_of(&self, id: &str) -> Option<String> {
        let row = self.row(id)?;
        Some(format!("act_{}", text(row, "account_id")))
    }

    /// How many ads of an account run.
    pub fn active_ads(&self, account: &str) -> u32 {
        let ads = self.objects.iter().filter(|object| {
            object.kind == Kind::Ad
                && text(&object.row, "account_id") == bare(account)
                && text(&object.row, "effective_status") == "ACTIVE"
        });
        u32::try_from(ads.count()).unwrap_or(u32::MAX)
    }

    /// Logs what a write did.
    pub fn tell(&mut self, request: &str, account: &str, object: &str, done: Done) {
        self.effects.append(Effect {
            sequence: 0,
            at: clock::written(self.clock.now()),
            account: format!("act_{account}"),
            object: object.to_owned(),
            kind: done.kind,
            before: done.before,
            after: done.after,
            request: request.to_owned(),
        });
    }

    /// An id that nothing has yet.
    pub fn new_id(&mut self) -> String {
        self.ids_given += 1;
        format!("2385{:013}", self.ids_given)
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
