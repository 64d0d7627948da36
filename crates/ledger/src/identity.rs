//! Which book this is, how far it has come, and whether it is the one that was
//! expected (WRITES §9). Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use tenantry_core::audit::chain::Head;
use tenantry_core::digest::Digest;
use tenantry_core::name::Organization;

/// A ledger's name, made with it and never changed. 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LedgerId(String);

/// Which ledger, and which opening of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Identity {
    /// The ledger.
    pub id: LedgerId,
    /// Whose it is.
    pub organization: Organization,
    /// How often it has been opened, this time included; so no two processes
    /// have the same.
    pub epoch: u64,
}

/// What was last reported of a ledger, and kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Expected {
    /// The ledger.
    pub id: LedgerId,
    /// Its last known opening.
    pub epoch: u64,
    /// The last line of its chain.
    pub sequence: u64,
    /// That line's digest.
    pub digest: Digest,
}

/// How the book that was found stands to the one that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognition {
    /// None was expected.
    Unexpecting,
    /// It is the one.
    Same,
    /// It has no history, and one was expected.
    Empty,
    /// It is another one.
    Foreign,
    /// It is the one at an earlier time, or has gone another way since.
    Older,
    /// People accepted it in the place of the expected one.
    Accepted,
}

/// What a recognition looks at.
pub(crate) struct Found<'f> {
    pub id: &'f LedgerId,
    pub epoch: u64,
    pub head: Head,
    /// The digest of the line that has the expected sequence, if it is kept.
    pub digest_there: Option<Digest>,
    /// What it was accepted in the place of.
    pub accepted_over: Option<&'f Expected>,
}

impl LedgerId {
    /// A name made of randomness.
    pub fn of_random(bytes: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bytes)))
    }

    /// A name as it was kept.
    pub(crate) fn kept(text: String) -> Self {
        Self(text)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Recognition {
    /// Whether changes may begin.
    pub fn is_trusted(self) -> bool {
        matches!(self, Self::Unexpecting | Self::Same | Self::Accepted)
    }

    pub(crate) fn of(found: &Found<'_>, expected: Option<&Expected>) -> Self {
        let Some(expected) = expected else {
            return Self::Unexpecting;
        };
        if found.accepted_over == Some(expected) {
            return Self::Accepted;
        }
        if found.id != &expected.id {
            let has_history = found.head.sequence > 0;
            return if has_history {
                Self::Foreign
            } else {
                Self::Empty
            };
        }
        // A line that is not kept any more was emitted long ago; its digest was
        // compared when it was younger.
        let goes_another_way = found
            .digest_there
            .is_some_and(|digest| digest != expected.digest);
        let is_behind = found.head.sequence < expected.sequence || found.epoch < expected.epoch;
        if is_behind || goes_another_way {
            Self::Older
        } else {
            Self::Same
        }
    }
}

impl fmt::Display for Recognition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Unexpecting => "none was expected",
            Self::Same => "it is the one",
            Self::Empty => "it is empty",
            Self::Foreign => "it is another one",
            Self::Older => "it is older",
            Self::Accepted => "it was accepted",
        })
    }
}
