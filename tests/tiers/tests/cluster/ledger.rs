//! A change with its record on a real volume; and a volume that is lost is
//! noticed, and nothing is changed until people accept another one.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tenantry_tests::evidence::show;
use tenantry_tests::forward::Forward;
use tenantry_tests::kubectl::{Kubectl, condition, wait_for};
use tenantry_tests::namespace::TestOrganisation;
use tenantry_tests::raw::RawCall;
use tenantry_tests::tool;

use crate::{EXAMPLE, example_key};

const NAMESPACE: &str = "ledger";

/// Permits what it covers, which is everything.
const POLICY: &str = "
---
apiVersion: tenantry.dev/v1alpha1
kind: SafetyPolicy
metadata: {name: ads, namespace: acme}
spec: {mode: Enforce}
";

/// The example, but agents may change what the policy permits.
fn writing() -> String {
    let mut example = EXAMPLE.clone();
    for (before, after) in [
        ("access: ReadOnly", "access: ReadWrite"),
        (
            "scopes: [meta:read]",
            "scopes: [meta:read, meta:write, meta:spend]",
        ),
    ] {
        assert!(example.contains(before), "the example has no `{before}`");
        example = example.replace(before, after);
    }
    example + POLICY
}

/// The organisation, and one of its ad sets.
struct House<'k> {
    kubectl: &'k Kubectl,
    ad_set: String,
    budget: u32,
}

#[test]
fn a_lost_volume_is_noticed_and_nothing_is_changed_until_another_is_accepted() {
    let kubectl = Kubectl::from_environment();
    let organisation = TestOrganisation::onboard(&kubectl, &writing(), NAMESPACE).unwrap();
    let house = House::of(&kubectl, &organisation).unwrap();
    let made = house.raise(1).unwrap();
    assert_eq!(made["status"], "done", "{made}");

    house.replicas(0).unwrap();
    let known = house.status().unwrap();
    let lines = known["ledger"]["auditSequence"].as_i64();
    assert!(lines >= Some(2), "intent and outcome: {known}");
    kubectl
        .run(&["delete", "pvc", "ledger-server-0", "-n", NAMESPACE])
        .unwrap();
    house.replicas(1).unwrap();

    let told = wait_for("the lost volume to be noticed", || {
        let health = house.health()?;
        Ok((health["reason"] == "LedgerMismatch").then_some(health))
    })
    .unwrap();
    let message = told["message"].as_str().unwrap();
    show(message);
    assert!(message.contains("it is empty"), "{message}");
    assert_eq!(house.status().unwrap()["ledger"], known["ledger"]);
    let refused = house.raise(2).unwrap();
    assert_eq!(refused["reason"], "LedgerMismatch", "{refused}");

    accept(message).unwrap();
    kubectl.wait_for_ready(NAMESPACE).unwrap();
    let made = house.raise(2).unwrap();
    assert_eq!(made["status"], "done", "{made}");
    wait_for("the accepted ledger to be the tenant's", || {
        let now = house.status()?;
        Ok((now["ledger"]["id"] != known["ledger"]["id"]).then_some(()))
    })
    .unwrap();
}

impl<'k> House<'k> {
    fn of(kubectl: &'k Kubectl, organisation: &TestOrganisation<'_>) -> Result<Self> {
        let account = json!({"account": organisation.accounts[0]});
        let told = call(kubectl, "meta_list_ad_sets", &account)?;
        let ad_sets = told["data"]["ad_sets"].as_array();
        let mut ad_sets = ad_sets.with_context(|| told.to_string())?.iter();
        let budgeted = ad_sets.find(|ad_set| ad_set["daily_budget"]["currency"] == "EUR");
        let ad_set = budgeted.with_context(|| format!("no budget in {told}"))?;
        let amount = ad_set["daily_budget"]["amount"].as_str();
        let whole = amount.and_then(|amount| amount.split('.').next());
        Ok(Self {
            kubectl,
            ad_set: ad_set["id"].as_str().context("an id")?.to_owned(),
            budget: whole.context("an amount")?.parse()?,
        })
    }

    /// Sets the budget to so much more than it was; the envelope.
    fn raise(&self, by: u32) -> Result<Value> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let amount = format!("{}.00", self.budget + by);
        let arguments = json!({
            "ad_set_id": self.ad_set,
            "daily_budget": {"amount": amount, "currency": "EUR"},
            "idempotency_key": format!("7d1c5c1e-93f1-4a53-8a4e-0b6f5d2c{number:04}"),
        });
        call(self.kubectl, "meta_set_budget", &arguments)
    }

    fn patch(&self, spec: &Value) -> Result<()> {
        let patch = json!({ "spec": spec }).to_string();
        let arguments = ["patch", "mcptenant", NAMESPACE, "-n", NAMESPACE];
        let what = ["--type=merge", "-p", patch.as_str()];
        self.kubectl
            .run(&[&arguments[..], &what[..]].concat())
            .map(drop)
    }

    /// Stops the server, or starts it, and waits until it is so.
    fn replicas(&self, count: u32) -> Result<()> {
        self.patch(&json!({"server": {"replicas": count}}))?;
        wait_for(&format!("{count} pods"), || {
            let set = self
                .kubectl
                .get(&["statefulset", "server", "-n", NAMESPACE])?;
            let ready = set["status"]["readyReplicas"].as_u64().unwrap_or(0);
            let there = set["status"]["replicas"].as_u64().unwrap_or(0);
            Ok((ready == u64::from(count) && there == ready).then_some(()))
        })
    }

    fn tenant(&self) -> Result<Value> {
        self.kubectl.get(&["mcptenant", NAMESPACE, "-n", NAMESPACE])
    }

    fn status(&self) -> Result<Value> {
        Ok(self.tenant()?["status"].clone())
    }

    fn health(&self) -> Result<Value> {
        Ok(condition(&self.tenant()?, "LedgerHealthy"))
    }
}

/// Accepts by the hand tool, which knows the word that the message has as well.
fn accept(message: &str) -> Result<()> {
    let (_, patch) = message.split_once("--patch '").context("a command")?;
    let patch: Value = serde_json::from_str(patch.trim_end_matches('\''))?;
    let word = patch["spec"]["ledger"]["accept"].as_str();
    let word = word.with_context(|| format!("no word in {message}"))?;
    let tool = |word: &[&str]| tool::run(None, NAMESPACE, &[&["ledger", "accept"], word].concat());
    let asked = tool(&[])?;
    let command = format!("tenantry ledger accept {word} -n {NAMESPACE}");
    ensure!(
        asked.code == Some(1) && asked.told.contains(&command),
        "{asked:?}"
    );
    show(&asked.told);
    let other = tool(&["0123456789abcdef"])?;
    ensure!(
        other.code == Some(1) && other.told.contains("another ledger"),
        "{other:?}"
    );
    let accepted = tool(&[word])?;
    ensure!(accepted.code == Some(0), "{accepted:?}");
    Ok(())
}

/// Calls a tool; the envelope. A pod has an address of its own, so each call
/// finds its way anew.
fn call(kubectl: &Kubectl, tool: &str, arguments: &Value) -> Result<Value> {
    let forward = Forward::to(kubectl, NAMESPACE, "service/server", 8080)?;
    let call = RawCall::tool(&forward.url("/mcp"), example_key(), tool, arguments);
    Ok(call.send()?.envelope().clone())
}
