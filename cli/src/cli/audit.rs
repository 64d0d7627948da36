//! The record of a server.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tenantry_core::digest::Digest;

/// What to do with the record. What it is for stands at what it takes.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    Verify(AuditVerify),
}

/// Say whether the audit lines of a server are as it wrote them
///
/// The file holds the lines of one process from its start, as text and to the
/// byte. The first line that was edited, deleted, inserted, swapped or forked is
/// named; what cannot be known without a public key or a head is said. Exits with 1 if
/// a line is not as it was written, and with 2 if the file cannot be read.
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
