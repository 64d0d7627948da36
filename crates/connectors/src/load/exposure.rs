//! Where all live budgets of an account are, as a connector file says it.

use serde_json::Value;

use super::{Doubt, bounded, command_free, doubt, path_with_slot, sent_once, twin, word};
use crate::form::exposure::{AboveForm, ExposureForm, ListForm};
use crate::plan::ApiPlan;
use crate::plan::exposure::{ExposurePlan, ListPlan};
use crate::plan::spend_root::{BelowPlan, LevelPlan, PagesPlan};

/// Nobody spends less than the budget, and no vendor ten times as much.
const LEAST_PERCENT: u32 = 100;
const MOST_PERCENT: u32 = 999;
/// Pages of one list: no call waits for them, and some minutes are enough.
const MOST_PAGES: u32 = 200;

pub(super) fn compile(form: &ExposureForm, api: &ApiPlan) -> Result<ExposurePlan, Doubt> {
    let (Some(root), Some(objects)) = (&api.spend_root, &api.objects) else {
        return doubt(&form.filter, "an exposure needs `spend_root`");
    };
    let filter = command_free(&form.filter)?;
    sent_once(&form.filter, root.pages.parameters().chain([&*filter]))?;
    let mut above: Vec<&LevelPlan> = Vec::new();
    let own = [objects.id_field.as_str(), &objects.account.field];
    let mut lists = Vec::new();
    for level in root.levels() {
        let Some(form) = form.lists.get(above.len()) else {
            let reason = format!("`{}` is a level of the root without a list", level.kind);
            return doubt(&form.filter, reason);
        };
        lists.push(list(form, level, &above)?);
        let below = root.below(&level.kind).into_iter();
        let read = level
            .fields()
            .chain(below.flat_map(BelowPlan::above_fields));
        read_once(form, read.chain(own))?;
        above.push(level);
    }
    if let Some(further) = form.lists.get(above.len()) {
        let reason = format!("`{}` is no level of the root", further.kind.value);
        return doubt(&further.kind, reason);
    }
    let mut lists = lists.into_iter();
    let Some(top) = lists.next() else {
        return doubt(&form.filter, "a root has a level");
    };
    Ok(ExposurePlan {
        overspend_percent: bounded(&form.overspend_percent, LEAST_PERCENT..=MOST_PERCENT)?,
        filter_parameter: filter,
        pages: PagesPlan {
            most_pages: bounded(&form.most_pages, 1..=MOST_PAGES)?,
            ..root.pages.clone()
        },
        top,
        below: lists.collect(),
    })
}

fn list(form: &ListForm, level: &LevelPlan, above: &[&LevelPlan]) -> Result<ListPlan, Doubt> {
    if form.kind.value != level.kind {
        let reason = format!("`{}` stands where `{}` should", form.kind.value, level.kind);
        return doubt(&form.kind, reason);
    }
    let named = form.above.iter().map(|one| one.kind.value.as_str());
    if !named.eq(above.iter().map(|level| level.kind.as_str())) {
        let reason = "a list says in `above` where its rows show each level above, the root first";
        return doubt(&form.kind, reason);
    }
    let field = |one: &AboveForm| word(&one.field);
    Ok(ListPlan {
        path: path_with_slot(&form.path, "account", "list")?,
        states: states(form)?,
        above_fields: form.above.iter().map(field).collect::<Result<_, _>>()?,
    })
}

/// Refuses a field that shows what is above and is `read` as something else.
fn read_once<'n>(form: &'n ListForm, read: impl Iterator<Item = &'n str>) -> Result<(), Doubt> {
    let shown = form.above.iter().map(|one| one.field.value.as_str());
    match twin(read.chain(shown)) {
        Some(twice) => doubt(&form.kind, format!("field `{twice}` is read as two things")),
        None => Ok(()),
    }
}

/// The states as they are sent: one that is missing would hide live budgets.
fn states(form: &ListForm) -> Result<String, Doubt> {
    let states: Vec<&str> = form.states.iter().map(|one| one.value.as_str()).collect();
    if states.is_empty() {
        return doubt(&form.kind, "a list without states would list nothing");
    }
    if let Some(twice) = twin(states.iter().copied()) {
        return doubt(&form.kind, format!("state `{twice}` stands twice"));
    }
    Ok(Value::from(states).to_string())
}
