//! A cluster whose definitions are of a later release than the program.

use serde_json::{Value, json};

use crate::api::Api;

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "acme", "uid": name}, "spec": spec,
    })
}

fn approval(name: &str) -> Value {
    let mut approval = object(
        "McpApproval",
        name,
        &json!({"request": {
            "changeId": "0123456789abcdef0123456789abcdef",
            "tool": "meta_set_budget", "connector": "meta", "account": "act_1",
            "summary": "campaign 120, daily_budget 100.00 EUR to 9000.00 EUR",
            "arguments": "{}",
            "rules": [{"policy": "ads", "rule": "approvals[large]", "message": "over 5000.00 EUR"}],
            "policyDigest": format!("sha256:{}", "0".repeat(64)),
            "approverClasses": ["finance"], "approvers": 1,
            "requestedBy": {"owner": "owner@example.com", "agent": "planner", "key": "demo"},
            "askedAt": "2026-06-01T00:00:00Z", "expiresAt": "2096-06-01T00:00:00Z",
        }}),
    );
    approval["status"] = json!({"state": "Pending", "mood": "good"});
    approval
}

fn key(name: &str) -> Value {
    let digest = format!("sha256:{}", "0".repeat(64));
    let spec = json!({"owner": "owner@example.com", "digest": digest, "scopes": ["meta:read"]});
    object("McpApiKey", name, &spec)
}

#[test]
fn what_is_not_known_is_left_out_and_spoken_of_once() {
    let mut second = approval("two");
    second["spec"]["request"]["mood"] = json!("bad");
    let api = Api::with(&[("mcpapprovals", approval("one")), ("mcpapprovals", second)]);
    for words in [
        &["approvals"][..],
        &["approvals", "-o", "json"],
        &["show", "one"],
    ] {
        let listed = api.run(words);
        assert_eq!(listed.code, 0, "{listed}");
        assert!(listed.out.contains("campaign 120"), "{listed}");
        let told = "the cluster has a newer definition of McpApproval than this program, which leaves out what it does not know: status.mood\n";
        assert_eq!(listed.error, told);
    }
}

/// What is not seen may be what matters.
#[test]
fn nothing_is_agreed_to_and_no_key_copied_that_says_more_than_is_known() {
    let mut strange = approval("strange");
    strange["spec"]["request"]["alsoDeletes"] = json!("everything");
    let mut held = key("held");
    held["spec"]["onlyOnMondays"] = json!(true);
    let api = Api::with(&[
        ("mcpapprovals", strange),
        ("mcpapprovals", approval("one")),
        ("mcpapikeys", held),
        ("mcpapikeys", key("plain")),
    ]);
    for words in [&["approve", "strange"][..], &["key", "rotate", "held"]] {
        let refused = api.run(words);
        assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{refused}");
        let told = "error: nothing was done, because it says more than this release of the program knows: spec.";
        assert!(refused.error.contains(told), "{refused}");
        assert_eq!(api.changes(), [""; 0]);
    }
    // What stops needs no more than is seen, and neither does what is all known.
    for words in [
        &["deny", "strange"][..],
        &["approve", "one"],
        &["key", "revoke", "held"],
        &["key", "rotate", "plain"],
    ] {
        let done = api.run(words);
        assert_eq!(done.code, 0, "{words:?}: {done}");
        assert_eq!(api.changes().len(), 1, "{words:?}");
    }
}

#[test]
fn a_freeze_of_which_not_all_is_known_is_not_taken_for_enough() {
    let mut narrower = object(
        "McpFreeze",
        "everything",
        &json!({"scope": {"campaign": "120"}, "access": "Disabled"}),
    );
    let tenant = json!({
        "organization": "acme", "region": "eu",
        "connectors": [{
            "name": "meta", "credentials": {"secretName": "meta"},
            "accounts": [{"id": "act_1", "currency": "EUR", "timeZone": "Europe/Berlin"}],
        }],
    });
    let tenant = object("McpTenant", "acme", &tenant);
    let api = Api::with(&[
        ("mcptenants", tenant.clone()),
        ("mcpfreezes", narrower.clone()),
    ]);
    let stopped = api.run(&["freeze"]);
    let told = "everything-frozen: everything of `acme` is frozen now\n";
    assert_eq!((stopped.code, stopped.out.as_str()), (0, told), "{stopped}");
    let named = api.run(&["freeze", "--name", "everything"]);
    assert_eq!(named.code, 1, "{named}");
    assert!(named.error.contains("NOTHING WAS STOPPED"), "{named}");
    narrower["spec"]["scope"] = json!({});
    let api = Api::with(&[("mcptenants", tenant), ("mcpfreezes", narrower)]);
    let stopped = api.run(&["freeze"]);
    let told = "everything: everything of `acme` is stopped already\n";
    assert_eq!((stopped.code, stopped.out.as_str()), (0, told), "{stopped}");
}
