//! Limits of everything that is no advertising budget.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budget::WindowScope;

/// Limits of bids.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bids {
    /// The largest increase in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub max_increase_percent: Option<i32>,

    /// The lowest bid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("floor is a decimal amount in quotes, such as \"0.50\""))]
    pub floor: Option<String>,

    /// The highest bid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("ceiling is a decimal amount in quotes, such as \"5.00\""))]
    pub ceiling: Option<String>,

    /// What happens to a call that takes a bid's cap away: Allow, Ask or Deny.
    /// Left out, Ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removal: Option<Removal>,
}

/// What happens to a call that takes a cap away.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the field that has this type explains the words"
)]
pub enum Removal {
    Allow,
    Ask,
    Deny,
}

/// Limits of financial records.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Financial {
    /// The largest amount that a record may get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("maxAmount is a decimal amount in quotes, such as \"500.00\""))]
    pub max_amount: Option<String>,

    /// The largest increase of one record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("maxIncrease is a decimal amount in quotes, such as \"500.00\""))]
    pub max_increase: Option<String>,

    /// What increases may add up to in a rolling window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["window", "scope"]))]
    pub per_window: Vec<FinancialWindow>,

    /// The states into which records may be moved, such as the stages of a
    /// deal, by the vendor's names. Left out, any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 64),
        inner(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_.-]+$"))
    )]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub states: Option<Vec<String>>,
}

/// What increases of financial records may add up to in a rolling window.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FinancialWindow {
    /// Its length, such as 24h or 30d.
    #[schemars(length(min = 2, max = 6))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,4}[smhd]$')").message("window is a number and one of s, m, h and d, such as 24h"))]
    pub window: String,

    /// What is added up: the increases of an Account, a Connector, or the
    /// whole Organization.
    pub scope: WindowScope,

    /// What amounts may rise by in all.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("maxIncrease is a decimal amount in quotes, such as \"500.00\""))]
    pub max_increase: String,
}

/// What is asked of objects that are created.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Create {
    /// True refuses objects that would be live at once.
    #[serde(default)]
    pub force_paused: bool,

    /// How many objects may be created in 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub max_per_day: Option<i32>,

    /// True refuses objects that would spend without an end.
    #[serde(default)]
    pub require_end_date: bool,
}

/// Limits of changes to records that hold no money.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Records {
    /// How many records one call may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_per_call: Option<i32>,

    /// How many records may be changed in 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_per_day: Option<i32>,
}

/// The one limit of switching things off.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deactivate {
    /// How many objects may be switched off in an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_per_hour: Option<i32>,

    /// Above this live daily budget, people are asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self.matches('^(0|[1-9][0-9]{0,11})([.][0-9]{1,6})?$')").message("askAbove is a decimal amount in quotes, such as \"500.00\""))]
    pub ask_above: Option<String>,
}

/// How much may wait for people at the same time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pending {
    /// Changes of one key. Left out, 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_per_key: Option<i32>,

    /// Changes of all keys. Left out, 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_per_tenant: Option<i32>,

    /// The part of a window that may wait, in percent; at most half. Left out,
    /// 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 50))]
    pub share: Option<i32>,
}
