//! How an organisation is.

use clap::Args;

use super::place::label;
use crate::cluster::Output;

/// Say how an organisation is, and what needs somebody
///
/// Exits with 0 while the organisation is Ready, with 1 while it is not, and with 2
/// while the operator has not said so of what stands in the McpTenant now.
#[derive(Debug, Args)]
#[command(after_help = STATUS)]
pub struct Status {
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

const STATUS: &str = "\
Examples:
  tenantry status -n acme
  tenantry status -n acme -o json";

/// Look whether what keeps organisations apart is there and works
///
/// Definitions, admission policies and their bindings, the operator, and of the
/// organisation in the namespace its conditions and whether its audit lines are
/// written. Exits with 1 if something is wrong, and with 2 if nothing is and not
/// all of it could be told. It needs the right to list
/// customresourcedefinitions, validatingadmissionpolicies, their bindings, the
/// operator's deployments and the organisation's mcptenants, and to get pods/log.
#[derive(Debug, Args)]
#[command(after_help = CHECK)]
pub struct Check {
    /// Where the operator runs
    #[arg(long, value_name = "NS", default_value = "tenantry-system", value_parser = label)]
    pub operator_namespace: String,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

const CHECK: &str = "\
Examples:
  tenantry check -n acme
  tenantry check -n acme --operator-namespace platform";

/// Put together what somebody needs who helps from afar
///
/// Prints YAML to stdout: what `check` says, and the objects, events and logs of
/// the organisation and the operator, as far as whoever asks may read them. No
/// Secret is read; digests of keys, arguments of calls, values of environment
/// variables and audit lines are left out. Exits with 0 whatever
/// `check` says.
#[derive(Debug, Args)]
#[command(after_help = REPORT)]
pub struct Report {
    /// Where the operator runs
    #[arg(long, value_name = "NS", default_value = "tenantry-system", value_parser = label)]
    pub operator_namespace: String,
}

const REPORT: &str = "\
Examples:
  tenantry report -n acme > report.yaml";
