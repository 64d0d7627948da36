//! What a log proves, what breaks it, and what nobody can tell: a text for
//! people, JSON for programs.

use std::fmt;

use serde::Serialize;
use tenantry_core::audit::chain::PublicKey;
use tenantry_core::audit::verify::{BrokenChain, Known, Proof};

const NO_KEY: &str = "whose signatures these are: no public key was given, and the one in the lines is their own word; compare it with McpServer status.replicas[].auditPublicKey, or give that with --public-key";
const NO_HEAD: &str = "whether lines are missing at the end: there is no signed end, and no head was given; give the digest of the last line that was kept elsewhere with --head";
const BEYOND_HEAD: &str =
    "whether lines are missing at the end: they go on after the head, without a signed end";

/// What was found out, in the form for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    file: String,
    is_consistent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<Break>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Proven>,
    /// What nobody can tell without more to hold the lines against.
    unknown: Vec<String>,
}

/// The first place where the lines are not what a server wrote.
#[derive(Serialize)]
struct Break {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    reason: String,
    meaning: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Proven {
    boot_id: String,
    public_key: PublicKey,
    is_key_known: bool,
    lines: u64,
    head: String,
    signed_to: u64,
    is_complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<ProvenChanges>,
}

/// What the lines of the ledger prove.
#[derive(Serialize)]
struct ProvenChanges {
    ledger: String,
    first: u64,
    last: u64,
    head: String,
}

impl Report {
    /// What `verdict` means where that much is known.
    pub fn of(file: String, verdict: Result<Proof, BrokenChain>, known: Known) -> Self {
        let mut unknown = Vec::new();
        if known.public_key.is_none() {
            unknown.push(NO_KEY.to_owned());
        }
        let (proof, broken) = match verdict {
            Ok(proof) => {
                unknown.extend(unproven(&proof, known));
                (Some(Proven::of(&proof)), None)
            }
            Err(broken) => (None, Some(Break::of(&broken))),
        };
        Self {
            file,
            is_consistent: broken.is_none(),
            broken,
            proof,
            unknown,
        }
    }
}

/// What the lines leave open.
fn unproven(proof: &Proof, known: Known) -> Vec<String> {
    let mut unknown = Vec::new();
    if !proof.is_complete && !proof.has_ended {
        let what = if known.head.is_some() {
            BEYOND_HEAD
        } else {
            NO_HEAD
        };
        unknown.push(what.to_owned());
    }
    let last = proof.head.sequence;
    // A head that was kept elsewhere vouches for all before it as well.
    if !proof.is_complete && proof.signed_to < last {
        let first = proof.signed_to + 1;
        unknown.push(format!(
            "whether lines {first} to {last} are true: no signature stands behind them yet"
        ));
    }
    unknown
}

impl Proven {
    fn of(proof: &Proof) -> Self {
        Self {
            boot_id: proof.boot_id.clone(),
            public_key: proof.public_key,
            is_key_known: proof.is_trusted,
            lines: proof.head.sequence,
            head: proof.head.digest.to_string(),
            signed_to: proof.signed_to,
            is_complete: proof.is_complete,
            changes: proof.changes.as_ref().map(|changes| ProvenChanges {
                ledger: changes.ledger.clone(),
                first: changes.first,
                last: changes.head.sequence,
                head: changes.head.digest.to_string(),
            }),
        }
    }
}

impl Break {
    fn of(broken: &BrokenChain) -> Self {
        let (line, meaning) = match broken {
            BrokenChain::Empty => (None, "everything was cut off, or this is another file"),
            BrokenChain::Unreadable { line } => (
                Some(*line),
                "it was edited or cut, or something else was put between the lines",
            ),
            BrokenChain::NoStart => (
                Some(1),
                "lines before it were deleted, or the file begins in the middle of a process",
            ),
            BrokenChain::ForeignKey { .. } => (
                Some(1),
                "somebody else wrote the log, or the key is that of another process: each has one of its own",
            ),
            BrokenChain::Torn { line } => (
                Some(*line),
                "the line before it was edited, or a line was deleted, inserted or swapped there; or another process begins, whose lines go into a file of their own",
            ),
            BrokenChain::Signature { line } => (
                Some(*line),
                "a line since the last signature was changed and the chain written anew, or the log was forked there",
            ),
            BrokenChain::Unsigned { line } => (
                Some(*line),
                "a signed line was deleted and the chain written anew",
            ),
            BrokenChain::AfterEnd { line } => (
                Some(*line),
                "a line was added; or another process begins, whose lines go into a file of their own",
            ),
            BrokenChain::HeadMissing { .. } => (
                None,
                "lines were cut off at the end, or the log was written anew; or the head is that of another process",
            ),
        };
        Self {
            line,
            reason: broken.to_string(),
            meaning,
        }
    }
}

/// For people.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = &self.file;
        if let Some(broken) = &self.broken {
            write!(out, "{file}")?;
            if let Some(line) = broken.line {
                write!(out, ":{line}")?;
            }
            writeln!(out, ": broken: {}\n  {}", broken.reason, broken.meaning)?;
        }
        if let Some(proof) = &self.proof {
            if proof.is_complete {
                writeln!(out, "{file}: complete")?;
            } else {
                let last = proof.lines;
                writeln!(out, "{file}: consistent prefix to sequence {last}")?;
            }
            write!(out, "{proof}")?;
        }
        for unknown in &self.unknown {
            writeln!(out, "  not known: {unknown}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Proven {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = if self.is_key_known {
            "known"
        } else {
            "not checked"
        };
        writeln!(out, "  process    {}", self.boot_id)?;
        writeln!(out, "  key        {} ({known})", self.public_key)?;
        writeln!(
            out,
            "  lines      {}, signed to {}",
            self.lines, self.signed_to
        )?;
        writeln!(out, "  head       {}", self.head)?;
        let Some(changes) = &self.changes else {
            return Ok(());
        };
        let ProvenChanges {
            ledger,
            first,
            last,
            head,
        } = changes;
        writeln!(out, "  changes    {first} to {last} of ledger {ledger}")?;
        writeln!(out, "  their head {head}")
    }
}
