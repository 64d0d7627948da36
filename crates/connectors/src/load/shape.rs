//! What comes back: pages of rows, or the one object that was asked for; and
//! how either says whose it is.

use serde_saphyr::Spanned;

use super::{Doubt, doubt, output, pointer, word};
use crate::connector::Subject;
use crate::form::{
    Entries, PagingForm, QueryForm, ReportForm, RowAccountForm, RowForm, RowsForm, SchemaForm,
    ToolForm,
};
use crate::pattern::Pattern;
use crate::plan::{AccountPlan, PagingPlan, ReportPlan, RowPlan, RowsPlan, Shape};

/// Nobody reads further in one call.
const MOST_ROWS: i64 = 500;
const MOST_PAGES: u32 = 20;

pub(super) fn compile(
    form: &ToolForm,
    query: &Entries<QueryForm>,
    subjects: &[Subject],
    requested: &[Spanned<String>],
) -> Result<Shape, Doubt> {
    match (&form.rows, &form.row, &form.paging) {
        (Some(form_rows), None, Some(form_paging)) => Ok(Shape::List(
            rows(form_rows, subjects, requested)?,
            paging(form_paging, &form.input.value, query)?,
        )),
        (None, Some(form_row), None) if subjects.iter().any(|one| !one.is_account) => {
            row(form_row, requested).map(Shape::One)
        }
        (None, Some(_), None) => doubt(
            &form.name,
            format!(
                "tool `{}` answers one row, but asks about no object",
                form.name.value
            ),
        ),
        _ => doubt(
            &form.name,
            format!(
                "tool `{}` needs either `rows` and `paging`, or `row`",
                form.name.value
            ),
        ),
    }
}

/// A report is an object that the tool can be asked about again.
pub(super) fn report(
    form: Option<&ReportForm>,
    subjects: &[Subject],
    shape: &Shape,
) -> Result<Option<ReportPlan>, Doubt> {
    let Some(form) = form else {
        return Ok(None);
    };
    if !subjects
        .iter()
        .any(|one| !one.is_account && one.kind == form.kind.value)
    {
        return doubt(
            &form.kind,
            format!("no subject of the tool is of kind `{}`", form.kind.value),
        );
    }
    if !matches!(shape, Shape::List(..)) || form.done.is_empty() || form.failed.is_empty() {
        return doubt(
            &form.kind,
            "a report has `rows`, and words that say when it is `done` and when it has `failed`",
        );
    }
    Ok(Some(ReportPlan {
        kind: form.kind.value.clone(),
        id_field: word(&form.id)?,
        status_field: word(&form.status)?,
        done: form.done.clone(),
        failed: form.failed.clone(),
    }))
}

fn rows(
    form: &RowsForm,
    subjects: &[Subject],
    requested: &[Spanned<String>],
) -> Result<RowsPlan, Doubt> {
    let account = match (&form.account, &form.account_of_path) {
        (Some(account), None) => Some(self::account(account, requested)?),
        // Below an object a row of another account could stand unseen.
        (None, Some(of_path)) if !of_path.value => {
            return doubt(of_path, "`account_of_path` is either true or left out");
        }
        (None, Some(of_path))
            if !subjects.iter().all(|one| one.is_account) || subjects.is_empty() =>
        {
            return doubt(
                of_path,
                "`account_of_path` needs a path that holds an account, and nothing but accounts",
            );
        }
        (None, Some(_)) => None,
        _ => {
            return doubt(
                &form.at,
                "rows say whose they are by `account`, or else by `account_of_path`",
            );
        }
    };
    Ok(RowsPlan {
        pointer: pointer(&form.at)?,
        account,
    })
}

fn row(form: &RowForm, requested: &[Spanned<String>]) -> Result<RowPlan, Doubt> {
    Ok(RowPlan {
        id_field: output::requested_field(requested, &form.id)?,
        account: account(&form.account, requested)?,
    })
}

fn account(form: &RowAccountForm, requested: &[Spanned<String>]) -> Result<AccountPlan, Doubt> {
    Ok(AccountPlan {
        field: output::requested_field(requested, &form.field)?,
        prefix: form.prefix.clone(),
    })
}

/// Rows of a page where the caller says nothing.
fn default_limit(form: &PagingForm, input: &SchemaForm) -> Result<u64, Doubt> {
    let properties = input.properties.as_ref();
    let limit = properties.and_then(|all| all.get(&form.limit.value));
    let bounds = limit.map(|limit| {
        let limit = &limit.value;
        (limit.minimum, limit.maximum, &limit.default)
    });
    let default = match bounds {
        Some((Some(1), Some(most), Some(default))) if most <= MOST_ROWS => default.value.as_u64(),
        _ => None,
    };
    default.map_or_else(
        || {
            let name = &form.limit.value;
            doubt(
                &form.limit,
                format!(
                    "paging has no limit: `{name}` needs minimum 1, a maximum of at most {MOST_ROWS} and a default"
                ),
            )
        },
        Ok,
    )
}

fn paging(
    form: &PagingForm,
    input: &SchemaForm,
    query: &Entries<QueryForm>,
) -> Result<PagingPlan, Doubt> {
    for name in [&form.limit, &form.after] {
        let sent = query.0.iter().any(|(_, slot)| {
            slot.argument
                .as_ref()
                .is_some_and(|argument| argument.value == name.value)
        });
        if !sent {
            return doubt(
                name,
                format!(
                    "paging argument `{}` is not sent by the request",
                    name.value
                ),
            );
        }
    }
    let default_limit = default_limit(form, input)?;
    if !(1..=MOST_PAGES).contains(&form.most_pages.value) {
        return doubt(
            &form.most_pages,
            format!("`most_pages` is not between 1 and {MOST_PAGES}"),
        );
    }
    let cursor = input
        .properties
        .as_ref()
        .and_then(|all| all.pattern(&form.after.value));
    let Some(cursor) = cursor else {
        return doubt(
            &form.after,
            format!(
                "paging argument `{}` has no pattern that tells a cursor",
                form.after.value
            ),
        );
    };
    Ok(PagingPlan {
        next: pointer(&form.next)?,
        cursor: pointer(&form.cursor)?,
        limit_argument: form.limit.value.clone(),
        after_argument: form.after.value.clone(),
        cursor_pattern: Pattern::parse(&cursor.value).or_else(|problem| doubt(cursor, problem))?,
        default_limit,
        most_pages: form.most_pages.value,
    })
}
