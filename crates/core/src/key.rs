//! API keys: how they are written, what the cluster keeps of them, and when
//! one is good.
//!
//! A key is `tnt_<id>_<secret><check>`: the id names its `McpApiKey`, the
//! secret is 32 random bytes in 64 hexadecimal digits, the check is a CRC-32
//! of all before it in 8 digits, so that a mistyped key and a secret scanner's
//! false alarm are told apart from a wrong key without asking anyone. The
//! cluster keeps only the SHA-256 of the secret.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::ToolClass;
use crate::digest::{Digest, Hex, decode_hex};
use crate::name::{AccountId, ConnectorName, KeyId};
use crate::reason::Reason;

const PREFIX: &str = "tnt_";
const SECRET_DIGITS: usize = 64;
const CHECK_DIGITS: usize = 8;

/// The text is not an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is not an API key of the form tnt_<id>_<72 hexadecimal digits>")]
pub struct KeyError;

/// An API key as its holder has it. It never prints its secret by accident.
#[derive(Clone)]
pub struct ApiKey {
    id: KeyId,
    secret: [u8; 32],
}

impl ApiKey {
    /// A key from 32 bytes of a cryptographic random source.
    pub fn new(id: KeyId, secret: [u8; 32]) -> Self {
        Self { id, secret }
    }

    /// Reads the written form; the check digits must be right.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (id, tail) = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('_'))
            .ok_or(KeyError)?;
        let (secret, check) = tail.split_at_checked(SECRET_DIGITS).ok_or(KeyError)?;
        let key = Self {
            id: KeyId::parse(id).map_err(|_| KeyError)?,
            secret: decode_hex(secret).ok_or(KeyError)?,
        };
        if check.len() == CHECK_DIGITS && check == key.check() {
            Ok(key)
        } else {
            Err(KeyError)
        }
    }

    /// The public id: the name of the key's `McpApiKey`.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// What the cluster keeps of the key; safe to publish.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.secret)
    }

    /// The written form, secret and all: to be shown once, to its holder.
    pub fn reveal(&self) -> String {
        format!("{}{}", self.without_check(), self.check())
    }

    fn without_check(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, Hex(&self.secret))
    }

    fn check(&self) -> String {
        format!("{:08x}", crc32(self.without_check().as_bytes()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ApiKey({}, REDACTED)", self.id)
    }
}

/// What a key may do: tools of one class, at one connector or at all of them.
/// Written `meta:read` or `*:read`. No class implies another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    connector: Option<ConnectorName>,
    class: ToolClass,
}

/// The text is not a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a scope is `<connector>:<class>` or `*:<class>`, the class one of read, write, spend, financial, destructive"
)]
pub struct ScopeError;

impl Scope {
    /// The narrowest scope that covers tools of `class` at `connector`.
    pub fn of(connector: &ConnectorName, class: ToolClass) -> Self {
        Self {
            connector: Some(connector.clone()),
            class,
        }
    }

