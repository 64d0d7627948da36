//! What the benchmark does with the API server.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderName, HeaderValue};
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::core::request::Request;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tenantry_core::tenant::TenantConfig;
use tokio::task::JoinHandle;

/// As many as the operator reconciles at the same time.
const PARALLEL: usize = 16;

/// Every kind that the operator writes.
const KINDS: [(&str, &str, &str); 10] = [
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("", "v1", "ServiceAccount"),
    ("", "v1", "Service"),
    ("", "v1", "LimitRange"),
    ("", "v1", "ResourceQuota"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("tenantry.dev", "v1alpha1", "McpServer"),
    ("apps", "v1", "StatefulSet"),
    ("tenantry.dev", "v1alpha1", "McpTenant"),
];

/// The API server, as the administrator.
pub struct Cluster {
    client: Client,
}

impl Cluster {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Everything of `count` organisations but their tenants.
    pub async fn prepare(&self, prefix: &str, count: usize, example: &str) {
        let documents = documents(prefix, count, example);
        let (namespaces, others): (Vec<_>, Vec<_>) = documents
            .into_iter()
            .filter(|document| document["kind"] != "McpTenant")
            .partition(|document| document["kind"] == "Namespace");
        self.apply_all(namespaces, "prepare").await;
        self.apply_all(others, "prepare").await;
    }

    /// The tenants of `count` organisations.
    pub async fn onboard(&self, prefix: &str, count: usize, example: &str) {
        let mut documents = documents(prefix, count, example);
        documents.retain(|document| document["kind"] == "McpTenant");
        self.apply_all(documents, "onboard").await;
    }

    /// Returns when that many tenants are Ready as they are declared.
    pub async fn wait_until_ready(&self, count: usize) {
        let tenants = self.every("tenantry.dev", "v1alpha1", "McpTenant");
        let mut seen = BTreeMap::new();
        let mut changes = Box::pin(watcher(tenants, watcher::Config::default()).applied_objects());
        while seen.values().filter(|is_ready| **is_ready).count() < count {
            let tenant = changes.next().await.unwrap().unwrap();
            seen.insert(tenant.namespace(), is_ready(&tenant));
        }
    }

    /// Says what a kubelet and a server would say, as soon as there is cause.
    pub fn stand_in(&self) -> JoinHandle<()> {
        let sets = self.every("apps", "v1", "StatefulSet");
        let servers = self.every("tenantry.dev", "v1alpha1", "McpServer");
        let client = self.client.clone();
        tokio::spawn(async move {
            let sets = watcher(sets, watcher::Config::default()).applied_objects();
            let servers = watcher(servers, watcher::Config::default()).applied_objects();
            futures::stream::select(sets, servers)
                .try_for_each_concurrent(PARALLEL, |object| answer(client.clone(), object))
                .await
                .unwrap();
        })
    }

    /// What the operator wrote for those organisations.
    pub async fn written(&self, prefix: &str, count: usize) -> Vec<DynamicObject> {
        let mut written = vec![];
        for (group, version, kind) in KINDS {
            let ours = self
                .every(group, version, kind)
                .list(&ListParams::default())
                .await
                .unwrap();
            let resource = resource(group, version, kind);
            written.extend(ours.items.into_iter().filter_map(|mut object| {
                object.types = Some(kube::core::TypeMeta {
                    api_version: resource.api_version.clone(),
                    kind: resource.kind.clone(),
                });
                let is_theirs = object
                    .namespace()
                    .is_some_and(|name| name.starts_with(prefix));
                let is_written = kind == "McpTenant"
                    || !object.owner_references().is_empty()
                    || object.name_any() == "tenantry-default-deny";
                (is_theirs && is_written).then_some(object)
            }));
        }
        assert!(
            written.len() >= 7 * count,
            "{} objects of {count} tenants",
            written.len()
        );
        written
    }

    /// Writes the same objects, and the same statuses, into other namespaces.
    pub async fn write_alike(&self, objects: Vec<DynamicObject>, from: &str, to: &str) {
        // What a pod may hold is judged by its tenant, which must be there.
        let is_tenant = |object: &DynamicObject| {
            object
                .types
                .as_ref()
                .is_some_and(|types| types.kind == "McpTenant")
        };
        let (tenants, others) = objects.into_iter().partition(is_tenant);
        self.write_each(tenants, from, to).await;
        self.write_each(others, from, to).await;
    }

    async fn write_each(&self, objects: Vec<DynamicObject>, from: &str, to: &str) {
        let writing = futures::stream::iter(objects).map(|mut object| {
            let namespace = object.namespace().unwrap().replacen(from, to, 1);
            let status = object.data.get("status").cloned();
            object.metadata = kube::core::ObjectMeta {
                name: Some(object.name_any()),
                namespace: Some(namespace.clone()),
                labels: object.metadata.labels.clone(),
                ..kube::core::ObjectMeta::default()
            };
            if let Some(fields) = object.data.as_object_mut() {
                fields.remove("status");
            }
            // Organisations and accounts are unique over the cluster.
            let unique = ["/spec/organization", "/spec/connectors/0/accounts/0/id"];
            for pointer in unique {
                if let Some(Value::String(text)) = object.data.pointer_mut(pointer) {
                    *text = text.replacen(from, to, 1);
                }
            }
            // Nobody shall act on it.
            if let Some(suspend) = object.data.pointer_mut("/spec/suspend") {
                *suspend = json!(true);
            }
            self.write(object, status)
        });
        writing.buffer_unordered(PARALLEL).collect::<Vec<_>>().await;
    }

    async fn write(&self, mut object: DynamicObject, status: Option<Value>) {
        let types = object.types.clone().unwrap();
        let (group, version) = types.api_version.rsplit_once('/').unwrap_or(("", "v1"));
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.client.clone(),
            object.namespace().as_deref().unwrap(),
            &resource(group, version, &types.kind),
        );
        if types.kind == "Service" {
            // Addresses are the cluster's to give.
            let spec = object.data["spec"].as_object_mut().unwrap();
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
        let name = object.name_any();
        let params = PatchParams::apply("bare").force();
        let patch = Patch::Apply(&object);
        while let Err(error) = api.patch(&name, &params, &patch).await {
            // The API server's admission hears of the tenant a moment later.
            assert!(error.to_string().contains("no params found"), "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if let Some(status) = status
            && ["McpServer", "StatefulSet", "McpTenant"].contains(&types.kind.as_str())
        {
            write_status(&self.client, &object, &status).await;
        }
    }

    /// The version of every object that the operator may write.
    pub async fn versions(&self) -> BTreeMap<String, String> {
        let mut versions = BTreeMap::new();
        for (group, version, kind) in KINDS {
            let all = self
                .every(group, version, kind)
                .list(&ListParams::default())
                .await
                .unwrap();
            versions.extend(all.items.into_iter().map(|object| {
                let name = format!("{kind} {:?} {}", object.namespace(), object.name_any());
                (name, object.resource_version().unwrap_or_default())
            }));
        }
        versions
    }

    async fn apply_all(&self, documents: Vec<Value>, manager: &str) {
        let applying =
            futures::stream::iter(documents).map(|document| self.apply(document, manager));
        applying
            .buffer_unordered(PARALLEL)
            .collect::<Vec<_>>()
            .await;
    }

    async fn apply(&self, document: Value, manager: &str) {
        let object = DynamicObject::deserialize(&document).unwrap();
        let types = object.types.clone().unwrap();
        let (group, version) = types.api_version.rsplit_once('/').unwrap_or(("", "v1"));
        let resource = resource(group, version, &types.kind);
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), &namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let params = PatchParams::apply(manager);
        api.patch(&object.name_any(), &params, &Patch::Apply(&document))
            .await
            .unwrap();
    }

    fn every(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource(group, version, kind))
    }
}

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    let kind = GroupVersionKind::gvk(group, version, kind);
    ApiResource::from_gvk(&kind)
}

