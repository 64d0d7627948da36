//! One tool of a connector file.

use std::collections::BTreeSet;

use serde_saphyr::Spanned;
use tenantry_core::access::ToolClass;
use tenantry_core::name::{ConnectorName, ToolName};

use super::{Doubt, doubt, output, path, pointer, schema, word};
use crate::answer;
use crate::connector::{Annotations, Tool};
use crate::form::{AccountsForm, Entries, PagingForm, QueryForm, SchemaForm, SchemaKind, ToolForm};
use crate::pattern::Pattern;
use crate::plan::{ApiPlan, Encode, PagingPlan, QueryValue, RequestPlan, RowsPlan, Segment};

/// Nobody reads further in one call.
const MOST_ROWS: i64 = 500;
const MOST_PAGES: u32 = 20;

pub(super) fn compile(
    connector: &ConnectorName,
    api: &ApiPlan,
    accounts: &AccountsForm,
    form: &ToolForm,
) -> Result<Tool, Doubt> {
    let name = name(connector, &form.name)?;
    let annotations = annotations(form)?;
    for text in [&form.title, &form.description] {
        if text.value.trim().is_empty() {
            return doubt(
                text,
                format!("tool `{name}` lacks words that tell an agent what it does"),
            );
        }
    }
    let input_schema = schema::input(&form.input)?;
    let plan = plan(api, accounts, form)?;
    Ok(Tool {
        name,
        title: form.title.value.trim().to_owned(),
        description: form.description.value.trim().to_owned(),
        class: form.class.value,
        annotations,
        input_schema,
        output_schema: answer::data_schema(&plan.output),
        account_argument: form.account.as_ref().map(|account| account.value.clone()),
        plan,
    })
}

fn name(connector: &ConnectorName, form: &Spanned<String>) -> Result<ToolName, Doubt> {
    if !form.value.starts_with(&format!("{connector}_")) {
        return doubt(
            form,
            format!(
                "tool name `{}` does not begin with `{connector}_`",
                form.value
            ),
        );
    }
    ToolName::parse(&form.value).or_else(|error| doubt(form, error.to_string()))
}

fn annotations(form: &ToolForm) -> Result<Annotations, Doubt> {
    if form.class.value != ToolClass::Read {
        let class = form.class.value.as_str();
        return doubt(
            &form.class,
            format!(
                "class `{class}` needs an effect, and this release has none; only `read` loads"
            ),
        );
    }
    let hints = &form.annotations.value;
    if !hints.read_only || hints.destructive {
        return doubt(&form.annotations, "the annotations contradict class `read`");
    }
    Ok(Annotations {
        read_only: hints.read_only,
        destructive: hints.destructive,
        idempotent: hints.idempotent,
        open_world: hints.open_world,
    })
}

fn plan(api: &ApiPlan, accounts: &AccountsForm, form: &ToolForm) -> Result<RequestPlan, Doubt> {
    let arguments = schema::arguments(&form.input.value);
    let is_argument = |name: &str| arguments.iter().any(|(argument, _)| argument.value == name);
    let account = form.account.as_ref().map(|account| account.value.as_str());
    if let Some(account) = &form.account {
        account_argument(account, accounts, &form.input.value)?;
    }
    let path = path(&form.request.path, account, is_argument)?;
    if account.is_some() && !path.contains(&Segment::Account) {
        return doubt(
            &form.request.path,
            "the path does not hold the account that the tool asks for",
        );
    }
    let query = query(&form.request.query, &form.input.value)?;
    every_argument_is_used(&form.input.value, account, &form.request.query)?;
    let requested = requested(&form.request.query)?;
    let rows = RowsPlan {
        pointer: pointer(&form.rows.at)?,
        account_field: output::requested_field(&requested, &form.rows.account.field)?,
        account_prefix: form.rows.account.prefix.clone(),
    };
    let money = output::MoneyRule {
        account: account.is_some(),
        confirm: api.confirm.is_some(),
    };
    let output = output::compile(&form.output, &requested, money)?;
    every_field_is_read(&requested, &rows, &form.output)?;
    Ok(RequestPlan {
        path,
        query,
        exclusive: exclusive(&form.request.exclusive, &form.input.value)?,
        rows,
        paging: paging(&form.paging, &form.input.value, &form.request.query)?,
        output,
    })
}

/// The account becomes a path segment: its pattern is the connector's own.
fn account_argument(
    account: &Spanned<String>,
    accounts: &AccountsForm,
    input: &SchemaForm,
) -> Result<(), Doubt> {
    let name = &account.value;
    let required = input
        .required
        .iter()
        .flatten()
        .any(|required| required.value == *name);
    if !required {
        return doubt(
            account,
            format!("account argument `{name}` is not a required argument"),
        );
    }
    let Some(pattern) = input
        .properties
        .as_ref()
        .and_then(|properties| properties.pattern(name))
    else {
        return doubt(
            account,
            format!("path argument `{name}` has no anchored pattern"),
        );
    };
    match Pattern::parse(&pattern.value) {
        Err(problem) => doubt(pattern, problem),
        Ok(parsed) if !parsed.is_path_safe() => doubt(
            pattern,
            format!("path argument `{name}` may be more than one plain path segment"),
        ),
        Ok(_) if pattern.value != accounts.pattern.value => doubt(
            pattern,
            format!("path argument `{name}` differs from the accounts' pattern"),
        ),
        Ok(_) => Ok(()),
    }
}

