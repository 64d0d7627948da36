//! The smallest valid changes, and the ways to get through the book with them.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tenantry_core::audit::change_record::ChangeRecord;
use tenantry_core::digest::Digest;
use tenantry_core::name::{ObjectId, ToolName};
use tenantry_core::policy::Policy;
use tenantry_core::policy::decide::{self, Agreed, Permitted, Ruling};
use tenantry_core::policy::facts::Proposal;
use tenantry_ledger::approval::Approval;
use tenantry_ledger::change::{ChangeId, Intent, Lease, Principal, Recorded};
use tenantry_ledger::claim::{Claim, Claimed};
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::Ledger;
use tenantry_ledger::reserve::{Asked, Deferred, Likeness, Moment, Reservation};
use tenantry_ledger::settle::Outcome;

use crate::house::{DAY, unique};

/// A change that somebody wants.
#[derive(Debug, Clone)]
pub struct Wish {
    pub proposal: Proposal,
    pub roots: BTreeSet<ObjectId>,
    pub intent: Intent,
    pub likeness: Option<Likeness>,
    pub lookback: SignedDuration,
    pub record: Map<String, Value>,
}

/// Micros of so many whole units.
pub fn units(units: i64) -> i64 {
    units * 1_000_000
}

fn proposal(object: &str, effect: &Value) -> Proposal {
    serde_json::from_value(json!({
        "subject": {
            "connector": "meta", "account": "act_1", "tool": "meta_set_budget",
            "class": "spend", "key": "key-1", "path": [object],
        },
        "effect": effect,
    }))
    .unwrap()
}

/// What every line of the change says.
pub fn record(object: &str) -> ChangeRecord {
    let record = json!({
        "call_id": "boot-1", "actor": {"key": "key-1", "owner": "ann", "agent": "agent-7"},
        "tool": "meta_set_budget", "class": "spend", "deed": "update",
        "connector": "meta", "account": "act_1",
        "object": {"kind": "campaign", "id": object}, "arguments": {"checked": {}},
    });
    ChangeRecord::of_map(record.as_object().unwrap()).unwrap()
}

impl Wish {
    fn new(object: &str, effect: &Value) -> Self {
        Self {
            proposal: proposal(object, effect),
            roots: BTreeSet::from([ObjectId::parse(object).unwrap()]),
            intent: Intent {
                target: json!({"daily_budget": 1}),
                before: json!({"daily_budget": 0}),
            },
            likeness: None,
            lookback: DAY,
            record: record(object).to_map(),
        }
    }

    /// The daily budget of a running campaign goes from 100 up by that much.
    pub fn raise(object: &str, micros: i64) -> Self {
        Self::set(object, units(100), units(100) + micros)
    }

    /// The daily budget of a running campaign goes from one value to another.
    pub fn set(object: &str, before: i64, after: i64) -> Self {
        let change = after - before;
        let effect = json!({
            "primitive": "set_budget", "currency": "EUR",
            "daily": {"increaseMicros": change.max(0), "decreaseMicros": (-change).max(0)},
            "exposureMicros": change.max(0),
            "budgets": [{
                "object": object, "becomesLive": false,
                "before": {"Daily": {"amountMicros": before}},
                "after": {"Daily": {"amountMicros": after}},
            }],
            "touched": [object],
        });
        Self::new(object, &effect)
    }

    /// A running campaign is switched off.
    pub fn stop(object: &str) -> Self {
        let effect = json!({
            "primitive": "deactivate", "currency": "EUR",
            "daily": {"increaseMicros": 0, "decreaseMicros": units(100)},
            "touched": [object],
        });
        Self::new(object, &effect)
    }

    /// A campaign appears.
    pub fn create(likeness: &str) -> Self {
        let mut wish = Self::new("none", &json!({"primitive": "create", "created": 1}));
        wish.proposal.subject.path.clear();
        wish.roots.clear();
        wish.likeness = Some(Likeness::Made(Digest::of(likeness.as_bytes())));
        wish
    }

    /// The same, known by its target.
    pub fn with_target(mut self, target: &str) -> Self {
        self.likeness = Some(Likeness::Target(Digest::of(target.as_bytes())));
        self
    }

    pub fn asked(&self) -> Asked<'_> {
        Asked {
            proposal: &self.proposal,
            roots: &self.roots,
            intent: &self.intent,
            likeness: self.likeness,
            lookback: self.lookback,
            exposure_terms: None,
            record: &self.record,
            deferred: Deferred {
                arguments: &self.record,
                pinned: Digest::of(b"pinned"),
                policy_digest: Digest::of(b"policies"),
            },
        }
    }
}

/// A policy of which only what matters is said.
pub fn policy(says: &Value) -> Policy {
    let mut policy = json!({"name": "ads", "mode": "Enforce", "currency": "EUR"});
    let said = says.as_object().unwrap().clone();
    policy.as_object_mut().unwrap().extend(said);
    serde_json::from_value(policy).unwrap()
}

/// At most so much a day, over the whole organisation.
pub fn day_cap(amount: &str) -> Policy {
    policy(&json!({"budget": {"perWindow": [
        {"windowMs": 86_400_000, "scope": "Organization", "maxDailyIncrease": amount},
    ]}}))
}

