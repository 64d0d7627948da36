//! What holds while the operator is away or changes hands. Nothing else runs
//! meanwhile: every other test needs one.

use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tenantry_tests::evidence::show;
use tenantry_tests::forward::Forward;
use tenantry_tests::kubectl::{Kubectl, wait_for};
use tenantry_tests::namespace::TestOrganisation;
use tenantry_tests::raw::{RawAnswer, RawCall};
use tenantry_tests::secrets::RunSecrets;

const SYSTEM: &str = "tenantry-system";
const OPERATOR: &str = "tenantry-operator";

/// Held by each test: there is one operator.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn dead_leader_is_replaced_and_its_work_goes_on() {
    let _turn = TURN.lock();
    let kubectl = Kubectl::from_environment();
    let secrets = RunSecrets::from_environment().unwrap();
    let organisation = onboard(&kubectl, &secrets, "failover").unwrap();
    let dead = leader(&kubectl).unwrap();

    kill_process_of(&dead).unwrap();
    let killed = Instant::now();
    let next = wait_for("another leader", || {
        let leader = leader(&kubectl)?;
        Ok((leader != dead).then_some(leader))
    })
    .unwrap();
    show(&format!(
        "the leader {dead} was killed with SIGKILL; {next} leads after {:.1} s",
        killed.elapsed().as_secs_f32()
    ));

    let namespace = organisation.name.as_str();
    let patch = json!({"spec": {"access": "Disabled"}}).to_string();
    let arguments = ["patch", "mcptenant", namespace, "-n", namespace];
    kubectl
        .run(&[&arguments[..], &["--type=merge", "-p", &patch]].concat())
        .unwrap();
    let tenant = kubectl.wait_for_ready(namespace).unwrap();
    assert_eq!(tenant["status"]["access"], "Disabled");
}

#[test]
fn freeze_holds_with_the_operator_stopped() {
    let _turn = TURN.lock();
    let kubectl = Kubectl::from_environment();
    let secrets = RunSecrets::from_environment().unwrap();
    let organisation = onboard(&kubectl, &secrets, "freeze").unwrap();
    let namespace = organisation.name.as_str();
    let forward = Forward::to(&kubectl, namespace, "service/server", 8080).unwrap();
    let key = secrets.key().unwrap().reveal();
    let arguments = json!({"account": organisation.accounts[0]});
    let call = RawCall::tool(
        &forward.url("/mcp"),
        &key,
        "meta_list_campaigns",
        &arguments,
    );
    assert_eq!(status(&call.send().unwrap()), "done");

    let away = Away::send(&kubectl).unwrap();
    let freeze = json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpFreeze",
        "metadata": {"name": "incident", "namespace": namespace},
        "spec": {"access": "Disabled", "reason": "a drill"},
    });
    let started = Instant::now();
    kubectl.apply(&freeze.to_string()).unwrap();
    let frozen = wait_for("calls to be refused", || {
        let answer = call.send()?;
        Ok((status(&answer) == "refused").then_some(answer))
    })
    .unwrap();
    let refused = started.elapsed();
    // The key is as good as before: a client must not look for another.
    assert_eq!((frozen.status, &frozen.challenge), (200, &None));
    let started = Instant::now();
    kubectl
        .run(&["delete", "mcpfreeze", "incident", "-n", namespace])
        .unwrap();
    wait_for("calls to be answered again", || {
        Ok((status(&call.send()?) == "done").then_some(()))
    })
    .unwrap();
    show(&format!(
        "with no operator running: an McpFreeze refuses after {} ms ({}), its end is obeyed after {} ms",
        refused.as_millis(),
        frozen.envelope()["reason"].as_str().unwrap_or_default(),
        started.elapsed().as_millis()
    ));
    drop(away);
}

fn onboard<'k>(
    kubectl: &'k Kubectl,
    secrets: &RunSecrets,
    name: &str,
) -> Result<TestOrganisation<'k>> {
    let example = include_str!("../../../examples/acme.yaml");
    TestOrganisation::onboard(kubectl, &secrets.replace_in(example)?, name)
}

fn status(answer: &RawAnswer) -> &Value {
    &answer.envelope()["status"]
}

/// The pod whose name the Lease says.
fn leader(kubectl: &Kubectl) -> Result<String> {
    let lease = kubectl.get(&["lease", OPERATOR, "-n", SYSTEM])?;
    let holder = lease["spec"]["holderIdentity"].as_str();
    let holder = holder.filter(|holder| !holder.is_empty());
    Ok(holder.context("nobody leads")?.to_owned())
}

/// Ends the operator that calls itself `holder` as a crash would: nothing in it
/// has time to say that it goes.
fn kill_process_of(holder: &str) -> Result<()> {
    for entry in fs::read_dir("/proc")? {
        let folder = entry?.path();
        let comm = fs::read_to_string(folder.join("comm")).unwrap_or_default();
        let environment = fs::read(folder.join("environ")).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        let pod = variables.find_map(|variable| variable.strip_prefix(b"POD_NAME="));
        let is_leader = pod.is_some_and(|pod| holder.as_bytes().starts_with(pod));
        if comm.starts_with("tenantry-operat") && is_leader {
            let pid = folder.file_name().context("a process without a number")?;
            let killed = Command::new("kill").arg("-KILL").arg(pid).status()?;
            ensure!(killed.success(), "the leader could not be killed");
            return Ok(());
        }
    }
    anyhow::bail!("no process of `{holder}` runs")
}

/// The operator scaled to nothing; it comes back when this is dropped.
struct Away<'k> {
    kubectl: &'k Kubectl,
    replicas: String,
}

impl<'k> Away<'k> {
    fn send(kubectl: &'k Kubectl) -> Result<Self> {
        let deployment = kubectl.get(&["deployment", OPERATOR, "-n", SYSTEM])?;
        let replicas = deployment["spec"]["replicas"].to_string();
        let away = Self { kubectl, replicas };
        away.scale("0")?;
        wait_for("the operator to be gone", || {
            let pods = kubectl.get(&["pods", "-n", SYSTEM])?;
            let left = pods["items"].as_array().into_iter().flatten();
            let mut names = left.filter_map(|pod| pod["metadata"]["name"].as_str());
            Ok((!names.any(|name| name.starts_with(OPERATOR))).then_some(()))
        })?;
        Ok(away)
    }

    fn scale(&self, replicas: &str) -> Result<()> {
        let replicas = format!("--replicas={replicas}");
        let scale = ["scale", "deployment", OPERATOR, "-n", SYSTEM, &replicas];
        self.kubectl.run(&scale).map(drop)
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        let rollout = ["rollout", "status", "deployment", OPERATOR, "-n", SYSTEM];
        let back = self.scale(&self.replicas);
        if let Err(error) = back.and_then(|()| self.kubectl.run(&rollout).map(drop)) {
            eprintln!("the operator does not come back: {error:#}");
        }
    }
}
