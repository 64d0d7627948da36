//! The table of what each field accepts and refuses, read from
//! `testdata/fields.yaml`: one document a case.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

const TABLE: &str = include_str!("../../testdata/fields.yaml");

/// The table as it is written.
#[derive(Deserialize)]
struct Table {
    documents: BTreeMap<String, Value>,
    forms: BTreeMap<String, Form>,
    fields: BTreeMap<String, BTreeMap<String, Entry>>,
}

/// Values that a field accepts, and values that it refuses with the words.
#[derive(Deserialize, Clone)]
struct Form {
    accepts: Vec<Value>,
    refuses: Vec<(Value, String)>,
}

/// A form by name, or one of the field's own.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Named(String),
    Own(Form),
}

/// One document, and what becomes of it.
#[derive(Clone)]
pub struct Case {
    /// The kind of the document.
    pub kind: String,
    /// The field that is tried, below `spec`.
    pub field: String,
    /// The whole document.
    pub document: Value,
    /// The words with which it is refused; `None` means accepted.
    pub says: Option<String>,
}

impl Case {
    /// For the message of a failing test.
    pub fn name(&self) -> String {
        let pointer = format!("/spec/{}", self.field);
        let value = self.document.pointer(&pointer);
        let value = value.map_or("ABSENT".to_owned(), ToString::to_string);
        format!("{} {} = {value:.120}", self.kind, self.field)
    }
}

/// Every case of the table.
pub fn cases() -> Vec<Case> {
    let table: Table = serde_saphyr::from_str(TABLE).unwrap();
    let mut cases = vec![];
    for (name, fields) in &table.fields {
        let document = &table.documents[name];
        for (field, entry) in fields {
            let form = match entry {
                Entry::Named(name) => &table.forms[name],
                Entry::Own(form) => form,
            };
            let accepted = form.accepts.iter().map(|value| (value, None));
            let refused = form
                .refuses
                .iter()
                .map(|(value, says)| (value, Some(says.clone())));
            cases.extend(accepted.chain(refused).map(|(value, says)| Case {
                kind: document["kind"].as_str().unwrap().into(),
                field: field.clone(),
                document: with(document, field, value),
                says,
            }));
        }
    }
    cases
}

/// `document` with `value` in the place of `field`.
fn with(document: &Value, field: &str, value: &Value) -> Value {
    let mut document = document.clone();
    if value == "SAME" {
        return document;
    }
    let pointer = format!("/spec/{field}");
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = document
        .pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .unwrap();
    assert!(parent.contains_key(last), "the document has no {pointer}");
    if value == "ABSENT" {
        parent.remove(last);
    } else {
        parent.insert(last.into(), written_out(value));
    }
    document
}

/// `x*3` is `xxx`, wherever it stands.
fn written_out(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(repeated(text).unwrap_or_else(|| text.clone())),
        Value::Array(items) => items.iter().map(written_out).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            Value::Object(
                fields
                    .map(|(name, value)| (name.clone(), written_out(value)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

fn repeated(text: &str) -> Option<String> {
    let (one, times) = text.split_once('*')?;
    let times = times.parse().ok()?;
    (one.chars().count() == 1).then(|| one.repeat(times))
}
