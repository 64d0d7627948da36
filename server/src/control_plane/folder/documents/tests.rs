//! What folders of documents are tried with.

use tenantry_core::access::Access;

use super::super::narrow::narrow;
use super::*;

const TENANT: &str = "# The organisation.
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

/// What is declared by files with these texts.
pub fn read(texts: &[&str]) -> Result<Declared, Refused> {
    let source = |(text, number): (&&str, u32)| Source {
        file: format!("{number}.yaml"),
        text: Ok((*text).to_owned()),
    };
    let sources: Vec<_> = texts.iter().zip(1..).map(source).collect();
    declared(&sources, &OperatorView::default())
}

fn told(texts: &[&str]) -> String {
    read(texts)
        .err()
        .map_or_else(String::new, |refused| refused.flaws.to_string())
}

fn document(kind: &str, name: &str, rest: &str) -> String {
    format!(
        "apiVersion: tenantry.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}, namespace: acme}}\n{rest}\n"
    )
}

/// Whether the key `demo`, which was good before, opens nothing any more.
fn revokes(refused: &Refused) -> bool {
    let digest = format!("sha256:{}", "0".repeat(64));
    let spec = format!("spec: {{owner: a, digest: \"{digest}\", scopes: []}}");
    let good = read(&[TENANT, &document("McpApiKey", "demo", &spec)]).unwrap();
    let mut key = good.keys.into_iter().next().unwrap();
    narrow(&mut key, refused);
    key.disabled
}

#[test]
fn the_documents_of_kubectl_are_one_organisation() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let key = document(
        "McpApiKey",
        "demo",
        &format!("spec: {{owner: a, digest: \"{digest}\", scopes: [\"meta:read\"]}}"),
    );
    let freeze = document("McpFreeze", "stop", "spec: {access: Disabled}");
    let policy = document("SafetyPolicy", "caps", "spec: {mode: Enforce}");
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: meta-credentials, namespace: acme}\ndata: {access_token: b2xk, app: bWU=}\nstringData: {access_token: new}\n";
    let all = format!("{TENANT}---\n{key}---\n# nothing\n---\n{freeze}--- # next\n{policy}");
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: acme}\n";
    let declared = read(&[&all, secret, namespace]).unwrap();
    assert_eq!(declared.tenant.organization.as_str(), "acme");
    assert_eq!(declared.tenant.tenant_uid, "folder/acme/acme");
    assert_eq!(declared.keys.len(), 1);
    assert_eq!(declared.freezes.iter().count(), 1);
    let meta = ConnectorName::parse("meta").unwrap();
    assert_eq!(declared.secrets.connectors[&meta]["access_token"], b"new");
    assert_eq!(declared.secrets.connectors[&meta]["app"], b"me");
    let policies = declared.tenant.policies.iter();
    let policies: Vec<_> = policies.map(|policy| policy.name.as_str()).collect();
    assert_eq!(policies, ["caps"]);
    assert_eq!(declared.ignored, ["Namespace `acme`"]);
}

#[test]
fn a_policy_that_is_wrong_is_told_and_nothing_is_taken_up() {
    let told = |spec: &str| told(&[TENANT, &document("SafetyPolicy", "caps", spec)]);
    let unknown = told("spec: {mode: Enforce, buget: {}}");
    assert!(unknown.contains("buget"), "{unknown}");
    let selecting = told("spec: {mode: Enforce, namespaceSelector: {}}");
    assert!(
        selecting.contains("SafetyPolicy `caps`") && selecting.contains("leave it out"),
        "{selecting}"
    );
    // As for the operator, a policy's own cases must come out as they say.
    let case = "change: {tool: meta_set_budget, daily: {before: '100', after: '150'}}";
    let tests = format!("tests: [{{name: more, {case}, expect: {{decision: Denied}}}}]");
    let failing = told(&format!("spec: {{mode: Enforce, currency: EUR, {tests}}}"));
    assert!(failing.contains("tests[more]"), "{failing}");
    let platform = "apiVersion: tenantry.dev/v1alpha1\nkind: SafetyPolicy\nmetadata: {name: caps, namespace: tenantry-system}\nspec: {mode: Enforce}\n";
    let platform = read(&[TENANT, platform]).err().unwrap();
    let stranger = "the organisation's is `acme`";
    assert!(platform.flaws.to_string().contains(stranger));
}

