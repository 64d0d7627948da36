//! What a tool asks about: an account, an object, or whichever of several is
//! given. It becomes a path segment once somebody has proven whose it is.

use std::collections::BTreeSet;

use serde_saphyr::Spanned;

use super::{Doubt, doubt};
use crate::connector::Subject;
use crate::form::{ConnectorForm, SchemaForm, SubjectForm, ToolForm};
use crate::pattern::Pattern;
use crate::plan::ApiPlan;

/// The kind that is no object.
pub(super) const ACCOUNT: &str = "account";

pub(super) fn compile(
    api: &ApiPlan,
    file: &ConnectorForm,
    form: &ToolForm,
) -> Result<Vec<Subject>, Doubt> {
    let mut taken = BTreeSet::new();
    let mut subjects = Vec::new();
    for one in &form.subject {
        for word in [&one.argument.value, &format!("kind {}", one.kind.value)] {
            if !taken.insert(word.clone()) {
                return doubt(&one.argument, format!("subject `{word}` stands twice"));
            }
        }
        let is_alone = form.subject.len() == 1;
        presence(one, &form.input.value, is_alone)?;
        subjects.push(subject(api, file, one, &form.input.value)?);
    }
    Ok(subjects)
}

/// The only subject is required; of several, none can be.
fn presence(form: &SubjectForm, input: &SchemaForm, is_alone: bool) -> Result<(), Doubt> {
    let name = &form.argument.value;
    let mut required = input.required.iter().flatten();
    match (is_alone, required.any(|required| required.value == *name)) {
        (true, false) => doubt(
            &form.argument,
            format!("subject argument `{name}` is not a required argument"),
        ),
        (false, true) => doubt(
            &form.argument,
            format!("subject argument `{name}` is required, though another could stand for it"),
        ),
        _ => Ok(()),
    }
}

/// It becomes a path segment: its pattern is that of its kind, to the letter.
fn subject(
    api: &ApiPlan,
    file: &ConnectorForm,
    form: &SubjectForm,
    input: &SchemaForm,
) -> Result<Subject, Doubt> {
    let (name, kind) = (&form.argument.value, &form.kind.value);
    let expected: Option<(&Spanned<String>, &Pattern)> = match (&file.objects, &api.objects) {
        _ if kind == ACCOUNT => Some((&file.accounts.pattern, &api.account_pattern)),
        (Some(form), Some(plan)) if plan.kinds.contains(kind) => {
            Some((&form.pattern, &plan.pattern))
        }
        _ => None,
    };
    let Some((written, pattern)) = expected else {
        return doubt(
            &form.kind,
            format!("`{kind}` is neither `account` nor a kind of `objects`"),
        );
    };
    let found = input
        .properties
        .as_ref()
        .and_then(|properties| properties.pattern(name));
    let Some(found) = found else {
        return doubt(
            &form.argument,
            format!("path argument `{name}` has no anchored pattern"),
        );
    };
    match Pattern::parse(&found.value) {
        Err(problem) => doubt(found, problem),
        Ok(parsed) if !parsed.is_path_safe() => doubt(
            found,
            format!("path argument `{name}` may be more than one plain path segment"),
        ),
        Ok(_) if found.value != written.value => doubt(
            found,
            format!("path argument `{name}` differs from the pattern of its kind"),
        ),
        Ok(_) => Ok(Subject {
            argument: name.clone(),
            kind: kind.clone(),
            is_account: kind == ACCOUNT,
            pattern: pattern.clone(),
        }),
    }
}
