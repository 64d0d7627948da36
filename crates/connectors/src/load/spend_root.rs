//! What holds and switches budgets, as a connector file says it.

use std::collections::BTreeMap;

use serde_saphyr::Spanned;
use tenantry_core::spend_root::Switch;

use super::output::unit;
use super::{Doubt, bounded, command_free, doubt, path_with_slot, pointer, sent_once, twin, word};
use crate::form::spend_root::{BudgetForm, LevelForm, PagesForm, SpendRootForm, SwitchForm};
use crate::plan::spend_root::{BelowPlan, BudgetPlan, LevelPlan, PagesPlan, SpendRootPlan};
use crate::plan::{ApiPlan, ObjectsPlan, Segment};

/// Rows of one page: no vendor gives more.
const MOST_ROWS: u32 = 1_000;
/// Pages of one level, as many as fit into the time of a call.
const MOST_PAGES: u32 = 50;
pub(super) fn compile(form: &SpendRootForm, api: &ApiPlan) -> Result<SpendRootPlan, Doubt> {
    let Some(top) = form.levels.first() else {
        return doubt(&form.pages.rows, "a spend root has no levels");
    };
    let Some(objects) = &api.objects else {
        return doubt(&top.kind, "a spend root needs `objects`");
    };
    if api.confirm.is_none() {
        return doubt(&top.kind, "budgets need a currency that is confirmed");
    }
    let mut kinds: Vec<&str> = Vec::new();
    for level in &form.levels {
        let kind = level.kind.value.as_str();
        if kinds.contains(&kind) || !objects.kinds.iter().any(|known| known == kind) {
            return doubt(
                &level.kind,
                format!("`{kind}` is no kind of object, or stands twice"),
            );
        }
        kinds.push(kind);
    }
    if let Some(odd) = [&top.list, &top.parent, &top.root]
        .into_iter()
        .flatten()
        .next()
    {
        return doubt(odd, "nothing stands above the root");
    }
    if form.levels.iter().all(|level| level.budget.is_none()) {
        return doubt(&top.kind, "no level of the spend root holds budgets");
    }
    let below = form.levels.iter().skip(1);
    Ok(SpendRootPlan {
        unit: unit(form.unit),
        pages: pages(&form.pages)?,
        top: level(top, objects)?,
        below: below
            .map(|form| self::below(form, objects))
            .collect::<Result<_, _>>()?,
    })
}

fn pages(form: &PagesForm) -> Result<PagesPlan, Doubt> {
    let plan = PagesPlan {
        rows: pointer(&form.rows)?,
        next: pointer(&form.next)?,
        cursor: pointer(&form.cursor)?,
        limit_parameter: command_free(&form.limit)?,
        after_parameter: command_free(&form.after)?,
        most_rows: bounded(&form.most_rows, 1..=MOST_ROWS)?,
        most_pages: bounded(&form.most_pages, 1..=MOST_PAGES)?,
    };
    sent_once(&form.limit, plan.parameters())?;
    Ok(plan)
}

fn below(form: &LevelForm, objects: &ObjectsPlan) -> Result<BelowPlan, Doubt> {
    let (Some(list), Some(parent), Some(root)) = (&form.list, &form.parent, &form.root) else {
        return doubt(
            &form.kind,
            "a level below the root says `list`, `parent` and `root`",
        );
    };
    Ok(BelowPlan {
        list: path_with_slot(list, "object", "list")?,
        parent_field: word(parent)?,
        root_field: word(root)?,
        level: level(form, objects)?,
    })
}

fn level(form: &LevelForm, objects: &ObjectsPlan) -> Result<LevelPlan, Doubt> {
    let optional = |field: &Option<Spanned<String>>| field.as_ref().map(word).transpose();
    // What is read may be written, and then stands where commands can stand.
    let plan = LevelPlan {
        kind: form.kind.value.clone(),
        name_field: command_free(&form.name)?,
        switch_field: command_free(&form.switch.field)?,
        switches: switches(&form.switch)?,
        on_word: first(&form.switch, &form.switch.on)?,
        off_word: first(&form.switch, &form.switch.off)?,
        starts_field: optional(&form.starts)?,
        ends_field: optional(&form.ends)?,
        budget: form.budget.as_ref().map(budget).transpose()?,
        bid_field: form.bid.as_ref().map(command_free).transpose()?,
        create: form.create.as_ref().map(edge).transpose()?,
    };
    let above = [&form.parent, &form.root].into_iter().flatten();
    let own = [objects.id_field.as_str(), objects.account.field.as_str()];
    // Where the root is the parent, both are read from one field.
    let mut above: Vec<&str> = above.map(|field| field.value.as_str()).collect();
    above.dedup();
    if let Some(twice) = twin(plan.fields().chain(own).chain(above)) {
        return doubt(&form.kind, format!("field `{twice}` is read as two things"));
    }
    Ok(plan)
}

fn edge(form: &Spanned<String>) -> Result<Vec<Segment>, Doubt> {
    path_with_slot(form, "account", "create")
}

/// Every word is known, once: one that nobody explained could be a live budget.
fn switches(form: &SwitchForm) -> Result<BTreeMap<String, Switch>, Doubt> {
    let mut switches = BTreeMap::new();
    let all = [
        (&form.on, Switch::On),
        (&form.off, Switch::Off),
        (&form.gone, Switch::Gone),
    ];
    for (words, switch) in all {
        for word in words {
            if switches.insert(word.value.clone(), switch).is_some() {
                return doubt(word, format!("`{}` means two things", word.value));
            }
        }
    }
    Ok(switches)
}

/// The word that is written; others mean the same where they are read.
fn first(form: &SwitchForm, words: &[Spanned<String>]) -> Result<String, Doubt> {
    match words.first() {
        Some(word) => Ok(word.value.clone()),
        None => doubt(&form.field, "a switch needs words for `on` and for `off`"),
    }
}

fn budget(form: &BudgetForm) -> Result<BudgetPlan, Doubt> {
    Ok(BudgetPlan {
        daily: command_free(&form.daily)?,
        lifetime: command_free(&form.lifetime)?,
        remaining: word(&form.remaining)?,
        scheduled: form.scheduled.as_ref().map(word).transpose()?,
    })
}
