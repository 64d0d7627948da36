//! A change on its way to a vendor: what it shall be in absolute terms, what
//! was there before, what it does to money, and what became of it.

pub mod doubt;
pub mod draft;
pub mod view;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tenantry_core::digest::Digest;
use tenantry_core::effect::{BidChange, BudgetChange, Change, Effect, Impossible};
use tenantry_core::money::{Money, MoneyError};
use tenantry_core::name::{ConnectorName, Currency, ObjectId};
use tenantry_core::reason::{Reason, Refusal};
use tenantry_core::spend_root::{Budget, Switch};
use tenantry_core::text;

use crate::call_error::CallError;
use crate::change::doubt::Doubt;
use crate::change::draft::Draft;
use crate::change::view::{Moved, Settings, View};
use crate::corridor::owned::{NotOwned, Owned};
use crate::plan::change::ChangePlan;
use crate::plan::spend_root::{LevelPlan, SpendRootPlan};
use crate::snapshot::{LONGEST_NAME, Seen, Snapshot, unspent};

/// What an object shall be, in absolute terms: made twice, it is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub enum Target {
    /// Its own budget has this amount.
    Budget(Budget),
    /// It is switched so.
    Switch(Switch),
    /// Its bid or the cap of it, in millionths of the major unit.
    BidMicros(i64),
    /// Its name.
    Name(String),
    /// It is there, made of this.
    New(Draft),
}

/// A change of which everything is known that a decision needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// What changes, or what something new appears in.
    pub place: Owned,
    /// The kind of object that changes or is made.
    pub kind: String,
    /// What it shall be.
    pub target: Target,
    /// What there was when it was prepared; nothing around a new spend root.
    pub snapshot: Option<Snapshot>,
    /// The object, or the one that a new one appears in, and before it what
    /// stands above it, the spend root first.
    pub path: Vec<ObjectId>,
    /// What the change does.
    pub effect: Effect,
    /// Whether the object is already what it shall be.
    pub is_reached: bool,
    pub(crate) connector: ConnectorName,
    /// The id of the last of `path`.
    pub(crate) id: Option<ObjectId>,
    /// The parameters that say the change to the vendor.
    pub(crate) said: Vec<(String, String)>,
    /// The vendor's word for how the object is switched then, where it is.
    pub(crate) word: String,
}

/// What became of a change that was sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    /// The vendor made it, and shows the object so.
    Applied(Settings),
    /// The vendor did not make it.
    NotApplied(CallError),
    /// Nobody knows: to be read again, never to be sent again.
    Unknown(CallError),
}

/// A change that was sent, at most once.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// What became of it.
    pub made: Made,
    /// What the vendor calls the request that made it or not; nothing of one
    /// that had no answer.
    pub request_ids: Vec<String>,
    /// What the vendor calls something new, as far as it has answered: then it
    /// was made, whatever else is known of it.
    pub made_id: Option<ObjectId>,
}

/// When a change of which nothing is known counts as not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settling {
    /// Since it was sent.
    pub quiet_ms: u64,
    /// Equal readings after that.
    pub reads: u32,
}

