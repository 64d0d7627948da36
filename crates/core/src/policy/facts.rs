//! What a decision is made on, beside the change itself: read in the ledger,
//! under its locks, at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::access::ToolClass;
use crate::effect::{Delta, Effect, Primitive};
use crate::name::{AccountId, ConnectorName, Currency, KeyId, ObjectId, ToolName};
use crate::policy::{Match, Scope};

/// Who changes what, apart from how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Subject {
    /// The vendor.
    pub connector: ConnectorName,
    /// The account.
    pub account: AccountId,
    /// The tool.
    pub tool: ToolName,
    /// Its class.
    pub class: ToolClass,
    /// The API key.
    pub key: KeyId,
    /// The object, and before it what stands above it, the spend root first;
    /// empty for what is created on its own.
    pub path: Vec<ObjectId>,
}

/// A change that is to be decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Proposal {
    /// Who and what.
    pub subject: Subject,
    /// What it does.
    pub effect: Effect,
    /// What it takes back, if it takes something back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<Undoes>,
    /// The batch that it is an item of, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
}

/// A change that is taken back: the object gets what it had before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Undoes {
    /// The change's id.
    pub change: String,
    /// When its request left.
    pub sent_at: Timestamp,
    /// The latest moment at which it can have been applied.
    pub applied_at: Timestamp,
}

/// A change that was let through before, as far as others depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Who and what.
    pub subject: Subject,
    /// Where it stands.
    pub standing: Standing,
    /// The batch that it is an item of, by its id.
    pub batch: Option<String>,
    /// What kind of thing it was.
    pub primitive: Primitive,
    /// What its amounts are in.
    pub currency: Option<Currency>,
    /// The objects whose budget it set or made live.
    pub budgets: BTreeSet<ObjectId>,
    /// The increase of live daily budgets.
    pub daily_micros: i64,
    /// The increase of live lifetime budgets.
    pub lifetime_micros: i64,
    /// The increase of what may be spent a day, by either kind of budget.
    pub exposure_micros: i64,
    /// The increase of financial records.
    pub financial_micros: i64,
    /// How many objects appeared.
    pub created: u32,
    /// How many records without money changed.
    pub records: u32,
}

/// Where a change stands. What the vendor refused is not a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Applied, at the latest moment at which it can have been.
    Applied(Timestamp),
    /// Reserved, being sent, or sent with an unknown outcome.
    Open,
    /// Waiting for people.
    Pending,
}

/// All live budgets of the organisation at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposureSnapshot {
    /// When they were read: before the first was.
    pub as_of: Timestamp,
    /// In which accounts.
    pub accounts: BTreeSet<(ConnectorName, AccountId)>,
    /// What may be spent a day, by connector and currency: daily budgets, and
    /// what is left of lifetime budgets for each day that is left.
    pub active_daily_micros: BTreeMap<(ConnectorName, Currency), i64>,
}

/// What an exposure is made of, beside what was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExposureTerms {
    /// The accounts whose live budgets must have been read.
    pub accounts: BTreeSet<(ConnectorName, AccountId)>,
    /// How far each vendor may overspend a budget in a day, in percent of it.
    pub overspend_percent: BTreeMap<ConnectorName, u32>,
}

/// What is known at the moment of a decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Every charge within the longest window that a policy has, and every one
    /// that is not settled whatever its age.
    pub charges: Vec<Arc<Charge>>,
    /// The lowest live budget that each object of the change had in the last
    /// 24 hours, as far as changes of ours show.
    pub lowest_micros: BTreeMap<ObjectId, i64>,
    /// The last reading of all live budgets.
    pub exposure: Option<ExposureSnapshot>,
    /// What an exposure is made of, beside that.
    pub exposure_terms: ExposureTerms,
    /// A change that has made the same as this one would within the last 24
    /// hours, or is about to.
    pub twin: Option<String>,
    /// Changes of the same key that wait for people.
    pub pending_of_key: u32,
    /// Changes of all keys that wait for people.
    pub pending_of_tenant: u32,
}

