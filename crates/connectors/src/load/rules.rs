//! The error table and the quota headers of a connector file.

use std::collections::BTreeSet;

use serde_saphyr::Spanned;

use super::{Doubt, doubt, header, is_word, pointer, word};
use crate::form::{ConditionForm, ErrorForm, QuotaForm, WaitForm, WaitUnit};
use crate::plan::{BodyCondition, ErrorRule, QuotaRule, Test};

/// Compiles the error table; a row that can never match is a mistake.
pub(super) fn errors(forms: &[Spanned<ErrorForm>]) -> Result<Vec<ErrorRule>, Doubt> {
    let mut rules: Vec<(u64, ErrorRule)> = Vec::new();
    for form in forms {
        let rule = error(form)?;
        if let Some((line, _)) = rules.iter().find(|(_, earlier)| covers(earlier, &rule)) {
            return doubt(
                form,
                format!(
                    "this error rule can never match: the one in line {line} always comes first"
                ),
            );
        }
        rules.push((form.referenced.line(), rule));
    }
    Ok(rules.into_iter().map(|(_, rule)| rule).collect())
}

fn error(form: &Spanned<ErrorForm>) -> Result<ErrorRule, Doubt> {
    let when = &form.value.when;
    let is_success = |status: &u16| (200..300).contains(status);
    if let Some(list) = &when.status {
        if list.is_empty() || (!form.value.match_success && list.iter().all(is_success)) {
            return doubt(form, "this error rule can never match: no status is left");
        }
        if let Some(odd) = list.iter().find(|status| !(100..600).contains(*status)) {
            return doubt(form, format!("`{odd}` is not an HTTP status"));
        }
    }
    if when.body.is_empty() && (when.status.is_none() || form.value.match_success) {
        return doubt(
            form,
            "this error rule asks for nothing: it would take every answer",
        );
    }
    Ok(ErrorRule {
        status: when.status.clone(),
        body: when.body.iter().map(condition).collect::<Result<_, _>>()?,
        match_success: form.value.match_success,
        class: form.value.class,
        applied: form.value.applied,
    })
}

fn condition(form: &ConditionForm) -> Result<BodyCondition, Doubt> {
    let pointer = pointer(&form.at)?;
    let ranges = || {
        let single = form.one_of.iter().flatten().map(|&code| (code, code));
        single
            .chain(form.between.iter().flatten().copied())
            .collect::<Vec<_>>()
    };
    let has_codes = form.one_of.is_some() || form.between.is_some();
    let test = match (form.present, has_codes, &form.begins) {
        (Some(true), false, None) => Test::Present,
        (None, true, None) => Test::Codes(codes(form, ranges())?),
        (None, false, Some(start)) if !start.is_empty() => Test::Begins(start.clone()),
        _ => {
            return doubt(
                &form.at,
                "say either `present: true`, or `in` and `between`, or `begins`",
            );
        }
    };
    Ok(BodyCondition { pointer, test })
}

fn codes(form: &ConditionForm, ranges: Vec<(i64, i64)>) -> Result<Vec<(i64, i64)>, Doubt> {
    if ranges.is_empty() {
        return doubt(
            &form.at,
            "this error rule can never match: it lists no code",
        );
    }
    if let Some((low, high)) = ranges.iter().find(|(low, high)| low > high) {
        return doubt(
            &form.at,
            format!("this error rule can never match: no code is between {low} and {high}"),
        );
    }
    Ok(ranges)
}

/// Whether everything that `later` matches was already taken by `earlier`.
fn covers(earlier: &ErrorRule, later: &ErrorRule) -> bool {
    let success = earlier.match_success || !later.match_success;
    let status = match (&earlier.status, &later.status) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => narrow.iter().all(|status| wide.contains(status)),
    };
    success
        && status
        && earlier
            .body
            .iter()
            .all(|wide| later.body.iter().any(|narrow| implies(narrow, wide)))
}

fn implies(narrow: &BodyCondition, wide: &BodyCondition) -> bool {
    let within = |(low, high): &(i64, i64), ranges: &[(i64, i64)]| {
        ranges.iter().any(|(from, to)| from <= low && high <= to)
    };
    let same_place = narrow.pointer == wide.pointer;
    match (&wide.test, &narrow.test) {
        // A value below a pointer cannot be there without the pointer's own.
        (Test::Present, _) => narrow.pointer.is_within(&wide.pointer),
        (Test::Codes(wide), Test::Codes(narrow)) => {
            same_place && narrow.iter().all(|range| within(range, wide))
        }
        (Test::Begins(wide), Test::Begins(narrow)) => same_place && narrow.starts_with(wide),
        _ => false,
    }
}

/// Compiles the quota headers.
pub(super) fn quota(forms: &[QuotaForm]) -> Result<Vec<QuotaRule>, Doubt> {
    let mut headers = BTreeSet::new();
    let mut rules = Vec::new();
    for form in forms {
        if !headers.insert(&form.header.value) {
            return doubt(
                &form.header,
                format!("quota header `{}` stands twice", form.header.value),
            );
        }
        if form.used_percent.is_empty() || !form.used_percent.iter().all(|field| is_word(field)) {
            return doubt(&form.header, "`used_percent` names no field of the header");
        }
        rules.push(QuotaRule {
            bucket: word(&form.bucket)?,
            header: header(&form.header)?,
            shape: form.shape,
            of_account: form.of_account,
            used_percent: form.used_percent.clone(),
            wait: form.wait.as_ref().map(wait),
        });
    }
    Ok(rules)
}

fn wait(form: &WaitForm) -> (String, u64) {
    let unit_ms = match form.unit {
        WaitUnit::Seconds => 1_000,
        WaitUnit::Minutes => 60_000,
    };
    (form.field.clone(), unit_ms)
}
