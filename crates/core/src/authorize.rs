//! Authorization: may this key call this tool on this account at all
//! (WRITES §1)? Pure; rates and quotas are asked elsewhere.

#[cfg(test)]
mod tests;

use crate::access::{Access, ToolClass};
use crate::freeze::{Freeze, Freezes};
use crate::key::{KeyRecord, Scope};
use crate::name::{AccountId, ConnectorName, ToolName};
use crate::reason::{Reason, Refusal};
use crate::tenant::{AccountConfig, TenantConfig};

/// What is asked for, as far as authorization needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The tool.
    pub tool: &'a ToolName,
    /// The connector that it belongs to.
    pub connector: &'a ConnectorName,
    /// What it can do at worst.
    pub class: ToolClass,
    /// Whether it switches something off and does nothing else: a freeze and a
    /// missing policy stop spending, never what stops it.
    pub stops: bool,
    /// The account that the arguments name, for tools that take one.
    pub account: Option<&'a str>,
}

impl Request<'_> {
    fn is_permitted_by(&self, access: Access) -> bool {
        access.permits(self.class) || (self.stops && access.permits_stops())
    }
}

/// Decides whether `key` may make `request` of `tenant` while `freezes` hold.
/// Answers the account that it concerns, where the tool takes one.
pub fn authorize<'t>(
    tenant: &'t TenantConfig,
    freezes: &Freezes,
    key: &KeyRecord,
    request: &Request<'_>,
) -> Result<Option<&'t AccountConfig>, Refusal> {
    if !request.is_permitted_by(tenant.access) {
        return Err(access_denied(
            "the organisation",
            tenant.access.as_str(),
            request,
        ));
    }
    if !may_use(key, request.connector, request.class) {
        let scope = Scope::of(request.connector, request.class);
        return Err(Refusal::new(
            Reason::ScopeMissing,
            format!(
                "the key `{}` lacks the scope `{scope}` that `{}` needs",
                key.id, request.tool
            ),
        )
        .with_remedy(format!(
            "use a key with the scope `{scope}`, or ask for it to be added"
        )));
    }
    no_policy_missing(tenant, request)?;
    let Some(asked) = request.account else {
        not_frozen(freezes, None, request)?;
        return Ok(None);
    };
    let account = account(tenant, key, request.connector, asked)?;
    let access = tenant.access.strictest(account.access);
    if !request.is_permitted_by(access) {
        let whose = format!("the account `{}`", account.id);
        return Err(access_denied(&whose, access.as_str(), request));
    }
    not_frozen(freezes, Some(&account.id), request)?;
    Ok(Some(account))
}

/// The account of that id, if it is one that `key` may name. What may be done in
/// it, [`authorize`] decides.
pub fn account<'t>(
    tenant: &'t TenantConfig,
    key: &KeyRecord,
    connector: &ConnectorName,
    asked: &str,
) -> Result<&'t AccountConfig, Refusal> {
    let mut accounts = declared_accounts(tenant, key, connector);
    let account = accounts.find(|account| account.id.as_str() == asked);
    account.ok_or_else(|| {
        // An account of another organisation and one that does not exist are
        // the same to the caller.
        let message = format!("the key `{}` may not use that {connector} account", key.id);
        Refusal::new(Reason::AccountRefused, message)
    })
}

/// Whether a tool of `class` at `connector` is within the key's scopes; tools
/// that are not are left out of its tool list.
pub fn may_use(key: &KeyRecord, connector: &ConnectorName, class: ToolClass) -> bool {
    key.scopes
        .iter()
        .any(|scope| scope.covers(connector, class))
}

/// The accounts of `connector` of which `key` may read something while
/// `freezes` hold.
pub fn visible_accounts<'t, 'k>(
    tenant: &'t TenantConfig,
    freezes: &'k Freezes,
    key: &'k KeyRecord,
    connector: &'k ConnectorName,
) -> impl Iterator<Item = &'t AccountConfig> + use<'t, 'k> {
    declared_accounts(tenant, key, connector).filter(move |account| {
        freezes
            .on(connector, Some(&account.id))
            .is_none_or(|freeze| freeze.access.permits(ToolClass::Read))
    })
}

/// The accounts of `connector` that `key` may name.
fn declared_accounts<'t, 'k>(
    tenant: &'t TenantConfig,
    key: &'k KeyRecord,
    connector: &ConnectorName,
) -> impl Iterator<Item = &'t AccountConfig> + use<'t, 'k> {
    let allowed = |id: &AccountId| key.accounts.as_ref().is_none_or(|ids| ids.contains(id));
    tenant
        .connector(connector)
        .into_iter()
        .flat_map(|connector| &connector.accounts)
        .filter(move |account| allowed(&account.id) && account.access.permits(ToolClass::Read))
}

/// A freeze is named once the caller is known to be allowed the rest: its name
/// and reason are the organisation's own affair.
fn not_frozen(
    freezes: &Freezes,
    account: Option<&AccountId>,
    request: &Request<'_>,
) -> Result<(), Refusal> {
    match freezes.on(request.connector, account) {
        Some(freeze) if !request.is_permitted_by(freeze.access) => Err(frozen(freeze, request)),
        _ => Ok(()),
    }
}

/// Without a policy that is required nothing is changed, whatever the others
/// say: whoever deletes one must not loosen anything by it.
fn no_policy_missing(tenant: &TenantConfig, request: &Request<'_>) -> Result<(), Refusal> {
    if tenant.missing_policies.is_empty() || request.is_permitted_by(Access::Frozen) {
        return Ok(());
    }
    let missing: Vec<_> = tenant.missing_policies.iter().map(String::as_str).collect();
    let missing = missing.join("`, `");
    let message = format!(
        "the organisation requires the SafetyPolicy `{missing}`, which is missing or was never accepted, so `{}` changes nothing",
        request.tool
    );
    let remedy = format!(
        "ask the platform team; `kubectl get safetypolicies` tells what became of `{missing}`"
    );
    Err(Refusal::new(Reason::PolicyMissing, message).with_remedy(remedy))
}

fn frozen(freeze: &Freeze, request: &Request<'_>) -> Refusal {
    let Freeze {
        name,
        scope,
        access,
        ..
    } = freeze;
    let (access, class) = (access.as_str(), request.class.as_str());
    let doubt = match freeze.flaw {
        Some(_) => " (it cannot be read, so it covers everything)",
        None => "",
    };
    let note = freeze.note.as_ref().map(|note| format!(": {note}"));
    let message = format!(
        "the McpFreeze `{name}`{doubt} leaves {scope} the access `{access}`, which does not permit {class} tools{}",
        note.unwrap_or_default()
    );
    let remedy = format!(
        "ask the platform team; whoever may delete the McpFreeze `{name}` in the organisation's namespace lifts it"
    );
    Refusal::new(Reason::Frozen, message).with_remedy(remedy)
}

fn access_denied(whose: &str, access: &str, request: &Request<'_>) -> Refusal {
    let class = request.class.as_str();
    Refusal::new(
        Reason::AccessDenied,
        format!("{whose} has access `{access}`, which does not permit {class} tools"),
    )
}
