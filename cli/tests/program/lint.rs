//! `tenantry lint`: what it finds in documents, and that the examples are clean.

use std::fs;

use crate::program::{Ended, run};

/// Checks a folder of these files, `1.yaml` and so on.
fn lint(texts: &[&str], more: &[&str]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    for (text, number) in texts.iter().zip(1..) {
        fs::write(dir.path().join(format!("{number}.yaml")), text).unwrap();
    }
    let path = dir.path().display().to_string();
    run(&[&["lint", &path], more].concat()).without(dir.path())
}

const TENANT: &str = "\
apiVersion: tenantry.dev/v1alpha1
kind: McpTenant
metadata: {name: acme, namespace: acme}
spec:
  organization: acme
  connectors:
  - name: meta
    credentials: {secretName: meta-credentials}
    accounts:
    - {id: act_1, currency: EUR, timeZone: Europe/Berlin}
";

const KEY: &str = "\
apiVersion: tenantry.dev/v1alpha1
kind: McpApiKey
metadata: {name: demo, namespace: acme}
spec:
  owner: demo@acme.example
  digest: sha256:98c0edc7bed08058b55514cadd82f348d540de9aa02819f168e1dd9a33f55c53
  scopes: [meta:read]
";

const FREEZE: &str = "\
apiVersion: tenantry.dev/v1alpha1
kind: McpFreeze
metadata: {name: stop, namespace: acme}
spec: {access: Disabled}
";

const POLICY: &str = "\
apiVersion: tenantry.dev/v1alpha1
kind: SafetyPolicy
metadata: {name: caps, namespace: acme}
spec:
  mode: Enforce
  currency: EUR
  budget:
    perChange: {maxDailyIncrease: '500'}
";

#[test]
fn every_example_is_clean() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let mut count = 0;
    for example in fs::read_dir(examples).unwrap() {
        let path = example.unwrap().path();
        // Cases are no documents, and `policy test` tries them.
        if path.ends_with("cases.yaml") {
            continue;
        }
        let ended = run(&["lint", &path.display().to_string()]);
        assert_eq!(ended.code, 0, "{ended}");
        count += 1;
    }
    assert!(count >= 4, "{count}");
    let all = [
        "lint",
        "examples/acme.yaml",
        "examples/globex.yaml",
        "examples/policy.yaml",
    ];
    insta::assert_snapshot!(run(&all).to_string(), @r"
    5 documents, no findings
    exit 0
    ");
}

#[test]
fn what_belongs_together_is_clean() {
    let required = TENANT.replace(
        "organization: acme",
        "organization: acme\n  requiredPolicies: [caps]",
    );
    let ended = lint(&[&required, KEY, FREEZE, POLICY], &[]);
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (0, "4 documents, no findings\n")
    );
    let platform = POLICY
        .replace("namespace: acme", "namespace: tenantry-system")
        .replace("mode: Enforce", "mode: Enforce\n  namespaceSelector: {}");
    assert_eq!(lint(&[&required, &platform], &[]).code, 0);
}

/// What is wrong with one document: the good one, what is replaced in it by
/// what, and the finding.
const WRONG: &[(&str, &str, &str, &str)] = &[
    (
        TENANT,
        "secretName",
        "secretname",
        "1.yaml:8: McpTenant/acme: unknown field",
    ),
    (
        TENANT,
        "EUR",
        "eur",
        "1.yaml:10: McpTenant/acme: spec.connectors[0].accounts[0].currency: currency is three capital letters",
    ),
    (
        TENANT,
        "  organization: acme\n",
        "",
        "McpTenant/acme: missing field `organization`",
    ),
    (
        TENANT,
        "spec:",
        "spec:\n  audit: {otlpEndpoint: 'http://collector:4318'}",
        "1.yaml:5: McpTenant/acme: spec.audit.otlpEndpoint is not supported by this release; leave it out",
    ),
    (
        TENANT,
        "spec:",
        "spec:\n  suspend: yes",
        "1.yaml:5: McpTenant/acme: ",
    ),
    (
        TENANT,
        "spec:",
        "spec:\n  spec: {}\nspce:",
        "1.yaml:1: McpTenant/acme: `spce`: there is no such field here",
    ),
    (
        TENANT,
        "v1alpha1",
        "v9",
        "1.yaml:1: McpTenant/acme: apiVersion `tenantry.dev/v9` is not known",
    ),
    (
        TENANT,
        "name: acme,",
        "name: Acme_,",
        "McpTenant/Acme_: metadata.name: ",
    ),
    (
        TENANT,
        "McpTenant",
        "McpTenants",
        "1.yaml:1: McpTenants/acme: this kind is not written by hand, or does not exist",
    ),
    (
        TENANT,
        "act_1,",
        "act_1, id: act_1,",
        "1.yaml:10: this is no document with apiVersion, kind and metadata.name",
    ),
    (
        KEY,
        "98c0",
        "98C0",
        "1.yaml:6: McpApiKey/demo: spec.digest: ",
    ),
    (
        KEY,
        "[meta:read]",
        "[meta:read, meta:read]",
        "1.yaml:7: McpApiKey/demo: spec.scopes[1]: Duplicate value: \"meta:read\"",
    ),
    (
        FREEZE,
        "Disabled",
        "Off",
        "1.yaml:4: McpFreeze/stop: spec.access: ",
    ),
    (
        FREEZE,
        "{access: Disabled}",
        "{scope: {account: act_1}}",
        "1.yaml:4: McpFreeze/stop: spec",
    ),
    (
        POLICY,
        "  currency: EUR\n",
        "",
        "SafetyPolicy/caps: spec: currency is missing",
    ),
    (
        POLICY,
        "'500'",
        "a lot",
        "1.yaml:8: SafetyPolicy/caps: spec.budget.perChange.maxDailyIncrease: maxDailyIncrease is a decimal amount",
    ),
    (
        POLICY,
        "spec:",
        "spec:\n  rules: [{name: r, when: 'change.toll == \"x\"', action: Deny, message: no}]",
        "1.yaml:5: SafetyPolicy/caps: spec.rules[r]",
    ),
    (
        POLICY,
        "spec:",
        "spec:\n  tests:\n  - {name: t, change: {tool: meta_x, daily: {before: '1', after: '2'}}, expect: {decision: Denied}}",
        "1.yaml:6: SafetyPolicy/caps: spec.tests[t]: Permitted instead of Denied",
    ),
];

