//! Which ledger an organisation has and how far it has come, as it is kept
//! outside of it: so that a lost, older or foreign one is noticed (WRITES §9).
//! Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Characters of a word of acceptance.
const WORD: usize = 16;

/// A ledger's name, made with it and never changed. 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LedgerId(String);

/// A ledger's high-water mark: what was last known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LedgerMark {
    /// The ledger.
    pub id: LedgerId,
    /// How often it had been opened, each opening being one more.
    pub epoch: u64,
    /// The number of the last line of its chain.
    pub sequence: u64,
    /// That line's digest.
    pub digest: Digest,
}

/// The mark of a ledger that its server trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The ledger.
    pub mark: LedgerMark,
    /// The mark that was expected when people accepted it, if they ever did.
    pub instead_of: Option<LedgerMark>,
}

impl LedgerId {
    /// A name made of randomness.
    pub fn of_random(bytes: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bytes)))
    }

    /// A name as it was kept.
    pub fn kept(text: String) -> Self {
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

impl LedgerMark {
    /// What is known of the organisation's ledger after a server has `told` of
    /// it. It only moves forward; another ledger, or an earlier state of the
    /// same, takes its place only if people accepted that over the known one, or
    /// if that has no history.
    pub fn after(known: Option<Self>, told: Told) -> Self {
        // One without a line has nothing that could be lost.
        let Some(known) = known.filter(|known| known.sequence > 0) else {
            return told.mark;
        };
        let was_accepted = told
            .instead_of
            .is_some_and(|over| over.id == known.id && over.reach() >= known.reach());
        let moved_on = told.mark.id == known.id && told.mark.reach() >= known.reach();
        if moved_on || was_accepted {
            told.mark
        } else {
            known
        }
    }

    /// The word by which people accept, in the place of this, the ledger that
    /// was found. It is good for nothing else: once a change was made, another
    /// mark is expected.
    pub fn acceptance_of(&self, found: &LedgerId) -> String {
        let Self {
            id,
            epoch,
            sequence,
            digest,
        } = self;
        let both = format!("{id}:{epoch}:{sequence}:{digest}:{found}");
        let digest = Digest::of(both.as_bytes()).to_string();
        digest.chars().skip("sha256:".len()).take(WORD).collect()
    }

    /// Whether a text has the form of such a word: it comes from a server, and
    /// people paste it into a shell.
    pub fn is_acceptance(text: &str) -> bool {
        let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        text.len() == WORD && text.chars().all(is_digit)
    }

    fn reach(&self) -> (u64, u64) {
        (self.sequence, self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(id: u8, epoch: u64, sequence: u64) -> LedgerMark {
        LedgerMark {
            id: LedgerId::of_random([id; 16]),
            epoch,
            sequence,
            digest: Digest::of(&sequence.to_be_bytes()),
        }
    }

    fn after(known: Option<LedgerMark>, told: LedgerMark, over: Option<LedgerMark>) -> LedgerMark {
        let told = Told {
            mark: told,
            instead_of: over,
        };
        LedgerMark::after(known, told)
    }

    #[test]
    fn it_only_moves_forward() {
        assert_eq!(after(None, mark(1, 1, 5), None), mark(1, 1, 5));
        assert_eq!(
            after(Some(mark(2, 1, 0)), mark(1, 1, 0), None),
            mark(1, 1, 0)
        );
        let known = Some(mark(1, 2, 5));
        for further in [mark(1, 2, 5), mark(1, 2, 6), mark(1, 3, 5)] {
            assert_eq!(after(known.clone(), further.clone(), None), further);
        }
        for behind in [mark(1, 2, 4), mark(1, 1, 5), mark(2, 9, 9)] {
            assert_eq!(after(known.clone(), behind, None), mark(1, 2, 5));
        }
    }

    #[test]
    fn what_people_accepted_takes_the_place_of_what_was_known_then() {
        let (known, new) = (mark(1, 2, 5), mark(2, 1, 1));
        let accepted = |over| after(Some(known.clone()), new.clone(), Some(over));
        // The server may have expected more than was known here.
        assert_eq!(accepted(mark(1, 2, 5)), new);
        assert_eq!(accepted(mark(1, 2, 9)), new);
        // What has gone on since nobody accepted anything over.
        assert_eq!(accepted(mark(1, 2, 4)), known);
        assert_eq!(accepted(mark(3, 9, 9)), known);
        let older = mark(1, 3, 3);
        assert_eq!(
            after(Some(known.clone()), older.clone(), Some(known)),
            older
        );
    }

    #[test]
    fn an_acceptance_is_of_one_ledger_over_one_mark() {
        let found = LedgerId::of_random([2; 16]);
        let word = mark(1, 2, 5).acceptance_of(&found);
        assert!(LedgerMark::is_acceptance(&word));
        for other in [
            "",
            "0; curl x|sh #",
            "0123456789abcdeF",
            "0123456789abcdef0",
        ] {
            assert!(!LedgerMark::is_acceptance(other), "{other}");
        }
        assert_eq!(word.len(), 16);
        assert_eq!(mark(1, 2, 5).acceptance_of(&found), word);
        assert_ne!(mark(1, 2, 6).acceptance_of(&found), word);
        assert_ne!(mark(1, 3, 5).acceptance_of(&found), word);
        let other = LedgerId::of_random([3; 16]);
        assert_ne!(mark(1, 2, 5).acceptance_of(&other), word);
    }
}