#[test]
fn a_required_policy_is_one_that_is_among_the_documents() {
    let requiring = format!("{TENANT}  requiredPolicies: [caps]\n");
    let missing = read(&[&requiring]).unwrap().tenant.missing_policies;
    assert!(missing.contains("caps"));
    let policy = document("SafetyPolicy", "caps", "spec: {mode: Enforce}");
    let found = read(&[&requiring, &policy]).unwrap().tenant;
    assert!(found.missing_policies.is_empty());
}

#[test]
fn what_is_wrong_is_told_with_file_line_document_and_field() {
    let typo = TENANT.replace("secretName", "secretname");
    assert!(
        told(&[&typo]).starts_with("`1.yaml`, line 9 (McpTenant `acme`): "),
        "{}",
        told(&[&typo])
    );
    assert!(told(&[&typo]).contains("secretname"), "{}", told(&[&typo]));
    let currency = TENANT.replace("EUR", "Euro");
    assert_eq!(
        told(&[&currency]),
        "`1.yaml`, line 1 (McpTenant `acme`): spec.connectors[meta].accounts[act_1].currency: `Euro` is not a currency code (three capital letters, ISO 4217)"
    );
    let key = document(
        "McpApiKey",
        "demo",
        "spec: {owner: a, digest: nothing, scopes: []}",
    );
    let keyed = format!("{TENANT}---\n{key}");
    assert!(
        told(&[&keyed])
            .starts_with("`1.yaml`, line 13 (McpApiKey `demo`): spec.digest cannot be read"),
        "{}",
        told(&[&keyed])
    );
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let remedy =
        "it says what there is to serve: put one here, such as the one in examples/acme.yaml";
    let empty = "there is no McpTenant, and no file *.yaml, *.yml or *.json at all";
    assert_eq!(told(&[]), format!("{empty}; {remedy}"));
    let nothing = "there is no McpTenant among the documents";
    let freeze = document("McpFreeze", "stop", "spec: {}");
    assert_eq!(told(&[&freeze]), format!("{nothing}; {remedy}"));
}

#[test]
fn one_folder_is_one_organisation() {
    let other = TENANT.replace("{name: acme,", "{name: globex,");
    assert!(told(&[TENANT, &other]).contains("has the McpTenant `acme` already"));
    assert!(told(&[TENANT, TENANT]).contains("already"));
    let freeze = document("McpFreeze", "stop", "spec: {}");
    assert!(told(&[TENANT, &freeze, &freeze]).contains("stands twice"));
    let elsewhere = freeze.replace("namespace: acme", "namespace: globex");
    assert!(told(&[TENANT, &elsewhere]).contains("the organisation's is `acme`"));
    let made = document("McpServer", "server", "spec: {}");
    assert!(told(&[TENANT, &made]).contains("not written by hand"));
}

#[test]
fn a_document_without_a_namespace_is_the_same_as_one_that_names_the_default() {
    let home = TENANT.replace("namespace: acme", "namespace: default");
    let stop =
        "apiVersion: tenantry.dev/v1alpha1\nkind: McpFreeze\nmetadata: {name: stop}\nspec: {}\n";
    let named = stop.replace("{name: stop}", "{name: stop, namespace: default}");
    assert!(read(&[&home, stop]).is_ok());
    assert!(told(&[&home, stop, &named]).contains("stands twice"));
}

