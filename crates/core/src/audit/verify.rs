//! Proving a chain: what its lines say of each other, and what a key or a head
//! that was kept elsewhere says of them.

pub mod changes;

use std::fmt;

use serde_json::Value;

use super::chain::{Head, Kind, MOST_UNSIGNED, PublicKey, SIGNATURE_END, SIGNATURE_FIELD};
use super::read::AuditLine;
use crate::digest::{Digest, decode_hex};
use crate::strict_json;
use changes::{Changes, ChangesProof};

/// What is known of a process from elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// Its public key, from the status of `McpServer`. Without it the lines are
    /// only held against the key that they name themselves.
    pub public_key: Option<PublicKey>,
    /// The digest of a line that its chain had come to. Without it, and without
    /// an end, the last lines may be missing.
    pub head: Option<Digest>,
}

/// What the lines of one process prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The process.
    pub boot_id: String,
    /// The key that signed.
    pub public_key: PublicKey,
    /// The last line.
    pub head: Head,
    /// The last line that a signature vouches for.
    pub signed_to: u64,
    /// Whether the key is one that was known from elsewhere.
    pub is_trusted: bool,
    /// Whether the last line is the signed end of the process.
    pub has_ended: bool,
    /// Whether it is known that nothing is missing at the end.
    pub is_complete: bool,
    /// What its lines of changes prove, if it brought any out.
    pub changes: Option<ChangesProof>,
}

/// Why lines are not the chain of one process, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenChain {
    /// There are no lines.
    #[error("there are no lines")]
    Empty,
    /// A line is not one of the audit stream.
    #[error("line {line} is not an audit line")]
    Unreadable {
        /// Which, from 1.
        line: u64,
    },
    /// The first line is not the start of a process.
    #[error("the start of the process is missing")]
    NoStart,
    /// The process is not the one whose key is known.
    #[error("the lines name the key `{found}`, not the known one")]
    ForeignKey {
        /// Which key they name.
        found: PublicKey,
    },
    /// A line does not follow the one before.
    #[error("line {line} does not follow the one before it")]
    Torn {
        /// Which, from 1.
        line: u64,
    },
    /// A signature is missing or not the key's.
    #[error("line {line} is not signed by the key of its process")]
    Signature {
        /// Which, from 1.
        line: u64,
    },
    /// More lines follow each other unsigned than a server writes.
    #[error("up to line {line} a signature is missing")]
    Unsigned {
        /// Which, from 1.
        line: u64,
    },
    /// A line stands behind the end.
    #[error("line {line} stands behind the end")]
    AfterEnd {
        /// Which, from 1.
        line: u64,
    },
    /// The known head is not among the lines.
    #[error("the known head, {head}, is not among the lines")]
    HeadMissing {
        /// Its digest.
        head: Digest,
    },
}

/// Verifies the lines of one process, from its start, each without its end of
/// line.
pub fn verify<'l>(
    lines: impl IntoIterator<Item = &'l [u8]>,
    known: Known,
) -> Result<Proof, BrokenChain> {
    let mut verifier = Verifier::new(known);
    for line in lines {
        verifier.read(line)?;
    }
    verifier.finish()
}

/// The reading end of a chain, line by line.
#[derive(Debug, Clone)]
pub struct Verifier {
    known: Known,
    process: Option<Process>,
    head: Head,
    signed_to: u64,
    has_met_head: bool,
    has_ended: bool,
    /// Lines read, of either chain.
    lines: u64,
    changes: Changes,
}

#[derive(Debug, Clone)]
struct Process {
    boot_id: String,
    public_key: PublicKey,
}

/// What every line says of itself.
struct Claim<'l> {
    kind: Kind,
    boot_id: &'l str,
    follows: Head,
}

impl Verifier {
    /// Before the first line.
    pub fn new(known: Known) -> Self {
        Self {
            known,
            process: None,
            head: Head::before_all(),
            signed_to: 0,
            has_met_head: false,
            has_ended: false,
            lines: 0,
            changes: Changes::default(),
        }
    }

