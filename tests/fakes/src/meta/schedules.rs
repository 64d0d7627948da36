//! High-demand periods: for some days a budget is another one, without the
//! budget's field showing it.

use serde_json::{Value, json};

use super::apply::Done;
use super::change::{amount, is_dry, only, required, time, word};
use super::clock;
use super::effects::EffectKind;
use super::rules;
use super::wire::GraphError;
use super::world::{World, object, text};
use super::writes::{Call, writable};

const PARAMETERS: &[&str] = &[
    "budget_value",
    "budget_value_type",
    "time_start",
    "time_end",
];

/// Adds a period to what has a budget of its own; answers the period's id.
pub(super) fn add(world: &mut World, call: &Call<'_>, id: &str) -> Result<Value, GraphError> {
    let asked = call.asked;
    let object_row = &writable(world, call, id)?.row;
    only(asked, &[PARAMETERS])?;
    for name in PARAMETERS {
        required(asked, name)?;
    }
    let value = amount(asked, "budget_value")?;
    let value_type = word(asked, "budget_value_type", &["ABSOLUTE", "MULTIPLIER"])?;
    let start = time(asked, "time_start")?.unwrap_or_default();
    let end = time(asked, "time_end")?.unwrap_or_default();
    if start < world.clock.now() || end <= start {
        let message = "A period starts in the future and ends after its start";
        return Err(GraphError::parameter(message).blaming(&["time_start", "time_end"]));
    }
    if !rules::is_shared(object_row) {
        return Err(GraphError::parameter("There is no budget to schedule"));
    }
    if is_dry(asked)? {
        return Ok(json!({"success": true}));
    }
    let account = text(object_row, "account_id").to_owned();
    world.begin_write()?;
    let period = json!({
        "id": world.new_id(),
        "ad_object_id": id,
        "budget_value": value,
        "budget_value_type": value_type,
        "recurrence_type": "ONE_TIME",
        "time_start": clock::written(start),
        "time_end": clock::written(end),
    });
    if let Some(row) = world.row_mut(id) {
        row.insert("is_budget_schedule_enabled".into(), json!(true));
    }
    world.periods.push(object(period.clone()));
    let period_id = period.get("id").cloned().unwrap_or_default();
    let done = Done {
        kind: EffectKind::AddBudgetSchedule,
        before: Value::Null,
        after: period,
    };
    world.tell(call.request, &account, id, done);
    Ok(json!({"id": period_id}))
}
