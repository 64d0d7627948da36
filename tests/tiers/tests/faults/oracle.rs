//! What has to be true whatever went wrong: at the end, and at every version
//! in between.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tenantry_core::tenant::TenantConfig;

use crate::api::JSON;
use crate::observer::{Change, Key, Seen};
use crate::plan::{Reference, counts};
use crate::proxy::Write;
use crate::stage::{CANARY, Stage, WAKE, is_ready};

/// What differs from run to run and means nothing.
const VOLATILE: [&str; 9] = [
    "clusterIP",
    "clusterIPs",
    "creationTimestamp",
    "generation",
    // Judged by `truthful`.
    "observedGeneration",
    "lastTransitionTime",
    "resourceVersion",
    "time",
    "uid",
];
/// Notes about what happened; they may be lost, and may come twice.
const NOTES: &str = "events";

/// Judges a plan that has come to its end.
pub async fn judge(stage: &Stage, reference: &Reference) -> Result<()> {
    for (place, expected) in reference.end.iter().enumerate() {
        if let Some(difference) = difference(expected, &end(stage, place)) {
            anyhow::bail!("it ends otherwise: {difference}");
        }
    }
    for (namespace, expected) in stage.namespaces.iter().zip(&reference.counts) {
        for ((plural, name), count) in counts(&stage.plane.observer.story(namespace)) {
            let name = name.replace(namespace, "the-namespace");
            let key = (plural, name);
            let most = expected.get(&key).copied().unwrap_or_default();
            ensure!(
                count[0] <= most[0] && count[1] <= most[1],
                "{key:?} came and went {count:?} times, where {most:?} are enough"
            );
        }
    }
    safe(stage).await
}

/// The objects of a namespace, without what differs each time.
pub fn end(stage: &Stage, place: usize) -> BTreeMap<Key, Value> {
    let namespace = &stage.namespaces[place];
    let story = stage.plane.observer.story(namespace);
    let mut tenants = story.iter().filter(|seen| seen.plural == "mcptenants");
    let uid = tenants
        .next()
        .and_then(|seen| seen.object["metadata"]["uid"].as_str())
        .unwrap_or("no uid");
    let named = |text: String| text.replace(namespace, "the-namespace").replace(uid, "uid");
    let present = stage.plane.observer.present(namespace);
    present
        .into_iter()
        .filter(|((plural, _), _)| plural != NOTES)
        .map(|((plural, name), object)| {
            let text = named(object.to_string());
            let mut object = serde_json::from_str(&text).unwrap_or_default();
            plain(&mut object);
            ((plural, named(name)), object)
        })
        .collect()
}

fn plain(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|field, _| !VOLATILE.contains(&field.as_str()) && field != WAKE);
            if let Some(Value::Array(managers)) = fields.get_mut("managedFields") {
                managers.retain(|entry| {
                    let manager = entry["manager"].as_str();
                    manager.is_some_and(|manager| manager.starts_with("tenantry"))
                });
                managers.iter_mut().for_each(plain);
                managers.sort_by_key(ToString::to_string);
            }
            // An annotation of ours may have been the only one.
            fields.retain(|field, value| field != "annotations" || *value != json!({}));
            fields.values_mut().for_each(plain);
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        // Names are part of what is digested; judged by `truthful`.
        Value::String(text) if text.starts_with("sha256:") => *text = "a digest".into(),
        _ => {}
    }
}

/// The first thing in which two ends differ.
pub fn difference(one: &BTreeMap<Key, Value>, other: &BTreeMap<Key, Value>) -> Option<String> {
    for key in one.keys().chain(other.keys()) {
        let (plural, name) = key;
        match (one.get(key), other.get(key)) {
            (Some(_), None) => return Some(format!("{plural}/{name} is missing")),
            (None, Some(_)) => return Some(format!("{plural}/{name} is there")),
            (Some(one), Some(other)) => {
                if let Some(difference) = differs(one, other, "") {
                    return Some(format!("{plural}/{name}{difference}"));
                }
            }
            (None, None) => {}
        }
    }
    None
}

fn differs(one: &Value, other: &Value, at: &str) -> Option<String> {
    if one == other {
        return None;
    }
    if let (Value::Object(one), Value::Object(other)) = (one, other) {
        let nothing = Value::Null;
        return one.keys().chain(other.keys()).find_map(|field| {
            let one = one.get(field).unwrap_or(&nothing);
            let other = other.get(field).unwrap_or(&nothing);
            differs(one, other, &format!("{at}.{field}"))
        });
    }
    Some(format!("{at} is {other} and not {one}"))
}

