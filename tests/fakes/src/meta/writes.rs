//! Writes: a change is read, judged and made, in this order, or refused.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::apply::{self, Done};
use super::asked::Asked;
use super::change::{Change, is_dry};
use super::rules::{self, Facts};
use super::tokens;
use super::wire::GraphError;
use super::world::{Kind, Object, World, text};

/// Who writes, and in which request.
pub(super) struct Call<'c> {
    pub asked: &'c Asked,
    pub seen: &'c BTreeSet<String>,
    /// Its `x-fb-request-id`.
    pub request: &'c str,
}

/// Changes a campaign, an ad set or an ad as the parameters say.
pub(super) fn update(world: &mut World, call: &Call<'_>, id: &str) -> Result<Value, GraphError> {
    let kind = writable(world, call, id)?.kind;
    let change = Change::read(call.asked, kind)?;
    make(world, call, id, &change)
}

/// Meta: DELETE is the status DELETED.
pub(super) fn delete(world: &mut World, call: &Call<'_>, id: &str) -> Result<Value, GraphError> {
    writable(world, call, id)?;
    make(world, call, id, &Change::to_status("DELETED"))
}

/// An object that the call may write to.
pub(super) fn writable<'w>(
    world: &'w World,
    call: &Call<'_>,
    id: &str,
) -> Result<&'w Object, GraphError> {
    tokens::permit_writing(world, call.asked)?;
    let object = world.object(id, call.seen);
    object.ok_or_else(|| GraphError::no_such_object_for("post", id))
}

fn make(
    world: &mut World,
    call: &Call<'_>,
    id: &str,
    change: &Change,
) -> Result<Value, GraphError> {
    let now = world.clock.now();
    let object = writable(world, call, id)?;
    let (kind, account) = (object.kind, text(&object.row, "account_id").to_owned());
    let was_shared = rules::is_shared(&object.row);
    let campaign = object.campaign().to_owned();
    rules::check(&facts(world, kind, &object.row), change)?;
    if is_dry(call.asked)? {
        return Ok(json!({"success": true}));
    }
    if kind == Kind::AdSet && change.has_budget() {
        world.pace.check(id, now)?;
        world.pace.count(id, now);
    }
    world.begin_write()?;
    let mut all = Vec::new();
    if let Some(row) = world.row_mut(id) {
        let done = apply::apply(row, kind, change, now);
        all.extend(done.into_iter().map(|done| (id.to_owned(), done)));
    }
    if kind == Kind::Campaign && change.has_budget() && !was_shared {
        all.extend(drop_budgets_below(world, id, now));
    }
    for (object, done) in all {
        world.tell(call.request, &account, &object, done);
    }
    world.settle_statuses(&campaign);
    Ok(json!({"success": true}))
}

/// What a change of a row is judged by.
pub(super) fn facts<'f>(world: &'f World, kind: Kind, row: &'f Map<String, Value>) -> Facts<'f> {
    let campaign = match kind {
        Kind::AdSet => world.row(text(row, "campaign_id")),
        Kind::Campaign | Kind::Ad => None,
    };
    Facts {
        kind,
        row,
        campaign,
        least_daily: world.least_daily_budget(text(row, "account_id")),
        now: world.clock.now(),
    }
}

/// A campaign that gets a budget takes those of its ad sets away.
fn drop_budgets_below(world: &mut World, campaign: &str, now: i64) -> Vec<(String, Done)> {
    let mut all = Vec::new();
    for object in &mut world.objects {
        let row = &mut object.row;
        let is_below = object.kind == Kind::AdSet && text(row, "campaign_id") == campaign;
        if is_below && rules::is_shared(row) {
            all.push((text(row, "id").to_owned(), apply::drop_budget(row, now)));
        }
    }
    all
}
