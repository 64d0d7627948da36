//! `tenantry render`: the contract of a tenant, and which tenant is meant.

use std::fs;

use tenantry_core::tenant::TenantConfig;

use crate::program::{Ended, run};

/// A file of these texts, parted as documents are.
fn render(texts: &[String], more: &[&str]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("all.yaml");
    fs::write(&path, texts.join("---\n")).unwrap();
    let path = path.display().to_string();
    run(&[&["render", &path], more].concat()).without(dir.path())
}

fn tenant(namespace: &str) -> String {
    format!(
        "apiVersion: tenantry.dev/v1alpha1\nkind: McpTenant\nmetadata: {{name: {namespace}, namespace: {namespace}}}\nspec:\n  organization: {namespace}\n  connectors:\n  - {{name: meta, credentials: {{secretName: s}}, accounts: [{{id: a, currency: EUR, timeZone: Europe/Berlin}}]}}\n"
    )
}

#[test]
fn the_example_is_rendered_with_every_default() {
    let ended = run(&["render", "examples/acme.yaml"]);
    insta::assert_snapshot!(ended.to_string(), @r"
    version: v1
    organization: acme
    tenantUid: folder/acme/acme
    access: ReadOnly
    connectors:
    - name: meta
      accounts:
      - id: act_1001
        currency: EUR
        timeZone: Europe/Berlin
        access: ReadWrite
      - id: act_1002
        currency: TWD
        timeZone: Asia/Taipei
        access: ReadWrite
    limits:
      perKey:
        perMinute: 60
        burst: 20
      perKeyConcurrency: 16
      perTenant:
        perMinute: 600
        burst: 100
      concurrency: 32
    guardProven: false
    allowedHosts:
    - server
    - server.acme
    - server.acme.svc
    - server.acme.svc.cluster.local
    allowedOrigins: []
    exit 0
    ");
}

#[test]
fn what_is_printed_is_a_contract_that_a_server_reads() {
    let printed = run(&["render", "examples/globex.yaml", "--json"]).out;
    let value = serde_json::from_str(&printed).unwrap();
    let contract = TenantConfig::read(&value).unwrap();
    assert_eq!(contract.organization.as_str(), "globex");
    let yaml = run(&["render", "examples/globex.yaml"]).out;
    let value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(TenantConfig::read(&value).unwrap(), contract);
}

#[test]
fn of_several_tenants_one_is_chosen() {
    let both = [tenant("acme"), tenant("globex")];
    let ended = render(&both, &["--namespace", "globex"]);
    assert_eq!(ended.code, 0, "{ended}");
    assert!(ended.out.contains("organization: globex"), "{ended}");
    insta::assert_snapshot!(render(&both, &[]).to_string(), @r"
    error: there are McpTenants of several namespaces, or one twice: `acme` (DIR/all.yaml, line 1), `globex` (DIR/all.yaml, line 9); choose by --namespace
    exit 2
    ");
}

#[test]
fn without_a_good_tenant_there_is_no_contract() {
    let later = tenant("acme").replace("v1alpha1", "v9");
    let flawed = tenant("acme").replace("EUR", "Euro");
    let stray = tenant("acme").replace("accounts", "account");
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n".to_owned();
    for (text, more, told) in [
        (other, &[][..], "there is no McpTenant in `DIR/all.yaml`"),
        (
            tenant("acme"),
            &["--namespace", "globex"],
            "of the namespace `globex`",
        ),
        (later, &[], "apiVersion `tenantry.dev/v9` is not known"),
        (
            flawed,
            &[],
            "line 1 (McpTenant `acme`): spec.connectors[meta].accounts[a].currency: `Euro`",
        ),
        (stray, &[], "line 7 (McpTenant `acme`): unknown field"),
        ("a: [".to_owned(), &[], "its YAML is broken"),
    ] {
        let ended = render(&[text], more);
        assert_eq!(ended.code, 2, "{ended}");
        assert!(ended.error.contains(told), "{told}: {ended}");
    }
}

#[test]
fn a_tenants_own_policies_are_in_its_contract_and_others_are_not() {
    let policy = |namespace: &str, name: &str| {
        format!(
            "apiVersion: tenantry.dev/v1alpha1\nkind: SafetyPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{mode: Shadow}}\n"
        )
    };
    let required = tenant("acme") + "  requiredPolicies: [ads, other]\n";
    let texts = [
        policy("acme", "brand"),
        required,
        policy("acme", "ads"),
        policy("globex", "other"),
    ];
    let ended = render(&texts, &["--json"]);
    let contract: TenantConfig = serde_json::from_str(&ended.out).unwrap();
    let names: Vec<_> = contract
        .policies
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["ads", "brand"]);
    assert_eq!(contract.missing_policies, ["other".to_owned()].into());
    let bad = policy("acme", "bad").replace("Shadow", "Enforce, currency: euro");
    let ended = render(&[tenant("acme"), bad], &[]);
    assert_eq!(ended.code, 2);
    assert!(
        ended
            .error
            .contains("(SafetyPolicy `bad`): spec.currency: "),
        "{ended}"
    );
}