#[test]
fn a_field_at_the_wrong_place_is_refused() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let spec = format!("spec: {{owner: a, digest: \"{digest}\", scopes: []}}");
    let key = document("McpApiKey", "demo", &format!("{spec}\ndisabled: true"));
    assert!(told(&[TENANT, &key]).contains("`disabled`: there is no such field here"));
    let freeze = document("McpFreeze", "stop", "spce: {access: Disabled}");
    assert!(told(&[TENANT, &freeze]).contains("`spce`"));
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: acme}\nstringdata: {access_token: hush}\n";
    let told = told(&[TENANT, secret]);
    assert!(
        told.contains("a Secret does not have") && !told.contains("hush"),
        "{told}"
    );
}

#[test]
fn a_file_without_a_document_is_told() {
    for empty in [
        "",
        "\u{feff}",
        "\n",
        "# stop\r\n---\r\n",
        "--- # later\n  # x",
    ] {
        assert_eq!(
            told(&[TENANT, empty]),
            "`2.yaml`: it is empty; take the file away to take its documents away",
            "{empty:?}"
        );
    }
}

#[test]
fn a_line_that_ends_for_yaml_alone_is_told_and_its_freeze_holds() {
    let freeze = document("McpFreeze", "stop", "spec: {access: Disabled}");
    for mac in [
        format!("# stop\r{freeze}"),
        format!("# stop\n{freeze}").replace('\n', "\r"),
        format!("a: b\r\n---\r{freeze}"),
        format!("# stop\r\r\n{freeze}"),
    ] {
        let refused = read(&[TENANT, &mac]).err().unwrap();
        let told = refused.flaws.to_string();
        assert!(told.contains("carriage return"), "{told}");
        assert_eq!(refused.freezes.iter().count(), 1, "{mac:?}");
    }
    let lines = read(&[TENANT, &freeze.replace('\n', "\r\n")]);
    assert_eq!(lines.unwrap().freezes.iter().count(), 1);
}

#[test]
fn a_name_that_no_cluster_would_take_is_refused() {
    for name in [
        "(documents)",
        "stop (1)",
        "Stop",
        "a..b",
        "-a",
        "a_b",
        &"a".repeat(254),
    ] {
        let name = format!("\"{name}\"");
        let freeze = document("McpFreeze", &name, "spec: {access: Disabled}");
        let refused = read(&[TENANT, &freeze]).err().unwrap();
        let told = refused.flaws.to_string();
        assert!(told.contains("metadata.name: "), "{told}");
        assert_eq!(refused.freezes.iter().count(), 1);
    }
    let freeze = document("McpFreeze", "stop-1.acme.example", "spec: {}");
    // Kubernetes' own roles have such names.
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: \"system:x\"}\n";
    assert!(read(&[TENANT, &freeze, role]).is_ok());
}

#[test]
fn a_stray_field_of_the_metadata_is_refused() {
    let freeze = document("McpFreeze", "stop", "spec: {}");
    let stray = freeze.replace("{name", "{disabled: true, name");
    assert!(told(&[TENANT, &stray]).contains("metadata.disabled: there is no such field"));
    let known = freeze.replace("{name", "{labels: {a: b}, uid: x, managedFields: [], name");
    assert!(read(&[TENANT, &known]).is_ok());
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {hush: a, name: x, namespace: acme}\n";
    let told = told(&[TENANT, secret]);
    assert!(
        told.contains("a Secret does not have") && !told.contains("hush"),
        "{told}"
    );
}

#[test]
fn too_many_documents_are_told_and_hide_no_small_file() {
    let garbage = "---\na\n".repeat(17_000);
    let freeze = document("McpFreeze", "stop", "spec: {access: Disabled}");
    let began = std::time::Instant::now();
    let refused = read(&[TENANT, &garbage, &freeze]).err().unwrap();
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
    assert_eq!(refused.freezes.iter().count(), 1);
    let told = refused.flaws.to_string();
    assert!(
        told.contains("17002 documents are here, and 2048 are read"),
        "{told}"
    );
    assert!(
        told.contains("more mistakes") && told.len() < 10_000,
        "{told}"
    );
}