/// Why a change cannot be prepared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PrepareError {
    /// The vendor could not be asked.
    #[error("reading what the change could spend")]
    Call(#[from] CallError),
    /// It cannot be made on what there is.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// The amount is in another currency than the account; none is converted.
    #[error("the amount is in `{asked}`, the account in `{account}`")]
    CurrencyMismatch {
        /// The currency of the argument.
        asked: Currency,
        /// That of the account.
        account: Currency,
    },
    /// The amount cannot be said to the vendor exactly.
    #[error(transparent)]
    Amount(#[from] MoneyError),
    /// Another object beside it would have the same name, and none of the two
    /// could be told from the other.
    #[error("{} `{id}` has this name already", .kind.replace('_', " "))]
    NameTaken {
        /// What kind of object it is.
        kind: String,
        /// Its id.
        id: String,
    },
    /// It would use an object that is not the account's.
    #[error(transparent)]
    NotOwned(Box<NotOwned>),
    /// An argument says nothing that could be done.
    #[error("{0}")]
    Arguments(String),
}

impl Prepared {
    /// What is to be kept before it is sent.
    pub fn doubt(&self) -> Doubt {
        Doubt {
            connector: self.connector.clone(),
            account: self.place.account().id().clone(),
            kind: self.kind.clone(),
            id: self.id.clone(),
            made: None,
            target: self.target.clone(),
            before: self.before(),
        }
    }

    /// What people and agents are shown of it.
    pub fn view(&self) -> View {
        let currency = self.place.account().currency();
        let before = self
            .changed()
            .map(|seen| Settings::found(&self.target, seen, currency));
        View {
            before: before.unwrap_or_default(),
            after: Settings::said(&self.target, &self.word, currency),
            delta: Moved::by(&self.effect, currency),
            currency: currency.clone(),
        }
    }

    /// Whether a second preparation means the same, so that what was decided on
    /// the first holds: everything that somebody configures in the spend root is
    /// equal, and so is what the change does to it, but for what only time
    /// changes. To a pause, nothing but its own object counts.
    pub fn is_still(&self, now: &Self) -> bool {
        let stops = self.effect.only_stops() && now.effect.only_stops();
        self.own() == now.own() && (stops || self.pinned() == now.pinned())
    }

    /// What stands for all of that: two preparations that have it in common mean
    /// the same. Another release may have another one of the same change.
    pub fn pinned(&self) -> Digest {
        let around = self.snapshot.as_ref().map(Snapshot::configured);
        let all = json!([self.own(), self.path, around, timeless(&self.effect)]);
        Digest::of(all.to_string().as_bytes())
    }

    /// The change of the object itself, without what stands around it.
    fn own(&self) -> Value {
        let object = match &self.place {
            Owned::Account(_) => None,
            Owned::Object(object) => Some((object.kind(), object.id())),
        };
        let account = self.place.account();
        json!([
            self.connector,
            (account.id(), account.currency()),
            object,
            self.kind,
            self.target.unspent(),
            self.said,
            self.before().map(|before| before.unspent()),
        ])
    }

    /// Whether the object is that now, in the respect that the change is about.
    pub fn is_at(&self, target: &Target) -> bool {
        self.changed().is_some_and(|seen| target.is_reached(seen))
    }

    /// Whether it makes something new.
    pub fn creates(&self) -> bool {
        matches!(self.target, Target::New(_))
    }

    /// The same for changes of the same object to the same target, and for new
    /// objects of the same, whatever they are called; whoever asks for them, by
    /// whatever key. It is kept: its form never changes.
    pub fn likeness(&self) -> Digest {
        let account = self.place.account().id();
        let Target::New(_) = &self.target else {
            let target = self.target.unspent();
            let all = json!([self.connector, account, self.kind, self.id, target]);
            return Digest::of(all.to_string().as_bytes());
        };
        // The name comes first, and lists have no order.
        let said = self.said.get(1..).unwrap_or_default();
        let said = said.iter().map(|(field, said)| (field, unordered(said)));
        let said: Vec<_> = said.collect();
        let all = json!([self.connector, account, self.kind, self.id, "new", said]);
        Digest::of(all.to_string().as_bytes())
    }

    /// The spend root that it changes. What is made in the account itself has one
    /// of its own, by its name: two of one name could not be told apart.
    pub fn root(&self) -> Option<ObjectId> {
        match (self.path.first(), &self.target) {
            (None, Target::New(draft)) => {
                let name = json!([self.kind, draft.name]).to_string();
                let digest = Digest::of(name.as_bytes()).to_string();
                ObjectId::parse(&format!("new-{}", digest.replace(':', "-"))).ok()
            }
            (root, _) => root.cloned(),
        }
    }

    fn before(&self) -> Option<Target> {
        self.target.found(self.changed()?)
    }

    /// The object that changes, as it was read.
    fn changed(&self) -> Option<Seen<'_>> {
        if self.creates() {
            return None;
        }
        self.snapshot.as_ref()?.seen(self.id.as_ref()?)
    }
}

