//! The parts of the cluster that do not run here: the kubelet, the server, the
//! garbage collector.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tenantry_core::tenant::TenantConfig;

use super::Stage;
use crate::observer::PATIENCE;

/// A turn of the cluster.
enum Move {
    /// The kubelet: the pod runs.
    Roll(Value),
    /// The server: it obeys.
    Report(Value),
    Done,
}

impl Stage {
    /// Is the kubelet and the server, until all tenants are ready.
    pub async fn play(&self) -> Result<()> {
        try_join_all(
            self.namespaces
                .iter()
                .map(|namespace| self.play_in(namespace)),
        )
        .await?;
        Ok(())
    }

    async fn play_in(&self, namespace: &str) -> Result<()> {
        loop {
            let what = format!("work for the kubelet and the server of `{namespace}`");
            let next = self
                .plane
                .observer
                .wait(&what, || self.next_move(namespace));
            let admin = &self.plane.admin;
            // A report is nobody's word but the server's.
            let server = format!("system:serviceaccount:{namespace}:tenantry-server");
            let (plural, status, by) = match next.await.with_context(|| self.told(namespace))?? {
                Move::Done => return Ok(()),
                Move::Roll(status) => ("statefulsets", status, admin.clone()),
                Move::Report(status) => ("mcpservers", status, admin.acting_as(server)),
            };
            let path = self.plane.plural(plural)?.path(namespace, "server");
            let status = json!({"status": status});
            let path = format!("{path}/status");
            let written = by.merge(&path, &status, "cluster").await?;
            self.see(namespace, plural, "server", Some(&written))
                .await?;
        }
    }

    /// What the kubelet or the server has to do, if it is their turn. Each
    /// waits for what the operator says of the other, so that every run has
    /// the same turns.
    fn next_move(&self, namespace: &str) -> Option<Result<Move>> {
        let seen = |plural: &str, name: &str| self.plane.observer.object(namespace, plural, name);
        let tenant = seen("mcptenants", namespace).filter(is_told)?;
        let (set, contract) = (
            seen("statefulsets", "server")?,
            seen("mcpservers", "server")?,
        );
        let rolled_out = rolled_out(&set);
        let is_rolled_out = says(&set["status"], &rolled_out);
        let report = match report(&set, &contract) {
            Ok(report) => report,
            Err(error) => return Some(Err(error)),
        };
        let is_reported = says(&contract["status"], &report);
        match ready(&tenant)["reason"].as_str()? {
            "ServerStarting" | "ServerStopping" | "ContractPending" if !is_rolled_out => {
                Some(Ok(Move::Roll(rolled_out)))
            }
            "ContractPending" if !is_reported => Some(Ok(Move::Report(report))),
            _ if is_ready(&tenant) && is_rolled_out && is_reported => Some(Ok(Move::Done)),
            _ => None,
        }
    }

    fn told(&self, namespace: &str) -> String {
        let tenant = self
            .plane
            .observer
            .object(namespace, "mcptenants", namespace);
        let tenant = tenant.unwrap_or_default();
        format!("`{namespace}` says {}", ready(&tenant))
    }

    /// Is the garbage collector, until nothing is left whose owner is gone.
    pub async fn collect_garbage(&self) -> Result<()> {
        for namespace in &self.namespaces {
            let deadline = tokio::time::Instant::now() + PATIENCE;
            // What comes back after it was collected is seen by `settle`.
            while self.sweep(namespace).await? > 0 {
                ensure!(
                    tokio::time::Instant::now() < deadline,
                    "garbage comes back in `{namespace}`"
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Collects what has lost its owner; how much that was.
    pub async fn sweep(&self, namespace: &str) -> Result<usize> {
        let present = self.plane.observer.present(namespace);
        let living: Vec<_> = present
            .values()
            .map(|object| &object["metadata"]["uid"])
            .collect();
        let mut swept = 0;
        for ((plural, name), object) in &present {
            let owners = object["metadata"]["ownerReferences"].as_array();
            let mut owners = owners.into_iter().flatten().map(|owner| &owner["uid"]);
            if owners.any(|owner| !living.contains(&owner)) {
                let path = self.plane.plural(plural)?.path(namespace, name);
                let uid = &object["metadata"]["uid"];
                self.plane.admin.delete(&path, uid).await?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

/// The Ready condition.
pub fn ready(tenant: &Value) -> &Value {
    let conditions = tenant["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions
        .find(|condition| condition["type"] == "Ready")
        .unwrap_or(&Value::Null)
}

pub fn is_ready(tenant: &Value) -> bool {
    ready(tenant)["status"] == "True" && is_told(tenant)
}

/// Whether the status speaks of the present generation.
fn is_told(tenant: &Value) -> bool {
    let generation = &tenant["metadata"]["generation"];
    tenant["status"]["observedGeneration"] == *generation
        && ready(tenant)["observedGeneration"] == *generation
}

/// What Kubernetes says when the StatefulSet is rolled out.
fn rolled_out(set: &Value) -> Value {
    let replicas = &set["spec"]["replicas"];
    json!({
        "observedGeneration": set["metadata"]["generation"], "replicas": replicas,
        "readyReplicas": replicas, "updatedReplicas": replicas,
    })
}

/// What the server says when it obeys the contract.
fn report(set: &Value, contract: &Value) -> Result<Value> {
    if set["spec"]["replicas"] == 0 {
        return Ok(json!({}));
    }
    let config = TenantConfig::read(&contract["spec"])?;
    Ok(json!({"replicas": [{
        "pod": "server-0",
        "podUid": "1",
        "contractDigest": config.digest(),
        "contractVersions": ["v1"],
        "access": config.access,
        "serving": true,
        "connectors": [{"name": "meta", "ready": true}],
        "release": "0.1.0",
    }]}))
}

/// Whether a status says all of `words`; a zero may be left out.
fn says(status: &Value, words: &Value) -> bool {
    let mut words = words.as_object().into_iter().flatten();
    words.all(|(field, word)| status[field] == *word || (status[field].is_null() && *word == 0))
}
