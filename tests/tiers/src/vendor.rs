//! The fake vendor of a sandbox, told by way of the API server what to know and
//! what to do wrong.

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::kubectl::Kubectl;

const ORACLE: &str = "/api/v1/namespaces/tenantry-system/services/fake-meta:8080/proxy/_oracle";

/// Lets a token see these accounts beside those that it sees already.
pub fn grant(kubectl: &Kubectl, token: &str, accounts: &[String]) -> Result<()> {
    send(kubectl, "create", "tokens", &json!({token: accounts}))
}

/// Switches faults, for everybody in the cluster; `{}` is good health.
pub fn set_faults(kubectl: &Kubectl, faults: &Value) -> Result<()> {
    send(kubectl, "replace", "faults", faults)
}

/// What was really changed in an account, in order.
pub fn effects(kubectl: &Kubectl, account: &str) -> Result<Vec<Value>> {
    let all = kubectl.run(&["get", "--raw", &format!("{ORACLE}/effects")])?;
    let mut all: Vec<Value> = serde_json::from_str(&all)?;
    all.retain(|effect| effect["account"] == account);
    Ok(all)
}

/// By standard input: a command line can be read by everybody.
fn send(kubectl: &Kubectl, verb: &str, path: &str, body: &Value) -> Result<()> {
    let mut child = kubectl
        .command()
        .args([verb, "--raw", &format!("{ORACLE}/{path}"), "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("run kubectl {verb}"))?;
    let mut stdin = child.stdin.take().context("kubectl has no stdin")?;
    stdin.write_all(body.to_string().as_bytes())?;
    drop(stdin);
    ensure!(
        child.wait()?.success(),
        "the fake vendor does not take `{path}`"
    );
    Ok(())
}
