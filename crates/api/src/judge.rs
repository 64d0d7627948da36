//! What the API server says of a document of ours, without one: the structure
//! that the schema asks for, what its lists must not hold twice, and the CEL
//! rules.

use std::collections::BTreeMap;

use jsonschema::Validator;
use kube::core::cel::{CompiledSchema, apply_defaults, compile_schema, validate_compiled};
use serde_json::Value;

use crate::crd::crds;

/// One kind, ready to judge documents.
pub struct Judge {
    schema: Value,
    structure: Validator,
    rules: CompiledSchema,
}

/// One thing that the API server would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The field, such as `spec.connectors[0].name`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl Judge {
    /// One for every kind that people write, by its name.
    pub fn all() -> BTreeMap<String, Self> {
        let judges = crds().into_iter().filter_map(|crd| {
            let kind = crd.spec.names.kind;
            let version = crd.spec.versions.first()?;
            let schema = serde_json::to_value(&version.schema).ok()?;
            // Written by the operator alone, and open.
            let is_written = kind != "McpServer";
            is_written
                .then(|| Self::of(schema.get("openAPIV3Schema")?.clone()))?
                .map(|judge| (kind, judge))
        });
        judges.collect()
    }

    fn of(schema: Value) -> Option<Self> {
        Some(Self {
            structure: jsonschema::draft202012::new(&schema).ok()?,
            rules: compile_schema(&schema),
            schema,
        })
    }

    /// The schema that it judges by.
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// What the structure of `document` is refused for.
    pub fn structure(&self, document: &Value) -> Vec<Refusal> {
        let errors = self.structure.iter_errors(document);
        errors
            .map(|error| Refusal {
                path: dotted(error.instance_path().as_str()),
                message: error.to_string(),
            })
            .collect()
    }

    /// What a document whose structure is right is refused for.
    pub fn rules(&self, document: &Value) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        doubled(&self.schema, document, "", &mut refusals);
        let whole = apply_defaults(&self.schema, document);
        let broken = validate_compiled(&self.rules, &whole, None).err();
        let broken = broken.map(kube::core::cel::ValidationErrors::into_vec);
        refusals.extend(broken.into_iter().flatten().map(|error| Refusal {
            path: error.field_path,
            message: error.message,
        }));
        refusals
    }
}

/// `/spec/connectors/0/name` as people write it.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let is_index = part.bytes().all(|byte| byte.is_ascii_digit());
        let part = part.replace("~1", "/").replace("~0", "~");
        path = match (is_index, path.is_empty()) {
            (true, _) => format!("{path}[{part}]"),
            (false, true) => part,
            (false, false) => format!("{path}.{part}"),
        };
    }
    path
}

/// What stands twice in a list that is a set, or a map by some of its fields.
/// JSON Schema does not know such lists.
fn doubled(schema: &Value, value: &Value, path: &str, refusals: &mut Vec<Refusal>) {
    if let (Some(fields), Some(values)) = (schema["properties"].as_object(), value.as_object()) {
        for (name, schema) in fields {
            if let Some(value) = values.get(name) {
                let below = format!("{path}.{name}");
                doubled(schema, value, below.trim_start_matches('.'), refusals);
            }
        }
    }
    let Some(items) = value.as_array() else {
        return;
    };
    let mut seen = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let below = format!("{path}[{index}]");
        if let Some(identity) = identity(schema, item) {
            if seen.contains(&identity) {
                refusals.push(Refusal {
                    path: below.clone(),
                    message: format!("Duplicate value: {identity}; leave one of them"),
                });
            }
            seen.push(identity);
        }
        doubled(&schema["items"], item, &below, refusals);
    }
}

/// By what an item of such a list is told from the others, if it is at all.
fn identity(list: &Value, item: &Value) -> Option<Value> {
    match list["x-kubernetes-list-type"].as_str()? {
        "set" => Some(item.clone()),
        "map" => {
            let keys = list["x-kubernetes-list-map-keys"].as_array()?.iter();
            let keys = keys.filter_map(Value::as_str);
            Some(keys.map(|key| item[key].clone()).collect())
        }
        _ => None,
    }
}
