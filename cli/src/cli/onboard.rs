//! What a new organisation is.

use clap::{Args, ValueEnum};

use super::place::label;

/// Write the whole YAML of a new organisation, to be read, kept and applied
///
/// Prints to stdout what one `kubectl apply` takes: the namespace, the way in for
/// the operator, the McpTenant, and with read-write a policy to begin with and who
/// agrees to what is large. No secret stands in it; `tenantry key create` makes the
/// keys of its clients.
#[derive(Debug, Args)]
#[command(after_help = ONBOARD)]
pub struct Onboard {
    /// The organisation, which is its namespace as well
    #[arg(value_name = "NAME", value_parser = label)]
    pub name: String,

    /// An account that its agents may touch; may be repeated
    #[arg(long = "account", value_name = "CONNECTOR:ID:CURRENCY:TIMEZONE", required = true, value_parser = Account::parse)]
    pub accounts: Vec<Account>,

    /// What its agents may do
    #[arg(long, value_enum, default_value_t)]
    pub access: OnboardAccess,

    /// The group that agrees to what is large; without it nobody may, until you grant it
    #[arg(long, value_name = "GROUP")]
    pub approvers: Option<String>,

    /// Where the operator runs
    #[arg(long, value_name = "NS", default_value = "tenantry-system", value_parser = label)]
    pub operator_namespace: String,
}

const ONBOARD: &str = "\
Examples:
  tenantry onboard acme --account meta:act_1001:EUR:Europe/Berlin > acme.yaml
  tenantry onboard acme --account meta:act_1001:EUR:Europe/Berlin \\
    --access read-write --approvers acme-marketing > acme.yaml";

/// What the agents of a new organisation may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OnboardAccess {
    /// Read
    #[default]
    ReadOnly,
    /// Change what a policy permits as well
    ReadWrite,
}

/// An account of a new organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Where.
    pub connector: String,
    /// As the vendor names it.
    pub id: String,
    /// ISO 4217.
    pub currency: String,
    /// As the IANA names it.
    pub time_zone: String,
}

impl Account {
    fn parse(text: &str) -> Result<Self, String> {
        let is_word = |word: &&str| {
            let is_fit = |c: char| c.is_ascii_alphanumeric() || "_-/+.".contains(c);
            !word.is_empty() && word.chars().all(is_fit)
        };
        let words: Vec<&str> = text.split(':').filter(is_word).collect();
        match words[..] {
            [connector, id, currency, time_zone] if text.matches(':').count() == 3 => Ok(Self {
                connector: connector.into(),
                id: id.into(),
                currency: currency.into(),
                time_zone: time_zone.into(),
            }),
            _ => Err(format!(
                "`{text}` is no account; write connector, id, currency and time zone, such as meta:act_1001:EUR:Europe/Berlin"
            )),
        }
    }
}
