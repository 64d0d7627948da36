//! What becomes of a ledger that is not the one that was expected.

use clap::{Args, Subcommand};

/// What to do with a ledger. What it is for stands at what it takes.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    Accept(AcceptLedger),
}

/// Accept the ledger that was found in the place of the one that was expected
///
/// Without a word it says what was found, what was expected, and the word that
/// accepts it, and exits with 1: nothing was accepted.
#[derive(Debug, Args)]
#[command(after_help = ACCEPT)]
pub struct AcceptLedger {
    /// The word that names what was found and what was expected
    #[arg(value_name = "WORD")]
    pub word: Option<String>,
}

const ACCEPT: &str = "\
Examples:
  tenantry ledger accept -n acme";
