//! Whole forms as contracts, and all that keeps a form from being one.

use serde_json::{Value, json};

use super::*;

fn tenant(connectors: &Value) -> McpTenant {
    serde_json::from_value(json!({
        "apiVersion": "tenantry.dev/v1alpha1",
        "kind": "McpTenant",
        "metadata": {"name": "acme", "namespace": "team-a", "uid": "0b7c"},
        "spec": {"organization": "acme", "access": "Frozen", "connectors": connectors},
    }))
    .unwrap()
}

fn meta() -> Value {
    json!([{
        "name": "meta",
        "credentials": {"secretName": "meta-credentials"},
        "accounts": [
            {"id": "act_1", "currency": "EUR", "timeZone": "Europe/Berlin"},
            {"id": "act_2", "currency": "TWD", "timeZone": "Asia/Taipei", "access": "ReadOnly"},
        ],
    }])
}

#[test]
fn a_tenant_becomes_a_contract_that_a_server_reads() {
    let config = compile(&tenant(&meta()), &OperatorView::default()).unwrap();
    let expected = json!({
        "version": "v1",
        "organization": "acme",
        "tenantUid": "0b7c",
        "access": "Frozen",
        "connectors": [{
            "name": "meta",
            "accounts": [
                {"id": "act_1", "currency": "EUR", "timeZone": "Europe/Berlin", "access": "ReadWrite"},
                {"id": "act_2", "currency": "TWD", "timeZone": "Asia/Taipei", "access": "ReadOnly"},
            ],
        }],
        "limits": {
            "perKey": {"perMinute": 60, "burst": 20},
            "perKeyConcurrency": 16,
            "perTenant": {"perMinute": 600, "burst": 100},
            "concurrency": 32,
        },
        "guardProven": false,
        "allowedHosts": ["server", "server.team-a", "server.team-a.svc", "server.team-a.svc.cluster.local"],
        "allowedOrigins": [],
    });
    assert_eq!(serde_json::to_value(config).unwrap(), expected);
}

#[test]
fn what_a_tenant_says_of_its_clients_is_in_its_contract() {
    let mut tenant = tenant(&meta());
    let said = json!({
        "endpoint": {"host": "acme.example.com", "gateway": "public", "allowedOrigins": ["https://app.example.com"]},
        "tools": {"allow": ["meta_list_campaigns", "meta_list_ads"], "deny": ["meta_list_ads"]},
        "limits": {"perKey": {"perMinute": 6, "burst": 3, "concurrency": 2}, "concurrency": 8},
        "audit": {"redact": ["query"], "retain": "90d"},
        "network": {"proxy": "http://proxy.example:3128"},
    });
    let mut spec = serde_json::to_value(&tenant.spec).unwrap();
    spec.as_object_mut()
        .unwrap()
        .extend(said.as_object().unwrap().clone());
    tenant.spec = serde_json::from_value(spec).unwrap();
    let config = compile(&tenant, &OperatorView::default()).unwrap();
    let contract = serde_json::to_value(&config).unwrap();
    assert_eq!(contract["allowedHosts"][4], "acme.example.com");
    assert_eq!(
        contract["allowedOrigins"],
        json!(["https://app.example.com"])
    );
    let tools =
        json!({"allow": ["meta_list_ads", "meta_list_campaigns"], "deny": ["meta_list_ads"]});
    assert_eq!(contract["tools"], tools);
    assert_eq!(
        contract["limits"]["perKey"],
        json!({"perMinute": 6, "burst": 3})
    );
    assert_eq!(contract["limits"]["perKeyConcurrency"], 2);
    assert_eq!(contract["redact"], json!(["query"]));
    assert_eq!(contract["retainDays"], 90);
    assert_eq!(contract["proxy"], "http://proxy.example:3128");
}

#[test]
fn what_is_kept_is_kept_for_a_number_of_days() {
    let compiled = |retain: &str| {
        let mut tenant = tenant(&meta());
        tenant.spec.audit = serde_json::from_value(json!({"retain": retain})).unwrap();
        compile(&tenant, &OperatorView::default())
    };
    for (said, days) in [("30d", 30), ("365d", 365), ("9999d", 9999)] {
        assert_eq!(compiled(said).unwrap().retain_days, Some(days));
    }
    for said in [
        "29d",
        "10000d",
        "90",
        "d",
        "1y",
        "-40d",
        "9 0d",
        "99999999999d",
    ] {
        let told = compiled(said).unwrap_err();
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        let wanted = format!("spec.audit.retain: `{said}` is no number of days from 30d to 9999d");
        assert_eq!(told, [wanted]);
    }
}

