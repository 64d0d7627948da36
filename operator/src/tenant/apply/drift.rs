//! What others did to an object of ours, read from the record that the API
//! server keeps of who set which field. Pure.
//!
//! Server-side apply gives back the fields that we draw. What others *add* it
//! leaves alone: a container, a volume, a port, `hostNetwork`. There it is only
//! told; whoever places takes it away.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::core::Status;
use serde_json::{Map, Value};

/// More fields than that are counted, not named: an Event is short.
const NAMED: usize = 8;

/// What `kubectl rollout restart` leaves; a restart is nobody's harm.
pub const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// Fields that others may add: that restart, and what some distributions
/// (OpenShift) write into every ServiceAccount. The server pulls its image
/// with them and reads neither.
const MAY_BE_ADDED: [&str; 3] = [
    "spec.template.metadata.annotations.kubectl.kubernetes.io/restartedAt",
    "imagePullSecrets",
    "secrets",
];

/// By which field of an element a list is told apart, in the order tried.
const KEYS: [&str; 7] = [
    "name",
    "containerPort",
    "port",
    "mountPath",
    "key",
    "type",
    "uid",
];

/// What somebody did to one object, and we undid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// It was gone.
    Deleted {
        /// Which object.
        object: String,
    },
    /// Some of its fields were not as drawn.
    Changed {
        /// Which object.
        object: String,
        /// Which fields.
        changes: Vec<Change>,
    },
}

/// One field that was not as drawn.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Who did it. Nobody keeps a record of what is removed.
    pub by: Option<String>,
    /// The field, as people write it.
    pub field: String,
}

/// The fields that others hold and we draw differently, from a refusal.
pub fn conflicts(status: &Status) -> Vec<Change> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let ours = causes.filter(|cause| cause.reason == "FieldManagerConflict");
    // `conflict with "kubectl-edit" using apps/v1`; with a subresource or a
    // time the sentence goes on.
    let change = ours.filter_map(|cause| {
        let by = cause.message.split('"').nth(1)?.to_owned();
        let field = cause.field.trim_start_matches('.').to_owned();
        Some(Change {
            by: Some(by),
            field,
        })
    });
    change.collect()
}

/// The fields that others hold and we do not draw. Metadata and status are
/// theirs to add to.
pub fn additions(entries: &[ManagedFieldsEntry], us: &str) -> Vec<Change> {
    let is_ours = |entry: &&ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(us) && entry.operation.as_deref() == Some("Apply")
    };
    let nothing = Map::new();
    let drawn = entries.iter().find(is_ours).and_then(fields);
    let drawn = drawn.unwrap_or(&nothing);
    let mut added = vec![];
    for entry in entries.iter().filter(|entry| !is_ours(entry)) {
        let by = entry.manager.clone();
        for (key, held) in fields(entry).into_iter().flatten() {
            if matches!(key.as_str(), "f:metadata" | "f:status") {
                continue;
            }
            let mut found = vec![];
            beyond(key, held, drawn.get(key), "", &mut found);
            let foreign = found
                .into_iter()
                .filter(|field| !MAY_BE_ADDED.contains(&root_or_self(field)));
            added.extend(foreign.map(|field| Change {
                by: by.clone(),
                field,
            }));
        }
    }
    added
}

/// The fields that we draw and `found` does not have.
pub fn removals(drawn: &Value, found: &Value) -> Vec<Change> {
    let mut gone = vec![];
    missing(drawn, found, "", &mut gone);
    gone.into_iter()
        .map(|field| Change { by: None, field })
        .collect()
}

fn fields(entry: &ManagedFieldsEntry) -> Option<&Map<String, Value>> {
    entry
        .fields_v1
        .as_ref()
        .and_then(|fields| fields.0.as_object())
}

/// Of the lists of a ServiceAccount the whole is meant, of all else the field.
fn root_or_self(field: &str) -> &str {
    match field.split(['.', '[']).next() {
        Some(root @ ("imagePullSecrets" | "secrets")) => root,
        _ => field,
    }
}

