//! What a server tells on its loopback: what was called and changed, what would
//! become of a call, and what would have been decided otherwise.

use std::path::PathBuf;

use clap::Args;

use crate::cluster::Output;

/// Say what agents have called and changed, and what is left of the limits
///
/// The changes of the organisation, the newest first, by a port-forward to its server:
/// that takes the verbs get and create on pods/portforward with its name. Exits with 1
/// if you may not, or there is no such change, and with 2 if the server does not answer.
#[derive(Debug, Args)]
#[command(after_help = ACTIVITY, group(clap::ArgGroup::new("what").args(["calls", "limits", "change"])))]
pub struct Activity {
    /// The last calls instead, refused ones and reads as well
    #[arg(long)]
    pub calls: bool,

    /// What binds changes of each account, and how much of it is left
    #[arg(long, conflicts_with_all = ["tool", "account", "object", "progress", "outcome", "key", "after"])]
    pub limits: bool,

    /// All that is known of this change
    #[arg(long, value_name = "ID", conflicts_with_all = ["tool", "account", "object", "progress", "outcome", "key", "after"])]
    pub change: Option<String>,

    /// Of this tool alone
    #[arg(long, value_name = "NAME")]
    pub tool: Option<String>,

    /// In this account alone
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,

    /// Changes of this object alone
    #[arg(long, value_name = "ID", conflicts_with = "calls")]
    pub object: Option<String>,

    /// Changes that have come so far: pending, executing, reserved, sending, unknown, needs_human, applied or not_applied
    #[arg(long, value_name = "WORD", conflicts_with = "calls")]
    pub progress: Option<String>,

    /// Calls that ended so: done, refused, failed, pending_approval and so on
    #[arg(long, value_name = "WORD", requires = "calls")]
    pub outcome: Option<String>,

    /// Calls with this API key
    #[arg(long, value_name = "NAME", requires = "calls")]
    pub key: Option<String>,

    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,

    /// Changes behind an earlier page, as it says
    #[arg(long, value_name = "PLACE", conflicts_with = "calls")]
    pub after: Option<String>,

    /// Ask this pod alone [default: those that report, or server-0]
    #[arg(long, value_name = "NAME")]
    pub pod: Option<String>,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

const ACTIVITY: &str = "\
Examples:
  tenantry activity -n acme --progress needs_human
  tenantry activity -n acme --calls --outcome refused
  tenantry activity -n acme --limits";

/// Say what would become of a call, and why it would be refused
///
/// Asks the server what would become of the call if that key made it now: which room
/// would stop it and why, what the change would do, what every rule says, in Enforce and
/// in Shadow, and who would be asked. Nothing is changed, claimed or charged; the vendor
/// is asked whose the object is and what is there. It takes a port-forward to the
/// server, as `activity` does. Exits with 0 if the call would be made or there is
/// nothing to change, with 1 if it would be refused, wait for people or meet another
/// change, and with 2 if that could not be told.
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN)]
pub struct Explain {
    /// The tool, as clients call it
    #[arg(value_name = "TOOL")]
    pub tool: String,

    /// By which API key: the name of its McpApiKey, not the key itself
    #[arg(long, value_name = "NAME")]
    pub key: String,

    /// Its arguments; an idempotency_key is not needed, and left out if there is one [default: none]
    #[arg(long, value_name = "JSON", conflicts_with = "file")]
    pub arguments: Option<String>,

    /// A file with its arguments as JSON; - reads stdin
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Ask this pod alone [default: those that report, or server-0]
    #[arg(long, value_name = "NAME")]
    pub pod: Option<String>,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

const EXPLAIN: &str = "\
Examples:
  tenantry explain meta_pause --key planner --arguments '{\"campaign_id\": \"12001001004\"}'
  tenantry explain meta_set_budget --key planner -f arguments.json -n acme";

/// Say what an edit of policies would change: whom they bind, and what of the past would have been decided otherwise
///
/// Decides over the changes that the ledger has once more, by the policies in force and
/// by those with the edit, each on what had happened before it. What was denied outright
/// is not kept, so it is not among them. Exits with 1 if any of them would have been
/// decided otherwise, and with 2 if that could not be told.
#[derive(Debug, Args)]
#[command(after_help = PLAN)]
pub struct Plan {
    /// Files with the SafetyPolicies as they shall be
    #[arg(value_name = "FILE", required_unless_present = "without")]
    pub policy: Vec<PathBuf>,

    /// As if this policy in force were not there, by the name that refusals give it; may be repeated
    #[arg(long, value_name = "POLICY")]
    pub without: Vec<String>,

    /// The last so many changes
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,

    /// Ask this pod alone [default: those that report, or server-0]
    #[arg(long, value_name = "NAME")]
    pub pod: Option<String>,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

const PLAN: &str = "\
Examples:
  tenantry plan ads-budget.yaml -n acme
  tenantry plan --without ads-budget -n acme --limit 2000";