/// What a parameter says, with its lists in one order.
fn unordered(said: &str) -> Value {
    fn sort(value: &mut Value) {
        match value {
            Value::Array(all) => {
                all.iter_mut().for_each(sort);
                all.sort_by_cached_key(Value::to_string);
            }
            Value::Object(fields) => fields.values_mut().for_each(sort),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(said).unwrap_or_else(|_| said.into());
    sort(&mut value);
    value
}

/// An effect without what time alone changes: what is spent of a lifetime
/// budget, and how many days are left for the rest.
fn timeless(effect: &Effect) -> Effect {
    let budgets = effect.budgets.iter().map(|change| BudgetChange {
        before: change.before.map(unspent),
        after: unspent(change.after),
        ..change.clone()
    });
    Effect {
        budgets: budgets.collect(),
        steps: Vec::new(),
        exposure_micros: 0,
        ..effect.clone()
    }
}

impl PrepareError {
    /// What the client hears.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Call(error) => error.refusal(),
            Self::CurrencyMismatch { account, .. } => {
                Refusal::new(Reason::ArgumentsInvalid, self.to_string()).with_remedy(format!(
                    "give the amount in `{account}`; amounts are never converted"
                ))
            }
            Self::NotOwned(error) => error.refusal(),
            Self::NameTaken { .. } => Refusal::new(Reason::ArgumentsInvalid, self.to_string())
                .with_remedy("use the one that is there, or give another name"),
            Self::Impossible(_) | Self::Amount(_) | Self::Arguments(_) => {
                Refusal::new(Reason::ArgumentsInvalid, self.to_string())
            }
        }
    }
}

impl Target {
    /// What the arguments of a change ask for. They match the tool's schema.
    pub(crate) fn of(
        plan: &ChangePlan,
        args: &Map<String, Value>,
        currency: &Currency,
    ) -> Result<Self, PrepareError> {
        let amount = |name: &String| amount(args.get(name), currency);
        match plan {
            ChangePlan::SetBudget { daily, lifetime } => {
                match (amount(daily)?, amount(lifetime)?) {
                    (Some(amount_micros), None) => {
                        Ok(Self::Budget(Budget::Daily { amount_micros }))
                    }
                    (None, Some(amount_micros)) => Ok(Self::Budget(Budget::Lifetime {
                        amount_micros,
                        spent_micros: 0,
                    })),
                    _ => Err(PrepareError::Arguments(format!(
                        "exactly one of {daily} and {lifetime} says what the budget shall be"
                    ))),
                }
            }
            ChangePlan::Activate => Ok(Self::Switch(Switch::On)),
            ChangePlan::Deactivate => Ok(Self::Switch(Switch::Off)),
            ChangePlan::SetBid { bid } => amount(bid)?
                .map(Self::BidMicros)
                .ok_or_else(|| PrepareError::Arguments(format!("{bid} is missing"))),
            ChangePlan::Rename { name } => self::name(args, name).map(Self::Name),
            ChangePlan::Create(plan) => Draft::of(plan, args, currency).map(Self::New),
        }
    }

    /// The arguments by which a tool of that plan is asked for it, without those
    /// that name the object; the other way round of [`Self::of`].
    pub(crate) fn arguments(
        &self,
        plan: &ChangePlan,
        currency: &Currency,
    ) -> Option<Map<String, Value>> {
        let money = |micros: i64| json!(Money::from_micros(micros, currency.clone()));
        let (name, value) = match (plan, self) {
            (ChangePlan::SetBudget { daily, lifetime }, Self::Budget(budget)) => {
                let name = match budget {
                    Budget::Daily { .. } => daily,
                    Budget::Lifetime { .. } => lifetime,
                };
                (name, money(budget.amount_micros()))
            }
            (ChangePlan::Activate, Self::Switch(Switch::On))
            | (ChangePlan::Deactivate, Self::Switch(Switch::Off)) => return Some(Map::new()),
            (ChangePlan::SetBid { bid }, Self::BidMicros(micros)) => (bid, money(*micros)),
            (ChangePlan::Rename { name }, Self::Name(text)) => (name, json!(text)),
            _ => return None,
        };
        Some(Map::from_iter([(name.clone(), value)]))
    }