/// People are asked about every rise.
pub fn asks() -> Policy {
    policy(&json!({"approvals": [{
        "name": "any", "approverClass": "finance", "approvers": 1, "expiresAfterMs": 3_600_000,
        "when": {"dailyIncreaseOver": "0.00"},
    }]}))
}

/// What the law says of a wish under these policies.
pub fn by<'p>(wish: &'p Wish, policies: &'p [Policy]) -> impl Fn(&Moment<'_>) -> Ruling + 'p {
    move |moment| {
        let agreed = Agreed::new();
        decide::decide(&wish.proposal, policies, moment.facts, &agreed, moment.now)
    }
}

/// Everything may be.
pub fn allow(wish: &Wish) -> impl Fn(&Moment<'_>) -> Ruling + '_ {
    let policies = [policy(&json!({}))];
    move |moment| {
        let agreed = Agreed::new();
        decide::decide(&wish.proposal, &policies, moment.facts, &agreed, moment.now)
    }
}

/// A permission of now.
pub fn permission(now: Timestamp) -> Permitted {
    let wish = Wish::raise("any", 0);
    let facts = tenantry_core::policy::facts::Facts::default();
    let moment = Moment { facts: &facts, now };
    match allow(&wish)(&moment).decision {
        decide::Decision::Permitted(permitted) => permitted,
        other => panic!("{other:?}"),
    }
}

pub fn principal() -> Principal {
    Principal {
        owner: "anna".into(),
        agent: Some("planner".into()),
    }
}

/// Claims a key for `meta_set_budget` with arguments of that fingerprint.
pub async fn try_claim(
    ledger: &Ledger,
    key: &str,
    arguments: &str,
    now: Timestamp,
) -> Result<Claimed, LedgerError> {
    let claim = Claim {
        principal: &principal(),
        key,
        tool: &ToolName::parse("meta_set_budget").unwrap(),
        fingerprint: Digest::of(arguments.as_bytes()),
        change: &ChangeId::of_random(unique()),
    };
    ledger.claim(&claim, now).await
}

/// The same, of a book that answers.
pub async fn claim(ledger: &Ledger, key: &str, arguments: &str, now: Timestamp) -> Claimed {
    try_claim(ledger, key, arguments, now).await.unwrap()
}

/// The lease of a key that nobody has claimed before.
pub async fn new(ledger: &Ledger, key: &str, now: Timestamp) -> Lease {
    match claim(ledger, key, "{}", now).await {
        Claimed::New(lease) => lease,
        other => panic!("{other:?}"),
    }
}

/// Decides over a wish.
pub async fn decide(
    ledger: &Ledger,
    lease: &Lease,
    wish: &Wish,
    policies: &[Policy],
    now: Timestamp,
) -> Result<Reservation, LedgerError> {
    let asked = wish.asked();
    ledger
        .decide_and_reserve(lease, &asked, now, by(wish, policies))
        .await
}

/// The lease of a wish that was reserved.
pub async fn reserved(ledger: &Ledger, key: &str, wish: &Wish, now: Timestamp) -> Lease {
    let lease = new(ledger, key, now).await;
    let policies = [policy(&json!({}))];
    match decide(ledger, &lease, wish, &policies, now).await.unwrap() {
        Reservation::Reserved { .. } => lease,
        other => panic!("{other:?}"),
    }
}

/// The lease of a wish that is being sent.
pub async fn sent(ledger: &Ledger, key: &str, wish: &Wish, now: Timestamp) -> Lease {
    let lease = reserved(ledger, key, wish, now).await;
    ledger.sending(&lease, &permission(now), now).await.unwrap();
    lease
}

/// The lease of a wish that was applied.
pub async fn applied(ledger: &Ledger, key: &str, wish: &Wish, now: Timestamp) -> Lease {
    let lease = sent(ledger, key, wish, now).await;
    ledger.settle(&lease, &done(now), now).await.unwrap();
    lease
}

/// A change as somebody sees it who looks now.
pub async fn seen(ledger: &Ledger, lease: &Lease) -> Recorded {
    ledger.find(&lease.change).await.unwrap().unwrap()
}

/// What people are asked about a change.
pub async fn question(ledger: &Ledger, change: &ChangeId) -> Approval {
    ledger.approval(change).await.unwrap().unwrap()
}

pub fn done(at: Timestamp) -> Outcome {
    Outcome::Applied {
        at,
        after: json!({"daily_budget": 1}),
        answer: r#"{"status":"done"}"#.into(),
    }
}

pub fn rejected() -> Outcome {
    Outcome::NotApplied {
        why: "the vendor refused".into(),
        answer: Some(r#"{"status":"failed"}"#.into()),
    }
}

pub fn held_up() -> Outcome {
    Outcome::NotApplied {
        why: "throttled".into(),
        answer: None,
    }
}

pub fn never_sent() -> Outcome {
    Outcome::NeverSent {
        why: "never sent".into(),
    }
}

pub fn unknown() -> Outcome {
    Outcome::Unknown {
        why: "timeout".into(),
    }
}
