//! What the API server will accept and refuse of an `McpFreeze`, tried without
//! one: every CEL rule, with the message that its user reads.

#![expect(clippy::unwrap_used, reason = "a helper of tests stops like a test")]

use kube::core::cel::ValidationErrors;
use serde_json::{Value, json};
use tenantry_api::mcp_freeze::McpFreeze;

fn freeze(spec: &Value) -> McpFreeze {
    serde_json::from_value(json!({
        "apiVersion": "tenantry.dev/v1alpha1",
        "kind": "McpFreeze",
        "metadata": {"name": "stop", "namespace": "acme"},
        "spec": spec,
    }))
    .unwrap()
}

fn told(verdict: Result<(), ValidationErrors>) -> String {
    let errors = verdict.err().map(ValidationErrors::into_vec);
    let texts = errors.into_iter().flatten().map(|error| error.to_string());
    texts.collect::<Vec<_>>().join("\n")
}

fn created(spec: &Value) -> String {
    told(freeze(spec).validate_cel())
}

fn changed(old: &Value, new: &Value) -> String {
    told(freeze(new).validate_cel_update(&freeze(old)))
}

#[test]
fn everything_a_connector_or_an_account_is_frozen() {
    for spec in [
        json!({}),
        json!({"scope": {}, "access": "ReadOnly"}),
        json!({"scope": {"connector": "meta"}, "access": "Disabled", "reason": "token leaked"}),
        json!({"scope": {"connector": "meta", "account": "act_1001"}}),
    ] {
        assert_eq!(created(&spec), "", "{spec}");
    }
}

#[test]
fn an_account_alone_is_refused() {
    assert_eq!(
        created(&json!({"scope": {"account": "act_1001"}})),
        "spec.scope: an account is frozen with its connector: set scope.connector too"
    );
}

#[test]
fn a_freeze_becomes_stricter_and_never_wider() {
    let access = |word| json!({"access": word});
    let words = ["Frozen", "ReadOnly", "Disabled"];
    for (old, before) in words.iter().zip(0..) {
        for (new, after) in words.iter().zip(0..) {
            let expected = if after >= before {
                ""
            } else {
                "spec.access: access of a freeze may become stricter, not wider; to lift the freeze, delete it"
            };
            assert_eq!(
                changed(&access(old), &access(new)),
                expected,
                "{old} to {new}"
            );
        }
    }
}

#[test]
fn a_freeze_keeps_its_scope() {
    let everything = json!({});
    let meta = json!({"scope": {"connector": "meta"}});
    let account = json!({"scope": {"connector": "meta", "account": "act_1"}});
    for (old, new) in [
        (&everything, &meta),
        (&meta, &account),
        (&account, &meta),
        (&meta, &everything),
    ] {
        assert_eq!(
            changed(old, new),
            "spec.scope: scope is immutable; create another freeze, then delete this one"
        );
    }
    assert_eq!(
        changed(
            &meta,
            &json!({"scope": {"connector": "meta"}, "reason": "told"})
        ),
        ""
    );
}