#[test]
fn a_mistake_far_down_is_told_with_its_line() {
    let freeze = document("McpFreeze", "stop", "spec: {}");
    let odd = document("McpApiKey", "demo", "spec:\n  owner: a\n  ownr: b");
    let all = format!("{TENANT}---\n{freeze}---\n{odd}---\na: [");
    let told = told(&[&all]);
    assert!(
        told.contains("`1.yaml`, line 23 (McpApiKey `demo`)"),
        "{told}"
    );
    assert!(
        told.contains("`1.yaml`, line 25: this is no document"),
        "{told}"
    );
}

#[test]
fn only_a_comment_stands_behind_a_separator() {
    let freeze = document("McpFreeze", "stop", "spec: {access: Disabled}");
    for separator in ["---", "--- ", "---\t# next", "--- # next"] {
        let all = format!("\u{feff}---\r\n{TENANT}{separator}\n{freeze}");
        assert_eq!(read(&[&all]).unwrap().freezes.iter().count(), 1);
    }
    for stray in ["--- hush", "---\thush", "--- {kind: McpFreeze}", "--- |"] {
        let all = format!("{TENANT}{stray}\n{freeze}");
        let refused = read(&[&all]).err().unwrap();
        assert_eq!(
            refused.flaws.to_string(),
            "`1.yaml`, line 12: behind `---` stands a comment at most; the document begins in the next line"
        );
        assert_eq!(refused.freezes.iter().count(), 1, "{stray}");
    }
    // Other ways to say two things in one document.
    for two in [
        format!("{TENANT}...\n{freeze}"),
        format!("{TENANT}---\r{freeze}"),
    ] {
        assert!(told(&[&two]).contains("`1.yaml`, line "), "{two}");
    }
}

#[test]
fn a_list_is_refused_and_never_passed_over() {
    let list = "apiVersion: v1\nkind: List\nmetadata: {name: all}\nitems: []\n";
    for kind in ["List", "SecretList"] {
        let told = told(&[TENANT, &list.replace("List", kind)]);
        assert!(told.contains("write its items as documents"), "{told}");
    }
    // As kubectl writes it, without a name.
    let told = told(&[
        TENANT,
        &list.replace("{name: all}", "{resourceVersion: \"\"}"),
    ]);
    assert!(told.contains("write its items as documents"), "{told}");
    let foreign = list
        .replace("v1", "lists.example/v1")
        .replace("List", "AllowList");
    assert!(read(&[TENANT, &foreign]).is_ok());
}

#[test]
fn another_version_is_refused_with_the_one_that_is_known_and_tightens_all_the_same() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let spec = format!("spec: {{owner: a, digest: \"{digest}\", scopes: [], disabled: true}}");
    let key = document("McpApiKey", "demo", &spec);
    let freeze = document("McpFreeze", "stop", "spec: {access: Disabled}");
    for version in [
        "tenantry.dev/v9",
        "tenantry.dev",
        "tenantry.io/v1alpha1",
        "v1",
    ] {
        let other = |text: &str| text.replace("tenantry.dev/v1alpha1", version);
        let reason = format!(
            "apiVersion `{version}` is not known to this release; it knows `tenantry.dev/v1alpha1`"
        );
        let told = told(&[&other(TENANT)]);
        assert_eq!(
            told,
            format!("`1.yaml`, line 1 (McpTenant `acme`): {reason}")
        );
        let refused = read(&[TENANT, &other(&key), &other(&freeze)])
            .err()
            .unwrap();
        assert_eq!(refused.flaws.0.len(), 2, "{}", refused.flaws);
        assert_eq!(refused.freezes.iter().count(), 1);
        assert!(revokes(&refused));
    }
}

#[test]
fn freezes_and_revocations_are_read_whatever_else_is_wrong() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let spec = format!("spec: {{owner: a, digest: \"{digest}\", scopes: [], disabled: true}}");
    let key = document("McpApiKey", "demo", &spec);
    let freeze = document("McpFreeze", "stop", "spec: {access: Disabled}");
    for broken in [TENANT.replace("EUR", "Euro"), "nothing\n".to_owned()] {
        let refused = read(&[&broken, &key, &freeze]).err().unwrap();
        assert_eq!(refused.freezes.iter().count(), 1);
        assert!(revokes(&refused));
    }
}