fn query(
    form: &Entries<QueryForm>,
    input: &SchemaForm,
) -> Result<Vec<(String, QueryValue)>, Doubt> {
    let mut query = Vec::new();
    for (parameter, slot) in &form.0 {
        schema::refuse_command(parameter)?;
        query.push((word(parameter)?, query_value(parameter, slot, input)?));
    }
    Ok(query)
}

fn query_value(
    parameter: &Spanned<String>,
    slot: &QueryForm,
    input: &SchemaForm,
) -> Result<QueryValue, Doubt> {
    match (&slot.fields, &slot.constant, &slot.argument) {
        (Some(fields), None, None) if slot.encode.is_none() => {
            let names: Vec<String> = fields.iter().map(word).collect::<Result<_, _>>()?;
            Ok(QueryValue::Text(names.join(",")))
        }
        (None, Some(constant), None) if slot.encode.is_none() => {
            Ok(QueryValue::Text(constant.clone()))
        }
        (None, None, Some(argument)) => {
            let found = input
                .properties
                .as_ref()
                .and_then(|properties| properties.get(&argument.value));
            let Some(found) = found else {
                return doubt(
                    argument,
                    format!("query slot `{}` is not declared in `input`", argument.value),
                );
            };
            let encode = slot.encode.unwrap_or(Encode::Plain);
            let composite = matches!(found.value.kind, SchemaKind::Array | SchemaKind::Object);
            if composite != (encode == Encode::Json) {
                return doubt(
                    argument,
                    "lists and objects, and they alone, are encoded as json",
                );
            }
            let default = found
                .value
                .default
                .as_ref()
                .map(|default| default.value.clone());
            Ok(QueryValue::Argument {
                name: argument.value.clone(),
                default,
                encode,
            })
        }
        _ => doubt(
            parameter,
            format!(
                "parameter `{}` needs exactly one of `fields`, `constant` and `argument`",
                parameter.value
            ),
        ),
    }
}

fn every_argument_is_used(
    input: &SchemaForm,
    account: Option<&str>,
    query: &Entries<QueryForm>,
) -> Result<(), Doubt> {
    let mut used: BTreeSet<&str> = account.into_iter().collect();
    for (parameter, slot) in &query.0 {
        let Some(argument) = &slot.argument else {
            continue;
        };
        if !used.insert(&argument.value) {
            return doubt(
                parameter,
                format!("argument `{}` is used twice", argument.value),
            );
        }
    }
    match schema::arguments(input)
        .iter()
        .find(|(name, _)| !used.contains(name.value.as_str()))
    {
        Some((name, _)) => doubt(
            name,
            format!("argument `{}` is not used by the request", name.value),
        ),
        None => Ok(()),
    }
}

/// The fields that the request asks the vendor for.
fn requested(query: &Entries<QueryForm>) -> Result<Vec<Spanned<String>>, Doubt> {
    let mut requested: Vec<Spanned<String>> = Vec::new();
    for field in query
        .0
        .iter()
        .filter_map(|(_, slot)| slot.fields.as_ref())
        .flatten()
    {
        if requested.iter().any(|other| other.value == field.value) {
            return doubt(field, format!("field `{}` is requested twice", field.value));
        }
        requested.push(field.clone());
    }
    Ok(requested)
}

fn every_field_is_read(
    requested: &[Spanned<String>],
    rows: &RowsPlan,
    output: &crate::form::OutputForm,
) -> Result<(), Doubt> {
    let read = output::fields_read(output);
    let unread = requested
        .iter()
        .find(|field| field.value != rows.account_field && !read.contains(field.value.as_str()));
    match unread {
        Some(field) => doubt(
            field,
            format!("field `{}` is requested, but nothing reads it", field.value),
        ),
        None => Ok(()),
    }
}

fn exclusive(names: &[Spanned<String>], input: &SchemaForm) -> Result<Vec<String>, Doubt> {
    for name in names {
        let argument = schema::arguments(input)
            .iter()
            .find(|(argument, _)| argument.value == name.value);
        match argument {
            None => {
                return doubt(
                    name,
                    format!(
                        "exclusive argument `{}` is not declared in `input`",
                        name.value
                    ),
                );
            }
            // A default would be sent beside the other argument.
            Some((_, argument)) if argument.value.default.is_some() => {
                return doubt(
                    name,
                    format!("exclusive argument `{}` has a default", name.value),
                );
            }
            Some(_) => {}
        }
    }
    Ok(names.iter().map(|name| name.value.clone()).collect())
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
    let limit = input
        .properties
        .as_ref()
        .and_then(|all| all.get(&form.limit.value));
    let bounds = limit.map(|limit| {
        (
            limit.value.minimum,
            limit.value.maximum,
            &limit.value.default,
        )
    });
    let default_limit = match bounds {
        Some((Some(1), Some(most), Some(default))) if most <= MOST_ROWS => default.value.as_u64(),
        _ => None,
    };
    let Some(default_limit) = default_limit else {
        let name = &form.limit.value;
        return doubt(
            &form.limit,
            format!(
                "paging has no limit: `{name}` needs minimum 1, a maximum of at most {MOST_ROWS} and a default"
            ),
        );
    };
    if !(1..=MOST_PAGES).contains(&form.most_pages.value) {
        return doubt(
            &form.most_pages,
            format!("`most_pages` is not between 1 and {MOST_PAGES}"),
        );
    }
    Ok(PagingPlan {
        next: pointer(&form.next)?,
        cursor: pointer(&form.cursor)?,
        limit_argument: form.limit.value.clone(),
        after_argument: form.after.value.clone(),
        default_limit,
        most_pages: form.most_pages.value,
    })
}
