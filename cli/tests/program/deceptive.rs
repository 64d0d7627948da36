//! What an agent has written to deceive who reads it, in a terminal or a file.

use serde_json::{Value, json};

use crate::api::Api;

#[test]
fn what_is_for_programs_deceives_no_person() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let key = json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpApiKey",
        "metadata": {"name": "demo", "namespace": "acme"},
        "spec": {
            "owner": "owner@example.com", "agent": "plan\u{202e}ner\u{9b}2J", "digest": digest,
            "scopes": ["meta:read"],
        },
    });
    let api = Api::with(&[("mcpapikeys", key)]);
    for form in ["json", "yaml"] {
        let listed = api.run(&["key", "list", "-o", form]);
        assert_eq!(listed.code, 0, "{listed}");
        let agent = r#""plan\u202ener\u009b2J""#;
        let agent_of_yaml = r#""plan\u202ener\x9B2J""#;
        assert!(
            listed.out.contains(agent) || listed.out.contains(agent_of_yaml),
            "{listed}"
        );
        let read: Value = serde_saphyr::from_str(&listed.out).unwrap();
        assert_eq!(read[0]["spec"]["agent"], "plan\u{202e}ner\u{9b}2J");
    }
}
