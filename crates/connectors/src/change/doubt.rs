//! What is kept of a change that may have left, and what is found when it is
//! looked after. It opens nothing: whose the object is, the vendor is asked anew.

use serde::{Deserialize, Serialize};
use tenantry_core::name::{AccountId, ConnectorName, ObjectId};

use crate::change::Target;
use crate::change::view::Settings;
use crate::snapshot::Seen;

/// Enough to look after a change, in this process or in another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Doubt {
    /// The connector by which it was sent.
    pub connector: ConnectorName,
    /// The account that the object belonged to.
    pub account: AccountId,
    /// What kind of object it is.
    pub kind: String,
    /// Its id; of something new, that of what it stands below, if it does not
    /// stand in the account itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ObjectId>,
    /// What the vendor has called something new, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<ObjectId>,
    /// What it shall be.
    pub target: Target,
    /// What it was in that respect; absent where it was nothing, as without a budget.
    pub before: Option<Target>,
}

/// How an object stands to what it shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It is that.
    Reached,
    /// It is as it was before, as far as the change is concerned.
    AsBefore,
    /// It is neither: somebody else changed it.
    Otherwise,
}

/// What the vendor says of the object of a change, now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Sighting {
    /// How it stands to what it shall be.
    pub standing: Standing,
    /// What it is set to, as far as the change is concerned.
    pub found: Settings,
}

impl Doubt {
    /// How an object that is like this stands.
    pub(crate) fn standing(&self, now: Seen<'_>) -> Standing {
        let found = self.target.found(now);
        let is = |target: &Target| found.as_ref().is_some_and(|found| found.is_same(target));
        let is_before = match &self.before {
            Some(before) => is(before),
            None => found.is_none(),
        };
        match (is(&self.target), is_before) {
            (true, _) => Standing::Reached,
            (false, true) => Standing::AsBefore,
            (false, false) => Standing::Otherwise,
        }
    }
}
