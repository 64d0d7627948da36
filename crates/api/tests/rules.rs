//! What the API server will accept and refuse, tried without one: every CEL
//! rule of the forms, with the message that its user reads.

#![expect(clippy::unwrap_used, reason = "a helper of tests stops like a test")]

use serde_json::{Value, json};
use tenantry_api::crd::crds;
use tenantry_api::mcp_api_key::McpApiKey;
use tenantry_api::mcp_approval::{
    ApprovalDecision, ApprovalQuestion, ApprovalVerdict, McpApproval,
};
use tenantry_api::mcp_tenant::McpTenant;

fn tenant() -> Value {
    json!({
        "apiVersion": "tenantry.dev/v1alpha1",
        "kind": "McpTenant",
        "metadata": {"name": "acme", "namespace": "acme"},
        "spec": {
            "organization": "acme",
            "connectors": [{
                "name": "meta",
                "credentials": {"secretName": "meta-credentials"},
                "accounts": [{"id": "act_1001", "currency": "EUR", "timeZone": "Europe/Berlin"}],
            }],
        },
    })
}

/// The smallest tenant with `value` at `pointer` below `spec`.
fn with(pointer: &str, value: Value) -> Value {
    let mut document = tenant();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    document["spec"].pointer_mut(parent).unwrap()[field] = value;
    document
}

fn parse(document: &Value) -> McpTenant {
    serde_json::from_value(document.clone()).unwrap()
}

/// What the creator of `document` reads, one line a refusal.
fn refusals(document: &Value) -> String {
    let verdict = parse(document).validate_cel();
    lines(
        verdict
            .err()
            .map(kube::core::cel::ValidationErrors::into_vec),
    )
}

/// What somebody reads who changes `old` into `new`.
fn refusals_of_change(old: &Value, new: &Value) -> String {
    let verdict = parse(new).validate_cel_update(&parse(old));
    lines(
        verdict
            .err()
            .map(kube::core::cel::ValidationErrors::into_vec),
    )
}

