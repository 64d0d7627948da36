//! The keys of AI clients.

use clap::{Args, Subcommand};
use tenantry_core::key::Scope;

use crate::cluster::Output;

/// What to do with keys. What each of them is for stands at what it takes.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    Create(CreateKey),
    List(ListKeys),
    Revoke(RevokeKey),
    Rotate(RotateKey),
}

/// Make a key and print it, the one time that anybody sees it
///
/// The key alone goes to stdout. One that cannot be printed is revoked. Exits with 1 if
/// no key was made, or it was revoked again.
#[derive(Debug, Args)]
#[command(after_help = CREATE)]
pub struct CreateKey {
    /// Its name: 1 to 40 of a-z, 0-9 and `-`
    #[arg(value_name = "NAME")]
    pub name: String,

    /// What it may do, such as meta:read or *:write; may be repeated
    #[arg(long = "scope", value_name = "CONNECTOR:CLASS", required = true, value_parser = Scope::parse)]
    pub scopes: Vec<Scope>,

    /// An account that it may touch; may be repeated [default: all of the organisation]
    #[arg(long = "account", value_name = "ID")]
    pub accounts: Vec<String>,

    /// The program that uses it
    #[arg(long, value_name = "TEXT")]
    pub agent: Option<String>,

    /// Who answers for it [default: you]
    #[arg(long, value_name = "USER")]
    pub owner: Option<String>,

    /// For how long it is good, such as 90d or 12h [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = Length::parse)]
    pub expires: Option<Length>,

    /// Print the McpApiKey for Git and create nothing; the key goes to stderr
    #[arg(long)]
    pub yaml: bool,
}

const CREATE: &str = "\
Examples:
  tenantry key create planner --scope meta:read --scope meta:spend --expires 90d -n acme
  tenantry key create reader --scope meta:read --owner alice@example.com --yaml -n acme";

/// List the keys
///
/// What each may do, who answers for it and for how long it is good. The keys
/// themselves are kept nowhere.
#[derive(Debug, Args)]
#[command(after_help = LIST)]
pub struct ListKeys {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

const LIST: &str = "\
Examples:
  tenantry key list -n acme";

/// Revoke a key, for good
///
/// Servers refuse it within seconds, and it never becomes good again. Exits with 1 if it
/// was not revoked.
#[derive(Debug, Args)]
#[command(after_help = REVOKE)]
pub struct RevokeKey {
    /// Its name
    #[arg(value_name = "NAME")]
    pub name: String,
}

const REVOKE: &str = "\
Examples:
  tenantry key revoke planner -n acme";

/// Make another key that may do the same, and print it
///
/// For as long as the old one was good, or as said. The old one stays good unless
/// --revoke ends it. Exits with 1 if no key was made, or if the old one could not be
/// revoked, which stderr tells apart.
#[derive(Debug, Args)]
#[command(after_help = ROTATE)]
pub struct RotateKey {
    /// The key to be replaced
    #[arg(value_name = "NAME")]
    pub name: String,

    /// The name of the new one [default: the next number]
    #[arg(long, value_name = "NAME")]
    pub new_name: Option<String>,

    /// For how long the new one is good [default: for as long as the old one was]
    #[arg(long, value_name = "TIME", value_parser = Length::parse)]
    pub expires: Option<Length>,

    /// Revoke the old one at once
    #[arg(long)]
    pub revoke: bool,
}

const ROTATE: &str = "\
Examples:
  tenantry key rotate planner -n acme
  tenantry key rotate planner --new-name planner-june --revoke -n acme";

/// A length of time of whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length(pub i64);

impl Length {
    /// Reads one number and one unit: s, m, h or d.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no length of time; write one number and one unit, such as 90d or 12h"
            )
        };
        let unit = text.chars().last().ok_or_else(wrong)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let number = text.strip_suffix(unit).ok_or_else(wrong)?;
        let number: u32 = number.parse().map_err(|_| wrong())?;
        // Ten years: a longer one is a mistake.
        let length = i64::from(number) * seconds;
        if length == 0 || length > 3_650 * 86_400 {
            return Err(format!("`{text}` is not between 1s and 3650d"));
        }
        Ok(Self(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_one_number_and_one_unit() {
        for (text, seconds) in [("1s", 1), ("90d", 7_776_000), ("12h", 43_200), ("5m", 300)] {
            assert_eq!(Length::parse(text), Ok(Length(seconds)));
        }
        for text in [
            "", "d", "90", "1.5h", "-1d", "0d", "4000d", "5 m", "1d2h", "5dd",
        ] {
            assert!(Length::parse(text).is_err(), "{text}");
        }
    }
}
