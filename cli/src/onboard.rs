//! `tenantry onboard`: the whole YAML of an organisation, with its reasons, to be
//! read, kept in Git and applied. Its keys are made in the cluster, which then
//! knows by whom: else nobody could say who must not agree to what they ask for.

use std::fmt::Write as _;

use tenantry_api::document::files::Source;

use crate::answer::{Answer, Unusable};
use crate::cli::{Account, Onboard, OnboardAccess, program};
use crate::lint;

/// Writes it.
pub fn onboard(asked: &Onboard) -> Result<Answer, Unusable> {
    let text = document(asked);
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
    Ok(Answer::good(text))
}

fn document(asked: &Onboard) -> String {
    let mut parts = vec![namespace(asked), way_in(asked), tenant(asked)];
    if asked.access == OnboardAccess::ReadWrite {
        parts.push(policy(asked));
        let group = asked.approvers.as_deref();
        parts.extend(group.map(|group| approvers(asked, group)));
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

/// A text that every reader of YAML takes for just that: `no` and `7` are none.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn quoted_all(texts: &[&str]) -> String {
    let all: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    all.join(", ")
}

fn namespace(asked: &Onboard) -> String {
    let (name, program) = (&asked.name, program());
    let mut text = format!(
        "# The organisation `{name}`: read it through, then\n\
         #\n\
         #   kubectl apply -f THIS_FILE\n"
    );
    for connector in connectors(&asked.accounts) {
        let _ = writeln!(
            text,
            "#   kubectl create secret generic {connector}-credentials -n {name} --from-file=access_token=FILE"
        );
    }
    let classes: &[&str] = match asked.access {
        OnboardAccess::ReadOnly => &["read"],
        OnboardAccess::ReadWrite => &["read", "write", "spend"],
    };
    let mut scopes = String::new();
    for connector in connectors(&asked.accounts) {
        for class in classes {
            let _ = write!(scopes, " --scope {connector}:{class}");
        }
    }
    let _ = write!(
        text,
        "#   kubectl wait mcptenant/{name} -n {name} --for=condition=Ready --timeout=60s\n\
         #   {program} key create agent -n {name}{scopes}\n\
         #\n\
         # It holds no secret and may lie in Git; what the vendors are called with comes from\n\
         # your secret store. A key says who made it, who then agrees to nothing that it asks for.\n\
         apiVersion: v1\n\
         kind: Namespace\n\
         metadata:\n\
         \x20 name: {quoted}\n\
         \x20 labels:\n\
         \x20   pod-security.kubernetes.io/enforce: restricted\n\
         \x20   pod-security.kubernetes.io/enforce-version: latest\n\
         \x20   # Argo CD and Flux must not take the organisation's record along when this file\n\
         \x20   # leaves Git.\n\
         \x20   kustomize.toolkit.fluxcd.io/prune: disabled\n\
         \x20 annotations:\n\
         \x20   argocd.argoproj.io/sync-options: Prune=false\n",
        quoted = quoted(name),
    );
    text
}

fn way_in(asked: &Onboard) -> String {
    let (name, operator) = (quoted(&asked.name), quoted(&asked.operator_namespace));
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
    let name = quoted(&asked.name);
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
            "\x20 - name: {name}\n\
             \x20   # The operator never reads it; it is mounted into the server.\n\
             \x20   credentials: {{secretName: {secret}}}\n\
             \x20   # No other account exists for the organisation's agents.\n\
             \x20   accounts:\n",
            name = quoted(connector),
            secret = quoted(&format!("{connector}-credentials")),
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
                "    - {{id: {}, currency: {}, timeZone: {}}}",
                quoted(id),
                quoted(currency),
                quoted(time_zone)
            );
        }
    }
    text
}

fn policy(asked: &Onboard) -> String {
    let name = quoted(&asked.name);
    let mut currencies: Vec<&str> = Vec::new();
    for account in &asked.accounts {
        if !currencies.contains(&account.currency.as_str()) {
            currencies.push(&account.currency);
        }
    }
    let names = connectors(&asked.accounts);
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
         # `{program} policy test --policy THIS_FILE`.\n\
         apiVersion: tenantry.dev/v1alpha1\n\
         kind: SafetyPolicy\n\
         metadata:\n\
         \x20 name: budgets\n\
         \x20 namespace: {name}\n\
         spec:\n\
         \x20 mode: Enforce\n\
         \x20 match:\n\
         \x20   connectors: [{connectors}]\n\
         \x20 currency: {currency:?}\n\
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
         \x20   when: {{cel: change.primitive == \"activate\"}}\n\
         \x20 # It carries its own cases along, and one that fails them never comes into force.\n\
         \x20 tests:\n\
         \x20 - name: half-more\n\
         \x20   change: {{tool: {tool}, daily: {{before: '80', after: '120'}}}}\n\
         \x20   expect: {{decision: Permitted}}\n\
         \x20 - name: more-than-half\n\
         \x20   change: {{tool: {tool}, daily: {{before: '80', after: '120.01'}}}}\n\
         \x20   expect: {{decision: Denied, rules: [budget.perChange.maxIncreasePercent]}}\n",
        program = program(),
        connectors = quoted_all(&names),
        tool = quoted(&format!("{}_set_budget", names.first().unwrap_or(&"meta"))),
    )
}

fn approvers(asked: &Onboard, group: &str) -> String {
    let (name, program) = (&asked.name, program());
    format!(
        "# Who agrees, in their own name: {program} approvals -n {name}. To all that is asked; a Role\n\
         # of your own with resourceNames narrows it to some classes.\n\
         apiVersion: rbac.authorization.k8s.io/v1\n\
         kind: RoleBinding\n\
         metadata:\n\
         \x20 name: approvers\n\
         \x20 namespace: {namespace}\n\
         roleRef:\n\
         \x20 apiGroup: rbac.authorization.k8s.io\n\
         \x20 kind: ClusterRole\n\
         \x20 name: tenantry-approver\n\
         subjects:\n\
         - apiGroup: rbac.authorization.k8s.io\n\
         \x20 kind: Group\n\
         \x20 name: {group}\n",
        namespace = quoted(name),
        group = quoted(group),
    )
}
