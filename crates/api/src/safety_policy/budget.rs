//! Limits of advertising budgets. Daily and lifetime amounts are told apart
//! everywhere and never added together (WRITES §3).

#![expect(
    clippy::struct_field_names,
    reason = "each is a largest something, and users read the whole word"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits of advertising budgets. `max…` is inclusive.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// What one change may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_change: Option<PerChange>,

    /// What one object may have, and how often it may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_object: Option<PerObject>,

    /// What increases may add up to in a rolling window. Decreases give
    /// nothing back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["window", "scope"]))]
    pub per_window: Vec<PerWindow>,

    /// What all live budgets may add up to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
}

/// What one change may do.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PerChange {
    /// The largest increase of a daily budget, such as "500.00".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("maxDailyIncrease is a decimal amount in quotes, such as \"500.00\""))]
    pub max_daily_increase: Option<String>,

    /// The largest increase of a lifetime budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("maxLifetimeIncrease is a decimal amount in quotes, such as \"500.00\""))]
    pub max_lifetime_increase: Option<String>,

    /// The largest increase in percent of what was configured before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub max_increase_percent: Option<i32>,

    /// The largest decrease in percent: a cut can end a launch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_decrease_percent: Option<i32>,
}

/// What one object may have, and how often it may change.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PerObject {
    /// The largest daily budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("maxDaily is a decimal amount in quotes, such as \"500.00\""))]
    pub max_daily: Option<String>,

    /// The largest lifetime budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("maxLifetime is a decimal amount in quotes, such as \"500.00\""))]
    pub max_lifetime: Option<String>,

    /// The shortest time between two changes, such as 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 6))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,4}[smhd]$')").message("minInterval is a number and one of s, m, h and d, such as 5m"))]
    pub min_interval: Option<String>,

    /// How many changes there may be in 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_changes_per_day: Option<i32>,

    /// The largest increase in percent of the lowest live value of the last 24
    /// hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub max_increase_percent_per_day: Option<i32>,
}

/// What increases may add up to in a rolling window.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.maxDailyIncrease) || has(self.maxLifetimeIncrease)").message("a window limits maxDailyIncrease, maxLifetimeIncrease, or both"))]
pub struct PerWindow {
    /// Its length, such as 24h or 30d.
    #[schemars(length(min = 2, max = 6))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,4}[smhd]$')").message("window is a number and one of s, m, h and d, such as 24h"))]
    pub window: String,

    /// What is added up: the increases of an Account, a Connector, or the
    /// whole Organization.
    pub scope: WindowScope,

    /// What daily budgets may rise by in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("maxDailyIncrease is a decimal amount in quotes, such as \"500.00\""))]
    pub max_daily_increase: Option<String>,

    /// What lifetime budgets may rise by in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("maxLifetimeIncrease is a decimal amount in quotes, such as \"500.00\""))]
    pub max_lifetime_increase: Option<String>,
}

/// What a window adds up.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the field that has this type explains the words"
)]
pub enum WindowScope {
    Account,
    Connector,
    Organization,
}

/// What all live budgets of the organisation may add up to.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exposure {
    /// The largest sum of live daily budgets in all accounts where changes are
    /// allowed; a lifetime budget counts what is left of it for each day that is
    /// left. They are read every 5 minutes; while the last reading is older than
    /// 15 minutes, people are asked.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("maxActiveDaily is a decimal amount in quotes, such as \"500.00\""))]
    pub max_active_daily: String,

    /// How far the vendor may overspend a daily budget, such as "1.75"; each
    /// counts that many times. Left out, what is known of the vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 5))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9]([.][0-9]{1,2})?$')").message("overspendFactor is a number from 1 to 9.99 in quotes, such as \"1.75\""))]
    pub overspend_factor: Option<String>,
}

/// What one unit of a currency is worth in the policy's.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExchangeRate {
    /// The other currency, by its ISO 4217 code.
    #[schemars(length(min = 3, max = 3))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Z]{3}$')").message("currency is three capital letters (ISO 4217), such as EUR"))]
    pub currency: String,

    /// How much of the policy's currency one unit of it is, such as "0.92".
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,8})([.][0-9]{1,9})?$') && !self.matches('^0([.]0+)?$')").message("rate is a decimal number above 0 in quotes, such as \"0.92\""))]
    pub rate: String,

    /// When the rate was true.
    pub as_of: Time,

    /// How long it may be used, such as 7d.
    #[schemars(length(min = 2, max = 6))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,4}[smhd]$')").message("maxAge is a number and one of s, m, h and d, such as 7d"))]
    pub max_age: String,
}
