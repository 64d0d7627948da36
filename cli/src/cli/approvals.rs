//! What people say to changes that wait for them.

use clap::Args;

use super::place::Place;
use crate::cluster::Output;

/// `tenantry approvals`.
#[derive(Debug, Args)]
pub struct ListApprovals {
    /// Where.
    #[command(flatten)]
    pub place: Place,

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

/// `tenantry show`.
#[derive(Debug, Args)]
pub struct ShowApproval {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// Which, as `tenantry approvals` names it
    #[arg(value_name = "NAME")]
    pub name: String,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `tenantry approve` and `tenantry deny`.
///
/// A decision is made in your own name and stays. Saying the same once more
/// changes nothing.
#[derive(Debug, Args)]
pub struct Decision {
    /// Where.
    #[command(flatten)]
    pub place: Place,

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

/// `tenantry resolve`.
///
/// Look at the object at the vendor first: what you say frees the money of the
/// change, or counts it. Nothing is sent again.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("finding").required(true).args(["applied", "not_applied"])))]
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

/// `tenantry withdraw`.
#[derive(Debug, Args)]
pub struct Withdraw {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// Which, as `tenantry approvals` names it
    #[arg(value_name = "NAME")]
    pub name: String,
}
