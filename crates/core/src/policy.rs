//! `SafetyPolicy` as the contract carries it: read, checked and in exact
//! numbers. What binds a change is decided in `decide`.

pub mod amount;
pub mod batch;
pub mod decide;
pub mod describe;
pub mod expression;
pub mod facts;
mod limits;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::access::ToolClass;
use crate::name::{AccountId, ConnectorName, Currency, KeyId, ObjectId, ToolName};
use crate::policy::amount::{Amount, ExchangeRate};
use crate::policy::expression::Expression;

/// One policy that binds a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Policy {
    /// Its name; the platform's begin with `platform/`.
    pub name: String,
    /// Whether it decides, or only says what it would.
    pub mode: Mode,
    /// Why it could not be accepted, if it never was: it denies what it would
    /// have bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unaccepted: Option<String>,
    /// The changes that it speaks of.
    #[serde(default)]
    pub covers: Match,
    /// What its amounts are in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Limits of advertising budgets.
    #[serde(default)]
    pub budget: Budgets,
    /// Limits of bids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bids: Option<Bids>,
    /// Limits of financial records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub financial: Option<Financial>,
    /// What is asked of new objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<Create>,
    /// Limits of records without money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<Records>,
    /// The one limit of switching things off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deactivate: Option<Deactivate>,
    /// When people are asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Ask>,
    /// What no other field can say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Objects that are never changed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub protected: BTreeSet<ObjectId>,
    /// What other currencies are worth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchange_rates: Vec<ExchangeRate>,
    /// How much may wait for people.
    #[serde(default)]
    pub pending: Pending,
    /// What a caller hears of it.
    #[serde(default, skip_serializing_if = "Disclose::is_default")]
    pub disclose: Disclose,
}

/// The longest window in which any of `policies` adds something up.
pub fn longest_window(policies: &[Policy]) -> SignedDuration {
    let windows = policies.iter().flat_map(|policy| {
        let budgets = policy.budget.per_window.iter().map(|one| one.window_ms);
        let financial = policy.financial.iter();
        let financial = financial.flat_map(|one| one.per_window.iter().map(|one| one.window_ms));
        let asking = policy.approvals.iter();
        let asking = asking.filter_map(|ask| ask.when.window_increase_over.as_ref());
        budgets
            .chain(financial)
            .chain(asking.map(|one| one.window_ms))
    });
    SignedDuration::from_millis(windows.max().unwrap_or(0))
}

/// Whether any of `policies` limits what all live budgets may spend, or would if
/// it were enforced.
pub fn limit_exposure(policies: &[Policy]) -> bool {
    policies
        .iter()
        .any(|policy| policy.budget.exposure.is_some())
}

impl Policy {
    /// A policy that enforces nothing yet, over everything.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            mode: Mode::Enforce,
            unaccepted: None,
            covers: Match::default(),
            currency: None,
            budget: Budgets::default(),
            bids: None,
            financial: None,
            create: None,
            records: None,
            deactivate: None,
            approvals: Vec::new(),
            rules: Vec::new(),
            protected: BTreeSet::new(),
            exchange_rates: Vec::new(),
            pending: Pending::default(),
            disclose: Disclose::default(),
        }
    }
}

/// What a caller hears of a policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disclose {
    /// That some policy refused or asked.
    None,
    /// Which rules did, and why.
    #[default]
    Verdicts,
    /// How much is left, too.
    Headroom,
}

impl Disclose {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words are those of SafetyPolicy")]
pub enum Mode {
    Enforce,
    Shadow,
}

/// Which changes: what is absent matches everything, and all must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Match {
    /// Connectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connectors: Option<BTreeSet<ConnectorName>>,
    /// Accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<BTreeSet<AccountId>>,
    /// Tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<BTreeSet<ToolName>>,
    /// Classes of tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<BTreeSet<ToolClass>>,
    /// API keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<BTreeSet<KeyId>>,
    /// Objects; a change below one of them is a change of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<BTreeSet<ObjectId>>,
}

/// Limits of advertising budgets; `max` is inclusive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Budgets {
    /// What one change may do.
    pub per_change: PerChange,
    /// What one object may have.
    pub per_object: PerObject,
    /// What increases may add up to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub per_window: Vec<PerWindow>,
    /// What all live budgets may add up to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
}

/// What one change may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct PerChange {
    /// Of daily budgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_daily_increase: Option<Amount>,
    /// Of lifetime budgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lifetime_increase: Option<Amount>,
    /// In every view that there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_increase_percent: Option<u32>,
    /// In every view that there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_decrease_percent: Option<u32>,
}

