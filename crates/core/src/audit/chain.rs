//! The chain that ties the lines of one process together (WRITES §10): each
//! line names the digest of the one before, and now and then one is signed,
//! which vouches for all before it. Pure; time and the key's seed are told.
//!
//! The digest is that of the line's own bytes, without its end of line, so
//! whoever keeps the lines as text can prove them. The reading side is
//! `audit::verify`.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Serialize, Serializer};

use super::AuditEvent;
use super::line::Place;
use crate::digest::{Digest, Hex, decode_hex};
use crate::name::Organization;
use crate::tenant::TenantConfig;

/// Lines that may follow each other unsigned. A signature costs about as much
/// as ten lines do.
pub const MOST_UNSIGNED: u32 = 100;

/// What stands before the signature, which covers every byte before this.
pub(super) const SIGNATURE_FIELD: &str = ",\"signature\":\"";

/// What stands behind it: it is the last of our own facts.
pub(super) const SIGNATURE_END: &str = "\"}}";

/// A line is cut down to this many bytes: container runtimes split lines of
/// 16 KiB, and half a line is no JSON.
pub const LARGEST_LINE: usize = 15 * 1024;

/// What a line of the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The first line of a process; it names the key of its signatures.
    Start,
    /// Something happened.
    Event,
    /// All before it is vouched for.
    Checkpoint,
    /// The same, and nothing comes after it.
    End,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Start, Self::Event, Self::Checkpoint, Self::End];

    /// The word in a line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Event => "event",
            Self::Checkpoint => "checkpoint",
            Self::End => "end",
        }
    }

    /// Reads the word.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Whose server it is, in every line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The organisation.
    pub organization: Organization,
    /// The UID of the `McpTenant`.
    pub tenant_uid: String,
}

/// The key that a process signs with: made at its start, never kept.
struct SigningKey(Ed25519KeyPair);

/// What its signatures are checked with; written `ed25519:<64 hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// The text is not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key is `ed25519:` and 64 lower-case hexadecimal digits")]
pub struct PublicKeyError;

/// The place that a chain has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The number of its last line; 0 before the first.
    pub sequence: u64,
    /// The digest of that line.
    pub digest: Digest,
}

/// The writing end of a chain.
pub struct Chain {
    boot_id: String,
    key: SigningKey,
    head: Head,
    unsigned: u32,
    changes: Option<Digest>,
}

impl Identity {
    /// The identity of that tenant's server.
    pub fn of(tenant: &TenantConfig) -> Self {
        Self {
            organization: tenant.organization.clone(),
            // A UID has 36; in every line there is room for no more than this.
            tenant_uid: tenant.tenant_uid.chars().take(128).collect(),
        }
    }
}

impl Head {
    /// Before the first line.
    pub fn before_all() -> Self {
        Self {
            sequence: 0,
            digest: Digest::of(b""),
        }
    }
}

impl Chain {
    /// A chain without lines. `seed` comes from a cryptographic random source.
    /// `None` if no key can be made of it.
    pub fn new(boot_id: String, seed: &[u8; 32]) -> Option<Self> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        Some(Self {
            boot_id,
            key: SigningKey(key),
            head: Head::before_all(),
            unsigned: 0,
            changes: None,
        })
    }

    /// What its signatures are checked with.
    pub fn public_key(&self) -> PublicKey {
        // An Ed25519 key has 32 bytes.
        PublicKey(
            self.key
                .0
                .public_key()
                .as_ref()
                .try_into()
                .unwrap_or([0; 32]),
        )
    }

    /// Whether the first line has been written.
    pub fn has_begun(&self) -> bool {
        self.head.sequence > 0
    }

    /// The number of the last line.
    pub fn sequence(&self) -> u64 {
        self.head.sequence
    }

    /// Lines since the last signature.
    pub fn unsigned(&self) -> u32 {
        self.unsigned
    }

    /// The first line.
    pub fn start(&mut self, identity: &Identity, release: &str, time: Timestamp) -> Vec<u8> {
        let place = self.place(Kind::Start, identity, time);
        let text = place.start(self.public_key(), release);
        self.append(text)
    }

    /// The line of an event, cut down where it would be too long.
    pub fn event(&mut self, identity: &Identity, event: &AuditEvent, time: Timestamp) -> Vec<u8> {
        let place = self.place(Kind::Event, identity, time);
        let mut text = place.call(event);
        if text.len() >= LARGEST_LINE {
            text = place.call(&event.clone().cut());
        }
        self.append(text)
    }

    /// The line of a ledger that last stood between these lines: signatures
    /// cover it, and by its chain all before it.
    pub fn brought(&mut self, line: &[u8]) {
        self.changes = Some(Digest::of(line));
    }

    /// A line that vouches for all before it.
    pub fn checkpoint(
        &mut self,
        kind: Kind,
        identity: &Identity,
        suppressed_total: u64,
        time: Timestamp,
    ) -> Vec<u8> {
        let place = self.place(kind, identity, time);
        let mut text = place.unsigned_checkpoint(suppressed_total, self.changes);
        let signature = self.key.0.sign(&text);
        text.extend_from_slice(SIGNATURE_FIELD.as_bytes());
        text.extend_from_slice(Hex(signature.as_ref()).to_string().as_bytes());
        text.extend_from_slice(SIGNATURE_END.as_bytes());
        let line = self.append(text);
        self.unsigned = 0;
        line
    }

    fn place<'l>(&'l self, kind: Kind, identity: &'l Identity, time: Timestamp) -> Place<'l> {
        Place {
            kind,
            boot_id: &self.boot_id,
            head: self.head,
            identity,
            time,
        }
    }

    fn append(&mut self, mut text: Vec<u8>) -> Vec<u8> {
        self.head = Head {
            sequence: self.head.sequence + 1,
            digest: Digest::of(&text),
        };
        self.unsigned += 1;
        text.push(b'\n');
        text
    }
}

impl PublicKey {
    /// Whether `signature` is this key's, of `message`.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(message, signature)
            .is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ed25519:{}", Hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let hex = text.strip_prefix("ed25519:").ok_or(PublicKeyError)?;
        decode_hex(hex).map(Self).ok_or(PublicKeyError)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
#[path = "chain/tests.rs"]
mod tests;