fn lines(errors: Option<Vec<kube::core::cel::ValidationError>>) -> String {
    let texts = errors.into_iter().flatten().map(|error| error.to_string());
    texts.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_smallest_tenant_is_accepted_and_reads_only() {
    let document = tenant();
    assert_eq!(refusals(&document), "");
    let spec = parse(&document).spec;
    assert_eq!(spec.access.as_str(), "ReadOnly");
    assert_eq!(spec.server.replicas, 1);
    assert_eq!(spec.ledger.sqlite.unwrap().storage, "1Gi");
}

#[test]
fn each_rule_refuses_with_a_message_to_act_on() {
    let organization = "spec.organization: organization is 1-40 of a-z, 0-9 and `-`, starting and ending with a letter or digit";
    let cases = [
        ("/organization", json!("Acme"), organization),
        ("/organization", json!("acme-"), organization),
        (
            "/connectors/0/name",
            json!("meta-ads"),
            "spec.connectors[0].name: a connector's name is 1-16 of a-z and 0-9, starting with a letter, such as `meta`",
        ),
        (
            "/connectors/0/credentials/secretName",
            json!("Meta_Secret"),
            "spec.connectors[0].credentials.secretName: secretName is the name of a Secret in this namespace: words of a-z, 0-9 and `-`, parted by `.`, each starting and ending with a letter or digit",
        ),
        (
            "/connectors/0/accounts/0/id",
            json!("act/1"),
            "spec.connectors[0].accounts[0].id: an account's id is 1-64 of A-Z, a-z, 0-9, `_` and `-`, as the vendor spells it",
        ),
        (
            "/connectors/0/accounts/0/currency",
            json!("eur"),
            "spec.connectors[0].accounts[0].currency: currency is three capital letters (ISO 4217), such as EUR",
        ),
        (
            "/connectors/0/accounts/0/timeZone",
            json!("Europe/Berlin/"),
            "spec.connectors[0].accounts[0].timeZone: timeZone is an IANA name, such as Europe/Berlin",
        ),
        (
            "/ledger",
            json!({"sqlite": {"storage": "a lot"}}),
            "spec.ledger.sqlite.storage: storage is a size, such as 1Gi",
        ),
        (
            "/ledger",
            json!({"sqlite": {"storage": "0"}}),
            "spec.ledger.sqlite.storage: storage is a size, such as 1Gi",
        ),
        (
            "/server",
            json!({"replicas": 2}),
            "spec: server.replicas is 0 or 1 with a ledger of kind sqlite; more replicas need ledger.postgres",
        ),
        (
            "/server",
            json!({"resources": {"limits": {"memory": "much"}}}),
            "spec.server.resources.limits.memory: memory is a quantity, such as 128Mi",
        ),
        (
            "/server",
            json!({"resources": {"requests": {"cpu": "fast"}}}),
            "spec.server.resources.requests.cpu: cpu is a quantity, such as 100m or \"1\"",
        ),
        (
            "/server",
            json!({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}),
            "spec.server.tolerations[0]: a toleration with operator Exists has no value",
        ),
        (
            "/server",
            json!({"tolerations": [{"value": "b"}]}),
            "spec.server.tolerations[0]: a toleration with operator Equal has a key",
        ),
    ];
    for (pointer, value, message) in cases {
        assert_eq!(refusals(&with(pointer, value)), message);
    }
}

#[test]
fn a_destination_is_refused_with_a_message_to_act_on() {
    let secret_name = "secretName is the name of a Secret in this namespace: words of a-z, 0-9 and `-`, parted by `.`, each starting and ending with a letter or digit";
    let name = "a destination's name is 1-40 of a-z, 0-9 and `-`, starting and ending with a letter or digit";
    for (field, value, message) in [
        ("name", "Ads team", name),
        ("name", "-ads", name),
        ("name", "ads.team", name),
        ("secretName", "https://hooks.example.com", secret_name),
        ("secretName", "Slack", secret_name),
        ("secretName", "slack-", secret_name),
    ] {
        let mut destination = json!({"name": "ads", "secretName": "slack"});
        destination[field] = value.into();
        let told = refusals(&with("/notifications", json!([destination])));
        assert_eq!(told, format!("spec.notifications[0].{field}: {message}"));
    }
}

#[test]
fn one_key_has_no_more_places_than_there_are() {
    let refusals = |of_key: Option<u32>, of_all: Option<u32>| {
        let mut limits = json!({"perKey": {"perMinute": 1, "burst": 1}});
        if let Some(places) = of_key {
            limits["perKey"]["concurrency"] = places.into();
        }
        if let Some(places) = of_all {
            limits["concurrency"] = places.into();
        }
        refusals(&with("/limits", limits))
    };
    let told = "spec.limits: perKey.concurrency is at most concurrency, which is 32 if left out";
    assert_eq!(refusals(Some(8), Some(8)), "");
    assert_eq!(refusals(Some(9), Some(8)), told);
    assert_eq!(refusals(Some(32), None), "");
    assert_eq!(refusals(Some(33), None), told);
    // Half of one place is still that place.
    assert_eq!(refusals(None, Some(1)), "");
}

#[test]
fn what_users_write_is_accepted() {
    for (pointer, value) in [
        ("/organization", json!("a")),
        ("/access", json!("Frozen")),
        (
            "/connectors/0/accounts/0/timeZone",
            json!("America/Argentina/Buenos_Aires"),
        ),
        ("/connectors/0/accounts/0/timeZone", json!("Etc/GMT+8")),
        ("/connectors/0/accounts/0/access", json!("Disabled")),
        (
            "/ledger",
            json!({"sqlite": {"storage": "500Mi", "storageClassName": "fast"}}),
        ),
        ("/limits", json!({"perKey": {"perMinute": 1, "burst": 1}})),
        (
            "/server",
            json!({"replicas": 0, "nodeSelector": {"pool": "mcp"}}),
        ),
        (
            "/server",
            json!({"resources": {"limits": {"memory": "64Mi", "cpu": "1"}}}),
        ),
        (
            "/server",
            json!({"tolerations": [{"operator": "Exists"}, {"key": "a", "effect": "NoSchedule"}]}),
        ),
        ("/notifications", json!([])),
        (
            "/notifications",
            json!([{"name": "ads", "secretName": "slack.ads"}]),
        ),
        (
            "/notifications",
            json!([
                {"name": "a", "secretName": "s", "occasions": ["Denied"]},
                {"name": "b", "secretName": "s", "occasions": ["Pending", "Decided", "Executed", "ReconnectNeeded"]},
            ]),
        ),
    ] {
        assert_eq!(refusals(&with(pointer, value)), "", "{pointer}");
    }
}

#[test]
fn what_is_fixed_at_creation_stays() {
    assert_eq!(
        refusals_of_change(&tenant(), &with("/organization", json!("globex"))),
        "spec.organization: organization is immutable; create another McpTenant in another namespace"
    );
    let volume = "spec.ledger.sqlite: the ledger's volume is chosen when the tenant is created; storage and storageClassName are immutable";
    for sqlite in [
        json!({"storage": "2Gi"}),
        json!({"storageClassName": "fast"}),
    ] {
        let changed = with("/ledger", json!({ "sqlite": sqlite }));
        assert_eq!(refusals_of_change(&tenant(), &changed), volume);
        assert_eq!(refusals_of_change(&changed, &tenant()), volume);
    }
    for (pointer, value) in [
        ("/access", json!("Disabled")),
        ("/connectors/0/accounts/0/currency", json!("USD")),
        ("/deletionPolicy", json!("Delete")),
        ("/ledger", json!({"sqlite": {"storage": "1Gi"}})),
    ] {
        assert_eq!(
            refusals_of_change(&tenant(), &with(pointer, value)),
            "",
            "{pointer}"
        );
    }
}

#[test]
fn a_misspelt_field_is_no_tenant() {
    for (pointer, value) in [
        ("/acces", json!("Disabled")),
        ("/server", json!({"podSpec": {}})),
        ("/connectors/0/url", json!("http://elsewhere")),
        ("/access", json!("readonly")),
        (
            "/notifications",
            json!([{"name": "a", "secretName": "s", "url": "https://hooks.example.com"}]),
        ),
        (
            "/notifications",
            json!([{"name": "a", "secretName": "s", "occasions": ["Asked"]}]),
        ),
        ("/notifications", json!([{"name": "a"}])),
    ] {
        let document = with(pointer, value);
        assert!(
            serde_json::from_value::<McpTenant>(document).is_err(),
            "{pointer}"
        );
    }
}

#[test]
fn a_key_keeps_its_owner_and_stays_revoked() {
    let key = |disabled: bool, owner: &str| -> McpApiKey {
        serde_json::from_value(json!({
            "apiVersion": "tenantry.dev/v1alpha1",
            "kind": "McpApiKey",
            "metadata": {"name": "demo"},
            "spec": {"owner": owner, "digest": format!("sha256:{}", "0".repeat(64)), "scopes": ["meta:read"], "disabled": disabled},
        }))
        .unwrap()
    };
    let refused = |new: McpApiKey, old: McpApiKey| {
        lines(
            new.validate_cel_update(&old)
                .err()
                .map(kube::core::cel::ValidationErrors::into_vec),
        )
    };
    assert_eq!(refused(key(true, "alice"), key(false, "alice")), "");
    assert_eq!(
        refused(key(false, "alice"), key(true, "alice")),
        "spec.disabled: a disabled key stays disabled; create another key"
    );
    assert_eq!(
        refused(key(false, "bob"), key(false, "alice")),
        "spec.owner: owner is immutable; create another key"
    );
    // Neither changed, nor added later, nor taken away.
    let with = |agent: Option<&str>, issued_by: Option<&str>| {
        let mut key = key(false, "alice");
        key.spec.agent = agent.map(str::to_owned);
        key.spec.issued_by = issued_by.map(str::to_owned);
        key
    };
    for (new, old) in [(Some("b"), Some("a")), (Some("a"), None), (None, Some("a"))] {
        assert_eq!(
            refused(with(new, None), with(old, None)),
            "spec: agent is immutable; create another key"
        );
        assert_eq!(
            refused(with(None, new), with(None, old)),
            "spec: issuedBy is immutable; create another key"
        );
    }
    assert_eq!(
        refused(with(Some("a"), Some("b")), with(Some("a"), Some("b"))),
        ""
    );
}

/// An approval that says that.
fn approval(decisions: &[(&str, ApprovalVerdict)], withdrawn: bool) -> McpApproval {
    let mut approval: McpApproval = serde_json::from_value(json!({
        "apiVersion": "tenantry.dev/v1alpha1",
        "kind": "McpApproval",
        "metadata": {"name": "one"},
        "spec": {"withdrawn": withdrawn, "request": {
            "changeId": "0".repeat(32), "tool": "meta_set_budget", "connector": "meta",
            "account": "act_1", "summary": "more", "arguments": "{}",
            "rules": [{"policy": "a", "rule": "b", "message": "c"}],
            "policyDigest": format!("sha256:{}", "0".repeat(64)),
            "approverClasses": ["ads"], "approvers": 2, "requestedBy": {"owner": "alice", "key": "demo"},
            "askedAt": "2026-06-01T00:00:00Z", "expiresAt": "2026-06-02T00:00:00Z",
        }},
    }))
    .unwrap();
    let decisions = decisions.iter().map(|(by, verdict)| ApprovalDecision {
        by: (*by).into(),
        verdict: *verdict,
        classes: None,
        comment: None,
    });
    approval.spec.decisions = decisions.collect();
    approval
}

fn refused(new: &McpApproval, old: &McpApproval) -> String {
    let verdict = new.validate_cel_update(old);
    lines(
        verdict
            .err()
            .map(kube::core::cel::ValidationErrors::into_vec),
    )
}

#[test]
fn decisions_are_added_and_what_is_asked_stays() {
    use ApprovalVerdict::{Approve, Deny};
    let (a, b, c) = (("a", Approve), ("b", Approve), ("c", Deny));
    for (old, new) in [(&[][..], &[a][..]), (&[a], &[b, a]), (&[a, b], &[a, b, c])] {
        assert_eq!(refused(&approval(new, false), &approval(old, false)), "");
    }
    assert_eq!(refused(&approval(&[a], true), &approval(&[a], false)), "");
    let made = "spec: a decision stays as it was made";
    for (old, new, told) in [
        (&[a][..], &[][..], made),
        (&[a], &[("a", Deny)], made),
        (&[], &[a, b], "spec: decisions are added one at a time"),
        (
            &[c],
            &[c, a],
            "spec: the change is denied, and that is final",
        ),
    ] {
        assert_eq!(refused(&approval(new, false), &approval(old, false)), told);
    }
    assert_eq!(
        refused(&approval(&[a], true), &approval(&[], true)),
        "spec: the request is withdrawn: there is nothing to decide"
    );
    assert_eq!(
        refused(&approval(&[], false), &approval(&[], true)),
        "spec.withdrawn: what is withdrawn stays so; let the agent ask again"
    );
    let mut other = approval(&[], false);
    other.spec.request.approvers = 1;
    assert_eq!(
        refused(&other, &approval(&[], false)),
        "spec.request: the request is immutable"
    );
}

#[test]
fn what_is_said_answers_what_is_asked() {
    use ApprovalVerdict::{Applied, Approve, Deny, NotApplied};
    let found = |decisions: &[(&str, ApprovalVerdict)], withdrawn: bool| {
        let mut found = approval(decisions, withdrawn);
        found.spec.request.asks = ApprovalQuestion::Outcome;
        found
    };
    let (made, not) = (("a", Applied), ("b", NotApplied));
    let nothing = found(&[], false);
    assert_eq!(refused(&found(&[made], false), &nothing), "");
    assert_eq!(
        refused(&found(&[made, not], false), &found(&[made], false)),
        ""
    );
    let told = "spec: say Approve or Deny to a change; where request.asks is Outcome, say Applied or NotApplied";
    for word in [("a", Approve), ("c", Deny)] {
        assert_eq!(refused(&found(&[word], false), &nothing), told);
    }
    for word in [made, not] {
        assert_eq!(
            refused(&approval(&[word], false), &approval(&[], false)),
            told
        );
    }
    assert_eq!(
        refused(&found(&[], true), &nothing),
        "spec: what became of a change is not withdrawn"
    );
}

#[test]
fn every_field_is_described() {
    for crd in crds() {
        let kind = &crd.spec.names.kind;
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let root = &schema["openAPIV3Schema"];
        for part in ["spec", "status"] {
            if let Some(node) = root["properties"].get(part) {
                assert_described(node, &format!("{kind}.{part}"));
            }
        }
    }
}

fn assert_described(node: &Value, path: &str) {
    let text = node["description"].as_str().unwrap_or_default();
    assert!(!text.is_empty(), "{path} has no description");
    for (name, child) in node["properties"].as_object().into_iter().flatten() {
        assert_described(child, &format!("{path}.{name}"));
    }
    if node["items"].get("properties").is_some() {
        assert_described(&node["items"], &format!("{path}[]"));
    }
}

#[test]
fn a_definition_stays_small_enough_to_apply() {
    for crd in crds() {
        let size = serde_json::to_vec(&crd).unwrap().len();
        assert!(size < 200_000, "{}: {size} bytes", crd.spec.names.kind);
    }
}
