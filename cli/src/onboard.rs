//! `tenantry onboard`: the whole YAML of an organisation, with its reasons, to be
//! read, kept in Git and applied.

use std::fmt::Write as _;

use tenantry_api::document::files::Source;
use tenantry_core::key::ApiKey;

use crate::answer::{Answer, Unusable};
use crate::cli::{Account, Onboard, OnboardAccess};
use crate::cluster::key::new_key;
use crate::lint;

/// Writes it; the key of its first client is shown beside it, once.
pub fn onboard(asked: &Onboard) -> Result<Answer, Unusable> {
    let key = new_key(&asked.key)?;
    let text = document(asked, &key);
    let source = Source {
        file: "the organisation".into(),
        text: Ok(text.clone()),
    };
    let (_, flaws) = lint::check(&[source]);
    if !flaws.is_empty() {
        let mut reasons = Vec::new();
        for flaw in &flaws {
            let document = flaw
                .place
                .as_ref()
                .and_then(|place| place.document.as_ref());
            let (kind, name) = document.cloned().unwrap_or_default();
            reasons.push(format!("{kind}/{name}: {}", flaw.reason));
        }
        return Err(Unusable::all(reasons));
    }
    let note = format!(
        "the key of `{}`, shown this once and kept nowhere: {}",
        asked.key,
        key.reveal()
    );
    Ok(Answer::good(text).noting(note))
}

fn document(asked: &Onboard, key: &ApiKey) -> String {
    let mut parts = vec![
        namespace(asked),
        way_in(asked),
        tenant(asked),
        client(asked, key),
    ];
    if asked.access == OnboardAccess::ReadWrite {
        parts.push(policy(asked));
        parts.extend(
            asked
                .approvers
                .as_deref()
                .map(|group| approvers(asked, group)),
        );
    }
    parts.join("---\n")
}

/// The connectors, in the order in which they are named first.
fn connectors(accounts: &[Account]) -> Vec<&str> {
    let mut all: Vec<&str> = Vec::new();
    for account in accounts {
        if !all.contains(&account.connector.as_str()) {
            all.push(&account.connector);
        }
    }
    all
}

/// A text that YAML reads as just that, whatever stands in it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn namespace(asked: &Onboard) -> String {
    let name = &asked.name;
    let mut text = format!(
        "# The organisation `{name}`: read it through, then\n\
         #\n\
         #   kubectl create namespace {name}\n"
    );
    for connector in connectors(&asked.accounts) {
        let _ = writeln!(
            text,
            "#   kubectl create secret generic {connector}-credentials -n {name} --from-file=access_token=FILE"
        );
    }
    let _ = write!(
        text,
        "#   kubectl apply -f THIS_FILE\n\
         #   kubectl wait mcptenant/{name} -n {name} --for=condition=Ready --timeout=60s\n\
         #\n\
         # It holds no secret and may lie in Git; what the vendors are called with comes from\n\
         # your secret store.\n\
         apiVersion: v1\n\
         kind: Namespace\n\
         metadata:\n\
         \x20 name: {name}\n\
         \x20 labels:\n\
         \x20   pod-security.kubernetes.io/enforce: restricted\n\
         \x20   pod-security.kubernetes.io/enforce-version: latest\n\
         \x20   # Argo CD and Flux must not take the organisation's record along when this file\n\
         \x20   # leaves Git.\n\
         \x20   kustomize.toolkit.fluxcd.io/prune: disabled\n\
         \x20 annotations:\n\
         \x20   argocd.argoproj.io/sync-options: Prune=false\n"
    );
    text
}

fn way_in(asked: &Onboard) -> String {
    let (name, operator) = (&asked.name, &asked.operator_namespace);
    format!(
        "# Lets the operator work in this namespace; in no other one.\n\
         apiVersion: rbac.authorization.k8s.io/v1\n\
         kind: RoleBinding\n\
         metadata:\n\
         \x20 name: tenantry-operator\n\
         \x20 namespace: {name}\n\
         roleRef:\n\
         \x20 apiGroup: rbac.authorization.k8s.io\n\
         \x20 kind: ClusterRole\n\
         \x20 name: tenantry-tenant-manager\n\
         subjects:\n\
         - kind: ServiceAccount\n\
         \x20 name: tenantry-operator\n\
         \x20 namespace: {operator}\n"
    )
}

fn tenant(asked: &Onboard) -> String {
    let name = &asked.name;
    let access = match asked.access {
        OnboardAccess::ReadOnly => {
            "  # Reads only. ReadWrite lets agents change what a SafetyPolicy permits.\n  access: ReadOnly\n"
        }
        OnboardAccess::ReadWrite => {
            "  # Agents may change what the SafetyPolicy below permits, and nothing without it.\n  access: ReadWrite\n  requiredPolicies: [budgets]\n"
        }
    };
    let mut text = format!(
        "# What the organisation uses and allows. `kubectl explain mcptenant.spec` tells what else\n\
         # there is to say.\n\
         apiVersion: tenantry.dev/v1alpha1\n\
         kind: McpTenant\n\
         metadata:\n\
         \x20 name: {name}\n\
         \x20 namespace: {name}\n\
         \x20 labels:\n\
         \x20   kustomize.toolkit.fluxcd.io/prune: disabled\n\
         \x20 annotations:\n\
         \x20   argocd.argoproj.io/sync-options: Prune=false\n\
         spec:\n\
         \x20 organization: {name}\n\
         {access}\
         \x20 connectors:\n"
    );
    for connector in connectors(&asked.accounts) {
        let _ = write!(
            text,
            "\x20 - name: {connector}\n\
             \x20   # The operator never reads it; it is mounted into the server.\n\
             \x20   credentials: {{secretName: {connector}-credentials}}\n\
             \x20   # No other account exists for the organisation's agents.\n\
             \x20   accounts:\n"
        );
        for account in asked
            .accounts
            .iter()
            .filter(|one| one.connector == connector)
        {
            let Account {
                id,
                currency,
                time_zone,
                ..
            } = account;
            let _ = writeln!(
                text,
                "    - {{id: {}, currency: {currency}, timeZone: {time_zone}}}",
                quoted(id)
            );
        }
    }
    text
}