#[test]
fn of_a_flawed_folder_only_keys_that_are_right_or_out_of_sight_open_anything() {
    let broken = TENANT.replace("EUR", "Euro");
    let digest = format!("sha256:{}", "0".repeat(64));
    let spec = format!("spec: {{owner: a, digest: \"{digest}\", scopes: []}}");
    let key = |rest: &str| document("McpApiKey", "demo", &format!("{spec}{rest}"));
    let revokes = |texts: &[&str]| revokes(&read(texts).err().unwrap());
    let right = key("");
    assert!(!revokes(&[&broken, &right]));
    // Taken away; or in what cannot be read.
    assert!(revokes(&[&broken]));
    assert!(!revokes(&[&broken, "nothing\n"]));
    // A key that cannot be read opens nothing in a cluster either.
    assert!(revokes(&[TENANT, &key("\ndisabled: true")]));
    assert!(revokes(&[
        TENANT,
        &right.replace("scopes: []", "scopes: [all], disabled: true")
    ]));
    assert!(revokes(&[
        TENANT,
        &right.replace("scopes: []", "disabled: yes")
    ]));
    // Once revoked is revoked.
    let disabled = right.replace("scopes: []", "scopes: [], disabled: true");
    assert!(revokes(&[TENANT, &disabled, &right]));
    assert!(revokes(&[TENANT, &right, &disabled]));
}

#[test]
fn of_two_freezes_by_one_name_both_hold() {
    let freeze =
        |access: &str| document("McpFreeze", "stop", &format!("spec: {{access: {access}}}"));
    let refused = read(&[TENANT, &freeze("Disabled"), &freeze("ReadOnly")])
        .err()
        .unwrap();
    let access = refused.freezes.access_of_all(Access::ReadWrite);
    assert_eq!(access, Access::Disabled);
}

#[test]
fn one_text_opens_one_key() {
    let key = |name: &str, digit: &str| {
        let spec = format!(
            "spec: {{owner: a, digest: \"sha256:{}\", scopes: []}}",
            digit.repeat(64)
        );
        document("McpApiKey", name, &spec)
    };
    assert!(read(&[TENANT, &key("a", "0"), &key("b", "1")]).is_ok());
    assert_eq!(
        told(&[TENANT, &key("a", "0"), &key("b", "0")]),
        "`3.yaml`, line 1 (McpApiKey `b`): spec.digest is that of McpApiKey `a` in `2.yaml`, line 1, as well; make a key of its own for each"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told_and_keeps_no_freeze_from_taking_hold() {
    let source = |file: &str, text| Source {
        file: file.into(),
        text,
    };
    let freeze = document("McpFreeze", "stop", "spec: {access: Disabled}");
    let sources = [
        source("1.yaml", Err("it is no file".into())),
        source("2.yaml", Ok(TENANT.to_owned())),
        source("3.yaml", Ok(freeze)),
    ];
    let refused = declared(&sources, &OperatorView::default()).err().unwrap();
    assert_eq!(refused.flaws.to_string(), "`1.yaml`: it is no file");
    assert_eq!(refused.freezes.iter().count(), 1);
}

#[test]
fn a_freeze_that_cannot_be_read_freezes_instead_of_being_refused() {
    let odd = document("McpFreeze", "odd", "spec: {surprise: 1}");
    let declared = read(&[TENANT, &odd]).unwrap();
    let freeze = declared.freezes.iter().next().unwrap();
    assert_eq!(freeze.scope.to_string(), "everything");
    assert!(freeze.flaw.is_some());
}

#[test]
fn broken_yaml_is_told_without_its_content() {
    for broken in [
        "apiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: acme}\nstringData: {access_token: \"hush-hush\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: acme}\ndata: {access_token: \"hush-hush\"}\n",
        "hush-hush\n",
    ] {
        let told = told(&[TENANT, broken]);
        assert!(told.starts_with("`2.yaml`, line "), "{told}");
        assert!(!told.contains("hush"), "{told}");
    }
}
