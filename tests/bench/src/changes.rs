//! Changes through a ledger, as the server makes them, with a vendor that takes
//! no time: claimed, decided on and reserved, put down as leaving, and settled.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tenantry_core::digest::Digest;
use tenantry_core::ledger_mark::LedgerId;
use tenantry_core::name::{ObjectId, Organization, ToolName};
use tenantry_core::policy::Policy;
use tenantry_core::policy::decide::{Agreed, Permitted, decide};
use tenantry_core::policy::facts::Proposal;
use tenantry_ledger::change::{ChangeId, Intent, Lease, Principal};
use tenantry_ledger::claim::{Claim, Claimed};
use tenantry_ledger::ledger::{LEAST_RETENTION, Ledger, MOST_WAITING, Opening};
use tenantry_ledger::place::Place;
use tenantry_ledger::reserve::{Asked, Deferred, Likeness, Moment, Reservation};
use tenantry_ledger::settle::Outcome;
use tokio::sync::Notify;

/// Transactions of one change, each on the disk before the next step is made:
/// its key is claimed, it is decided and its money reserved, it is put down
/// that the request leaves, and what became of it. A crash between any two of
/// them must be told from a crash elsewhere, so there can be no fewer.
pub const TRANSACTIONS: u32 = 4;

/// Lines that leave together, and how long the first waits for the others, as
/// in the server.
const BATCH: u32 = 64;
const GATHER: Duration = Duration::from_millis(50);

/// The longest window of the policy.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A ledger that takes changes.
#[derive(Debug)]
pub struct Changes {
    ledger: Ledger,
    policy: [Policy; 1],
    /// How far its clock is ahead.
    ahead_s: AtomicI64,
    next: AtomicU64,
    written: Notify,
}

impl Changes {
    /// Opens a new one.
    pub async fn open(place: &Place) -> Result<Self> {
        let organization = Organization::parse("bench").context("a name")?;
        let opening = Opening {
            place,
            organization: &organization,
            tenant_uid: "tenant-uid",
            expected: None,
            id_if_new: LedgerId::of_random([1; 16]),
            retention: LEAST_RETENTION,
            most_waiting: MOST_WAITING,
        };
        Ok(Self {
            ledger: Ledger::open(opening, Timestamp::now()).await?,
            policy: [policy()?],
            ahead_s: AtomicI64::new(0),
            next: AtomicU64::new(0),
            written: Notify::new(),
        })
    }

    /// A day passes: no window has anything in it.
    pub fn sleep_over(&self) {
        let day_s = DAY.as_secs() + 1;
        self.ahead_s.fetch_add(day_s, Ordering::SeqCst);
    }

    fn now(&self) -> Timestamp {
        let ahead = self.ahead_s.load(Ordering::SeqCst);
        Timestamp::now() + SignedDuration::from_secs(ahead)
    }

    /// Makes one change of an object of its own.
    pub async fn make(&self) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let change = ChangeId::of_random(u128::from(number).to_be_bytes());
        let lease = self.claim(&change).await?;
        let permitted = self.reserve(&lease, number).await?;
        self.ledger.sending(&lease, &permitted, self.now()).await?;
        let now = self.now();
        let outcome = Outcome::Applied {
            at: now,
            after: json!({"daily_budget": {"amount": "120.00", "currency": "EUR"}}),
            answer: answer(&change),
        };
        self.ledger.settle(&lease, &outcome, now).await?;
        self.written.notify_one();
        Ok(())
    }

    async fn claim(&self, change: &ChangeId) -> Result<Lease> {
        let principal = Principal {
            owner: "ann@acme.example".into(),
            agent: Some("planner".into()),
        };
        let claim = Claim {
            principal: &principal,
            key: change.as_str(),
            tool: &ToolName::parse("meta_set_budget")?,
            fingerprint: Digest::of(change.as_str().as_bytes()),
            change,
        };
        match self.ledger.claim(&claim, self.now()).await? {
            Claimed::New(lease) => Ok(lease),
            met => bail!("a new key was {met:?}"),
        }
    }

    async fn reserve(&self, lease: &Lease, number: u64) -> Result<Permitted> {
        let object = number.to_string();
        let root = ObjectId::parse(&object)?;
        let proposal = proposal(&object)?;
        let asked = Asked {
            proposal: &proposal,
            roots: &BTreeSet::from([root]),
            intent: &intent(),
            likeness: Some(Likeness::Target(Digest::of(object.as_bytes()))),
            lookback: DAY,
            exposure_terms: None,
            record: &record(&object),
            deferred: Deferred {
                arguments: &record(&object),
                pinned: Digest::of(object.as_bytes()),
                policy_digest: Digest::of(object.as_bytes()),
            },
        };
        let agreed = Agreed::default();
        let rule = |moment: &Moment<'_>| {
            decide(&proposal, &self.policy, moment.facts, &agreed, moment.now)
        };
        let reserved = self
            .ledger
            .decide_and_reserve(lease, &asked, self.now(), rule);
        match reserved.await? {
            Reservation::Reserved { permitted, .. } => Ok(permitted),
            other => bail!("what fits was {other:?}"),
        }
    }

    /// Takes the lines out for as long as it is polled, as the server does.
    pub async fn keep_emptied(&self) -> Result<()> {
        loop {
            self.empty().await?;
            self.written.notified().await;
            tokio::time::sleep(GATHER).await;
        }
    }

    async fn empty(&self) -> Result<()> {
        let mut left = self.ledger.last_emitted().await?;
        loop {
            let lines = self.ledger.next_events(left, BATCH).await?;
            let Some(last) = lines.last() else {
                return Ok(());
            };
            left = last.sequence;
            self.ledger.emitted(left, self.now()).await?;
            if lines.len() < BATCH as usize {
                return Ok(());
            }
        }
    }
}

