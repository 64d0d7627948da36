//! The kinds of nodes and the fields that each has: whoever asks for another
//! one gets an error.

use super::world::Kind;

/// A kind of node.
pub(super) struct Node {
    /// Meta's name of it, as errors say it.
    pub name: &'static str,
    pub fields: &'static [&'static str],
    /// What comes unasked.
    pub always: &'static [&'static str],
    /// What can be asked for behind it.
    pub edges: &'static [(&'static str, Edge)],
}

/// The way from a node to others.
#[derive(Clone, Copy)]
pub(super) enum Edge {
    /// To those of a kind below it.
    Below(Kind),
    /// To the high-demand periods of its budget.
    Periods,
    /// To the one that a field of it names.
    Above(&'static str, Kind),
}

impl Edge {
    pub fn node(self) -> &'static Node {
        match self {
            Self::Below(kind) | Self::Above(_, kind) => kind.node(),
            Self::Periods => &PERIOD,
        }
    }
}

pub(super) const ACCOUNT: Node = Node {
    name: "AdAccount",
    fields: &[
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
    ],
    always: &["id"],
    edges: &[
        ("campaigns", Edge::Below(Kind::Campaign)),
        ("adsets", Edge::Below(Kind::AdSet)),
        ("ads", Edge::Below(Kind::Ad)),
    ],
};

pub(super) const CAMPAIGN: Node = Node {
    name: "Campaign",
    fields: &[
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
        "is_budget_schedule_enabled",
        "start_time",
        "stop_time",
        "created_time",
        "updated_time",
        "special_ad_categories",
        "spend_cap",
        "is_budget_schedule_enabled",
    ],
    always: &["id"],
    edges: &[
        ("adsets", Edge::Below(Kind::AdSet)),
        ("ads", Edge::Below(Kind::Ad)),
        ("budget_schedules", Edge::Periods),
    ],
};

pub(super) const AD_SET: Node = Node {
    name: "AdSet",
    fields: &[
        "id",
        "account_id",
        "campaign_id",
        "name",
        "status",
        "effective_status",
        "daily_budget",
        "lifetime_budget",
        "budget_remaining",
        "bid_amount",
        "bid_strategy",
        "billing_event",
        "optimization_goal",
        "is_budget_schedule_enabled",
        "start_time",
        "end_time",
        "created_time",
        "updated_time",
    ],
    always: &["id"],
    edges: &[
        ("ads", Edge::Below(Kind::Ad)),
        ("budget_schedules", Edge::Periods),
        ("campaign", Edge::Above("campaign_id", Kind::Campaign)),
    ],
};

pub(super) const AD: Node = Node {
    name: "Ad",
    fields: &[
        "id",
        "account_id",
        "campaign_id",
        "adset_id",
        "name",
        "status",
        "effective_status",
        "creative",
        "created_time",
        "updated_time",
    ],
    always: &["id"],
    edges: &[
        ("adset", Edge::Above("adset_id", Kind::AdSet)),
        ("campaign", Edge::Above("campaign_id", Kind::Campaign)),
    ],
};

/// What ads show.
pub(super) const CREATIVE: Node = Node {
    name: "AdCreative",
    fields: &["id", "account_id"],
    always: &["id"],
    edges: &[],
};

/// A high-demand period.
pub(super) const PERIOD: Node = Node {
    name: "HighDemandPeriod",
    fields: &[
        "id",
        "ad_object_id",
        "budget_value",
        "budget_value_type",
        "recurrence_type",
        "time_start",
        "time_end",
        "weekly_schedule",
    ],
    always: &["id"],
    edges: &[],
};

/// A node that the same token sees and that has no ad account.
pub(super) const PAGE: Node = Node {
    name: "Page",
    fields: &["id", "name", "category"],
    always: &["id"],
    edges: &[],
};

pub(super) const REPORT: Node = Node {
    name: "AdReportRun",
    fields: &[
        "id",
        "account_id",
        "async_status",
        "async_percent_completion",
        "date_start",
        "date_stop",
    ],
    always: &["id"],
    edges: &[],
};

pub(super) const ACTIVITY: Node = Node {
    name: "AdActivity",
    fields: &[
        "actor_id",
        "actor_name",
        "application_id",
        "application_name",
        "event_time",
        "event_type",
        "extra_data",
        "object_id",
        "object_name",
        "object_type",
        "translated_event_type",
    ],
    always: &["event_time", "event_type"],
    edges: &[],
};

/// Rows of insights. What `breakdowns` asks for comes beside the fields and
/// may not be asked for among them.
pub(super) const INSIGHT: Node = Node {
    name: "AdsInsights",
    fields: &[
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
        "cpc",
        "cpm",
        "actions",
    ],
    always: &[
        "date_start",
        "date_stop",
        "age",
        "gender",
        "country",
        "region",
        "publisher_platform",
        "platform_position",
        "impression_device",
        "device_platform",
    ],
    edges: &[],
};
