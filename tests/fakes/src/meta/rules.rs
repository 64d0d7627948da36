//! Which changes Meta refuses, and in which words. It decides and changes
//! nothing. A subcode stands only where somebody has seen it.

use serde_json::{Map, Value};

use super::change::{Change, End};
use super::clock;
use super::wire::GraphError;
use super::world::{Kind, text};

const DAY_SECONDS: i64 = 86_400;

/// Strategies that a bid belongs to.
const WITH_BID: &[&str] = &["LOWEST_COST_WITH_BID_CAP", "COST_CAP"];

/// What a change is judged by.
pub(super) struct Facts<'f> {
    pub kind: Kind,
    /// The object as it is.
    pub row: &'f Map<String, Value>,
    /// The campaign above an ad set.
    pub campaign: Option<&'f Map<String, Value>>,
    /// The account's least daily budget.
    pub least_daily: u64,
    pub now: i64,
}

/// Lets a change through, or says what Meta has against it.
pub(super) fn check(facts: &Facts<'_>, change: &Change) -> Result<(), GraphError> {
    life(facts, change)?;
    schedule(facts, change)?;
    budget(facts, change)?;
    bid(facts, change)
}

/// A budget that is there: ad sets without one say "0".
pub(super) fn has(row: &Map<String, Value>, field: &str) -> bool {
    number(row, field) > 0
}

/// Whether a campaign has the budget, and not its ad sets.
pub(super) fn is_shared(campaign: &Map<String, Value>) -> bool {
    has(campaign, "daily_budget") || has(campaign, "lifetime_budget")
}

pub(super) fn number(row: &Map<String, Value>, field: &str) -> u64 {
    text(row, field).parse().unwrap_or_default()
}

/// Meta: what is archived can be renamed and deleted, what is deleted can only
/// be renamed.
fn life(facts: &Facts<'_>, change: &Change) -> Result<(), GraphError> {
    let status = text(facts.row, "effective_status");
    let is_allowed = match (status, change.status.as_deref()) {
        ("ARCHIVED", None | Some("DELETED")) | ("DELETED", None) => change.keeps_money(),
        ("ARCHIVED" | "DELETED", Some(_)) => false,
        _ => true,
    };
    if is_allowed {
        return Ok(());
    }
    let kind = facts.kind.node().name;
    Err(GraphError::parameter("Invalid parameter").saying_to_people(
        &format!("{kind} can't be changed"),
        &format!("This {kind} is {status} and only its name can be edited."),
    ))
}

fn schedule(facts: &Facts<'_>, change: &Change) -> Result<(), GraphError> {
    let end_field = facts.kind.end_field();
    let started = clock::read(text(facts.row, "start_time"));
    if let Some(start) = change.start
        && started.is_some_and(|started| started <= facts.now && started != start)
    {
        return Err(GraphError::parameter("Invalid parameter")
            .saying_to_people(
                "Start time can't be changed",
                "What has started can't start at another time.",
            )
            .blaming(&["start_time"]));
    }
    let start = change.start.or(started).unwrap_or(facts.now);
    match change.end {
        Some(End::At(end)) if end <= facts.now.max(start) => {
            Err(GraphError::parameter("Invalid parameter")
                .saying_to_people(
                    "Incorrect end date",
                    "Please choose an end date that is in the future and after the start date.",
                )
                .blaming(&[end_field]))
        }
        Some(End::Never) if has(facts.row, "lifetime_budget") => Err(no_end(end_field)),
        _ => Ok(()),
    }
}

fn no_end(end_field: &str) -> GraphError {
    GraphError::parameter("Invalid parameter")
        .saying_to_people(
            "End time is required",
            "What has a lifetime budget needs an end time.",
        )
        .blaming(&[end_field])
}

