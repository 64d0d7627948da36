//! Policies in files, tried on cases.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;

/// What to do with policies. What it is for stands at what it takes.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    Test(PolicyTest),
}

/// Decide over cases with SafetyPolicies, by the very code that the server decides with
///
/// All policies given are taken to bind the organisation together, so that one
/// that denies denies; one with a namespaceSelector is the platform's. The
/// cases in their own spec.tests are tried as well, each against its policy
/// alone, as the operator does.
///
/// A case is one of spec.tests with more to say: who changes what, what the
/// vendor has now, and what was changed before.
///
/// Exits with 1 if a case is decided otherwise than it expects, and with 2 if policies
/// or cases cannot be read.
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
