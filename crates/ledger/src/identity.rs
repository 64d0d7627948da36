//! Which book this is, how far it has come, and whether it is the one that was
//! expected (WRITES §9). Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use tenantry_core::audit::chain::Head;
use tenantry_core::digest::Digest;
use tenantry_core::ledger_mark::{LedgerId, LedgerMark};
use tenantry_core::name::Organization;

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
    pub accepted_over: Option<&'f LedgerMark>,
}

impl Recognition {
    /// Whether changes may begin.
    pub fn is_trusted(self) -> bool {
        matches!(self, Self::Unexpecting | Self::Same | Self::Accepted)
    }

    pub(crate) fn of(found: &Found<'_>, expected: Option<&LedgerMark>) -> Self {
        let Some(expected) = expected else {
            return Self::Unexpecting;
        };
        if found.accepted_over == Some(expected) {
            return Self::Accepted;
        }
        if found.id != &expected.id {
            return match (found.head.sequence, expected.sequence) {
                // One that has no line takes the place of one that had none.
                (0, 0) => Self::Same,
                (0, _) => Self::Empty,
                _ => Self::Foreign,
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
