//! Real packets between pods: may this one reach that one?

use std::collections::BTreeMap;
use std::process::Output;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

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

/// What became of attempts at many targets, by target.
pub type Reaches = BTreeMap<String, Reach>;

/// A pod of a test's own that sends packets.
pub struct Probe<'k> {
    kubectl: &'k Kubectl,
    namespace: String,
    name: String,
}

impl<'k> Probe<'k> {
    /// Starts a probe pod; it is deleted with its namespace.
    pub fn start(kubectl: &'k Kubectl, namespace: &str, name: &str) -> Result<Self> {
        Self::start_as(kubectl, namespace, name, &json!({}), &["wait"])
    }

    /// Starts a probe pod with labels, that does something of its own: `serve
    /// PORT` or `say TEXT`.
    pub fn start_as(
        kubectl: &'k Kubectl,
        namespace: &str,
        name: &str,
        labels: &Value,
        command: &[&str],
    ) -> Result<Self> {
        let image = image()?;
        let command: Vec<&str> = [&["/probe"], command].concat();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": "probe", "image": image, "command": command,
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

    /// The pod's address.
    pub fn address(&self) -> Result<String> {
        address_of(self.kubectl, &self.namespace, &self.name)
    }

    /// Tries to connect from the pod to `host:port`.
    pub fn reach(&self, target: &str) -> Result<Reach> {
        let output = self.exec(&["tcp", target])?;
        parse(&String::from_utf8_lossy(&output.stdout))
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Tries to connect from the pod to each of `targets`; `control` is open.
    pub fn scan(&self, control: &str, targets: &[String]) -> Result<Reaches> {
        let output = self.exec(&scan_arguments(control, targets))?;
        parse_scan(&String::from_utf8_lossy(&output.stdout), targets)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn exec(&self, arguments: &[&str]) -> Result<Output> {
        let exec = ["exec", "-n", &self.namespace, &self.name, "--", "/probe"];
        self.kubectl.output(&[&exec, arguments].concat())
    }
}

/// The address of a pod.
pub fn address_of(kubectl: &Kubectl, namespace: &str, pod: &str) -> Result<String> {
    let pod = kubectl.get(&["pod", pod, "-n", namespace])?;
    let address = pod["status"]["podIP"].as_str();
    Ok(address.context("a pod without an address")?.to_owned())
}

/// Tries to connect to `host:port` from inside the pod `server-0`.
pub fn reach_from_server(kubectl: &Kubectl, namespace: &str, target: &str) -> Result<Reach> {
    parse(&run_in_server(kubectl, namespace, &["tcp", target])?)
}

/// Tries to connect to each of `targets` from inside the pod `server-0`;
/// `control` is open.
pub fn scan_from_server(
    kubectl: &Kubectl,
    namespace: &str,
    control: &str,
    targets: &[String],
) -> Result<Reaches> {
    let printed = run_in_server(kubectl, namespace, &scan_arguments(control, targets))?;
    parse_scan(&printed, targets)
}

/// Runs the probe with the address of the pod `server-0` and under the
/// policies that hold for it: an ephemeral container shares its network.
fn run_in_server(kubectl: &Kubectl, namespace: &str, arguments: &[&str]) -> Result<String> {
    let pod = kubectl.get(&["pod", "server-0", "-n", namespace])?;
    let before = pod["spec"]["ephemeralContainers"]
        .as_array()
        .map_or(0, Vec::len);
    let name = format!("probe-{before}");
    let command: Vec<&str> = [&["/probe"], arguments].concat();
    let container = json!({
        "name": name, "image": image()?, "command": command,
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
    kubectl.run(&["logs", "-n", namespace, "server-0", "-c", &name])
}

/// The image that holds the probe, told by whoever built it.
fn image() -> Result<String> {
    std::env::var("TENANTRY_FAKES_IMAGE")
        .context("TENANTRY_FAKES_IMAGE names no image; run `cargo xtask test cluster`")
}

fn scan_arguments<'a>(control: &'a str, targets: &'a [String]) -> Vec<&'a str> {
    let targets = targets.iter().map(String::as_str);
    ["scan", "--control", control]
        .into_iter()
        .chain(targets)
        .collect()
}

/// A line for each target, or the scan has proved nothing.
fn parse_scan(printed: &str, targets: &[String]) -> Result<Reaches> {
    let lines = printed.lines().map(|line| {
        let (_, target) = line.split_once(' ').context("a line without a target")?;
        Ok((target.to_owned(), parse(line)?))
    });
    let reaches = lines.collect::<Result<Reaches>>()?;
    let missing = targets.iter().find(|target| !reaches.contains_key(*target));
    ensure!(
        missing.is_none(),
        "the scan says nothing of {missing:?}: {printed}"
    );
    Ok(reaches)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_that_is_silent_about_a_target_proves_nothing() {
        let targets = ["a:1", "b:2"].map(str::to_owned);
        let reaches = parse_scan("open a:1\ntimeout b:2\n", &targets).unwrap();
        assert_eq!(reaches["a:1"], Reach::Open);
        assert_eq!(reaches["b:2"], Reach::Dropped);
        assert!(parse_scan("timeout a:1\n", &targets).is_err());
        assert!(parse_scan("unresolved a:1\ntimeout b:2\n", &targets).is_err());
    }
}