#[test]
fn one_key_has_no_more_places_than_there_are() {
    let told = |limits: Value| {
        let mut tenant = tenant(&meta());
        tenant.spec.limits = serde_json::from_value(limits).unwrap();
        let flaws = compile(&tenant, &OperatorView::default()).err();
        flaws
            .into_iter()
            .flatten()
            .map(|flaw| flaw.message)
            .collect::<Vec<_>>()
    };
    let key = |places: u32| json!({"perMinute": 6, "burst": 3, "concurrency": places});
    assert_eq!(told(json!({"perKey": key(32)})), [""; 0]);
    assert_eq!(told(json!({"perKey": key(8), "concurrency": 8})), [""; 0]);
    assert_eq!(
        told(json!({"perKey": key(33)})),
        ["spec.limits.perKey.concurrency: 33 is more than spec.limits.concurrency, which is 32"]
    );
    assert_eq!(
        told(json!({"perKey": key(9), "concurrency": 8})),
        ["spec.limits.perKey.concurrency: 9 is more than spec.limits.concurrency, which is 8"]
    );
}

#[test]
fn a_destination_hears_of_what_it_names_and_else_of_all_but_denials() {
    let mut tenant = tenant(&meta());
    let said = json!([
        {"name": "ads-team", "secretName": "slack-ads"},
        {"name": "audit", "secretName": "collector", "occasions": ["Denied", "Decided"]},
    ]);
    tenant.spec.notifications = serde_json::from_value(said).unwrap();
    let config = compile(&tenant, &OperatorView::default()).unwrap();
    // Where a destination is stays in its Secret, and whose Secret it is with
    // the operator.
    let expected = json!([
        {"name": "ads-team", "occasions": ["Pending", "Decided", "Executed", "ReconnectNeeded"]},
        {"name": "audit", "occasions": ["Decided", "Denied"]},
    ]);
    assert_eq!(
        serde_json::to_value(config.notifications).unwrap(),
        expected
    );
}

/// A folder of documents has no API server that would refuse it before.
#[test]
fn a_destination_without_a_good_name_or_occasion_is_a_flaw() {
    for (said, told) in [
        (
            json!([{"name": "Ads", "secretName": "a"}]),
            "spec.notifications[Ads]: `Ads` is not a destination's name (1-40 of a-z, 0-9 and `-`, starting and ending with a letter or digit)",
        ),
        (
            json!([{"name": "a", "secretName": "a"}, {"name": "a", "secretName": "b"}]),
            "the contract contradicts itself: the destination `a` stands twice",
        ),
        (
            json!([{"name": "a", "secretName": "a", "occasions": []}]),
            "the contract contradicts itself: the destination `a` hears of nothing",
        ),
    ] {
        let mut tenant = tenant(&meta());
        tenant.spec.notifications = serde_json::from_value(said).unwrap();
        let flaws = compile(&tenant, &OperatorView::default()).unwrap_err();
        let flaws: Vec<_> = flaws.iter().map(ToString::to_string).collect();
        assert_eq!(flaws, [told]);
    }
}

#[test]
fn what_this_release_cannot_do_is_refused_by_name() {
    let mut tenant = tenant(&meta());
    let said = json!({
        "auth": {"oidc": {"issuer": "https://id.example", "audience": "https://mcp.example"}},
        "ledger": {"postgres": {"host": "db", "database": "acme", "secretName": "db"}},
        "audit": {"otlpEndpoint": "http://collector:4318"},
    });
    let mut spec = serde_json::to_value(&tenant.spec).unwrap();
    spec.as_object_mut()
        .unwrap()
        .extend(said.as_object().unwrap().clone());
    spec["connectors"][0]["quota"] = json!({"pool": "agency", "share": 50});
    tenant.spec = serde_json::from_value(spec).unwrap();
    let flaws = compile(&tenant, &OperatorView::default()).unwrap_err();
    let told: Vec<_> = flaws.iter().map(ToString::to_string).collect();
    let expected = [
        "spec.connectors[meta].quota",
        "spec.auth.oidc",
        "spec.ledger.postgres",
        "spec.audit.otlpEndpoint",
    ];
    assert_eq!(
        told,
        expected.map(|path| format!("{path} is not supported by this release; leave it out"))
    );
    assert!(flaws.iter().all(|flaw| flaw.reason == Reason::NotSupported));
}

