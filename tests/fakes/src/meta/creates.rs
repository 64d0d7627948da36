//! New campaigns, ad sets and ads.

use serde_json::{Map, Value, json};

use super::apply;
use super::change::{Change, is_dry, nested, required, word};
use super::clock;
use super::graph::visible;
use super::rules;
use super::tokens;
use super::wire::GraphError;
use super::world::{Kind, Object, World, bare, object, text};
use super::writes::{Call, facts};

const CAMPAIGN: &[&str] = &[
    "buying_type",
    "is_adset_budget_sharing_enabled",
    "objective",
    "special_ad_categories",
];

const AD_SET: &[&str] = &[
    "billing_event",
    "campaign_id",
    "destination_type",
    "optimization_goal",
    "promoted_object",
    "targeting",
];

const AD: &[&str] = &["adset_id", "creative"];

const OBJECTIVES: &[&str] = &[
    "OUTCOME_APP_PROMOTION",
    "OUTCOME_AWARENESS",
    "OUTCOME_ENGAGEMENT",
    "OUTCOME_LEADS",
    "OUTCOME_SALES",
    "OUTCOME_TRAFFIC",
];

/// Creates one in an account; answers its id.
pub(super) fn create(
    world: &mut World,
    call: &Call<'_>,
    account: &str,
    kind: Kind,
) -> Result<Value, GraphError> {
    tokens::permit_writing(world, call.asked)?;
    visible(account, call.seen)?;
    let more = match kind {
        Kind::Campaign => CAMPAIGN,
        Kind::AdSet => AD_SET,
        Kind::Ad => AD,
    };
    let change = Change::read_beside(call.asked, kind, more)?;
    required(call.asked, "name")?;
    // Meta: only these two are valid at creation, and it is ACTIVE unless told
    // otherwise: a forgotten status spends money.
    word(call.asked, "status", &["ACTIVE", "PAUSED"])?;
    let mut row = blank(world, account);
    row.extend(match kind {
        Kind::Campaign => campaign(call, &change)?,
        Kind::AdSet => ad_set(world, call, account, &change)?,
        Kind::Ad => ad(world, call, account)?,
    });
    rules::check(&facts(world, kind, &row), &change)?;
    if is_dry(call.asked)? {
        return Ok(json!({"success": true}));
    }
    world.begin_write()?;
    let id = world.new_id();
    row.insert("id".into(), json!(id));
    add(world, call, Object { kind, row }, &change);
    Ok(json!({"id": id}))
}

fn add(world: &mut World, call: &Call<'_>, mut object: Object, change: &Change) {
    let now = world.clock.now();
    apply::apply(&mut object.row, object.kind, change, now);
    if object.kind != Kind::Ad && change.start.is_none() {
        let start = clock::written(now);
        object.row.insert("start_time".into(), json!(start));
    }
    let campaign = object.campaign().to_owned();
    let id = text(&object.row, "id").to_owned();
    let account = text(&object.row, "account_id").to_owned();
    world.objects.push(object);
    world.settle_statuses(&campaign);
    let row = world.row(&id).cloned().unwrap_or_default();
    world.tell(call.request, &account, &id, apply::created(row));
}

fn blank(world: &World, account: &str) -> Map<String, Value> {
    object(json!({
        "account_id": bare(account),
        "status": "ACTIVE",
        "effective_status": "ACTIVE",
        "created_time": clock::written(world.clock.now()),
    }))
}

fn campaign(call: &Call<'_>, change: &Change) -> Result<Map<String, Value>, GraphError> {
    let asked = call.asked;
    required(asked, "objective")?;
    let categories = nested(asked, "special_ad_categories")?;
    if !categories.is_array() {
        let message = "Param special_ad_categories must be an array";
        return Err(GraphError::parameter(message).blaming(&["special_ad_categories"]));
    }
    let sharing = "is_adset_budget_sharing_enabled";
    word(asked, sharing, &["true", "false"])?;
    // Meta, since v24.0: without a campaign budget it must be said.
    if !change.has_budget() && asked.parameter(sharing).is_none() {
        let message = "Must specify True or False in is_adset_budget_sharing_enabled field";
        return Err(GraphError::new(100, Some(4_834_011), "Invalid parameter")
            .saying_to_people(message, message)
            .blaming(&[sharing]));
    }
    Ok(object(json!({
        "objective": word(asked, "objective", OBJECTIVES)?,
        "buying_type": asked.parameter("buying_type").unwrap_or("AUCTION"),
        "special_ad_categories": categories,
        "budget_remaining": "0",
        "spend": "0.00",
    })))
}

fn ad_set(
    world: &World,
    call: &Call<'_>,
    account: &str,
    change: &Change,
) -> Result<Map<String, Value>, GraphError> {
    let asked = call.asked;
    let campaign = parent(world, call, account, ("campaign_id", Kind::Campaign))?;
    let (event, goal) = (
        required(asked, "billing_event")?,
        required(asked, "optimization_goal")?,
    );
    if !nested(asked, "targeting")?.is_object() {
        let message = "Param targeting must be an object";
        return Err(GraphError::parameter(message).blaming(&["targeting"]));
    }
    if !rules::is_shared(campaign) && !change.has_budget() {
        return Err(GraphError::parameter("Invalid parameter")
            .saying_to_people(
                "Budget required",
                "Set a budget for the ad set or for its campaign.",
            )
            .blaming(&["daily_budget"]));
    }
    Ok(object(json!({
        "campaign_id": text(campaign, "id"),
        "billing_event": event,
        "optimization_goal": goal,
        "is_budget_schedule_enabled": false,
        "daily_budget": "0",
        "lifetime_budget": "0",
        "budget_remaining": "0",
    })))
}

fn ad(world: &World, call: &Call<'_>, account: &str) -> Result<Map<String, Value>, GraphError> {
    let ad_set = parent(world, call, account, ("adset_id", Kind::AdSet))?;
    let creative = nested(call.asked, "creative")?;
    let creative = creative.get("creative_id").and_then(Value::as_str);
    let creative = creative.ok_or_else(|| {
        GraphError::parameter("Param creative must have a creative_id").blaming(&["creative"])
    })?;
    let found = world.creative(creative, call.seen);
    if found.is_none_or(|found| text(&found, "account_id") != bare(account)) {
        let message = "Ad creative does not exist in this ad account";
        return Err(GraphError::parameter(message).blaming(&["creative"]));
    }
    Ok(object(json!({
        "campaign_id": text(ad_set, "campaign_id"),
        "adset_id": text(ad_set, "id"),
        "creative": {"id": creative},
    })))
}

/// What the new one is to be below: of the same account, and not over.
fn parent<'w>(
    world: &'w World,
    call: &Call<'_>,
    account: &str,
    (name, kind): (&str, Kind),
) -> Result<&'w Map<String, Value>, GraphError> {
    let id = required(call.asked, name)?;
    let wrong = |message: &str| GraphError::parameter(message).blaming(&[name]);
    let found = world
        .object(id, call.seen)
        .filter(|found| found.kind == kind && text(&found.row, "account_id") == bare(account));
    let row = &found
        .ok_or_else(|| wrong(&format!("Param {name} is not a valid {}", kind.node().name)))?
        .row;
    if matches!(text(row, "effective_status"), "ARCHIVED" | "DELETED") {
        return Err(wrong("Can't create below what is archived or deleted"));
    }
    Ok(row)
}
