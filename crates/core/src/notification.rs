//! Who hears of what happens, beside those who ask: the places, and the kinds of
//! things that are told there. Where a place is and how to sign for it is in a
//! Secret, of which nothing is known here. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::name::DestinationName;

/// A place that hears of what happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Destination {
    /// By which it is known here, and under which its Secret is found.
    pub name: DestinationName,
    /// What is told there; something.
    pub occasions: BTreeSet<Occasion>,
}

/// A kind of thing that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Occasion {
    /// A change waits for people.
    Pending,
    /// It waits no more: they agreed or did not, nobody did in time, or it was
    /// taken back.
    Decided,
    /// What became of a change that was on its way.
    Executed,
    /// A policy denied a change.
    Denied,
    /// A vendor does not take its credentials any more.
    ReconnectNeeded,
}

impl Occasion {
    /// Every one there is.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Decided,
        Self::Executed,
        Self::Denied,
        Self::ReconnectNeeded,
    ];

    /// The word in forms, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Decided => "Decided",
            Self::Executed => "Executed",
            Self::Denied => "Denied",
            Self::ReconnectNeeded => "ReconnectNeeded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_an_occasion_is_the_one_in_a_contract() {
        for occasion in Occasion::ALL {
            let word = serde_json::to_value(occasion).unwrap();
            assert_eq!(word, occasion.as_str());
        }
    }
}
