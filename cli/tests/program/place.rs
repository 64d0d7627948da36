//! Where in a cluster: said before the command, behind it, and between its words.

use serde_json::json;

use crate::api::Api;

#[test]
fn a_place_is_understood_wherever_it_stands() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let key = json!({
        "apiVersion": "tenantry.dev/v1alpha1", "kind": "McpApiKey",
        "metadata": {"name": "demo", "namespace": "acme"},
        "spec": {"owner": "owner@example.com", "digest": digest, "scopes": ["meta:read"]},
    });
    let api = Api::with(&[("mcpapikeys", key)]);
    for words in [
        ["-n", "acme", "key", "list"],
        ["key", "-n", "acme", "list"],
        ["key", "list", "-n", "acme"],
        ["--namespace=acme", "key", "list", "--color=never"],
    ] {
        let listed = api.run(&words);
        assert_eq!(listed.code, 0, "{words:?}: {listed}");
        assert!(listed.out.contains("demo"), "{words:?}: {listed}");
    }
    // The last word of several counts, as with kubectl.
    let nearer = api.run(&["-n", "globex", "key", "revoke", "nobody", "-n", "acme"]);
    assert!(nearer.error.contains("namespace `acme`"), "{nearer}");
    let group = api.run(&["--as-group", "ops", "key", "list"]);
    let told = "error: --as-group says nothing without --as\n";
    assert_eq!((group.code, group.error.as_str()), (2, told));
    let both = api.run(&["--as-group", "ops", "key", "list", "--as", "bob"]);
    assert_eq!(both.code, 0, "{both}");
}
