//! Real packets between pods: may this one reach that one?

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::kubectl::{Kubectl, wait_for};

/// What became of a connection attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It was accepted.
    Open,
    /// It was answered with a refusal: the packets arrived.
    Refused,
    /// Nothing came back: the packets were dropped.
    Dropped,
}

/// A pod of a test's own that sends packets.
pub struct Probe<'k> {
    kubectl: &'k Kubectl,
    namespace: String,
    name: String,
}

impl<'k> Probe<'k> {
    /// Starts a probe pod; it is deleted with its namespace.
    pub fn start(kubectl: &'k Kubectl, namespace: &str, name: &str) -> Result<Self> {
        let image = image()?;
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "probe", "image": image, "command": ["/probe", "wait"],
                    "imagePullPolicy": "IfNotPresent", "securityContext": restricted(),
                }],
            },
        });
        kubectl.apply(&pod.to_string())?;
        let pod = format!("pod/{name}");
        kubectl.run(&[
            "wait",
            "-n",
            namespace,
            "--for=condition=Ready",
            &pod,
            "--timeout=120s",
        ])?;
        Ok(Self {
            kubectl,
            namespace: namespace.into(),
            name: name.into(),
        })
    }

    /// Tries to connect from the pod to `host:port`.
    pub fn reach(&self, target: &str) -> Result<Reach> {
        let output = self.kubectl.output(&[
            "exec",
            "-n",
            &self.namespace,
            &self.name,
            "--",
            "/probe",
            "tcp",
            target,
        ])?;
        parse(&String::from_utf8_lossy(&output.stdout))
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Tries to connect to `host:port` from inside the pod `server-0`, with the
/// pod's own address and under the policies that hold for it: an ephemeral
/// container shares its network.
pub fn reach_from_server(kubectl: &Kubectl, namespace: &str, target: &str) -> Result<Reach> {
    let pod = kubectl.get(&["pod", "server-0", "-n", namespace])?;
    let before = pod["spec"]["ephemeralContainers"]
        .as_array()
        .map_or(0, Vec::len);
    let name = format!("probe-{before}");
    let container = json!({
        "name": name, "image": image()?, "command": ["/probe", "tcp", target],
        "imagePullPolicy": "IfNotPresent", "securityContext": restricted(),
    });
    let patch = json!({"spec": {"ephemeralContainers": [container]}}).to_string();
    kubectl.run(&[
        "patch",
        "pod",
        "server-0",
        "-n",
        namespace,
        "--subresource=ephemeralcontainers",
        "-p",
        &patch,
    ])?;
    wait_for("the probe beside the server", || {
        let pod = kubectl.get(&["pod", "server-0", "-n", namespace])?;
        let ended = pod["status"]["ephemeralContainerStatuses"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|status| status["name"] == name && !status["state"]["terminated"].is_null());
        Ok(ended.then_some(()))
    })?;
    parse(&kubectl.run(&["logs", "-n", namespace, "server-0", "-c", &name])?)
}

/// The image that holds the probe, told by whoever built it.
fn image() -> Result<String> {
    std::env::var("TENANTRY_FAKES_IMAGE")
        .context("TENANTRY_FAKES_IMAGE names no image; run `cargo xtask test cluster`")
}

fn parse(printed: &str) -> Result<Reach> {
    match printed.split_whitespace().next() {
        Some("open") => Ok(Reach::Open),
        Some("refused") => Ok(Reach::Refused),
        Some("timeout") => Ok(Reach::Dropped),
        _ => bail!("the probe printed `{}`", printed.trim()),
    }
}

fn restricted() -> serde_json::Value {
    json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "runAsNonRoot": true, "runAsUser": 65532,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    })
}