/// The example's documents under other names.
fn documents(prefix: &str, count: usize, example: &str) -> Vec<Value> {
    let named = (0..count).map(|number| example.replace("acme", &format!("{prefix}{number}")));
    named
        .flat_map(|text| serde_saphyr::from_multiple::<Value>(&text).unwrap())
        // Accounts are unique over the cluster.
        .map(|mut document| {
            let namespace = document["metadata"]["namespace"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let accounts = document.pointer_mut("/spec/connectors/0/accounts");
            for account in accounts.and_then(Value::as_array_mut).into_iter().flatten() {
                account["id"] = json!(format!("{}_{namespace}", account["id"].as_str().unwrap()));
            }
            document
        })
        .collect()
}

fn is_ready(tenant: &DynamicObject) -> bool {
    let conditions = tenant
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

async fn answer(client: Client, object: DynamicObject) -> Result<(), watcher::Error> {
    let is_set = object.data["spec"].get("serviceName").is_some();
    let status = if is_set {
        let generation = object.metadata.generation;
        json!({"observedGeneration": generation, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1})
    } else {
        let contract = TenantConfig::read(&object.data["spec"]).unwrap();
        let replica = json!({
            "pod": "server-0", "podUid": "1", "contractDigest": contract.digest(),
            "contractVersions": ["v1"], "access": contract.access, "serving": true,
            "connectors": [{"name": "meta", "ready": true}], "release": "0.1.0",
        });
        json!({"replicas": [replica]})
    };
    if object.data.get("status") == Some(&status) {
        return Ok(());
    }
    write_status(&client, &object, &status).await;
    Ok(())
}

/// Writes a status, as whoever may.
async fn write_status(client: &Client, object: &DynamicObject, status: &Value) {
    let types = object.types.as_ref().unwrap();
    let (group, version) = types.api_version.rsplit_once('/').unwrap_or(("", "v1"));
    let namespace = object.namespace().unwrap();
    let resource = resource(group, version, &types.kind);
    let request = Request::new(DynamicObject::url_path(&resource, Some(&namespace)));
    let params = PatchParams::default();
    let patch = Patch::Merge(json!({"status": status}));
    let request = request.patch_subresource("status", &object.name_any(), &params, &patch);
    let mut request = request.unwrap();
    if types.kind == "McpServer" {
        // Nobody but the server itself may write its report.
        let server = format!("system:serviceaccount:{namespace}:tenantry-server");
        let headers = request.headers_mut();
        let (user, group) = ("impersonate-user", "impersonate-group");
        headers.insert(HeaderName::from_static(user), server.parse().unwrap());
        // Its binding may not be there yet.
        headers.insert(
            HeaderName::from_static(group),
            HeaderValue::from_static("system:masters"),
        );
    }
    client.request::<DynamicObject>(request).await.unwrap();
}
