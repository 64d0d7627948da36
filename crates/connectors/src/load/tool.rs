//! One tool of a connector file.

use std::collections::BTreeSet;

use serde_json::Map;
use serde_saphyr::Spanned;
use tenantry_core::access::ToolClass;
use tenantry_core::name::{ConnectorName, ToolName};

use super::{Doubt, change, doubt, output, path, schema, shape, subject, word};
use crate::answer;
use crate::connector::{Annotations, Subject, Tool};
use crate::form::{
    ConnectorForm, Entries, OutputForm, QueryForm, RequestForm, SchemaForm, SchemaKind, ToolForm,
};
use crate::plan::{ApiPlan, Encode, QueryValue, RequestPlan, Segment, Shape, ToolPlan};

pub(super) fn compile(
    connector: &ConnectorName,
    api: &ApiPlan,
    file: &ConnectorForm,
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
    let subjects = subject::compile(api, file, form)?;
    let plan = plan(api, &subjects, form)?;
    let output_schema = match &plan {
        ToolPlan::Read(plan) => answer::data_schema(&plan.output),
        ToolPlan::Change(_) => Map::new(),
    };
    Ok(Tool {
        name,
        title: form.title.value.trim().to_owned(),
        description: form.description.value.trim().to_owned(),
        class: form.class.value,
        annotations,
        input_schema,
        output_schema,
        subjects,
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
    let class = form.class.value.as_str();
    let is_read = form.class.value == ToolClass::Read;
    if is_read == form.change.is_some() {
        let reason = if is_read {
            "class `read` changes nothing".to_owned()
        } else {
            format!("class `{class}` needs an effect: say what the tool changes in `change`")
        };
        return doubt(&form.class, reason);
    }
    let hints = &form.annotations.value;
    if hints.read_only != is_read || (is_read && hints.destructive) {
        return doubt(
            &form.annotations,
            format!("the annotations contradict class `{class}`"),
        );
    }
    Ok(Annotations {
        read_only: hints.read_only,
        destructive: hints.destructive,
        idempotent: hints.idempotent,
        open_world: hints.open_world,
    })
}

fn plan(api: &ApiPlan, subjects: &[Subject], form: &ToolForm) -> Result<ToolPlan, Doubt> {
    match (&form.change, &form.request, &form.output) {
        (Some(change), _, _) => change::compile(api, subjects, form, change).map(ToolPlan::Change),
        (None, Some(request), Some(output)) => {
            let plan = read(api, subjects, form, request, output)?;
            Ok(ToolPlan::Read(Box::new(plan)))
        }
        (None, ..) => doubt(
            &form.name,
            "a tool needs `request` and `output`, or `change`",
        ),
    }
}

fn read(
    api: &ApiPlan,
    subjects: &[Subject],
    form: &ToolForm,
    request: &RequestForm,
    answered: &OutputForm,
) -> Result<RequestPlan, Doubt> {
    let arguments = schema::arguments(&form.input.value);
    let is_argument = |name: &str| arguments.iter().any(|(argument, _)| argument.value == name);
    let slot = (!subjects.is_empty()).then_some("subject");
    let path = path(&request.path, slot, is_argument)?;
    if slot.is_some() && !path.contains(&Segment::Slot) {
        return doubt(
            &request.path,
            "the path does not hold the `{subject}` that the tool asks about",
        );
    }
    let query = query(&request.query, &form.input.value)?;
    every_argument_is_used(&form.input.value, subjects, &request.query)?;
    let requested = requested(&request.query)?;
    let shape = shape::compile(form, &request.query, subjects, &requested)?;
    let report = shape::report(form.report.as_ref(), subjects, &shape)?;
    let money = output::MoneyRule {
        account: !subjects.is_empty(),
        confirm: api.confirm.is_some(),
    };
    let is_one = matches!(shape, Shape::One(_));
    let output = output::compile(answered, is_one, &requested, &form.input.value, money)?;
    every_field_is_read(&requested, &shape, answered)?;
    Ok(RequestPlan {
        path,
        query,
        exclusive: exclusive(&request.exclusive, &form.input.value)?,
        shape,
        report,
        output,
    })
}

pub(super) fn query(
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
    subjects: &[Subject],
    query: &Entries<QueryForm>,
) -> Result<(), Doubt> {
    let subjects = subjects.iter().map(|subject| subject.argument.as_str());
    let mut used: BTreeSet<&str> = subjects.collect();
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
    shape: &Shape,
    output: &OutputForm,
) -> Result<(), Doubt> {
    let mut read = output::fields_read(output);
    match shape {
        Shape::List(rows, _) => read.extend(rows.account.iter().map(|own| own.field.as_str())),
        Shape::One(row) => read.extend([row.id_field.as_str(), row.account.field.as_str()]),
    }
    let unread = requested
        .iter()
        .find(|field| !read.contains(field.value.as_str()));
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