/// Collects what lies under `held` and not under `drawn`.
fn beyond(key: &str, held: &Value, drawn: Option<&Value>, above: &str, found: &mut Vec<String>) {
    let path = step(above, key);
    let inner: Vec<_> = held
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != ".")
        .collect();
    match drawn {
        // A leaf of ours is compared by its value, and conflicts.
        Some(Value::Object(ours)) if ours.is_empty() => {}
        Some(ours) => {
            for (key, held) in inner {
                beyond(key, held, ours.get(key), &path, found);
            }
        }
        // An element of a list is told as a whole.
        None if inner.is_empty() || key.starts_with("k:") => found.push(path),
        None => {
            for (key, held) in inner {
                beyond(key, held, None, &path, found);
            }
        }
    }
}

/// The path one step further down; keys are `f:<field>`, `k:<JSON of keys>`,
/// `v:<JSON>`.
fn step(above: &str, key: &str) -> String {
    let (kind, rest) = key.split_once(':').unwrap_or(("f", key));
    match kind {
        "f" if above.is_empty() => rest.to_owned(),
        "f" => format!("{above}.{rest}"),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).unwrap_or_default();
            let told: Vec<_> = keys
                .iter()
                .map(|(name, value)| format!("{name}={}", plain(value)))
                .collect();
            format!("{above}[{}]", told.join(","))
        }
        _ => format!("{above}[{rest}]"),
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn missing(drawn: &Value, found: &Value, path: &str, gone: &mut Vec<String>) {
    match (drawn, found) {
        (Value::Object(drawn), Value::Object(found)) => {
            for (key, drawn) in drawn {
                let path = step(path, key);
                match found.get(key) {
                    Some(found) => missing(drawn, found, &path, gone),
                    // An empty list is kept as none.
                    None if is_empty(drawn) => {}
                    None => gone.push(path),
                }
            }
        }
        (Value::Array(drawn), Value::Array(found)) => {
            for drawn in drawn.iter().filter(|drawn| drawn.is_object()) {
                let Some((key, value)) = KEYS.iter().find_map(|key| Some((key, drawn.get(key)?)))
                else {
                    continue;
                };
                let path = format!("{path}[{key}={}]", plain(value));
                match found.iter().find(|found| found.get(key) == Some(value)) {
                    Some(found) => missing(drawn, found, &path, gone),
                    None => gone.push(path),
                }
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (object, changes) = match self {
            Self::Deleted { object } => {
                return write!(out, "`{object}` was deleted and has been made again");
            }
            Self::Changed { object, changes } => (object, changes),
        };
        let mut by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for Change { by: who, field } in changes.iter().take(NAMED) {
            let told = by.entry(who.as_deref().unwrap_or_default()).or_default();
            told.push(field);
        }
        write!(out, "`{object}` has been put right:")?;
        for (number, (who, fields)) in by.into_iter().enumerate() {
            let comma = if number == 0 { "" } else { ";" };
            let fields = fields.join(", ");
            match who {
                "" => write!(out, "{comma} somebody removed {fields}")?,
                who => write!(out, "{comma} `{who}` set {fields}")?,
            }
        }
        match changes.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(out, "; and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const US: &str = "tenantry/1";

    fn entry(manager: &str, operation: &str, fields: &Value) -> ManagedFieldsEntry {
        serde_json::from_value(json!({
            "manager": manager, "operation": operation, "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields,
        }))
        .unwrap()
    }

    fn ours() -> ManagedFieldsEntry {
        let containers = json!({r#"k:{"name":"server"}"#: {".": {}, "f:image": {}, "f:name": {}}});
        let pod = json!({"f:containers": containers, "f:tolerations": {}});
        entry(
            US,
            "Apply",
            &json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": pod}}}),
        )
    }

    fn added(fields: &Value) -> Vec<String> {
        let entries = [ours(), entry("kubectl-patch", "Update", fields)];
        let changes = additions(&entries, US);
        assert!(
            changes
                .iter()
                .all(|change| change.by.as_deref() == Some("kubectl-patch"))
        );
        changes.into_iter().map(|change| change.field).collect()
    }

    #[test]
    fn what_others_add_to_the_pod_is_told_by_its_path() {
        let sidecar = json!({".": {}, "f:image": {}, "f:name": {}});
        let containers = json!({
            r#"k:{"name":"server"}"#: {"f:env": {".": {}, r#"k:{"name":"A"}"#: {".": {}, "f:name": {}}}},
            r#"k:{"name":"sidecar"}"#: sidecar,
        });
        let fields = json!({"f:spec": {"f:template": {"f:spec": {
            "f:containers": containers, "f:hostNetwork": {}, "f:nodeSelector": {".": {}, "f:pool": {}},
        }}}});
        assert_eq!(
            added(&fields),
            [
                "spec.template.spec.containers[name=server].env[name=A]",
                "spec.template.spec.containers[name=sidecar]",
                "spec.template.spec.hostNetwork",
                "spec.template.spec.nodeSelector.pool",
            ]
        );
    }

    #[test]
    fn what_others_may_add_is_no_drift() {
        let annotations = json!({".": {}, "f:kubectl.kubernetes.io/restartedAt": {}});
        for fields in [
            json!({"f:metadata": {"f:annotations": {"f:team": {}}}}),
            json!({"f:status": {"f:replicas": {}}}),
            json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:tolerations": {}}}}}),
            json!({"f:spec": {"f:template": {"f:metadata": {"f:annotations": annotations}}}}),
            json!({"f:imagePullSecrets": {r#"k:{"name":"a"}"#: {}}, "f:secrets": {}}),
        ] {
            assert!(added(&fields).is_empty(), "{fields}");
        }
    }

    #[test]
    fn our_name_alone_makes_nobody_us() {
        let forged = entry(US, "Update", &json!({"f:spec": {"f:paused": {}}}));
        let changes = additions(&[ours(), forged], US);
        assert_eq!(changes[0].field, "spec.paused");
    }

    #[test]
    fn what_was_removed_is_found_where_it_is_missing() {
        let drawn = json!({"spec": {
            "containers": [{"name": "server", "image": "a", "env": []}, {"name": "other"}],
            "replicas": 1,
        }});
        let found = json!({"spec": {"containers": [{"name": "server"}], "more": 1}});
        let fields: Vec<_> = removals(&drawn, &found)
            .into_iter()
            .map(|change| change.field)
            .collect();
        assert_eq!(
            fields,
            [
                "spec.containers[name=server].image",
                "spec.containers[name=other]",
                "spec.replicas",
            ]
        );
        assert!(removals(&drawn, &drawn).is_empty());
    }

    #[test]
    fn a_conflict_names_field_and_manager() {
        let status = serde_json::from_value(json!({
            "status": "Failure", "code": 409, "reason": "Conflict", "message": "Apply failed",
            "details": {"causes": [
                {"reason": "FieldManagerConflict", "field": ".spec.replicas",
                 "message": "conflict with \"kubectl\" with subresource \"scale\" using apps/v1"},
                {"reason": "Other", "field": ".spec", "message": "no \"conflict\""},
            ]},
        }));
        let expected = Change {
            by: Some("kubectl".into()),
            field: "spec.replicas".into(),
        };
        assert_eq!(conflicts(&status.unwrap()), [expected]);
    }

    #[test]
    fn a_sentence_says_who_did_what_and_stays_short() {
        let object = "StatefulSet/server".to_owned();
        let change = |by: Option<&str>, field: &str| Change {
            by: by.map(str::to_owned),
            field: field.into(),
        };
        let changes = vec![
            change(None, "spec.serviceName"),
            change(Some("kubectl"), "spec.replicas"),
            change(Some("kubectl"), "spec.paused"),
        ];
        let drift = Drift::Changed {
            object: object.clone(),
            changes,
        };
        assert_eq!(
            drift.to_string(),
            "`StatefulSet/server` has been put right: somebody removed spec.serviceName; `kubectl` set spec.replicas, spec.paused"
        );
        let changes = vec![change(Some("kubectl"), "a"); NAMED + 2];
        let drift = Drift::Changed {
            object: object.clone(),
            changes,
        };
        assert!(drift.to_string().ends_with("a, a; and 2 more"));
        assert_eq!(
            Drift::Deleted { object }.to_string(),
            "`StatefulSet/server` was deleted and has been made again"
        );
    }
}
