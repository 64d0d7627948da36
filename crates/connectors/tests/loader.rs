//! Connector files: ours and the smallest good one load, and each doubtful
//! change to the latter is refused with its line and its reason.

use serde::Deserialize;
use tenantry_connectors::connector::{Connector, Tool};

const MINIMAL: &str = include_str!("loader/minimal.yaml");
const DOUBTFUL: &str = include_str!("loader/doubtful.yaml");
const OBJECTS: &str = include_str!("loader/objects.yaml");
const DOUBTFUL_OBJECTS: &str = include_str!("loader/doubtful_objects.yaml");
const SPEND_ROOT: &str = include_str!("loader/spend_root.yaml");
const DOUBTFUL_SPEND_ROOT: &str = include_str!("loader/doubtful_spend_root.yaml");
const EXPOSURE: &str = include_str!("loader/exposure.yaml");
const DOUBTFUL_EXPOSURE: &str = include_str!("loader/doubtful_exposure.yaml");
const CHANGES: &str = include_str!("loader/changes.yaml");
const DOUBTFUL_CHANGES: &str = include_str!("loader/doubtful_changes.yaml");
const CREATES: &str = include_str!("loader/creates.yaml");
const DOUBTFUL_CREATES: &str = include_str!("loader/doubtful_creates.yaml");
const META: &str = include_str!("../../../connectors/meta.yaml");

/// One change to the minimal file, and how it is refused.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Doubtful {
    replace: String,
    by: String,
    line: u64,
    reason: String,
}

#[test]
fn the_minimal_file_loads() {
    let connector = Connector::load("minimal.yaml", MINIMAL).unwrap();
    assert_eq!(connector.name().as_str(), "meta");
    assert_eq!(connector.base_url().as_str(), "https://graph.facebook.com/");
    assert_eq!(connector.tools().count(), 1);
    let connector = Connector::load("objects.yaml", OBJECTS).unwrap();
    assert_eq!(connector.tools().count(), 2);
    let connector = Connector::load("spend_root.yaml", SPEND_ROOT).unwrap();
    assert_eq!(connector.overspend_percent(), None);
    let connector = Connector::load("exposure.yaml", EXPOSURE).unwrap();
    assert_eq!(connector.overspend_percent(), Some(175));
    let connector = Connector::load("changes.yaml", CHANGES).unwrap();
    assert!(connector.tools().all(Tool::makes_changes));
    let connector = Connector::load("creates.yaml", CREATES).unwrap();
    assert!(connector.tools().all(Tool::makes_changes));
}

#[test]
fn every_doubtful_change_is_refused_with_its_line_and_reason() {
    let tables = [
        (MINIMAL, DOUBTFUL, 75),
        (OBJECTS, DOUBTFUL_OBJECTS, 35),
        (SPEND_ROOT, DOUBTFUL_SPEND_ROOT, 18),
        (EXPOSURE, DOUBTFUL_EXPOSURE, 24),
        (CHANGES, DOUBTFUL_CHANGES, 25),
        (CREATES, DOUBTFUL_CREATES, 26),
    ];
    for (file, table, least) in tables {
        let table: Vec<Doubtful> = serde_saphyr::from_str(table).unwrap();
        assert!(table.len() >= least, "{} cases", table.len());
        let surprises: Vec<_> = table
            .iter()
            .filter_map(|case| surprise(file, case))
            .collect();
        assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    }
}

/// How a change is refused, if it is not as expected.
fn surprise(file: &str, case: &Doubtful) -> Option<String> {
    let Doubtful { replace, by, .. } = case;
    assert!(file.contains(replace), "the file lacks {replace:?}");
    let changed = file.replacen(replace, by, 1);
    let Err(error) = Connector::load("minimal.yaml", &changed) else {
        return Some(format!("{replace:?} -> {by:?} loads"));
    };
    assert_eq!(error.file, "minimal.yaml");
    let is_expected = (error.line, &error.reason) == (case.line, &case.reason);
    let found = || {
        format!(
            "{replace:?} -> {by:?}: line {}: {}",
            error.line, error.reason
        )
    };
    (!is_expected).then(found)
}

#[test]
fn a_second_tool_of_the_same_name_is_refused() {
    let tool = MINIMAL.split_once("tools:\n").unwrap().1;
    let error = Connector::load("m.yaml", &format!("{MINIMAL}{tool}")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "connector file `m.yaml`, line 57: tool `meta_list_campaigns` stands twice"
    );
}

