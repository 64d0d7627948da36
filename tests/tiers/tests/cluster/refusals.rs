//! Everything that is refused says why in words of its own, and leaves a line
//! in the audit stream of the pod.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::{Value, json};
use tenantry_core::key::ApiKey;
use tenantry_core::name::KeyId;
use tenantry_tests::audit;
use tenantry_tests::forward::Forward;
use tenantry_tests::kubectl::{Kubectl, wait_for};
use tenantry_tests::namespace::TestOrganisation;
use tenantry_tests::raw::{RawAnswer, RawCall};

use crate::{EXAMPLE, example_key};

const TOOL: &str = "meta_list_campaigns";

/// A message whose first reader and second reader may see different methods.
const TWICE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"tools/list"}"#;

#[test]
fn each_refusal_has_its_own_words_and_an_audit_line() {
    let kubectl = Kubectl::from_environment();
    let organisation = TestOrganisation::onboard(&kubectl, &EXAMPLE, "refusals").unwrap();
    let namespace = organisation.name.as_str();
    grant_nothing(&kubectl, namespace).unwrap();
    let forward = Forward::to(&kubectl, namespace, "service/server", 8080).unwrap();
    let good = RawCall::tool(
        &forward.url("/mcp"),
        example_key(),
        TOOL,
        &json!({"account": organisation.accounts[0]}),
    );
    assert_eq!(
        good.send().unwrap().envelope()["status"],
        "done",
        "the control passes"
    );

    let mut sentences = BTreeMap::new();
    for (reason, call) in refusals(&good) {
        let answer = call
            .send()
            .unwrap_or_else(|error| panic!("{reason}: {error:#}"));
        let (said, call_id, message) = told(&answer);
        assert_eq!(said, reason, "{answer:?}");
        let line = audit::line_of(&kubectl, namespace, &call_id).unwrap();
        assert_eq!(line["reason"], reason, "{line}");
        assert_ne!(line["outcome"], "done", "{line}");
        sentences.insert(reason, message);
    }
    let distinct: BTreeSet<_> = sentences.values().collect();
    assert_eq!(distinct.len(), sentences.len(), "{sentences:#?}");
}

/// Calls that differ from a good one in one thing each, and the reason to
/// hear.
fn refusals(good: &RawCall) -> Vec<(&'static str, RawCall)> {
    let bent = |bend: fn(&mut RawCall)| {
        let mut call = good.clone();
        bend(&mut call);
        call
    };
    let tool =
        |tool: &str, arguments: Value| RawCall::tool(&good.url, example_key(), tool, &arguments);
    let misspelt = json!({"account": "act_1001", "acount": "act_2001"});
    vec![
        ("KeyMissing", bent(|call| call.key = None)),
        (
            "KeyMalformed",
            bent(|call| call.key = Some("tnt_demo_0".into())),
        ),
        (
            "KeyUnknown",
            bent(|call| call.key = Some(key("demo").reveal())),
        ),
        (
            "ScopeMissing",
            bent(|call| call.key = Some(key("scopeless").reveal())),
        ),
        (
            "HostRefused",
            bent(|call| call.host = Some("evil.example".into())),
        ),
        (
            "OriginRefused",
            bent(|call| call.origin = Some("https://evil.example".into())),
        ),
        ("BodyInvalid", bent(|call| call.body = TWICE.into())),
        ("AccountRefused", tool(TOOL, json!({"account": "act_2001"}))),
        ("ArgumentsInvalid", tool(TOOL, misspelt)),
        ("ArgumentsInvalid", tool(TOOL, json!({"account": 1001}))),
        ("ToolUnknown", tool("meta_delete_everything", json!({}))),
        // The last: the server does not read such a body to its end, and kubectl
        // gives a port-forward up when a connection ends like that.
        ("BodyTooLarge", bent(|call| call.body = vec![b' '; 4 << 20])),
    ]
}

#[test]
fn a_revoked_key_is_refused_from_then_on() {
    let kubectl = Kubectl::from_environment();
    let organisation = TestOrganisation::onboard(&kubectl, &EXAMPLE, "revocation").unwrap();
    let namespace = organisation.name.as_str();
    let forward = Forward::to(&kubectl, namespace, "service/server", 8080).unwrap();
    let call = RawCall::tool(
        &forward.url("/mcp"),
        example_key(),
        "meta_list_ad_accounts",
        &json!({}),
    );
    assert_eq!(call.send().unwrap().envelope()["status"], "done");

    assert!(disable(&kubectl, namespace, true), "a key can be revoked");
    let refused = wait_for("the revoked key to be refused", || {
        let answer = call.send()?;
        Ok((answer.status == 401).then_some(answer))
    })
    .unwrap();
    let (reason, call_id, _) = told(&refused);
    assert_eq!(reason, "KeyRevoked");
    assert!(refused.challenge.unwrap().starts_with("Bearer"));
    assert_eq!(
        audit::line_of(&kubectl, namespace, &call_id).unwrap()["reason"],
        "KeyRevoked"
    );

    let restored = disable(&kubectl, namespace, false);
    assert!(!restored, "a revoked key stays revoked");
}

/// Whether the example's key could be disabled, or enabled.
fn disable(kubectl: &Kubectl, namespace: &str, disabled: bool) -> bool {
    let patch = json!({"spec": {"disabled": disabled}}).to_string();
    let arguments = [
        "patch",
        "mcpapikey",
        "demo",
        "-n",
        namespace,
        "--type=merge",
        "-p",
        &patch,
    ];
    kubectl.output(&arguments).unwrap().status.success()
}

/// Reason, call id and message of a refusal, wherever in the answer its layer
/// puts them: tool results carry an envelope, JSON-RPC errors a message with
/// `data`, the rest is a plain body.
fn told(answer: &RawAnswer) -> (String, String, String) {
    let places = [
        answer.envelope(),
        &answer.body["error"]["data"],
        &answer.body["error"],
        &answer.body,
    ];
    let text = |name: &str| {
        let found = places.iter().find_map(|place| place[name].as_str());
        found
            .unwrap_or_else(|| panic!("no `{name}` in {answer:?}"))
            .to_owned()
    };
    (text("reason"), text("call_id"), text("message"))
}

/// A key without any scope, made as a platform team would.
fn grant_nothing(kubectl: &Kubectl, namespace: &str) -> Result<()> {
    let key = json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpApiKey",
        "metadata": {"name": "scopeless", "namespace": namespace},
        "spec": {"owner": "alice", "digest": key("scopeless").digest().to_string(), "scopes": []},
    });
    kubectl.apply(&key.to_string())?;
    Ok(())
}

/// A well-formed key; its secret is not the example's.
fn key(id: &str) -> ApiKey {
    ApiKey::new(KeyId::parse(id).unwrap(), [0x5a; 32])
}