fn budget(facts: &Facts<'_>, change: &Change) -> Result<(), GraphError> {
    let (asked, field, other) = match (change.daily_budget, change.lifetime_budget) {
        (None, None) => return Ok(()),
        (Some(_), Some(_)) => return Err(both()),
        (Some(daily), None) => (daily, "daily_budget", "lifetime_budget"),
        (None, Some(lifetime)) => (lifetime, "lifetime_budget", "daily_budget"),
    };
    if facts.campaign.is_some_and(is_shared) {
        return Err(GraphError::new(100, Some(1_885_621), "Invalid parameter")
            .saying_to_people(
                "Can't Set Ad Set Budget",
                "You can only set an ad set budget or a campaign budget. Please remove the ad set \
                 budget, or turn off the campaign budget.",
            )
            .blaming(&[field]));
    }
    if has(facts.row, other) {
        return Err(GraphError::parameter("Invalid parameter")
            .saying_to_people(
                "Budget type can't be changed",
                "The type of a budget, daily or lifetime, can't be changed.",
            )
            .blaming(&[field]));
    }
    let days = match (field, facts.kind) {
        ("lifetime_budget", Kind::AdSet) => days_left(facts, change)?,
        _ => 1,
    };
    let spent =
        number(facts.row, "lifetime_budget").saturating_sub(number(facts.row, "budget_remaining"));
    let least = facts.least_daily.saturating_mul(days);
    let least = if field == "lifetime_budget" {
        least.max(spent)
    } else {
        least
    };
    if asked < least {
        return Err(too_low(least, field));
    }
    Ok(())
}

fn both() -> GraphError {
    GraphError::parameter("Invalid parameter")
        .saying_to_people(
            "Only one budget",
            "Set a daily budget or a lifetime budget, not both.",
        )
        .blaming(&["daily_budget", "lifetime_budget"])
}

fn too_low(least: u64, field: &str) -> GraphError {
    let message = format!(
        "Your budget must be at least {least} in the smallest unit of your currency or your ads may \
         not be delivered."
    );
    GraphError::new(100, Some(1_885_272), "Invalid parameter")
        .saying_to_people("Your budget is too low", &message)
        .blaming(&[field])
}

/// The days that a lifetime budget is for, begun ones included.
fn days_left(facts: &Facts<'_>, change: &Change) -> Result<u64, GraphError> {
    let end = match change.end {
        Some(End::At(end)) => Some(end),
        Some(End::Never) => None,
        None => clock::read(text(facts.row, "end_time")),
    };
    let end = end.ok_or_else(|| no_end("end_time"))?;
    let start = change.start.unwrap_or(facts.now).max(facts.now);
    let seconds = end.saturating_sub(start).max(1);
    Ok(u64::try_from(seconds.saturating_add(DAY_SECONDS - 1) / DAY_SECONDS).unwrap_or(1))
}

/// A bid and the strategy for it belong together.
fn bid(facts: &Facts<'_>, change: &Change) -> Result<(), GraphError> {
    if !change.has_bid() {
        return Ok(());
    }
    if facts.kind == Kind::Campaign {
        let is_shared = is_shared(facts.row) || change.has_budget();
        let message = "A bid strategy belongs to a campaign with a budget";
        let wrong = || GraphError::parameter(message).blaming(&["bid_strategy"]);
        return is_shared.then_some(()).ok_or_else(wrong);
    }
    if change.bid_amount == Some(0) {
        return Err(
            GraphError::parameter("Param bid_amount must be positive").blaming(&["bid_amount"])
        );
    }
    let of_campaign = facts.campaign.map_or("", |row| text(row, "bid_strategy"));
    let own = text(facts.row, "bid_strategy");
    let own = if own.is_empty() { of_campaign } else { own };
    let strategy = change.bid_strategy.as_deref().unwrap_or(own);
    let needs_bid = WITH_BID.contains(&strategy);
    let has_bid = facts.row.contains_key("bid_amount") || change.bid_amount.is_some();
    if needs_bid && !has_bid {
        return Err(GraphError::new(100, Some(1_815_857), "Invalid parameter")
            .saying_to_people(
                "Bid amount required",
                "Bid amount required: you must provide a bid cap or target cost in bid_amount.",
            )
            .blaming(&["bid_amount"]));
    }
    if !needs_bid && change.bid_amount.is_some() {
        return Err(GraphError::new(100, Some(2_446_149), "Invalid parameter")
            .saying_to_people(
                "Unsupported bid",
                "A bid amount does not go with this bid strategy.",
            )
            .blaming(&["bid_amount"]));
    }
    Ok(())
}