#[test]
fn what_is_no_connector_file_is_refused() {
    for text in [
        "",
        "[]",
        "connector: meta\n",
        "\t",
        "a: [",
        "--- {}\n--- {}\n",
        "\u{0}",
    ] {
        assert!(Connector::load("odd.yaml", text).is_err(), "{text:?}");
    }
    let huge = format!("#{}", " ".repeat(2 << 20));
    let error = Connector::load("huge.yaml", &huge).unwrap_err();
    assert_eq!(error.reason, "the file is longer than 1048576 bytes");
}

#[test]
fn the_meta_file_offers_its_tools_with_strict_schemas() {
    let meta = Connector::load("meta.yaml", META).unwrap();
    let tools: Vec<(&str, String)> = meta
        .tools()
        .map(|tool| {
            let subjects = tool.subjects.iter().map(|one| one.argument.as_str());
            (
                tool.name.as_str(),
                subjects.collect::<Vec<_>>().join(" or "),
            )
        })
        .collect();
    assert_eq!(
        tools,
        [
            ("meta_list_ad_accounts", ""),
            ("meta_list_campaigns", "account"),
            ("meta_get_campaign", "campaign_id"),
            ("meta_list_ad_sets", "account or campaign_id"),
            ("meta_get_ad_set", "ad_set_id"),
            ("meta_list_ads", "account or campaign_id or ad_set_id"),
            ("meta_get_ad", "ad_id"),
            ("meta_account_activity", "account"),
            (
                "meta_get_insights",
                "account or campaign_id or ad_set_id or ad_id or report_id"
            ),
            ("meta_set_budget", "campaign_id or ad_set_id"),
            ("meta_activate", "campaign_id or ad_set_id or ad_id"),
            ("meta_pause", "campaign_id or ad_set_id or ad_id"),
            ("meta_set_bid", "ad_set_id"),
            ("meta_rename", "campaign_id or ad_set_id or ad_id"),
            ("meta_create_campaign", "account"),
            ("meta_create_ad_set", "campaign_id"),
            ("meta_create_ad", "ad_set_id"),
        ]
        .map(|(name, subjects)| (name, subjects.to_owned()))
    );
    for tool in meta.tools() {
        let read = Some(&tool.output_schema).filter(|_| !tool.makes_changes());
        for schema in [&tool.input_schema].into_iter().chain(read) {
            let schema = serde_json::Value::from(schema.clone());
            jsonschema::meta::validate(&schema).unwrap();
            assert_eq!(schema["additionalProperties"], false, "{}", tool.name);
            jsonschema::draft202012::new(&schema).unwrap();
        }
    }
}

#[test]
fn the_meta_schemas_admit_what_agents_should_send_and_nothing_else() {
    let meta = Connector::load("meta.yaml", META).unwrap();
    let admits = |tool: &str, args: serde_json::Value| {
        let schema = serde_json::Value::from(meta.tool(tool).unwrap().input_schema.clone());
        jsonschema::draft202012::new(&schema)
            .unwrap()
            .is_valid(&args)
    };
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let good = [
        ("meta_list_ad_accounts", "{}"),
        (
            "meta_list_campaigns",
            r#"{"account":"act_1","effective_status":["ACTIVE"],"limit":5}"#,
        ),
        (
            "meta_get_insights",
            r#"{"account":"act_1","level":"ad","date_preset":"last_7d"}"#,
        ),
        (
            "meta_get_insights",
            r#"{"account":"act_1","level":"ad","time_range":{"since":"2026-01-01","until":"2026-01-31"}}"#,
        ),
    ];
    for (tool, args) in good {
        assert!(admits(tool, json(args)), "{tool} {args}");
    }
    let bad = [
        ("meta_list_ad_accounts", r#"{"fields":"id"}"#),
        ("meta_list_campaigns", "{}"),
        ("meta_list_campaigns", r#"{"account":"act_1/../me"}"#),
        ("meta_list_campaigns", r#"{"account":"1"}"#),
        ("meta_list_campaigns", r#"{"account":"act_1","limit":0}"#),
        (
            "meta_list_campaigns",
            r#"{"account":"act_1","after":"a&method=post"}"#,
        ),
        ("meta_get_insights", r#"{"account":"act_1"}"#),
        (
            "meta_get_insights",
            r#"{"account":"act_1","level":"ad","time_range":{"since":"2026-01-01"}}"#,
        ),
        (
            "meta_get_insights",
            r#"{"account":"act_1","level":"ad","method":"post"}"#,
        ),
    ];
    for (tool, args) in bad {
        assert!(!admits(tool, json(args)), "{tool} {args}");
    }
}
