//! `tenantry onboard`: the whole YAML of an organisation, with its reasons, to be
//! read, kept in Git and applied. Its keys are made in the cluster, which then
//! knows by whom: else nobody could say who must not agree to what they ask for.

use std::fmt::Write as _;

use tenantry_api::document::files::Source;

use crate::answer::{Answer, Unusable};
use crate::cli::onboard::{Account, Onboard, OnboardAccess};
use crate::cli::program;
use crate::lint;

const ORGANISATION: &str = include_str!("onboard/organisation.yaml");
const CONNECTOR: &str = include_str!("onboard/connector.yaml");
const POLICY: &str = include_str!("onboard/policy.yaml");
const APPROVERS: &str = include_str!("onboard/approvers.yaml");

const READ_ONLY: &str = "  \
# Reads only. ReadWrite lets agents change what a SafetyPolicy permits.
  access: ReadOnly
";
const READ_WRITE: &str = "  \
# Agents may change what the SafetyPolicy below permits, and nothing without it.
  access: ReadWrite
  requiredPolicies: [budgets]
";

/// Writes it.
pub fn onboard(asked: &Onboard) -> Result<Answer, Unusable> {
    let text = document(asked);
    let source = Source {
        file: "the organisation".into(),
        text: Ok(text.clone()),
    };
    let (_, flaws) = lint::check(&[source]);
    if flaws.is_empty() {
        return Ok(Answer::good(text));
    }
    let reasons = flaws.iter().map(|flaw| {
        let place = flaw.place.as_ref();
        let document = place.and_then(|place| place.document.clone());
        let (kind, name) = document.unwrap_or_default();
        format!("{kind}/{name}: {}", flaw.reason)
    });
    Err(Unusable::all(reasons.collect()))
}

fn document(asked: &Onboard) -> String {
    let mut text = organisation(asked);
    for connector in connectors(&asked.accounts) {
        let secret = quoted(&secret_of(connector));
        let values = [("connector", quoted(connector)), ("secret", secret)];
        text += &filled(CONNECTOR, &values);
        let accounts = asked.accounts.iter();
        for account in accounts.filter(|one| one.connector == connector) {
            let [id, currency, zone] =
                [&account.id, &account.currency, &account.time_zone].map(|text| quoted(text));
            // Writing to a text cannot fail.
            let _ = writeln!(
                text,
                "    - {{id: {id}, currency: {currency}, timeZone: {zone}}}"
            );
        }
    }
    if asked.access == OnboardAccess::ReadWrite {
        text += &policy(asked);
        if let Some(group) = &asked.approvers {
            // Last: it may hold anything.
            let mut values = who(asked).to_vec();
            values.push(("group", quoted(group)));
            text += &filled(APPROVERS, &values);
        }
    }
    text
}

/// Whom it is about, and by which program.
fn who(asked: &Onboard) -> [(&'static str, String); 3] {
    [
        ("plain", asked.name.clone()),
        ("name", quoted(&asked.name)),
        ("program", program().to_owned()),
    ]
}

fn organisation(asked: &Onboard) -> String {
    let (access, classes): (_, &[&str]) = match asked.access {
        OnboardAccess::ReadOnly => (READ_ONLY, &["read"]),
        OnboardAccess::ReadWrite => (READ_WRITE, &["read", "write", "spend"]),
    };
    let (mut secrets, mut scopes) = (String::new(), String::new());
    for connector in connectors(&asked.accounts) {
        let (secret, name) = (secret_of(connector), &asked.name);
        let _ = writeln!(
            secrets,
            "#   kubectl create secret generic {secret} -n {name} --from-file=access_token=FILE"
        );
        for class in classes {
            let _ = write!(scopes, " --scope {connector}:{class}");
        }
    }
    let mut values = who(asked).to_vec();
    values.extend([
        ("operator", quoted(&asked.operator_namespace)),
        ("access", access.to_owned()),
        ("secrets", secrets),
        ("scopes", scopes),
    ]);
    filled(ORGANISATION, &values)
}

fn policy(asked: &Onboard) -> String {
    let connectors = connectors(&asked.accounts);
    let currencies = each_once(asked.accounts.iter().map(|one| one.currency.as_str()));
    // There is an account, and so a connector and a currency.
    let (currency, others) = currencies.split_first().unwrap_or((&"EUR", &[]));
    let others = if others.is_empty() {
        String::new()
    } else {
        let others = others.join(", ");
        format!(
            "  # Increases in {others} are denied until `exchangeRates` says what they are worth.\n"
        )
    };
    let tool = format!("{}_set_budget", connectors.first().unwrap_or(&"meta"));
    let named: Vec<_> = connectors.iter().map(|name| quoted(name)).collect();
    let mut values = who(asked).to_vec();
    values.extend([
        ("connectors", named.join(", ")),
        ("currency", quoted(currency)),
        ("others", others),
        ("tool", quoted(&tool)),
    ]);
    filled(POLICY, &values)
}

/// A template with each `{name}` replaced by its value.
fn filled(template: &str, values: &[(&str, String)]) -> String {
    let fill =
        |text: String, (name, value): &(&str, String)| text.replace(&format!("{{{name}}}"), value);
    values.iter().fold(template.to_owned(), fill)
}

fn connectors(accounts: &[Account]) -> Vec<&str> {
    each_once(accounts.iter().map(|account| account.connector.as_str()))
}

/// All of them, in the order in which they are named first.
fn each_once<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    let mut all = Vec::new();
    for text in texts {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

fn secret_of(connector: &str) -> String {
    format!("{connector}-credentials")
}

/// A text that every reader of YAML takes for just that: `no` and `7` are none.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
