//! What is odd about good answers: a version that ends is served on by another
//! one, and only headers say so.

use std::sync::PoisonError;

use super::Corridor;
use super::exchange::Tally;

/// Something odd about a good answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// The vendor served another version than the connector file pins.
    #[error("the vendor served version `{served}` instead of `{pinned}`")]
    VersionDrift {
        /// The version of the connector file.
        pinned: String,
        /// The version of the answer.
        served: String,
    },
    /// The vendor says that the version will end, or has.
    #[error("the vendor warns about the version: {text}")]
    VersionEnding {
        /// What it said.
        text: String,
    },
}

impl Corridor {
    /// What was odd about the version that the vendor last served.
    pub fn alarm(&self) -> Vec<Warning> {
        let told = self.alarm.lock();
        told.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn warnings(&self, tally: &Tally) -> Vec<Warning> {
        let pinned = &self.connector.api.version;
        let served = tally
            .version_served
            .iter()
            .filter(|served| *served != pinned);
        let drift = served.map(|served| Warning::VersionDrift {
            pinned: pinned.clone(),
            served: served.clone(),
        });
        let ending = tally.version_warning.iter();
        let ending = ending.map(|text| Warning::VersionEnding { text: text.clone() });
        drift.chain(ending).collect()
    }

    /// Logs what is odd when that changes, not with every call.
    pub(super) fn tell(&self, warnings: &[Warning]) {
        let mut told = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        if *told == warnings {
            return;
        }
        for warning in warnings {
            tracing::warn!(connector = %self.connector.name, "{warning}");
        }
        if warnings.is_empty() {
            tracing::info!(connector = %self.connector.name, "the vendor serves the pinned version again");
        }
        *told = warnings.to_vec();
    }
}
