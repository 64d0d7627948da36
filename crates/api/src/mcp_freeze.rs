//! `McpFreeze`: an organisation, a connector or an account, stopped by hand.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_core::access::Access;
use tenantry_core::freeze::{Freeze, FreezeScope};
use tenantry_core::name::{AccountId, ConnectorName, NameError};

/// Stops what it covers, for as long as it is there. It only tightens: the
/// strictest of the tenant's access, the account's and every freeze holds. The
/// server watches freezes itself, so one takes effect within seconds whatever
/// state the tenant and the operator are in. Whoever may delete it lifts it.
#[expect(
    clippy::duplicated_attributes,
    reason = "every column has a type, and the lint counts them as one"
)]
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "tenantry.dev",
    version = "v1alpha1",
    kind = "McpFreeze",
    plural = "mcpfreezes",
    namespaced,
    shortname = "mcpf",
    category = "tenantry",
    derive = "PartialEq",
    doc = "Stops the organisation in this namespace, a connector or an account of it, for as long as it is there.",
    printcolumn(
        name = "Connector",
        type_ = "string",
        json_path = ".spec.scope.connector"
    ),
    printcolumn(name = "Account", type_ = "string", json_path = ".spec.scope.account"),
    printcolumn(name = "Access", type_ = "string", json_path = ".spec.access"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[cfg_attr(feature = "cel", kube(cel))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpFreezeSpec {
    /// What it covers. Left out or empty, the whole organisation. Immutable.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf").message("scope is immutable; create another freeze, then delete this one"))]
    pub scope: Scope,

    /// What is still allowed there: Frozen (reads, and deactivation), ReadOnly
    /// (reads) or Disabled (nothing). It may become stricter, not wider.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self == oldSelf || self == 'Disabled' || oldSelf == 'Frozen'").message("access of a freeze may become stricter, not wider; to lift the freeze, delete it"))]
    pub access: FrozenAccess,

    /// Why. Clients that are refused read it, so it holds no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[^\x00-\x1f\x7f]*$"))]
    pub reason: Option<String>,
}

/// A part of an organisation.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.account) || has(self.connector)").message("an account is frozen with its connector: set scope.connector too"))]
pub struct Scope {
    /// The connector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[a-z][a-z0-9]*$"))]
    pub connector: Option<String>,

    /// The account, by the vendor's id; without it, the whole connector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub account: Option<String>,
}

/// What a freeze still allows.
#[derive(
    Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, schemars::JsonSchema,
)]
pub enum FrozenAccess {
    /// Reads, and deactivation.
    #[default]
    Frozen,
    /// Reads.
    ReadOnly,
    /// Nothing: clients are refused.
    Disabled,
}

/// Why an `McpFreeze` cannot be read. The schema refuses all of these.
#[derive(Debug, thiserror::Error)]
enum FreezeFormError {
    #[error("it does not have the form of an McpFreeze")]
    Form(#[source] serde_json::Error),
    #[error("spec.scope.connector cannot be read")]
    Connector(#[source] NameError),
    #[error("spec.scope.account cannot be read")]
    Account(#[source] NameError),
    #[error("spec.scope names an account without its connector")]
    AccountAlone,
}

impl From<FrozenAccess> for Access {
    fn from(access: FrozenAccess) -> Self {
        match access {
            FrozenAccess::Frozen => Self::Frozen,
            FrozenAccess::ReadOnly => Self::ReadOnly,
            FrozenAccess::Disabled => Self::Disabled,
        }
    }
}

/// What the McpFreeze `name` with that `spec` means. One that cannot be read
/// freezes everything: it was put there to stop something.
pub fn read(name: &str, spec: &Value) -> Freeze {
    meaning(name, spec).unwrap_or_else(|error| {
        let access = spec.get("access");
        // What is no text is no word that anybody knows.
        let access = access.map(|access| access.as_str().unwrap_or_default());
        Freeze::unreadable(name, access, told(&error))
    })
}

fn meaning(name: &str, spec: &Value) -> Result<Freeze, FreezeFormError> {
    let spec = McpFreezeSpec::deserialize(spec).map_err(FreezeFormError::Form)?;
    let connector = spec.scope.connector.as_deref().map(ConnectorName::parse);
    let account = spec.scope.account.as_deref().map(AccountId::parse);
    let connector = connector.transpose().map_err(FreezeFormError::Connector)?;
    let account = account.transpose().map_err(FreezeFormError::Account)?;
    let scope = match (connector, account) {
        (None, None) => FreezeScope::All,
        (Some(connector), None) => FreezeScope::Connector(connector),
        (Some(connector), Some(account)) => FreezeScope::Account(connector, account),
        (None, Some(_)) => return Err(FreezeFormError::AccountAlone),
    };
    Ok(Freeze {
        name: name.to_owned(),
        scope,
        access: spec.access.into(),
        note: spec.reason,
        flaw: None,
    })
}

fn told(error: &FreezeFormError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn freeze(spec: &Value) -> Freeze {
        read("stop", spec)
    }

    #[test]
    fn the_shortest_freeze_stops_all_writes() {
        let expected = Freeze {
            name: "stop".into(),
            scope: FreezeScope::All,
            access: Access::Frozen,
            note: None,
            flaw: None,
        };
        assert_eq!(freeze(&json!({})), expected);
        assert_eq!(freeze(&json!({"scope": {}})), expected);
    }

    #[test]
    fn a_freeze_names_a_connector_or_an_account_of_it() {
        let spec = json!({"scope": {"connector": "meta"}, "access": "Disabled", "reason": "leak"});
        let connector = freeze(&spec);
        assert_eq!(connector.scope.to_string(), "meta");
        assert_eq!(connector.access, Access::Disabled);
        assert_eq!(connector.note.as_deref(), Some("leak"));
        let account = freeze(&json!({"scope": {"connector": "meta", "account": "act_1"}}));
        assert_eq!(account.scope.to_string(), "meta/act_1");
    }

    #[test]
    fn what_cannot_be_read_freezes_everything_and_says_why() {
        for (spec, access, flaw) in [
            (
                json!({"surprise": 1}),
                Access::Frozen,
                "unknown field `surprise`",
            ),
            (
                json!({"scope": {"account": "act_1"}}),
                Access::Frozen,
                "an account without its connector",
            ),
            (
                json!({"scope": {"connector": "Meta"}}),
                Access::Frozen,
                "`Meta` is not a connector name",
            ),
            (
                json!({"scope": {"connector": "meta", "account": "a/b"}, "access": "ReadOnly"}),
                Access::ReadOnly,
                "`a/b` is not an account id",
            ),
            (json!({"scope": "all"}), Access::Frozen, "spec"),
            (
                json!({"access": "Sealed"}),
                Access::Disabled,
                "unknown variant `Sealed`",
            ),
            (json!({"access": 7}), Access::Disabled, "form"),
            (json!(null), Access::Frozen, "form"),
        ] {
            let freeze = freeze(&spec);
            assert_eq!(
                (freeze.access, &freeze.scope),
                (access, &FreezeScope::All),
                "{spec}"
            );
            let told = freeze.flaw.unwrap();
            assert!(told.contains(flaw) || flaw == "spec", "{spec}: {told}");
        }
    }
}
