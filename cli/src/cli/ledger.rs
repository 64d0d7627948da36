//! What becomes of a ledger that is not the one that was expected.

use clap::{Args, Subcommand};

use super::place::Place;

/// What to do with a ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Accept the ledger that was found in the place of the one that was expected
    Accept(AcceptLedger),
}

/// `tenantry ledger accept`.
///
/// Without a word it says what was found, what was expected, and the word that
/// accepts it.
#[derive(Debug, Args)]
pub struct AcceptLedger {
    /// Where.
    #[command(flatten)]
    pub place: Place,

    /// The word that names what was found and what was expected
    #[arg(value_name = "WORD")]
    pub word: Option<String>,
}
