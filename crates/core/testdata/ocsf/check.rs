//! Holds audit lines against the released OCSF schema. A module of the tests
//! of every crate that writes lines.

use std::sync::LazyLock;

use serde_json::{Value, json};

static RELEASED: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("schema.json")).unwrap());

static API_ACTIVITY: LazyLock<jsonschema::Validator> = LazyLock::new(|| class("api_activity"));
static LIFECYCLE: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| class("application_lifecycle"));

/// Attributes that are explained by another one where their value is 99.
const OTHERS: [(&str, &str); 4] = [
    ("activity_id", "activity_name"),
    ("status_id", "status"),
    ("action_id", "action"),
    ("disposition_id", "disposition"),
];

fn class(name: &str) -> jsonschema::Validator {
    let schema = json!({"$ref": format!("#/$defs/{name}"), "$defs": RELEASED["$defs"]});
    jsonschema::validator_for(&schema).unwrap()
}

/// The line, which must be an event as OCSF has it.
pub fn valid(line: &[u8]) -> Value {
    let line: Value = serde_json::from_slice(line).unwrap();
    let wrong = violations(&line);
    assert!(wrong.is_empty(), "{line:#}\n{wrong:#?}");
    line
}

/// What OCSF has against a line.
pub fn violations(line: &Value) -> Vec<String> {
    let schema = match line["class_uid"].as_u64() {
        Some(6003) => &API_ACTIVITY,
        Some(6002) => &LIFECYCLE,
        other => return vec![format!("class {other:?} is none of ours")],
    };
    let mut wrong: Vec<String> = schema
        .iter_errors(line)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    let number = |name: &str| line[name].as_u64().unwrap_or(0);
    if number("type_uid") != number("class_uid") * 100 + number("activity_id") {
        wrong.push("type_uid is not of class and activity".into());
    }
    if line["metadata"]["version"] != RELEASED["version"] {
        wrong.push("another version of the schema".into());
    }
    for (id, text) in OTHERS {
        if line[id] == 99 && !line[text].is_string() {
            wrong.push(format!("{id} is 99 without {text}"));
        }
    }
    let profiles = line["metadata"]["profiles"].as_array();
    let has = |profile: &Value| profiles.is_some_and(|all| all.contains(profile));
    for (attribute, profile) in RELEASED["profile_of"].as_object().unwrap() {
        if line.get(attribute).is_some() && !has(profile) {
            wrong.push(format!("{attribute} without the profile {profile}"));
        }
    }
    wrong
}
