//! Schemas of arguments: strict at every level, and bounded, so that no
//! argument can be longer or larger than someone meant it to be.

use serde_json::{Map, Value, json};
use serde_saphyr::Spanned;

use super::{Doubt, doubt, word};
use crate::form::{Entries, SchemaForm, SchemaKind};
use crate::pattern::Pattern;

/// The vendor reads these from the query as commands; none may come from arguments.
const COMMANDS: &[&str] = &[
    "access_token",
    "appsecret_proof",
    "batch",
    "id",
    "ids",
    "include_headers",
    "method",
];

/// Compiles the schema of a tool's arguments.
pub(super) fn input(form: &Spanned<SchemaForm>) -> Result<Map<String, Value>, Doubt> {
    if form.value.kind != SchemaKind::Object {
        return doubt(form, "the schema of `input` is not of type object");
    }
    match schema(form)? {
        Value::Object(schema) => Ok(schema),
        _ => doubt(form, "the schema of `input` is not an object"),
    }
}

/// The arguments of a tool.
pub(super) fn arguments(form: &SchemaForm) -> &[(Spanned<String>, Spanned<SchemaForm>)] {
    form.properties
        .as_ref()
        .map_or(&[], |entries| entries.0.as_slice())
}

/// Refuses a parameter or argument that the vendor would take for a command.
pub(super) fn refuse_command(name: &Spanned<String>) -> Result<(), Doubt> {
    if COMMANDS.contains(&name.value.to_ascii_lowercase().as_str()) {
        return doubt(
            name,
            format!(
                "`{}` is a command to the vendor and may not be a parameter",
                name.value
            ),
        );
    }
    Ok(())
}

fn schema(form: &Spanned<SchemaForm>) -> Result<Value, Doubt> {
    only_fitting_keywords(form)?;
    let value = &form.value;
    let mut schema = match value.kind {
        SchemaKind::Object => object(form)?,
        SchemaKind::Array => array(form)?,
        SchemaKind::String => string(form)?,
        SchemaKind::Integer => integer(form)?,
        SchemaKind::Boolean => json!({"type": "boolean"}),
    };
    if let Some(fields) = schema.as_object_mut() {
        if let Some(description) = &value.description {
            fields.insert("description".into(), json!(description));
        }
        if let Some(default) = &value.default {
            check_default(value, default)?;
            fields.insert("default".into(), default.value.clone());
        }
    }
    Ok(schema)
}

/// A keyword that its type ignores would look like a bound and be none.
fn only_fitting_keywords(form: &Spanned<SchemaForm>) -> Result<(), Doubt> {
    let value = &form.value;
    let text = value.words.is_some()
        || value.pattern.is_some()
        || value.min_length.is_some()
        || value.max_length.is_some();
    let number = value.minimum.is_some() || value.maximum.is_some();
    let list = value.items.is_some()
        || value.min_items.is_some()
        || value.max_items.is_some()
        || value.unique_items.is_some();
    let object = value.properties.is_some()
        || value.required.is_some()
        || value.additional_properties.is_some();
    let fits = match value.kind {
        SchemaKind::Object => !(text || number || list),
        SchemaKind::Array => !(text || number || object),
        SchemaKind::String => !(number || list || object),
        SchemaKind::Integer => !(text || list || object),
        SchemaKind::Boolean => !(text || number || list || object),
    };
    if fits {
        Ok(())
    } else {
        doubt(form, "the schema has a keyword that its type ignores")
    }
}

fn object(form: &Spanned<SchemaForm>) -> Result<Value, Doubt> {
    let value = &form.value;
    if value.additional_properties != Some(false) {
        return doubt(
            form,
            "the schema is not strict: `additionalProperties: false` is missing",
        );
    }
    let mut properties = Map::new();
    for (name, property) in arguments(value) {
        refuse_command(name)?;
        properties.insert(word(name)?, schema(property)?);
    }
    let mut required = Vec::new();
    for name in value.required.iter().flatten() {
        if !properties.contains_key(&name.value) || required.contains(&name.value.as_str()) {
            return doubt(
                name,
                format!(
                    "required property `{}` is not declared, or stands twice",
                    name.value
                ),
            );
        }
        required.push(&name.value);
    }
    Ok(json!({
        "type": "object", "additionalProperties": false, "properties": properties, "required": required,
    }))
}

fn array(form: &Spanned<SchemaForm>) -> Result<Value, Doubt> {
    let (Some(items), Some(most)) = (&form.value.items, form.value.max_items) else {
        return doubt(
            form,
            "the list has no bound: `items` and `maxItems` are needed",
        );
    };
    let least = form.value.min_items.unwrap_or(0);
    if least > most {
        return doubt(form, format!("no list has {least} to {most} items"));
    }
    Ok(json!({
        "type": "array", "items": schema(items)?, "minItems": least, "maxItems": most,
        "uniqueItems": form.value.unique_items.unwrap_or(false),
    }))
}

fn string(form: &Spanned<SchemaForm>) -> Result<Value, Doubt> {
    let value = &form.value;
    match (&value.words, &value.pattern, value.max_length) {
        (Some(words), None, None) if !words.is_empty() && value.min_length.is_none() => {
            Ok(json!({"type": "string", "enum": words}))
        }
        (None, Some(pattern), None) if value.min_length.is_none() => {
            match Pattern::parse(&pattern.value) {
                Ok(_) => Ok(json!({"type": "string", "pattern": pattern.value})),
                Err(problem) => doubt(pattern, problem),
            }
        }
        (None, None, Some(most)) => Ok(
            json!({"type": "string", "minLength": value.min_length.unwrap_or(0), "maxLength": most}),
        ),
        _ => doubt(
            form,
            "the text needs exactly one bound: `enum`, `pattern` or `maxLength`",
        ),
    }
}

fn integer(form: &Spanned<SchemaForm>) -> Result<Value, Doubt> {
    match (form.value.minimum, form.value.maximum) {
        (Some(least), Some(most)) if least <= most => {
            Ok(json!({"type": "integer", "minimum": least, "maximum": most}))
        }
        _ => doubt(
            form,
            "the number needs a `minimum` and a `maximum` that is not below it",
        ),
    }
}

fn check_default(form: &SchemaForm, default: &Spanned<Value>) -> Result<(), Doubt> {
    let value = &default.value;
    let admitted = match form.kind {
        SchemaKind::String => value.as_str().is_some_and(|text| admits_text(form, text)),
        SchemaKind::Integer => value
            .as_i64()
            .is_some_and(|number| form.minimum <= Some(number) && Some(number) <= form.maximum),
        SchemaKind::Boolean => value.is_boolean(),
        SchemaKind::Array | SchemaKind::Object => false,
    };
    if admitted {
        Ok(())
    } else {
        doubt(default, "the default is not admitted by its own schema")
    }
}

fn admits_text(form: &SchemaForm, text: &str) -> bool {
    let listed = form
        .words
        .as_ref()
        .is_none_or(|words| words.iter().any(|word| word == text));
    let fits = form.pattern.as_ref().is_none_or(|pattern| {
        Pattern::parse(&pattern.value).is_ok_and(|pattern| pattern.admits(text))
    });
    let short = form
        .max_length
        .is_none_or(|most| text.chars().count() <= most as usize);
    listed && fits && short
}

impl Entries<Spanned<SchemaForm>> {
    /// The schema of a text argument's pattern, if it has one.
    pub fn pattern(&self, name: &str) -> Option<&Spanned<String>> {
        self.get(name)?.value.pattern.as_ref()
    }
}