#[test]
fn what_is_wrong_with_a_document_is_told_in_its_line() {
    for (document, good, bad, told) in WRONG {
        let ended = lint(&[&document.replacen(good, bad, 1)], &[]);
        assert_eq!(ended.code, 1, "{bad}: {ended}");
        assert!(ended.out.contains(told), "{told}\n{ended}");
        assert_eq!(ended.out.lines().count(), 1, "{told}\n{ended}");
    }
}

#[test]
fn what_clashes_is_told_with_the_other_place() {
    let other = TENANT.replace("acme", "globex");
    let same = TENANT.replace("name: acme,", "name: second,");
    let key = KEY.replace("demo", "other");
    let required = TENANT.replace("spec:", "spec:\n  requiredPolicies: [caps]");
    let elsewhere = POLICY.replace("namespace: acme", "namespace: globex");
    let ended = lint(&[&required, &other, &same, KEY, KEY, &key, &elsewhere], &[]);
    insta::assert_snapshot!(ended.to_string(), @r"
    DIR/1.yaml:5: McpTenant/acme: spec.requiredPolicies[caps]: there is no such SafetyPolicy here, and nothing is written without it; add it, or check the file that has it as well
    DIR/2.yaml:10: McpTenant/globex: spec.connectors[meta].accounts[act_1]: the meta account `act_1` is that of McpTenant `acme` in `DIR/1.yaml`, line 1, as well; an account is one organisation's: take it away from one of them
    DIR/3.yaml:3: McpTenant/second: metadata.namespace: the namespace `acme` is that of McpTenant `acme` in `DIR/1.yaml`, line 1, as well; a namespace is one organisation: give this one a namespace of its own
    DIR/3.yaml:5: McpTenant/second: spec.organization: the organisation `acme` is that of McpTenant `acme` in `DIR/1.yaml`, line 1, as well; records carry the name: choose another one
    DIR/3.yaml:10: McpTenant/second: spec.connectors[meta].accounts[act_1]: the meta account `act_1` is that of McpTenant `acme` in `DIR/1.yaml`, line 1, as well; an account is one organisation's: take it away from one of them
    DIR/5.yaml:1: McpApiKey/demo: the document stands twice
    DIR/5.yaml:1: McpApiKey/demo: spec.digest is that of McpApiKey `demo` in `DIR/4.yaml`, line 1, as well; make a key of its own for each
    DIR/6.yaml:1: McpApiKey/other: spec.digest is that of McpApiKey `demo` in `DIR/4.yaml`, line 1, as well; make a key of its own for each
    exit 1
    ");
}

#[test]
fn a_finding_has_a_form_for_programs() {
    let ended = lint(&[&TENANT.replace("EUR", "eur")], &["--json"]);
    insta::assert_snapshot!(ended.to_string(), @r#"
    {
      "documents": 1,
      "findings": [
        {
          "file": "DIR/1.yaml",
          "line": 10,
          "kind": "McpTenant",
          "name": "acme",
          "message": "spec.connectors[0].accounts[0].currency: currency is three capital letters (ISO 4217), such as EUR"
        }
      ]
    }
    exit 1
    "#);
}

#[test]
fn no_finding_repeats_a_secret() {
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: acme}\nstringData: [hush]\n";
    let stray = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: acme}\nhush: hush\n";
    let broken =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: hush, a: hush}\n";
    for text in [secret, stray, broken] {
        let ended = lint(&[TENANT, text], &[]);
        assert_eq!(ended.code, 1, "{ended}");
        assert!(
            ended.out.contains("2.yaml") && !ended.out.contains("hush"),
            "{ended}"
        );
    }
}

#[test]
fn what_hides_documents_is_a_finding() {
    for (text, told) in [
        ("a: [", "1.yaml:"),
        ("", "1.yaml: it is empty"),
        ("--- {a: b}\n", "behind `---` stands a comment at most"),
        (
            "apiVersion: v1\nkind: List\nitems: []\nmetadata: {}\n",
            "a List is not read",
        ),
    ] {
        let ended = lint(&[text], &[]);
        assert_eq!(ended.code, 1, "{text}: {ended}");
        assert!(ended.out.contains(told), "{told}: {ended}");
    }
}

#[test]
fn nothing_to_check_ends_with_2() {
    let ended = lint(
        &["apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"],
        &[],
    );
    assert_eq!(ended.code, 2);
    assert!(ended.error.contains("there is no McpTenant"), "{ended}");
    assert_eq!(run(&["lint", "nowhere"]).code, 2);
    assert_eq!(run(&["lint"]).code, 2);
}
