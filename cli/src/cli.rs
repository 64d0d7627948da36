//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use tenantry_core::digest::Digest;

/// Tries policies, checks documents and proves audit logs, without a cluster.
///
/// Every command reads files, asks nothing of a network, and exits with 0 when
/// all is as it should be, 1 when it is not, and 2 when that could not be told.
#[derive(Debug, Parser)]
#[command(name = "tenantry", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try safety policies before they are applied
    Policy {
        /// What with them.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Check documents as API server and operator would
    Lint(Lint),
    /// Print the contract that the operator makes of an McpTenant
    Render(Render),
    /// Prove the record of a server
    Audit {
        /// What with it.
        #[command(subcommand)]
        command: AuditCommand,
    },
}

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Decide over cases with SafetyPolicies, by the very code that the server decides with
    Test(PolicyTest),
}

/// `tenantry policy test`.
///
/// All policies given are taken to bind the organisation together, so that one
/// that denies denies; one with a namespaceSelector is the platform's. The
/// cases in their own spec.tests are tried as well, each against its policy
/// alone, as the operator does.
///
/// A case is one of spec.tests with more to say: who changes what, what the
/// vendor has now, and what was changed before.
#[derive(Debug, Args)]
#[command(after_help = CASES)]
pub struct PolicyTest {
    /// File or folder of SafetyPolicies; other kinds in it say nothing here
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub policy: Vec<PathBuf>,

    /// File or folder of cases
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub cases: Vec<PathBuf>,

    /// The time of cases that give none, such as 2026-06-01T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    pub time: Option<Timestamp>,

    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

/// `tenantry lint`.
///
/// McpTenants, McpApiKeys, McpFreezes and SafetyPolicies are held against the
/// schema and its CEL rules, against what the operator makes of them, and
/// against each other: what stands twice, what two tenants claim, keys that one
/// text opens, policies that are required and missing. Policies must pass the
/// cases that they carry along. Other kinds say nothing here.
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

/// `tenantry render`.
///
/// Prints what McpServer/server would hold: the whole of what a server obeys,
/// with every default. The API server's UID is not known here, so a made-up one
/// stands there; and what an operator adds of its own (guardProven, canary, a
/// sandbox's addresses) is as if there were none.
#[derive(Debug, Args)]
#[command(after_help = RENDER)]
pub struct Render {
    /// File or folder with the McpTenant and the SafetyPolicies of its namespace; those of the platform are left out, and so is what is not of it
    #[arg(value_name = "FILE|DIR")]
    pub path: PathBuf,

    /// The McpTenant of this namespace, where there are several
    #[arg(long, value_name = "NS")]
    pub namespace: Option<String>,

    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

const RENDER: &str = "\
Examples:
  tenantry render examples/acme.yaml
  tenantry render organisations/ --namespace acme --json";

/// What to do with the record.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Say whether the audit lines of a server are as it wrote them
    Verify(AuditVerify),
}

/// `tenantry audit verify`.
///
/// The file holds the lines of one process from its start, as text and to the
/// byte. The first line that was edited, deleted, inserted, swapped or forked is
/// named; what cannot be known without a public key or a head is said.
#[derive(Debug, Args)]
#[command(after_help = AUDIT)]
pub struct AuditVerify {
    /// File of audit lines; - reads stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The process's key, or a file with it; McpServer status.replicas[].auditPublicKey has it
    #[arg(long, value_name = "FILE|KEY")]
    pub public_key: Option<String>,

    /// The digest of a line that the log is known to have come to, kept elsewhere
    #[arg(long, value_name = "DIGEST", value_parser = Digest::parse)]
    pub head: Option<Digest>,

    /// Print JSON for programs
    #[arg(long)]
    pub json: bool,
}

const AUDIT: &str = "\
Examples:
  kubectl -n acme logs server-0 | grep '\"log_name\":\"tenantry.audit\"' | tenantry audit verify -
  tenantry audit verify server-0.log --public-key ed25519:1f0c…
  tenantry audit verify server-0.log --public-key server-0.pub --head sha256:98c0…";

const CASES: &str = "\
Examples:
  tenantry policy test --policy examples/policy.yaml
  tenantry policy test --policy examples/policy.yaml --cases examples/cases.yaml

A file of cases:
  cases:
  - name: second-rise-of-the-day
    time: 2026-06-01T12:00:00Z
    change:
      tool: meta_set_budget
      account: act_1001
      object: '1001'
      daily: {before: '100', after: '150'}
    usage:
      changes:
      - {ago: 3h, daily: '4000'}              # what a window adds up
      - {ago: 2m, object: '1001'}             # the last change of the object
    expect:
      decision: Deny                          # Allow, Deny or RequireApproval
      rules: [budget.perObject.minInterval]

A change has one of daily, lifetime, financial {before, after}; or `do: activate`, `deactivate` or
`delete`; or create, copy, schedule, bid, state, records. What the vendor has now goes into `before`
where more than one amount matters: {id, status, daily, lifetime, startsAt, endsAt, children}.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