/// The kind of policy that `examples/` has, wide enough for all changes.
fn policy() -> Result<Policy> {
    let policy = json!({
        "name": "ads-budget", "mode": "Enforce", "currency": "EUR",
        "budget": {
            "perChange": {"maxIncreasePercent": 50},
            "perObject": {"minIntervalMs": 300_000},
            "perWindow": [{"windowMs": 86_400_000, "scope": "Organization", "maxDailyIncrease": "900000000"}],
        },
        "approvals": [{
            "name": "large", "approverClass": "finance", "approvers": 1,
            "expiresAfterMs": 86_400_000, "when": {"dailyIncreaseOver": "5000"},
        }],
    });
    Ok(serde_json::from_value(policy)?)
}

/// A running campaign's budget goes from 100 to 120.
fn proposal(object: &str) -> Result<Proposal> {
    let before = json!({"Daily": {"amountMicros": 100_000_000}});
    let after = json!({"Daily": {"amountMicros": 120_000_000}});
    let proposal = json!({
        "subject": {
            "connector": "meta", "account": "act_1001", "tool": "meta_set_budget",
            "class": "spend", "key": "planner", "path": [object],
        },
        "effect": {
            "primitive": "set_budget", "currency": "EUR",
            "daily": {"increaseMicros": 20_000_000, "decreaseMicros": 0},
            "exposureMicros": 20_000_000,
            "budgets": [{"object": object, "before": before, "after": after, "becomesLive": false}],
            "touched": [object],
        },
    });
    Ok(serde_json::from_value(proposal)?)
}

fn intent() -> Intent {
    let budget = |amount: &str| json!({"daily_budget": {"amount": amount, "currency": "EUR"}});
    Intent {
        target: budget("120.00"),
        before: json!({
            "before": budget("100.00"), "after": budget("120.00"),
            "delta": {"daily": {"amount": "20.00", "currency": "EUR"}}, "currency": "EUR",
        }),
    }
}

/// What every line of the change carries.
fn record(object: &str) -> Map<String, Value> {
    let budget = |amount: &str| json!({"daily_budget": {"amount": amount, "currency": "EUR"}});
    let record = json!({
        "call_id": format!("bench-{object}"),
        "actor": {"key": "planner", "owner": "ann@acme.example", "agent": "planner"},
        "tool": "meta_set_budget", "class": "spend", "deed": "update",
        "connector": "meta", "account": "act_1001",
        "object": {"kind": "campaign", "id": object},
        "arguments": {"checked": {"campaign_id": object, "daily_budget": {"amount": "120.00", "currency": "EUR"}}},
        "before": budget("100.00"), "after": budget("120.00"),
    });
    match record {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn answer(change: &ChangeId) -> String {
    let told = json!({"envelope": "v1", "status": "done", "change_id": change, "currency": "EUR"});
    told.to_string()
}
