//! One apply, then a call by each generation of clients, then the record.

use std::path::PathBuf;

use serde_json::json;
use tenantry_tests::audit;
use tenantry_tests::forward::Forward;
use tenantry_tests::kubectl::Kubectl;
use tenantry_tests::mcp::{Era, call_with_sdk};
use tenantry_tests::namespace::TestOrganisation;

use crate::{EXAMPLE, example_key};

#[test]
fn one_apply_onboards_an_organisation_and_both_client_eras_call_its_tools() {
    let kubectl = Kubectl::from_environment();
    let organisation = TestOrganisation::onboard(&kubectl, &EXAMPLE, "onboarding").unwrap();
    let forward = Forward::to(&kubectl, &organisation.name, "service/server", 8080).unwrap();
    for era in [Era::Legacy, Era::Modern] {
        let arguments = json!({"account": organisation.accounts[0]});
        let report = call_with_sdk(
            era,
            &node(),
            &forward.url("/mcp"),
            example_key(),
            "meta_list_campaigns",
            &arguments,
        )
        .unwrap();
        assert_eq!(report["isError"], false, "{report}");
        let answer = &report["structuredContent"];
        assert_eq!(answer["status"], "done", "{report}");
        let campaigns = answer["data"]["campaigns"].as_array().unwrap();
        assert!(!campaigns.is_empty(), "{report}");

        let line = audit::line_of(
            &kubectl,
            &organisation.name,
            answer["call_id"].as_str().unwrap(),
        )
        .unwrap();
        assert_eq!(line["organization"], "onboarding");
        assert_eq!(line["tool"], "meta_list_campaigns");
        assert_eq!(line["account"], organisation.accounts[0]);
        assert_eq!(line["actor"]["key"], "demo");
        assert_eq!(line["outcome"], "done");
    }
}

#[test]
fn a_tenant_says_what_it_serves_where_kubectl_shows_it() {
    let kubectl = Kubectl::from_environment();
    let organisation = TestOrganisation::onboard(&kubectl, &EXAMPLE, "columns").unwrap();
    let table = kubectl
        .run(&["get", "mcpt", "-n", &organisation.name])
        .unwrap();
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        header,
        [
            "NAME",
            "ORGANIZATION",
            "READY",
            "REASON",
            "ACCESS",
            "PENDING",
            "AGE"
        ]
    );
    let row = table.lines().nth(1).unwrap();
    for word in ["columns", "True", "AsDeclared"] {
        assert!(row.contains(word), "{table}");
    }
}

/// The Node.js that the clients run on.
fn node() -> PathBuf {
    std::env::var_os("TENANTRY_NODE").map_or_else(|| "node".into(), PathBuf::from)
}