impl Proposal {
    /// The lowest value at which each budget of the change was live, before or
    /// after it, in millionths.
    pub fn lows(&self) -> impl Iterator<Item = (&ObjectId, i64)> {
        let effect = &self.effect;
        let moved = |delta: Delta| delta != Delta::default();
        // A budget that was set moves money exactly if it is live.
        let is_live = moved(effect.daily) || moved(effect.lifetime);
        let budgets = effect.budgets.iter().filter(move |_| is_live);
        budgets.map(|change| {
            let after = change.after.amount_micros();
            let before = change.before.filter(|_| !change.becomes_live);
            let lowest = before.map_or(after, |before| before.amount_micros().min(after));
            (&change.object, lowest)
        })
    }
}

impl Charge {
    /// What others' decisions need of a change that stands there.
    pub fn of(proposal: &Proposal, standing: Standing) -> Self {
        let Proposal {
            subject, effect, ..
        } = proposal;
        let budgets = effect.budgets.iter();
        Self {
            subject: subject.clone(),
            standing,
            batch: proposal.batch.clone(),
            primitive: effect.primitive,
            currency: effect.currency.clone(),
            budgets: budgets.map(|budget| budget.object.clone()).collect(),
            daily_micros: effect.daily.increase_micros,
            lifetime_micros: effect.lifetime.increase_micros,
            exposure_micros: effect.exposure_micros,
            financial_micros: effect.financial.increase_micros,
            created: effect.created,
            records: effect.records,
        }
    }

    /// Whether it counts in the window of that length that ends at `now`.
    pub fn is_within(&self, window_ms: i64, now: Timestamp) -> bool {
        match self.standing {
            Standing::Applied(at) => {
                // Half open, and what lies ahead of a clock that was set back
                // counts as now.
                now.duration_since(at) < SignedDuration::from_millis(window_ms)
            }
            Standing::Open | Standing::Pending => true,
        }
    }
}

impl Scope {
    /// Whether a charge of `other` is added to one of `mine`.
    pub fn adds(self, mine: &Subject, other: &Subject) -> bool {
        match self {
            Self::Account => mine.connector == other.connector && mine.account == other.account,
            Self::Connector => mine.connector == other.connector,
            Self::Organization => true,
        }
    }
}

impl Match {
    /// Whether it speaks of a change like that.
    pub fn covers(&self, subject: &Subject) -> bool {
        self.holds(subject, |object| subject.path.contains(object))
    }

    /// Whether it binds this change: it speaks of it, or of an object below
    /// whose budget the change sets or makes live. To bind is not to grant.
    pub fn binds(&self, proposal: &Proposal) -> bool {
        let Proposal {
            subject, effect, ..
        } = proposal;
        self.holds(subject, |object| {
            let mut budgets = effect.budgets.iter();
            subject.path.contains(object) || budgets.any(|budget| budget.object == *object)
        })
    }

    /// Whether an earlier change is added to those that it limits: whatever it
    /// would have bound.
    pub fn counts(&self, charge: &Charge) -> bool {
        self.holds(&charge.subject, |object| {
            charge.subject.path.contains(object) || charge.budgets.contains(object)
        })
    }

    fn holds(&self, subject: &Subject, concerns: impl Fn(&ObjectId) -> bool) -> bool {
        let Self {
            connectors,
            accounts,
            tools,
            classes,
            keys,
            objects,
        } = self;
        fits(connectors.as_ref(), |all| all.contains(&subject.connector))
            && fits(accounts.as_ref(), |all| all.contains(&subject.account))
            && fits(tools.as_ref(), |all| all.contains(&subject.tool))
            && fits(classes.as_ref(), |all| all.contains(&subject.class))
            && fits(keys.as_ref(), |all| all.contains(&subject.key))
            && fits(objects.as_ref(), |all| all.iter().any(concerns))
    }
}

fn fits<T>(selected: Option<&T>, holds: impl FnOnce(&T) -> bool) -> bool {
    selected.is_none_or(holds)
}
