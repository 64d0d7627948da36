//! What people say to changes that wait for them.

use clap::Args;

use crate::cluster::Output;

/// List the changes that wait for people
///
/// Those that wait, the one that expires first at the top. That there are none is
/// said on stderr, and is as it should be.
#[derive(Debug, Args)]
#[command(after_help = LIST)]
pub struct ListApprovals {
    /// Of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,

    /// Those that have ended as well
    #[arg(long)]
    pub all: bool,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

const LIST: &str = "\
Examples:
  tenantry approvals -n acme
  tenantry approvals -A --all -o wide";

/// Show all of one of them
///
/// Each setting before and after, by how much more can be spent, the arguments, the
/// rules that ask and why, who asks with which key, and what was said so far. Exits
/// with 1 if there is no such approval.
#[derive(Debug, Args)]
#[command(after_help = SHOW)]
pub struct ShowApproval {
    /// Which, as `tenantry approvals` names it
    #[arg(value_name = "NAME")]
    pub name: String,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

const SHOW: &str = "\
Examples:
  tenantry show 5c1f0a2be9d4 -n acme
  tenantry show 5c1f0a2be9d4 -n acme -o yaml";

/// What somebody says of one of them: `tenantry approve` and `tenantry deny`.
#[derive(Debug, Args)]
pub struct Decision {
    /// Which, as `tenantry approvals` names it
    #[arg(value_name = "NAME")]
    pub name: String,

    /// For this class of approvers alone; may be repeated [default: all that are asked]
    #[arg(long = "class", value_name = "CLASS")]
    pub classes: Vec<String>,

    /// Why, for the record and for who asked
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,

    /// Wait for what becomes of it, 60 seconds or so many; exit with 1 if it is not what you said, with 2 if it is not known by then
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "60", value_parser = clap::value_parser!(u64).range(..=86_400))]
    pub wait: Option<u64>,
}

/// The end of the page of `tenantry approve`.
pub const APPROVE: &str = "\
Examples:
  tenantry approve 5c1f0a2be9d4 -n acme --comment 'as planned' --wait
  tenantry approve 5c1f0a2be9d4 -n acme --class finance";

/// The end of the page of `tenantry deny`.
pub const DENY: &str = "\
Examples:
  tenantry deny 5c1f0a2be9d4 -n acme --comment 'not before Monday'";

/// Say what became of a change that was sent and that nobody else can tell, in your own name
///
/// Look at the object at the vendor first: what you say frees the money of the
/// change, or counts it. Nothing is sent again. Exits with 1 if you may not say so.
/// With --wait also with 1 if it ends otherwise, and with 2 if that is not known by
/// then.
#[derive(Debug, Args)]
#[command(after_help = RESOLVE, group(clap::ArgGroup::new("finding").required(true).args(["applied", "not_applied"])))]
pub struct Resolve {
    /// Which, for whom and why.
    #[command(flatten)]
    pub decision: Decision,

    /// The vendor made the change
    #[arg(long)]
    pub applied: bool,

    /// The vendor did not make it
    #[arg(long)]
    pub not_applied: bool,
}

const RESOLVE: &str = "\
Examples:
  tenantry resolve 7a20e41b09cd -n acme --applied --comment 'it has 40.00 in Ads Manager'
  tenantry resolve 7a20e41b09cd -n acme --not-applied";

/// Take back a change that you have asked for
///
/// Waits some seconds for the server to take it back. Exits with 1 if it was too late
/// or you did not ask for it, and with 2 if that is not known by then.
#[derive(Debug, Args)]
#[command(after_help = WITHDRAW)]
pub struct Withdraw {
    /// Which, as `tenantry approvals` names it
    #[arg(value_name = "NAME")]
    pub name: String,
}

const WITHDRAW: &str = "\
Examples:
  tenantry withdraw 5c1f0a2be9d4 -n acme";
