//! The command line: which commands there are. What each of them takes stands
//! by its subject in the folder beside.

pub mod activity;
pub mod approvals;
pub mod audit;
pub mod documents;
pub mod freeze;
pub mod key;
pub mod ledger;
pub mod onboard;
pub mod place;
pub mod policy;
pub mod status;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use activity::{Activity, Explain, Plan};
use approvals::{Decision, ListApprovals, Resolve, ShowApproval, Withdraw};
use audit::AuditCommand;
use documents::{Lint, Render};
use freeze::{Freeze, Thaw};
use key::KeyCommand;
use ledger::LedgerCommand;
use onboard::Onboard;
use policy::PolicyCommand;
use status::{Check, Report, Status};

use crate::tone::Color;

/// Decides what waits, makes keys and freezes; tries policies, checks documents and proves audit logs.
///
/// As `kubectl mcp` it is a plugin of kubectl. Commands that work in a cluster
/// do so with the rights of whoever runs them; policy, lint, render and audit
/// read files and ask nothing of a network. Every command exits with 0 when all
/// is as it should be or what was asked for is done, 1 when it is not, and 2
/// when that could not be told.
#[derive(Debug, Parser)]
#[command(name = "tenantry", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// When the states in tables are in colour
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the changes that wait for people
    Approvals(ListApprovals),
    /// Show all of one of them
    Show(ShowApproval),
    /// Say yes to a change, in your own name
    Approve(Decision),
    /// Say no to a change, which is final
    Deny(Decision),
    /// Say what became of a change that was sent and that nobody else can tell, in your own name
    Resolve(Resolve),
    /// Take back a change that you have asked for
    Withdraw(Withdraw),
    /// Stop an organisation, a connector or an account of it
    Freeze(Freeze),
    /// Lift a freeze
    Thaw(Thaw),
    /// Make, list, revoke and replace the keys of AI clients
    Key {
        /// What with them.
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Say what agents have called and changed, and what is left of the limits
    Activity(Activity),
    /// Say what would become of a call, and why it would be refused
    Explain(Explain),
    /// Say what an edit of policies would change: whom they bind, and what of the past would have been decided otherwise
    Plan(Plan),
    /// Say how an organisation is, and what needs somebody
    Status(Status),
    /// Look whether what keeps organisations apart is there and works
    Check(Check),
    /// Put together what somebody needs who helps from afar
    Report(Report),
    /// Decide what becomes of a ledger that is not the one that was expected
    Ledger {
        /// What with it.
        #[command(subcommand)]
        command: LedgerCommand,
    },
    /// Write the whole YAML of a new organisation, to be read, kept and applied
    Onboard(Onboard),
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
    /// Write what completes this command line in a shell
    #[command(after_help = COMPLETION)]
    Completion {
        /// Which shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

const COMPLETION: &str = "\
Examples:
  source <(tenantry completion bash)
  tenantry completion zsh > \"${fpath[1]}/_tenantry\"
  tenantry completion fish > ~/.config/fish/completions/tenantry.fish

kubectl completes `kubectl mcp` by itself where this program is on the PATH as
kubectl_complete-mcp as well: ln -s tenantry /usr/local/bin/kubectl_complete-mcp";

/// The name under which kubectl calls a plugin.
const PLUGIN: &str = "kubectl-mcp";

/// The name under which it asks what completes the plugin's command line.
const COMPLETER: &str = "kubectl_complete-mcp";

/// What a person calls this program: a plugin of kubectl is called by kubectl.
pub fn program() -> &'static str {
    if is_called(PLUGIN) {
        "kubectl mcp"
    } else {
        "tenantry"
    }
}

/// Whether kubectl only asks what completes a command line.
pub fn is_completer() -> bool {
    is_called(COMPLETER)
}

fn is_called(name: &str) -> bool {
    let called = std::env::args_os().next().map(PathBuf::from);
    called.as_deref().and_then(Path::file_stem) == Some(OsStr::new(name))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
