//! Who hears of what happens, beside those who ask.

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tenantry_core::notification::Occasion;

/// A place that hears of what happens, by a signed webhook (Standard Webhooks)
/// with a body that Slack takes. Whether it hears has no effect on any call.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Notification {
    /// What the place is called here, in metrics, conditions and logs: 1-40 of
    /// a-z, 0-9 and `-`, starting and ending with a letter or digit.
    #[schemars(length(min = 1, max = 40))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')").message("a destination's name is 1-40 of a-z, 0-9 and `-`, starting and ending with a letter or digit"))]
    pub name: String,

    /// The Secret in this namespace that says where it is: `url`, an https URL,
    /// and `secret`, with which messages are signed, `whsec_` and the base64 of
    /// 24 to 64 random bytes. It is mounted into the server; the operator never
    /// reads it. It may be created later, and is taken up anew when it changes.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')").message("secretName is the name of a Secret in this namespace: words of a-z, 0-9 and `-`, parted by `.`, each starting and ending with a letter or digit"))]
    pub secret_name: String,

    /// What is told: Pending (a change waits for people), Decided (it waits no
    /// more: they agreed or did not, nobody did in time, or it was taken back),
    /// Executed (what became of a change), Denied (a policy denied one; once a
    /// minute at most, with how many more there were), ReconnectNeeded (a vendor
    /// does not take its credentials any more). Left out, all but Denied: what a
    /// policy denies its caller hears at once, and there is nothing to do.
    // Not `on`: to kubectl's YAML that key is the boolean true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "occasions_schema")]
    pub occasions: Option<Vec<Occasion>>,
}

/// The words of `Occasion`, which core keeps without a schema, each once.
fn occasions_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": Occasion::ALL.len(),
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "enum": Occasion::ALL.map(Occasion::as_str),
        },
    })
}