    /// Takes the next line.
    pub fn read(&mut self, text: &[u8]) -> Result<(), BrokenChain> {
        self.lines += 1;
        let line = self.lines;
        let sequence = self.head.sequence + 1;
        if self.has_ended {
            return Err(BrokenChain::AfterEnd { line });
        }
        let value = strict_json::parse(text).map_err(|_| BrokenChain::Unreadable { line })?;
        if self.changes.read(text, &value, line)? {
            return Ok(());
        }
        let claim = Claim::of(&value).ok_or(BrokenChain::Unreadable { line })?;
        let process = match self.process.take() {
            None => self.begin(&claim, &value)?,
            Some(process) => process,
        };
        let follows = claim.follows == self.head && claim.boot_id == process.boot_id;
        if !follows || (claim.kind == Kind::Start) != (sequence == 1) {
            return Err(BrokenChain::Torn { line });
        }
        if matches!(claim.kind, Kind::Checkpoint | Kind::End) {
            check_signature(text, &process.public_key).ok_or(BrokenChain::Signature { line })?;
            self.changes
                .is_vouched_for(&value)
                .ok_or(BrokenChain::Torn { line })?;
            self.signed_to = sequence;
            self.has_ended = claim.kind == Kind::End;
        } else if sequence - self.signed_to > MOST_UNSIGNED.into() {
            return Err(BrokenChain::Unsigned { line });
        }
        self.head = Head {
            sequence,
            digest: Digest::of(text),
        };
        self.has_met_head |= self.known.head == Some(self.head.digest);
        self.process = Some(process);
        Ok(())
    }

    /// What was proven.
    pub fn finish(self) -> Result<Proof, BrokenChain> {
        let process = self.process.ok_or(BrokenChain::Empty)?;
        if let Some(head) = self.known.head
            && !self.has_met_head
        {
            return Err(BrokenChain::HeadMissing { head });
        }
        let is_trusted = self.known.public_key.is_some();
        Ok(Proof {
            boot_id: process.boot_id,
            public_key: process.public_key,
            head: self.head,
            signed_to: self.signed_to,
            is_trusted,
            has_ended: self.has_ended,
            is_complete: self.known.head == Some(self.head.digest)
                || (is_trusted && self.has_ended),
            changes: self.changes.finish(),
        })
    }

    fn begin(&self, claim: &Claim<'_>, value: &Value) -> Result<Process, BrokenChain> {
        if claim.kind != Kind::Start {
            return Err(BrokenChain::NoStart);
        }
        let public_key: PublicKey = AuditLine::of(value)
            .and_then(|line| line.own("public_key")?.as_str())
            .and_then(|text| text.parse().ok())
            .ok_or(BrokenChain::NoStart)?;
        if self
            .known
            .public_key
            .is_some_and(|known| known != public_key)
        {
            return Err(BrokenChain::ForeignKey { found: public_key });
        }
        Ok(Process {
            boot_id: claim.boot_id.to_owned(),
            public_key,
        })
    }
}

impl<'l> Claim<'l> {
    fn of(value: &'l Value) -> Option<Self> {
        let line = AuditLine::of(value)?;
        Some(Self {
            kind: Kind::parse(line.kind()?)?,
            boot_id: line.own("boot_id")?.as_str()?,
            follows: line.follows()?,
        })
    }
}

/// The signature is the last of our own facts, and covers every byte before
/// itself.
fn check_signature(text: &[u8], key: &PublicKey) -> Option<()> {
    let text = std::str::from_utf8(text).ok()?;
    let (signed, rest) = text.rsplit_once(SIGNATURE_FIELD)?;
    let signature = decode_hex(rest.strip_suffix(SIGNATURE_END)?)?;
    key.has_signed(signed.as_bytes(), &signature).then_some(())
}

/// In one sentence, for whoever asked.
impl fmt::Display for Proof {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            boot_id,
            head,
            signed_to,
            ..
        } = self;
        let last = head.sequence;
        if self.is_complete {
            write!(out, "process {boot_id}: complete, {last} lines")?;
        } else {
            write!(
                out,
                "process {boot_id}: consistent prefix to sequence {last}"
            )?;
        }
        write!(out, ", signed to {signed_to}")?;
        if self.is_trusted {
            return Ok(());
        }
        out.write_str("; the key is the lines' own word, compare it with the server's status")
    }
}

#[cfg(test)]
#[path = "verify/tests.rs"]
mod tests;