/// What one object may have, and how often it may change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct PerObject {
    /// The largest daily budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_daily: Option<Amount>,
    /// The largest lifetime budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lifetime: Option<Amount>,
    /// The shortest time between two changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_interval_ms: Option<i64>,
    /// Changes in 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_changes_per_day: Option<u32>,
    /// Of the lowest live value of the last 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_increase_percent_per_day: Option<u32>,
}

/// What increases may add up to in a rolling window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PerWindow {
    /// Its length.
    pub window_ms: i64,
    /// What is added up.
    pub scope: Scope,
    /// Of daily budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_daily_increase: Option<Amount>,
    /// Of lifetime budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lifetime_increase: Option<Amount>,
}

/// What a window adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words are those of SafetyPolicy")]
pub enum Scope {
    Account,
    Connector,
    Organization,
}

/// What all live budgets may add up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Exposure {
    /// Of live daily budgets, and what is left of the others a day.
    pub max_active_daily: Amount,
    /// How far the vendor may overspend, in percent of the budget; absent, what
    /// is known of the vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overspend_percent: Option<u32>,
}

/// Limits of bids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Bids {
    /// The largest increase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_increase_percent: Option<u32>,
    /// The lowest bid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Amount>,
    /// The highest bid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Amount>,
    /// What becomes of a change that takes a cap away.
    pub removal: Removal,
}

/// What becomes of a change that takes a cap away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words are those of SafetyPolicy")]
pub enum Removal {
    Allow,
    #[default]
    Ask,
    Deny,
}

/// Limits of financial records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Financial {
    /// The largest amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_amount: Option<Amount>,
    /// The largest increase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_increase: Option<Amount>,
    /// What increases may add up to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub per_window: Vec<FinancialWindow>,
    /// The states that records may get; absent, any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub states: Option<BTreeSet<String>>,
}

/// What increases of financial records may add up to in a rolling window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FinancialWindow {
    /// Its length.
    pub window_ms: i64,
    /// What is added up.
    pub scope: Scope,
    /// In all.
    pub max_increase: Amount,
}

/// What is asked of new objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Create {
    /// Whether they must not be live at once.
    pub force_paused: bool,
    /// New objects in 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_day: Option<u32>,
    /// Whether their spending must end.
    pub require_end_date: bool,
}

/// Limits of records without money.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Records {
    /// Records that one call may change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_call: Option<u32>,
    /// Records in 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_day: Option<u32>,
}

/// The one limit of switching things off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Deactivate {
    /// Objects in an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_hour: Option<u32>,
    /// Above this live daily budget people are asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask_above: Option<Amount>,
}

/// When people are asked, and whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Ask {
    /// Its name.
    pub name: String,
    /// Who may decide.
    pub approver_class: String,
    /// What makes it ask: all that is said here at once.
    pub when: When,
    /// How many people must agree.
    pub approvers: u32,
    /// How long they have.
    pub expires_after_ms: i64,
}

/// What makes an entry ask; `over` is strict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct When {
    /// A daily budget rises by more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_increase_over: Option<Amount>,
    /// A lifetime budget rises by more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_increase_over: Option<Amount>,
    /// In any view that there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub increase_percent_over: Option<u32>,
    /// Increases add up to more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_increase_over: Option<WindowIncrease>,
    /// A financial record gets more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount_over: Option<Amount>,
    /// The tool is of one of these classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<BTreeSet<ToolClass>>,
    /// The expression holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cel: Option<Expression>,
}

/// What an expression says about a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What makes it act.
    pub when: Expression,
    /// What it does.
    pub action: RuleAction,
    /// What the caller hears.
    pub message: String,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all_fields = "camelCase")]
pub enum RuleAction {
    /// It refuses the change.
    Deny,
    /// It asks people.
    Ask {
        /// Who may decide.
        approver_class: String,
    },
}

/// Increases that add up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WindowIncrease {
    /// More than this in all, of daily or of lifetime budgets.
    pub amount: Amount,
    /// What is added up.
    pub scope: Scope,
    /// The window's length.
    pub window_ms: i64,
}

/// How much may wait for people at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Pending {
    /// Changes of one key.
    pub max_per_key: u32,
    /// Changes of all keys.
    pub max_per_tenant: u32,
    /// The part of a window that may wait, in percent.
    pub share_percent: u32,
}

impl Default for Pending {
    /// What holds where a policy says nothing (WRITES §4).
    fn default() -> Self {
        Self {
            max_per_key: 5,
            max_per_tenant: 20,
            share_percent: 50,
        }
    }
}
