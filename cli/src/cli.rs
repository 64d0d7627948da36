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
use place::Place;
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

    /// Where.
    #[command(flatten)]
    pub place: Place,
}

/// What to do. The line of the list stands at what a command takes, as the first
/// of its page: one that stood here would be all of the page.
#[derive(Debug, Subcommand)]
pub enum Command {
    Approvals(ListApprovals),
    Show(ShowApproval),
    /// Say yes to a change, in your own name
    ///
    /// A decision is made in your own name and stays. Saying the same once more
    /// changes nothing. Exits with 1 if you may not decide, or somebody else has to.
    /// With --wait also with 1 if the change is not made, and with 2 if that is not
    /// known by then; what you said is said all the same.
    #[command(after_help = approvals::APPROVE)]
    Approve(Decision),
    /// Say no to a change, which is final
    ///
    /// A decision is made in your own name and stays. Saying the same once more
    /// changes nothing. Exits with 1 if you may not decide. With --wait also with 1
    /// if the change is made all the same, and with 2 if that is not known by then.
    #[command(after_help = approvals::DENY)]
    Deny(Decision),
    Resolve(Resolve),
    Withdraw(Withdraw),
    Freeze(Freeze),
    Thaw(Thaw),
    /// Make, list, revoke and replace the keys of AI clients
    ///
    /// A key is shown once and kept nowhere: the cluster has its digest.
    Key {
        /// What with them.
        #[command(subcommand)]
        command: KeyCommand,
    },
    Activity(Activity),
    Explain(Explain),
    Plan(Plan),
    Status(Status),
    Check(Check),
    Report(Report),
    /// Decide what becomes of a ledger that is not the one that was expected
    ///
    /// A server changes nothing while its ledger is another than the one that was
    /// expected; reads and stops go on.
    Ledger {
        /// What with it.
        #[command(subcommand)]
        command: LedgerCommand,
    },
    Onboard(Onboard),
    /// Try safety policies before they are applied
    ///
    /// In files, without a cluster; `plan` holds an edit against a cluster.
    Policy {
        /// What with them.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    Lint(Lint),
    Render(Render),
    /// Prove the record of a server
    ///
    /// From its audit lines in a file, without a cluster.
    Audit {
        /// What with it.
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Write what completes this command line in a shell
    ///
    /// Prints a script to stdout, which the shell reads.
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

    /// Each command, with the words that lead to it.
    fn commands(words: &str, command: &clap::Command) -> Vec<(String, clap::Command)> {
        let below = command.get_subcommands();
        let below = below.filter(|below| below.get_name() != "help");
        let below = below.flat_map(|below| {
            let words = format!("{words} {}", below.get_name());
            commands(&words, below)
        });
        let itself = (words.to_owned(), command.clone());
        std::iter::once(itself).chain(below).collect()
    }

    fn all() -> Vec<(String, clap::Command)> {
        let mut command = Cli::command();
        command.build();
        commands("tenantry", &command)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_page_of_help_says_more_than_its_line_and_how_it_is_used() {
        for (words, mut command) in all() {
            assert!(command.get_long_about().is_some(), "{words}: only a line");
            let page = command.render_long_help().to_string();
            let is_used = command.has_subcommands() || page.contains("Examples:");
            assert!(is_used, "{words}: no example");
        }
    }

    #[test]
    fn the_pages_of_help_are_as_they_were_read() {
        let pages = all().into_iter().map(|(words, mut command)| {
            let page = command.render_long_help();
            format!("=== {words}\n{page}")
        });
        insta::assert_snapshot!("help", pages.collect::<Vec<_>>().join("\n"));
    }
}
