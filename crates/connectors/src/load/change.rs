//! The tools that change something: each names an effect, and everything else
//! follows from how a spend root is read.

mod create;

use serde_saphyr::Spanned;
use tenantry_core::access::ToolClass;

use super::{Doubt, bounded, command_free, doubt, pointer, schema};
use crate::connector::Subject;
use crate::form::change::{ChangeForm, ChangesForm, RehearseForm};
use crate::form::{SchemaForm, SchemaKind, ToolForm};
use crate::plan::ApiPlan;
use crate::plan::change::{ChangePlan, ChangesPlan};
use crate::plan::spend_root::{LevelPlan, SpendRootPlan};

/// A request lasts up to 15 seconds, and is on its way for a while after that.
const SHORTEST_QUIET_S: u32 = 30;
/// A change that may still come has to settle while somebody remembers it.
const LONGEST_QUIET_S: u32 = 3_600;
/// One reading is equal to none.
const LEAST_READS: u32 = 2;
const MOST_READS: u32 = 10;

/// Arguments that the server adds to every tool that changes something.
const OF_THE_SERVER: [&str; 2] = ["dry_run", "idempotency_key"];

pub(super) fn changes(
    form: &ChangesForm,
    root: Option<&SpendRootPlan>,
) -> Result<ChangesPlan, Doubt> {
    let quiet = &form.settle.quiet_seconds;
    let quiet = bounded(quiet, SHORTEST_QUIET_S..=LONGEST_QUIET_S)?;
    Ok(ChangesPlan {
        done: pointer(&form.done)?,
        rehearse: rehearsal(&form.rehearse, root)?,
        quiet_ms: u64::from(quiet) * 1_000,
        reads: bounded(&form.settle.reads, LEAST_READS..=MOST_READS)?,
        creates: form.create.as_ref().map(create::creates).transpose()?,
    })
}

/// What asks for a rehearsal must not ask for anything else: a rehearsal that
/// the vendor does not take for one is a change that nobody decided on.
fn rehearsal(form: &RehearseForm, root: Option<&SpendRootPlan>) -> Result<(String, String), Doubt> {
    let parameter = command_free(&form.parameter)?;
    let mut fields = root
        .into_iter()
        .flat_map(SpendRootPlan::levels)
        .flat_map(LevelPlan::fields);
    if fields.any(|field| field == parameter) {
        return doubt(
            &form.parameter,
            format!("`{parameter}` is what a change sets: it rehearses none"),
        );
    }
    if form.value.trim().is_empty() {
        return doubt(
            &form.parameter,
            "a rehearsal needs a value that asks for one",
        );
    }
    Ok((parameter, form.value.clone()))
}

pub(super) fn compile(
    api: &ApiPlan,
    subjects: &[Subject],
    form: &ToolForm,
    change: &Spanned<ChangeForm>,
) -> Result<ChangePlan, Doubt> {
    if api.changes.is_none() {
        return doubt(
            change,
            "a change needs `changes`: how one is made and settled",
        );
    }
    let read_only = form.request.is_some()
        || form.output.is_some()
        || form.rows.is_some()
        || form.row.is_some()
        || form.paging.is_some()
        || form.report.is_some();
    if read_only {
        return doubt(
            change,
            "a change is made from its effect: it says no request and no output",
        );
    }
    // What stands in a mapping of several kinds has lost its lines.
    let plan = plan(&change.value, &form.input.value);
    let plan = plan.or_else(|Doubt { reason, .. }| doubt(change, reason))?;
    class(form, &plan)?;
    if subjects.is_empty() {
        return doubt(change, "a change needs a subject");
    }
    if let ChangePlan::Create(new) = &plan {
        create::check(api, subjects, new, change)?;
    }
    let changed = subjects
        .iter()
        .filter(|_| !matches!(plan, ChangePlan::Create(_)));
    for subject in changed {
        if !level(api, &subject.kind).is_some_and(|level| plan.fits(level)) {
            let kind = &subject.kind;
            return doubt(
                change,
                format!("`{kind}` has nothing that this could change"),
            );
        }
    }
    arguments(&form.input.value, subjects, &plan, change)?;
    Ok(plan)
}

fn plan(form: &ChangeForm, input: &SchemaForm) -> Result<ChangePlan, Doubt> {
    Ok(match form {
        ChangeForm::SetBudget { daily, lifetime } => ChangePlan::SetBudget {
            daily: daily.clone(),
            lifetime: lifetime.clone(),
        },
        ChangeForm::Activate {} => ChangePlan::Activate,
        ChangeForm::Deactivate {} => ChangePlan::Deactivate,
        ChangeForm::SetBid { bid } => ChangePlan::SetBid { bid: bid.clone() },
        ChangeForm::Rename { name } => ChangePlan::Rename { name: name.clone() },
        ChangeForm::Create(form) => ChangePlan::Create(Box::new(create::plan(form, input)?)),
    })
}