fn client(asked: &Onboard, key: &ApiKey) -> String {
    let classes: &[&str] = match asked.access {
        OnboardAccess::ReadOnly => &["read"],
        OnboardAccess::ReadWrite => &["read", "write", "spend"],
    };
    let scopes = connectors(&asked.accounts)
        .into_iter()
        .flat_map(|connector| {
            classes
                .iter()
                .map(move |class| format!("{connector}:{class}"))
        });
    let scopes: Vec<_> = scopes.collect();
    format!(
        "# The key of its first client. The cluster keeps a digest, which is safe in Git; the key\n\
         # itself was shown once. Another one: kubectl mcp key create NAME -n {name}. To revoke it:\n\
         # disabled: true.\n\
         apiVersion: tenantry.dev/v1alpha1\n\
         kind: McpApiKey\n\
         metadata:\n\
         \x20 name: {key}\n\
         \x20 namespace: {name}\n\
         spec:\n\
         \x20 # Who answers for it, as Kubernetes names them. Somebody else than who applies this\n\
         \x20 # needs the verb `issuefor` on mcpapikeys to do so.\n\
         \x20 owner: {owner}\n\
         \x20 agent: {key}\n\
         \x20 digest: {digest}\n\
         \x20 # No class of tools implies another.\n\
         \x20 scopes: [{scopes}]\n",
        name = asked.name,
        key = asked.key,
        owner = quoted(&asked.owner),
        digest = key.digest(),
        scopes = scopes.join(", "),
    )
}

fn policy(asked: &Onboard) -> String {
    let name = &asked.name;
    let mut currencies: Vec<&str> = Vec::new();
    for account in &asked.accounts {
        if !currencies.contains(&account.currency.as_str()) {
            currencies.push(&account.currency);
        }
    }
    let (currency, others) = currencies.split_first().unwrap_or((&"EUR", &[]));
    let others = if others.is_empty() {
        String::new()
    } else {
        format!(
            "  # Increases in {} are denied until `exchangeRates` says what they are worth.\n",
            others.join(", ")
        )
    };
    format!(
        "# What agents may change: set the amounts before it is applied. Try it without a cluster by\n\
         # `kubectl mcp policy test --policy THIS_FILE`.\n\
         apiVersion: tenantry.dev/v1alpha1\n\
         kind: SafetyPolicy\n\
         metadata:\n\
         \x20 name: budgets\n\
         \x20 namespace: {name}\n\
         spec:\n\
         \x20 mode: Enforce\n\
         \x20 match:\n\
         \x20   connectors: [{connectors}]\n\
         \x20 currency: {currency}\n\
         {others}\
         \x20 budget:\n\
         \x20   perChange:\n\
         \x20     maxIncreasePercent: 50\n\
         \x20   perObject:\n\
         \x20     minInterval: 5m\n\
         \x20   perWindow:\n\
         \x20   - {{window: 24h, scope: Organization, maxDailyIncrease: '1000'}}\n\
         \x20 # People are asked about what is large or goes live; who may agree has `approve` for\n\
         \x20 # the class.\n\
         \x20 approvals:\n\
         \x20 - name: large\n\
         \x20   approverClass: budgets\n\
         \x20   when: {{dailyIncreaseOver: '50'}}\n\
         \x20 - name: activation\n\
         \x20   approverClass: budgets\n\
         \x20   when: {{cel: change.primitive == \"activate\"}}\n",
        connectors = connectors(&asked.accounts).join(", "),
    )
}

fn approvers(asked: &Onboard, group: &str) -> String {
    let name = &asked.name;
    format!(
        "# Who agrees, in their own name: kubectl mcp approvals -n {name}\n\
         apiVersion: rbac.authorization.k8s.io/v1\n\
         kind: Role\n\
         metadata:\n\
         \x20 name: approver-budgets\n\
         \x20 namespace: {name}\n\
         rules:\n\
         - apiGroups: [tenantry.dev]\n\
         \x20 resources: [mcpapprovals/decision]\n\
         \x20 resourceNames: [budgets]\n\
         \x20 verbs: [approve]\n\
         - apiGroups: [tenantry.dev]\n\
         \x20 resources: [mcpapprovals]\n\
         \x20 verbs: [get, list, watch, patch]\n\
         ---\n\
         apiVersion: rbac.authorization.k8s.io/v1\n\
         kind: RoleBinding\n\
         metadata:\n\
         \x20 name: approver-budgets\n\
         \x20 namespace: {name}\n\
         roleRef:\n\
         \x20 apiGroup: rbac.authorization.k8s.io\n\
         \x20 kind: Role\n\
         \x20 name: approver-budgets\n\
         subjects:\n\
         - apiGroup: rbac.authorization.k8s.io\n\
         \x20 kind: Group\n\
         \x20 name: {group}\n",
        group = quoted(group),
    )
}
