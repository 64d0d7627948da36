//! Documents in files.

use std::path::PathBuf;

use clap::Args;

/// Check documents as API server and operator would
///
/// McpTenants, McpApiKeys, McpFreezes and SafetyPolicies are held against the
/// schema and its CEL rules, against what the operator makes of them, and
/// against each other: what stands twice, what two tenants claim, keys that one
/// text opens, policies that are required and missing. Policies must pass the
/// cases that they carry along. Other kinds say nothing here. Exits with 1 if there
/// is a finding, and with 2 if the files cannot be read or hold nothing to check.
#[derive(Debug, Args)]
#[command(after_help = LINT)]
pub struct Lint {
    /// Files, or folders of *.yaml, *.yml and *.json; all are checked together
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,

    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

const LINT: &str = "\
Examples:
  tenantry lint examples/acme.yaml examples/policy.yaml
  tenantry lint organisations/acme

One line a finding: PATH:LINE: KIND/NAME: what is wrong, and what to do.";

/// Print the contract that the operator makes of an McpTenant
///
/// Prints what McpServer/server would hold: the whole of what a server obeys,
/// with every default. The API server's UID is not known here, so a made-up one
/// stands there; and what an operator adds of its own (guardProven, canary, a
/// sandbox's addresses) is as if there were none. Exits with 2 if there is no such
/// contract.
#[derive(Debug, Args)]
#[command(after_help = RENDER)]
pub struct Render {
    /// File or folder with the McpTenant and the SafetyPolicies of its namespace; those of the platform are left out, and so is what is not of it
    #[arg(value_name = "FILE|DIR")]
    pub path: PathBuf,

    /// The McpTenant of this namespace, where there are several
    #[arg(short, long, value_name = "NS")]
    pub namespace: Option<String>,

    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

const RENDER: &str = "\
Examples:
  tenantry render examples/acme.yaml
  tenantry render organisations/ --namespace acme --json";