#[test]
fn a_required_policy_is_missing_until_one_of_that_name_is_in_force() {
    let mut tenant = tenant(&meta());
    tenant.spec.access = Access::ReadWrite;
    tenant.spec.required_policies = vec!["ads".into(), "crm".into()];
    let unaccepted = Policy {
        unaccepted: Some("does not compile".into()),
        ..Policy::named("ads")
    };
    for (policies, missing) in [
        (vec![], vec!["ads", "crm"]),
        (vec![Policy::named("crm")], vec!["ads"]),
        (vec![Policy::named("other/ads")], vec!["ads", "crm"]),
        (vec![unaccepted.clone()], vec!["ads", "crm"]),
        (
            vec![
                unaccepted,
                Policy::named("crm"),
                Policy::named("platform/ads"),
            ],
            vec![],
        ),
    ] {
        let view = OperatorView {
            policies: policies.clone(),
            ..OperatorView::default()
        };
        let config = compile(&tenant, &view).unwrap();
        let expected: BTreeSet<_> = missing.into_iter().map(str::to_owned).collect();
        assert_eq!(config.missing_policies, expected);
        assert_eq!(config.policies, policies);
        assert_eq!(config.access, Access::ReadWrite);
    }
}

#[test]
fn only_the_operators_own_view_points_a_connector_elsewhere() {
    let plain = compile(&tenant(&meta()), &OperatorView::default()).unwrap();
    assert_eq!(plain.connectors[0].sandbox_base_url, None);
    let url = "http://fake-meta.sandbox:8080".to_owned();
    let meta_name = ConnectorName::parse("meta").unwrap();
    let sandbox_base_urls = BTreeMap::from([(meta_name, url.clone())]);
    let view = OperatorView {
        sandbox_base_urls,
        ..OperatorView::default()
    };
    let sandbox = compile(&tenant(&meta()), &view).unwrap();
    assert_eq!(sandbox.connectors[0].sandbox_base_url, Some(url));
}

#[test]
fn an_account_without_a_word_follows_the_tenant() {
    let config = compile(&tenant(&meta()), &OperatorView::default()).unwrap();
    let account = &config.connectors[0].accounts[0];
    assert_eq!(config.access.strictest(account.access), Access::Frozen);
}

#[test]
fn every_flaw_is_told_at_once() {
    let mut connectors = meta();
    connectors[0]["accounts"][0]["currency"] = json!("Euro");
    connectors[0]["accounts"][1]["id"] = json!("act/2");
    let mut tenant = tenant(&connectors);
    tenant.spec.organization = "Acme".into();
    let flaws = compile(&tenant, &OperatorView::default()).unwrap_err();
    let told: Vec<_> = flaws.iter().map(|flaw| flaw.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "spec.organization: `Acme` is not an organisation name (1-40 of a-z, 0-9 and `-`, starting and ending with a letter or digit)",
            "spec.connectors[meta].accounts[act_1].currency: `Euro` is not a currency code (three capital letters, ISO 4217)",
            "spec.connectors[meta].accounts[act/2]: `act/2` is not an account id (1-64 of A-Z, a-z, 0-9, `_` and `-`)",
        ]
    );
    assert!(flaws.iter().all(|flaw| flaw.reason == Reason::SpecInvalid));
}

#[test]
fn what_the_contract_forbids_is_no_tenant_either() {
    let mut connectors = meta();
    connectors[0]["accounts"][1]["id"] = json!("act_1");
    let flaws = compile(&tenant(&connectors), &OperatorView::default()).unwrap_err();
    assert_eq!(
        flaws[0].message,
        "the contract contradicts itself: account `act_1` stands twice"
    );
}