/// What money depends on is `spend`, whatever the file would like.
fn class(form: &ToolForm, plan: &ChangePlan) -> Result<(), Doubt> {
    let class = match plan {
        ChangePlan::SetBudget { .. } | ChangePlan::Activate | ChangePlan::SetBid { .. } => {
            ToolClass::Spend
        }
        // What is made is paused: nothing is spent until it is activated.
        ChangePlan::Deactivate | ChangePlan::Rename { .. } | ChangePlan::Create(_) => {
            ToolClass::Write
        }
    };
    if form.class.value != class {
        let class = class.as_str();
        return doubt(
            &form.class,
            format!("a change of that kind is of class `{class}`"),
        );
    }
    Ok(())
}

fn level<'a>(api: &'a ApiPlan, kind: &str) -> Option<&'a LevelPlan> {
    api.spend_root.as_ref()?.level(kind)
}

/// Every argument is a subject or what the effect takes, in the form that it takes.
fn arguments(
    input: &SchemaForm,
    subjects: &[Subject],
    plan: &ChangePlan,
    change: &Spanned<ChangeForm>,
) -> Result<(), Doubt> {
    let declared = schema::arguments(input);
    let taken = plan.arguments();
    for (index, name) in taken.iter().enumerate() {
        if taken.iter().take(index).any(|earlier| earlier == name) {
            return doubt(change, format!("argument `{name}` is used twice"));
        }
    }
    for (name, argument) in declared {
        let text = name.value.as_str();
        let is_subject = subjects.iter().any(|subject| subject.argument == text);
        if OF_THE_SERVER.contains(&text) {
            return doubt(name, format!("argument `{text}` is the server's"));
        }
        if !is_subject && !taken.contains(&text) {
            return doubt(name, format!("argument `{text}` is not used by the change"));
        }
        if !is_subject && !is_taken(text, &argument.value, plan) {
            return doubt(
                name,
                format!("argument `{text}` is not in the form that the change takes"),
            );
        }
    }
    let required = |name: &str| {
        input
            .required
            .iter()
            .flatten()
            .any(|one| one.value == *name)
    };
    for name in taken {
        if !declared.iter().any(|(declared, _)| declared.value == name) {
            return doubt(
                change,
                format!("argument `{name}` is not declared in `input`"),
            );
        }
        if plan
            .requires(name)
            .is_some_and(|must| must != required(name))
        {
            let what = if plan.requires(name) == Some(true) {
                "is not required"
            } else {
                "is required, though another could stand for it"
            };
            return doubt(change, format!("argument `{name}` {what}"));
        }
    }
    Ok(())
}

/// Names and times are texts, settings are the vendor's; all else that a change
/// takes is money.
fn is_taken(name: &str, form: &SchemaForm, plan: &ChangePlan) -> bool {
    let is_text = match plan {
        ChangePlan::Rename { .. } => true,
        ChangePlan::Create(plan) if plan.is_setting(name) => return true,
        ChangePlan::Create(plan) => plan.name == name || plan.ends.as_deref() == Some(name),
        _ => false,
    };
    if is_text {
        form.kind == SchemaKind::String
    } else {
        is_money(form)
    }
}

/// `{amount: "50.00", currency: EUR}`, both required, and nothing else.
fn is_money(form: &SchemaForm) -> bool {
    let is_text = |name: &str| {
        let properties = form.properties.as_ref();
        let found = properties.and_then(|properties| properties.get(name));
        found.is_some_and(|found| found.value.kind == SchemaKind::String)
    };
    let required = form.required.iter().flatten().count();
    form.kind == SchemaKind::Object
        && schema::arguments(form).len() == 2
        && required == 2
        && is_text("amount")
        && is_text("currency")
}

impl ChangePlan {
    /// The arguments that it takes, beside its subject.
    pub fn arguments(&self) -> Vec<&str> {
        match self {
            Self::SetBudget { daily, lifetime } => vec![daily, lifetime],
            Self::SetBid { bid } => vec![bid],
            Self::Rename { name } => vec![name],
            Self::Activate | Self::Deactivate => vec![],
            Self::Create(plan) => plan.arguments().collect(),
        }
    }

    /// Whether an argument has to be given, or must not have to be, because
    /// another could stand for it.
    fn requires(&self, name: &str) -> Option<bool> {
        match self {
            Self::Create(plan) => (plan.name == name).then_some(true),
            Self::SetBudget { .. } => Some(false),
            Self::SetBid { .. } | Self::Rename { .. } | Self::Activate | Self::Deactivate => {
                Some(true)
            }
        }
    }

    fn fits(&self, level: &LevelPlan) -> bool {
        match self {
            Self::SetBudget { .. } => level.budget.is_some(),
            Self::SetBid { .. } => level.bid_field.is_some(),
            Self::Activate | Self::Deactivate | Self::Rename { .. } => true,
            // It is not there yet.
            Self::Create(_) => false,
        }
    }
}
