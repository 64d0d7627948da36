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
use serde::{Deserialize, Serialize, Serializer};

use super::{AUDIT_VERSION, AuditEvent};
use crate::digest::{Digest, Hex, decode_hex};
use crate::name::Organization;
use crate::tenant::TenantConfig;

/// Lines that may follow each other unsigned. A signature costs about as much
/// as ten lines do.
pub const MOST_UNSIGNED: u32 = 100;

/// What stands before the signature, which covers every byte before this.
pub(super) const SIGNATURE_FIELD: &str = ",\"signature\":\"";

/// A line is cut down to this many bytes: container runtimes split lines of
/// 16 KiB, and half a line is no JSON.
pub const LARGEST_LINE: usize = 15 * 1024;

/// What a line of the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
}

/// One line: what all lines have, and a body.
#[derive(Serialize)]
struct Line<'l, B> {
    audit: &'static str,
    kind: Kind,
    boot_id: &'l str,
    sequence: u64,
    previous: Digest,
    time: Timestamp,
    organization: &'l Organization,
    tenant_uid: &'l str,
    #[serde(flatten)]
    body: &'l B,
}

#[derive(Serialize)]
struct Start<'s> {
    public_key: PublicKey,
    release: &'s str,
}

#[derive(Serialize)]
struct Checkpoint {
    /// Events since the start that were counted and have no line.
    suppressed_total: u64,
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
        let body = Start {
            public_key: self.public_key(),
            release,
        };
        let text = self.text(Kind::Start, identity, time, &body);
        self.append(text)
    }

    /// The line of an event, cut down where it would be too long.
    pub fn event(&mut self, identity: &Identity, event: &AuditEvent, time: Timestamp) -> Vec<u8> {
        let mut text = self.text(Kind::Event, identity, time, event);
        if text.len() >= LARGEST_LINE {
            text = self.text(Kind::Event, identity, time, &event.clone().cut());
        }
        self.append(text)
    }

    /// A line that vouches for all before it.
    pub fn checkpoint(
        &mut self,
        kind: Kind,
        identity: &Identity,
        suppressed_total: u64,
        time: Timestamp,
    ) -> Vec<u8> {
        let body = Checkpoint { suppressed_total };
        let mut text = self.text(kind, identity, time, &body);
        // The closing brace; the signature stands before it.
        text.pop();
        let signature = self.key.0.sign(&text);
        text.extend_from_slice(SIGNATURE_FIELD.as_bytes());
        text.extend_from_slice(Hex(signature.as_ref()).to_string().as_bytes());
        text.extend_from_slice(b"\"}");
        let line = self.append(text);
        self.unsigned = 0;
        line
    }

    fn text<B: Serialize>(
        &self,
        kind: Kind,
        identity: &Identity,
        time: Timestamp,
        body: &B,
    ) -> Vec<u8> {
        let line = Line {
            audit: AUDIT_VERSION,
            kind,
            boot_id: &self.boot_id,
            sequence: self.head.sequence + 1,
            previous: self.head.digest,
            time,
            organization: &identity.organization,
            tenant_uid: &identity.tenant_uid,
            body,
        };
        // INVARIANT: a struct of strings and numbers always has a JSON form.
        serde_json::to_vec(&line).unwrap_or_default()
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
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::audit::{Actor, Arguments, blank_event};

    fn chain() -> (Chain, Identity, Timestamp) {
        let identity = Identity {
            organization: Organization::parse("acme").unwrap(),
            tenant_uid: "uid".into(),
        };
        let time = "2026-06-01T12:00:00Z".parse().unwrap();
        (Chain::new("b".into(), &[7; 32]).unwrap(), identity, time)
    }

    fn read(line: &[u8]) -> Value {
        assert_eq!(
            line.iter().position(|byte| *byte == b'\n'),
            Some(line.len() - 1)
        );
        serde_json::from_slice(line).unwrap()
    }

    #[test]
    fn each_line_names_the_digest_of_the_one_before() {
        let (mut chain, identity, time) = chain();
        let start = chain.start(&identity, "0.1.0", time);
        assert_eq!(
            read(&start),
            json!({
                "audit": "v1", "kind": "start", "boot_id": "b", "sequence": 1,
                "previous": Digest::of(b""), "time": "2026-06-01T12:00:00Z",
                "organization": "acme", "tenant_uid": "uid",
                "public_key": chain.public_key().to_string(), "release": "0.1.0",
            })
        );
        let event = chain.event(&identity, &blank_event("c".into()), time);
        assert_eq!(
            read(&event),
            json!({
                "audit": "v1", "kind": "event", "boot_id": "b", "sequence": 2,
                "previous": Digest::of(&start[..start.len() - 1]), "time": "2026-06-01T12:00:00Z",
                "organization": "acme", "tenant_uid": "uid", "call_id": "c",
                "outcome": "refused", "stage": "receive", "vendor_requests": 0, "duration_ms": 0,
            })
        );
        assert_eq!(chain.unsigned(), 2);
        let checkpoint = read(&chain.checkpoint(Kind::Checkpoint, &identity, 9, time));
        assert_eq!(
            checkpoint["previous"],
            json!(Digest::of(&event[..event.len() - 1]))
        );
        assert_eq!(checkpoint["suppressed_total"], 9);
        assert_eq!(checkpoint["signature"].as_str().unwrap().len(), 128);
        assert_eq!(chain.unsigned(), 0);
    }

    #[test]
    fn no_event_makes_a_line_that_a_container_runtime_would_split() {
        let (mut chain, identity, time) = chain();
        let long = "\u{1}".repeat(100_000);
        let arguments: Map<String, Value> = (0..100)
            .map(|number| (format!("{number}{}", &long[..64]), json!(1)))
            .collect();
        let event = AuditEvent {
            actor: Some(Actor {
                key: "k".into(),
                owner: long.clone(),
                agent: Some(long.clone()),
            }),
            method: Some(long.clone()),
            tool: Some(long.clone()),
            connector: Some(long.clone()),
            account: Some(long.clone()),
            arguments: Some(Arguments::unchecked(&arguments)),
            ..blank_event("c".into())
        };
        let line = chain.event(&identity, &event, time);
        assert!(line.len() <= LARGEST_LINE, "{}", line.len());
        let line = read(&line);
        assert_eq!(line["truncated"], true);
        assert!(line["actor"]["owner"].as_str().unwrap().ends_with('…'));
        assert!(line["arguments"]["too_long"].is_number(), "{line}");
    }

    #[test]
    fn a_public_key_reads_back_as_written() {
        let key = chain().0.public_key();
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!("ed25519:00".parse::<PublicKey>(), Err(PublicKeyError));
    }
}