/// What has to be true in any run, whatever it comes to.
pub async fn safe(stage: &Stage) -> Result<()> {
    for namespace in &stage.namespaces {
        let story = stage.plane.observer.story(namespace);
        let mut present: BTreeMap<Key, &Value> = BTreeMap::new();
        for seen in &story {
            let key = (seen.plural.clone(), seen.name.clone());
            match seen.what {
                Change::Deleted => present.remove(&key),
                Change::Added | Change::Modified => present.insert(key, &seen.object),
            };
            let at = || {
                format!(
                    "at version {} of {}/{}",
                    seen.version, seen.plural, seen.name
                )
            };
            walled(&present).with_context(at)?;
            if seen.what != Change::Deleted {
                at_home(namespace, seen).with_context(at)?;
                restricted(stage, namespace, seen).await.with_context(at)?;
            }
        }
        truthful(&present)?;
        owned(&present)?;
    }
    for actor in &stage.actors {
        for write in actor.proxy.writes() {
            careful(&write)?;
        }
        let log = actor.log();
        ensure!(!log.contains(CANARY), "the token is in the log");
        ensure!(!log.contains("panicked at"), "the operator panicked");
    }
    Ok(())
}

/// No server without a wall.
fn walled(present: &BTreeMap<Key, &Value>) -> Result<()> {
    let runs = |plural: &str| ["statefulsets", "deployments", "pods"].contains(&plural);
    if !present.keys().any(|(plural, _)| runs(plural)) {
        return Ok(());
    }
    let key = (
        "networkpolicies".to_owned(),
        "tenantry-default-deny".to_owned(),
    );
    let wall = present.get(&key).context("a server, and no wall")?;
    let ours = json!({"matchLabels": {"tenantry.dev/managed-by": "tenantry-operator"}});
    let closed = json!({"podSelector": ours, "policyTypes": ["Ingress", "Egress"]});
    ensure!(
        wall["spec"] == closed,
        "a hole in the wall: {}",
        wall["spec"]
    );
    let runs = present.iter().filter(|((plural, _), _)| runs(plural));
    for ((plural, name), object) in runs {
        let labels = &object["spec"]["template"]["metadata"]["labels"];
        let is_inside = labels["tenantry.dev/managed-by"] == "tenantry-operator";
        ensure!(is_inside, "{plural}/{name} is outside of the wall");
    }
    Ok(())
}

/// Nothing of another namespace, and nothing secret.
fn at_home(namespace: &str, seen: &Seen) -> Result<()> {
    let object = &seen.object;
    let is_secret = seen.plural == "secrets";
    ensure!(
        is_secret || !object.to_string().contains(CANARY),
        "the token is in it"
    );
    if !is_child(object) {
        return Ok(());
    }
    let metadata = &object["metadata"];
    ensure!(metadata["generateName"].is_null(), "its name is generated");
    for (field, names) in [
        ("namespace", vec![namespace]),
        ("secretName", vec!["meta-credentials"]),
        ("serviceAccountName", vec!["tenantry-server"]),
    ] {
        for found in texts_of(object, field) {
            ensure!(names.contains(&found), "{field} is `{found}`");
        }
    }
    if seen.plural == "serviceaccounts" {
        let automount = &object["automountServiceAccountToken"];
        ensure!(*automount == false, "every pod gets a token");
    }
    Ok(())
}

/// Whether the operator placed it.
pub fn is_child(object: &Value) -> bool {
    let managers = object["metadata"]["managedFields"].as_array();
    managers.into_iter().flatten().any(|entry| {
        let manager = entry["manager"].as_str();
        manager.is_some_and(|manager| manager.starts_with("tenantry/"))
    })
}

/// Every text under a field of that name, at any depth.
fn texts_of<'a>(value: &'a Value, field: &str) -> Vec<&'a str> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(text) if name == field => vec![text.as_str()],
                value => texts_of(value, field),
            })
            .collect(),
        Value::Array(items) => items
            .iter()
            .flat_map(|item| texts_of(item, field))
            .collect(),
        _ => vec![],
    }
}

/// Every pod is one that the restricted standard lets in: asked of the API
/// server, which enforces it in the namespace.
async fn restricted(stage: &Stage, namespace: &str, seen: &Seen) -> Result<()> {
    let spec = &seen.object["spec"];
    if spec["template"]["spec"].is_null() {
        return Ok(());
    }
    let mut pod = spec["template"]["spec"].clone();
    let claims = spec["volumeClaimTemplates"].as_array();
    for claim in claims.into_iter().flatten() {
        let name = &claim["metadata"]["name"];
        let volume = json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
        if let Some(volumes) = pod["volumes"].as_array_mut() {
            volumes.push(volume);
        } else {
            pod["volumes"] = json!([volume]);
        }
    }
    let text = pod.to_string().replace(namespace, "the-namespace");
    if !stage.plane.is_new_pod(text.clone()) {
        return Ok(());
    }
    let metadata = json!({"name": "judged", "namespace": namespace});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod});
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
    let body = pod.to_string().into_bytes();
    let (status, answer) = stage
        .plane
        .admin
        .send(Method::POST, &path, JSON, body)
        .await?;
    ensure!(
        status.is_success(),
        "the pod is refused: {}",
        answer["message"]
    );
    Ok(())
}