    /// Reads the written form.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let (connector, class) = text.split_once(':').ok_or(ScopeError)?;
        let class = ToolClass::ALL
            .into_iter()
            .find(|known| known.as_str() == class)
            .ok_or(ScopeError)?;
        let connector = match connector {
            "*" => None,
            name => Some(ConnectorName::parse(name).map_err(|_| ScopeError)?),
        };
        Ok(Self { connector, class })
    }

    /// Whether a tool of `class` at `connector` is within this scope.
    pub fn covers(&self, connector: &ConnectorName, class: ToolClass) -> bool {
        self.class == class && self.connector.as_ref().is_none_or(|mine| mine == connector)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connector = self.connector.as_ref().map_or("*", ConnectorName::as_str);
        write!(out, "{connector}:{}", self.class.as_str())
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        Self::parse(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

/// What the cluster knows of a key: the meaning of an `McpApiKey`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The key's public id.
    pub id: KeyId,
    /// The Kubernetes user that answers for the key.
    pub owner: String,
    /// The program that uses it, in the owner's words.
    pub agent: Option<String>,
    /// The Kubernetes user that made it, where it says so.
    pub issued_by: Option<String>,
    /// SHA-256 of the key's secret.
    pub digest: Digest,
    /// What the key may do; none means nothing.
    pub scopes: Vec<Scope>,
    /// The accounts it may touch; `None` means all that the tenant has.
    pub accounts: Option<Vec<AccountId>>,
    /// Before this it is not good yet.
    pub not_before: Option<Timestamp>,
    /// From this on it is no longer good.
    pub expires_at: Option<Timestamp>,
    /// Revoked, for good.
    pub disabled: bool,
}

impl KeyRecord {
    /// Whether `key` is this record's key and good at `now`. The reasons say
    /// more only to somebody who holds the right secret.
    pub fn admit(&self, key: &ApiKey, now: Timestamp) -> Result<(), Reason> {
        if key.id != self.id || key.digest() != self.digest {
            return Err(Reason::KeyUnknown);
        }
        self.standing(now)
    }

    /// Whether the key is good at `now`, whoever shows it.
    pub fn standing(&self, now: Timestamp) -> Result<(), Reason> {
        if self.disabled {
            return Err(Reason::KeyRevoked);
        }
        if self.not_before.is_some_and(|start| now < start) {
            return Err(Reason::KeyNotYetValid);
        }
        if self.expires_at.is_some_and(|end| now >= end) {
            return Err(Reason::KeyExpired);
        }
        Ok(())
    }
}

/// CRC-32 (IEEE 802.3), bit by bit: a key has 110 characters at most.
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    });
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKey {
        ApiKey::new(KeyId::parse("demo").unwrap(), [7; 32])
    }

    fn record() -> KeyRecord {
        KeyRecord {
            id: KeyId::parse("demo").unwrap(),
            owner: "alice".into(),
            agent: None,
            issued_by: None,
            digest: key().digest(),
            scopes: vec![],
            accounts: None,
            not_before: None,
            expires_at: None,
            disabled: false,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_reads_back_as_written() {
        let text = key().reveal();
        let read = ApiKey::parse(&text).unwrap();
        assert_eq!(read.id().as_str(), "demo");
        assert_eq!(read.digest(), key().digest());
        assert_eq!(read.reveal(), text);
    }

    #[test]
    fn every_single_character_matters() {
        let text = key().reveal();
        for position in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[position] = if bytes[position] == b'0' { b'1' } else { b'0' };
            let mistyped = String::from_utf8(bytes).unwrap();
            assert!(ApiKey::parse(&mistyped).is_err(), "{mistyped}");
        }
        for bad in [
            "",
            "tnt_",
            "tnt_demo",
            "tnt_demo_",
            "Bearer x",
            "tnt_demo_é",
        ] {
            assert!(ApiKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_does_not_print_its_secret() {
        assert_eq!(format!("{:?}", key()), "ApiKey(demo, REDACTED)");
    }

    #[test]
    fn the_check_is_the_common_crc32() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_key_is_good_between_its_dates_unless_disabled() {
        let now = at("2026-06-01T00:00:00Z");
        assert_eq!(record().admit(&key(), now), Ok(()));
        let disabled = KeyRecord {
            disabled: true,
            ..record()
        };
        assert_eq!(disabled.admit(&key(), now), Err(Reason::KeyRevoked));
        let early = KeyRecord {
            not_before: Some(at("2026-06-01T00:00:01Z")),
            ..record()
        };
        assert_eq!(early.admit(&key(), now), Err(Reason::KeyNotYetValid));
        let late = KeyRecord {
            expires_at: Some(now),
            ..record()
        };
        assert_eq!(late.admit(&key(), now), Err(Reason::KeyExpired));
    }

    #[test]
    fn a_wrong_secret_learns_nothing_of_the_record() {
        let wrong = ApiKey::new(KeyId::parse("demo").unwrap(), [8; 32]);
        let disabled = KeyRecord {
            disabled: true,
            ..record()
        };
        let now = at("2026-06-01T00:00:00Z");
        assert_eq!(disabled.admit(&wrong, now), Err(Reason::KeyUnknown));
    }

    #[test]
    fn a_scope_covers_its_class_and_connector_alone() {
        let meta = ConnectorName::parse("meta").unwrap();
        let google = ConnectorName::parse("google").unwrap();
        let scope = Scope::parse("meta:read").unwrap();
        assert!(scope.covers(&meta, ToolClass::Read));
        assert!(!scope.covers(&google, ToolClass::Read));
        assert!(!scope.covers(&meta, ToolClass::Write));
        assert!(
            Scope::parse("*:read")
                .unwrap()
                .covers(&google, ToolClass::Read)
        );
        for bad in [
            "",
            "meta",
            "meta:",
            ":read",
            "meta:Read",
            "meta:all",
            "*:*",
            "meta :read",
        ] {
            assert_eq!(Scope::parse(bad), Err(ScopeError), "{bad}");
        }
    }
}
