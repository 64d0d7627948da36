//! The tools that make something new: what it is made of, and how it is found
//! again when the answer never comes.

use serde_saphyr::Spanned;

use super::super::subject::ACCOUNT;
use super::super::{Doubt, command_free, doubt, pointer, tool};
use crate::connector::Subject;
use crate::form::SchemaForm;
use crate::form::change::{ChangeForm, CreateForm, CreatesForm};
use crate::plan::ApiPlan;
use crate::plan::QueryValue;
use crate::plan::change::{CreatePlan, CreatesPlan, OwnedPlan};
use crate::plan::spend_root::{LevelPlan, SpendRootPlan};

/// What stands for the name.
const NAME: &str = "\"{name}\"";

pub(super) fn creates(form: &CreatesForm) -> Result<CreatesPlan, Doubt> {
    let value = &form.locate.value;
    let parts: Vec<&str> = value.value.split(NAME).collect();
    let [before, after] = parts[..] else {
        return doubt(value, format!("`{NAME}` does not stand exactly once"));
    };
    if serde_json::from_str::<serde_json::Value>(&value.value).is_err() {
        return doubt(value, "what a list is searched by is no JSON");
    }
    Ok(CreatesPlan {
        made: pointer(&form.made)?,
        locate_parameter: command_free(&form.locate.parameter)?,
        locate_around: (before.to_owned(), after.to_owned()),
    })
}

pub(super) fn plan(form: &CreateForm, input: &SchemaForm) -> Result<CreatePlan, Doubt> {
    for (parameter, slot) in &form.settings.0 {
        if slot.fields.is_some() {
            return doubt(parameter, "a setting is an argument or a constant");
        }
    }
    if let Some(odd) = form.owned.iter().find(|one| !is_required(one, input)) {
        let OwnedPlan {
            argument, member, ..
        } = odd;
        let reason =
            format!("`{argument}` does not require an `{member}`, whose owner was to be asked");
        return Err(Doubt { line: 0, reason });
    }
    Ok(CreatePlan {
        makes: form.makes.clone(),
        name: form.name.clone(),
        daily: form.daily.clone(),
        lifetime: form.lifetime.clone(),
        ends: form.ends.clone(),
        bid: form.bid.clone(),
        settings: tool::query(&form.settings, input)?,
        owned: form.owned.clone(),
    })
}

/// Whether what holds an id cannot come without it: it would not be asked about.
fn is_required(owned: &OwnedPlan, input: &SchemaForm) -> bool {
    let arguments = input.properties.as_ref();
    let found = arguments.and_then(|arguments| arguments.get(&owned.argument));
    found.is_some_and(|found| {
        let mut required = found.value.required.iter().flatten();
        required.any(|required| required.value == owned.member)
    })
}

/// Whether it can be made where it is to be, said whole, and found again.
pub(super) fn check(
    api: &ApiPlan,
    subjects: &[Subject],
    plan: &CreatePlan,
    change: &Spanned<ChangeForm>,
) -> Result<(), Doubt> {
    let root = api.spend_root.as_ref();
    let level = root.and_then(|root| root.level(&plan.makes));
    let (Some(root), Some(level)) = (root, level) else {
        return doubt(
            change,
            format!("`{}` is no level of the spend root", plan.makes),
        );
    };
    let changes = api.changes.as_ref();
    let creates = changes.and_then(|changes| changes.creates.as_ref());
    if level.create.is_none() || creates.is_none() {
        return doubt(
            change,
            "what is made needs `create`, at its level and in `changes`: where it is made, and how it is found again",
        );
    }
    let above = root.above(&plan.makes).unwrap_or(ACCOUNT);
    if !matches!(subjects, [only] if only.kind == above) {
        return doubt(change, format!("what is made stands below one `{above}`"));
    }
    let has_no_place = [
        (&plan.daily, level.budget.is_none()),
        (&plan.lifetime, level.budget.is_none()),
        (&plan.ends, level.ends_field.is_none()),
        (&plan.bid, level.bid_field.is_none()),
    ];
    let odd = has_no_place
        .into_iter()
        .find(|(argument, is_odd)| argument.is_some() && *is_odd);
    if let Some((Some(argument), _)) = odd {
        return doubt(
            change,
            format!("`{}` has nothing that `{argument}` could be", plan.makes),
        );
    }
    let kinds = api.objects.as_ref().map(|objects| &objects.kinds);
    let is_known = |kind: &String| kinds.is_some_and(|kinds| kinds.contains(kind));
    let mut owned = plan.owned.iter();
    if let Some(odd) = owned.find(|one| !plan.is_setting(&one.argument) || !is_known(&one.kind)) {
        let OwnedPlan { argument, kind, .. } = odd;
        return doubt(
            change,
            format!("`{argument}` is no setting that holds an object of kind `{kind}`"),
        );
    }
    let rehearse = changes.map(|changes| changes.rehearse.0.as_str());
    let taken = |parameter: &str| {
        let mut own = own(root, level).chain(rehearse);
        own.any(|field| field == parameter)
    };
    match plan.settings.iter().find(|(parameter, _)| taken(parameter)) {
        Some((parameter, _)) => doubt(
            change,
            format!("setting `{parameter}` is not a setting: it is said otherwise"),
        ),
        None => Ok(()),
    }
}

/// What is said of a new object by itself.
fn own<'r>(root: &'r SpendRootPlan, level: &'r LevelPlan) -> impl Iterator<Item = &'r str> {
    let below = root.below(&level.kind);
    let above = below.map(|below| below.parent_field.as_str());
    level.fields().chain(above)
}

impl CreatePlan {
    /// The arguments that it takes, beside its subject.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        let optional = [&self.daily, &self.lifetime, &self.ends, &self.bid];
        let optional = optional.into_iter().flatten();
        let own = [&self.name].into_iter().chain(optional).map(String::as_str);
        own.chain(self.set())
    }

    pub fn is_setting(&self, name: &str) -> bool {
        self.set().any(|set| set == name)
    }

    fn set(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().filter_map(|(_, value)| match value {
            QueryValue::Argument { name, .. } => Some(name.as_str()),
            QueryValue::Text(_) => None,
        })
    }
}