/// A status says what is so.
fn truthful(present: &BTreeMap<Key, &Value>) -> Result<()> {
    let tenants = present
        .iter()
        .filter(|((plural, _), _)| plural == "mcptenants");
    for ((_, name), tenant) in tenants {
        ensure!(is_ready(tenant), "`{name}` is not ready");
        let generation = &tenant["metadata"]["generation"];
        let status = &tenant["status"];
        let mut types = vec![];
        for condition in status["conditions"].as_array().into_iter().flatten() {
            let type_ = &condition["type"];
            ensure!(!types.contains(&type_), "two conditions {type_}");
            types.push(type_);
            ensure!(
                condition["observedGeneration"] == *generation,
                "{type_} speaks of another generation"
            );
        }
        let key = ("mcpservers".to_owned(), "server".to_owned());
        let contract = present.get(&key).context("no contract")?;
        let digest = TenantConfig::read(&contract["spec"])?.digest();
        ensure!(
            status["contractDigest"] == json!(digest),
            "the status speaks of another contract"
        );
    }
    Ok(())
}

/// Nothing is left of whom there is no more.
fn owned(present: &BTreeMap<Key, &Value>) -> Result<()> {
    let uids: Vec<_> = present
        .values()
        .map(|object| &object["metadata"]["uid"])
        .collect();
    for ((plural, name), object) in present {
        let owners = object["metadata"]["ownerReferences"].as_array();
        for owner in owners.into_iter().flatten() {
            ensure!(
                uids.contains(&&owner["uid"]),
                "{plural}/{name} is an orphan"
            );
        }
    }
    Ok(())
}

/// A deletion says which object it means, and a name is never left to chance.
fn careful(write: &Write) -> Result<()> {
    let body: Value = serde_json::from_slice(&write.body).unwrap_or_default();
    let subject = &write.subject;
    let is_precise = subject.verb != "delete" || body["preconditions"]["uid"].is_string();
    ensure!(is_precise, "{subject:?} is deleted whoever it is");
    ensure!(
        body["metadata"]["generateName"].is_null(),
        "{subject:?} has a generated name"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(plural: &str, name: &str) -> Key {
        (plural.into(), name.into())
    }

    #[test]
    fn a_server_without_a_whole_wall_is_seen() {
        let labels = json!({"tenantry.dev/managed-by": "tenantry-operator"});
        let set = json!({"spec": {"template": {"metadata": {"labels": labels}}}});
        let selector = json!({"matchLabels": labels});
        let wall = json!({"spec": {"podSelector": selector, "policyTypes": ["Ingress", "Egress"]}});
        let mut hole = wall.clone();
        hole["spec"]["ingress"] = json!([{}]);
        let mut present = BTreeMap::from([(key("statefulsets", "server"), &set)]);
        assert!(walled(&present).is_err());
        present.insert(key("networkpolicies", "tenantry-default-deny"), &hole);
        assert!(walled(&present).is_err());
        present.insert(key("networkpolicies", "tenantry-default-deny"), &wall);
        assert!(walled(&present).is_ok());
        let outside = json!({"spec": {"template": {}}});
        present.insert(key("statefulsets", "other"), &outside);
        assert!(walled(&present).is_err());
    }

    #[test]
    fn what_reaches_out_of_its_namespace_is_seen() {
        let manager = json!([{"manager": "tenantry/1"}]);
        let seen = |spec: Value| Seen {
            version: 1,
            what: Change::Added,
            plural: "rolebindings".into(),
            name: "a".into(),
            object: json!({"metadata": {"managedFields": manager}, "spec": spec}),
        };
        let inside = seen(json!({"subjects": [{"namespace": "acme"}]}));
        assert!(at_home("acme", &inside).is_ok());
        assert!(at_home("globex", &inside).is_err());
        for elsewhere in [
            json!({"volumes": [{"secret": {"secretName": "other"}}]}),
            json!({"serviceAccountName": "default"}),
            json!({"note": CANARY}),
        ] {
            assert!(at_home("acme", &seen(elsewhere)).is_err());
        }
    }

    #[test]
    fn ends_that_differ_are_told_apart() {
        let one = |replicas: u8| {
            let object = json!({"spec": {"replicas": replicas}, "metadata": {"uid": replicas}});
            let mut object = object;
            plain(&mut object);
            BTreeMap::from([(key("statefulsets", "server"), object)])
        };
        assert_eq!(difference(&one(1), &one(1)), None);
        let told = difference(&one(1), &one(2)).unwrap();
        assert_eq!(told, "statefulsets/server.spec.replicas is 2 and not 1");
        assert!(difference(&one(1), &BTreeMap::new()).is_some());
        assert!(difference(&BTreeMap::new(), &one(1)).is_some());
    }

    #[test]
    fn a_deletion_without_a_uid_is_seen() {
        let write = |body: Value| Write {
            subject: crate::fault::Subject {
                verb: "delete".into(),
                resource: "services".into(),
                place: 0,
                name: "server".into(),
            },
            status: 200,
            version: 1,
            changed: true,
            body: body.to_string().into(),
        };
        assert!(careful(&write(json!({}))).is_err());
        assert!(careful(&write(json!({"preconditions": {"uid": "1"}}))).is_ok());
    }
}