    /// What it does to the spend root.
    pub(crate) fn effect(
        &self,
        object: &ObjectId,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<Effect, Impossible> {
        let object = object.clone();
        let root = &snapshot.root;
        let change = match self {
            Self::Budget(budget) => Change::SetBudget {
                object,
                budget: *budget,
            },
            Self::Switch(Switch::On) => Change::Activate { object },
            Self::Switch(Switch::Off) => Change::Deactivate { object },
            Self::Switch(Switch::Gone) => Change::Delete { object },
            Self::BidMicros(after) => Change::SetBid {
                bid: BidChange {
                    before_micros: snapshot.bids_micros.get(&object).copied(),
                    after_micros: Some(*after),
                },
                object,
            },
            Self::Name(_) => return Effect::record_of(root, object),
            // It changes nothing that is there.
            Self::New(_) => return Err(Impossible::Unknown(object)),
        };
        Effect::of(Some(root), &root.currency, &change, now)
    }

    /// The field that says it to the vendor, and the text. What cannot be said
    /// exactly is not said.
    pub(crate) fn parameter(
        &self,
        plan: &SpendRootPlan,
        level: &LevelPlan,
        currency: &Currency,
    ) -> Result<Option<(String, String)>, MoneyError> {
        let said = |micros: i64| {
            plan.unit
                .text(&Money::from_micros(micros, currency.clone()))
        };
        let budget = level.budget.as_ref();
        let (field, text) = match self {
            Self::Budget(budget_meant) => {
                let field = budget.map(|fields| fields.field(*budget_meant).to_owned());
                (field, said(budget_meant.amount_micros())?)
            }
            Self::Switch(switch) => {
                let word = match switch {
                    Switch::On => &level.on_word,
                    Switch::Off => &level.off_word,
                    Switch::Gone => return Ok(None),
                };
                (Some(level.switch_field.clone()), word.clone())
            }
            Self::BidMicros(micros) => (level.bid_field.clone(), said(*micros)?),
            Self::Name(name) => (Some(level.name_field.clone()), name.clone()),
            Self::New(_) => return Ok(None),
        };
        Ok(field.map(|field| (field, text)))
    }

    /// What an object says of the same thing; `None` where it says nothing.
    pub(crate) fn found(&self, seen: Seen<'_>) -> Option<Self> {
        match self {
            Self::Budget(_) => seen.budget.map(Self::Budget),
            Self::Switch(_) => Some(Self::Switch(seen.switch)),
            Self::BidMicros(_) => seen.bid_micros.map(Self::BidMicros),
            Self::Name(_) => Some(Self::Name(seen.name.to_owned())),
            Self::New(draft) => Some(Self::New(draft.found(seen))),
        }
    }

    /// Whether an object is that.
    pub(crate) fn is_reached(&self, seen: Seen<'_>) -> bool {
        self.found(seen).is_some_and(|found| found.is_same(self))
    }

    /// Whether both are the same, whatever is spent by now.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.unspent() == other.unspent()
    }

    fn unspent(&self) -> Self {
        match self {
            Self::Budget(budget) => Self::Budget(unspent(*budget)),
            Self::New(draft) => Self::New(draft.unspent()),
            other => other.clone(),
        }
    }
}

/// A name of the arguments. What could not be read back could not be told from
/// another.
fn name(args: &Map<String, Value>, argument: &str) -> Result<String, PrepareError> {
    let text = args
        .get(argument)
        .and_then(Value::as_str)
        .unwrap_or_default();
    if text.trim().is_empty() || text::presentable(text, LONGEST_NAME) != text {
        let message = format!("{argument} is empty, too long or holds what cannot be seen");
        return Err(PrepareError::Arguments(message));
    }
    Ok(text.to_owned())
}

/// The amount of an argument, in the account's currency and above zero.
fn amount(value: Option<&Value>, currency: &Currency) -> Result<Option<i64>, PrepareError> {
    let Some(value) = value else {
        return Ok(None);
    };
    let money = Money::deserialize(value)
        .map_err(|error| PrepareError::Arguments(format!("an amount cannot be read: {error}")))?;
    if money.currency() != currency {
        return Err(PrepareError::CurrencyMismatch {
            asked: money.currency().clone(),
            account: currency.clone(),
        });
    }
    match money.amount_micros() {
        micros if micros > 0 => Ok(Some(micros)),
        _ => Err(PrepareError::Arguments(
            "an amount is above zero; to stop spending, pause".into(),
        )),
    }
}
