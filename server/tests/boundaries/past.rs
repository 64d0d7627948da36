//! What was before a line: earlier changes and what is known, put down in the
//! ledger that the server then opens.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use tenantry_core::digest::Digest;
use tenantry_core::ledger_mark::LedgerId;
use tenantry_core::name::{AccountId, ConnectorName, Currency, Organization};
use tenantry_core::policy::Policy;
use tenantry_core::policy::decide::{Agreed, Decision, Ruling, Terms, decide};
use tenantry_core::policy::facts::{ExposureSnapshot, Proposal};
use tenantry_ledger::change::{ChangeId, Intent, Principal};
use tenantry_ledger::claim::{Claim, Claimed};
use tenantry_ledger::error::LedgerError;
use tenantry_ledger::ledger::{LEAST_RETENTION, Ledger, MOST_WAITING, Opening};
use tenantry_ledger::reserve::{Asked, Deferred, Moment, Reservation};
use tenantry_ledger::settle::Outcome;

use crate::ACCOUNT;
use crate::line::{Case, id, micros};
use crate::moment::{NOW, ago};
use crate::world::sqlite;

/// An earlier change.
struct Charge {
    at: Timestamp,
    standing: Standing,
    proposal: Proposal,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Applied,
    Open,
    Pending,
}

/// Puts the past of a line into a new ledger in `dir`.
pub async fn write(dir: &Path, case: &Case) -> Result<(), String> {
    let mut charges: Vec<Charge> = case.charges.iter().map(|text| charge(text)).collect();
    charges.extend(lowest(case));
    charges.extend(waiting(case));
    charges.sort_by_key(|charge| charge.at);
    let written = put_down(dir, case, &charges).await;
    written.map_err(|error| format!("the past could not be put down: {error}"))
}

async fn put_down(dir: &Path, case: &Case, charges: &[Charge]) -> Result<(), LedgerError> {
    let organization = Organization::parse("acme").unwrap();
    let place = sqlite(dir, 0);
    let opening = Opening {
        place: &place,
        organization: &organization,
        tenant_uid: "tenant-uid",
        expected: None,
        id_if_new: LedgerId::of_random([7; 16]),
        retention: LEAST_RETENTION,
        most_waiting: MOST_WAITING,
    };
    // Before everything that there was: a ledger's clock never goes back.
    let beginning = NOW - SignedDuration::from_hours(24 * 365);
    let ledger = Ledger::open(opening, beginning).await?;
    for (charge, number) in charges.iter().zip(1_u128..) {
        charge.put_down(&ledger, number).await?;
    }
    if let Some(exposure) = &case.facts.exposure {
        ledger.keep_exposure(&snapshot(exposure), NOW).await?;
    }
    ledger.close().await;
    Ok(())
}

impl Charge {
    async fn put_down(&self, ledger: &Ledger, number: u128) -> Result<(), LedgerError> {
        let change = ChangeId::of_random(number.to_be_bytes());
        let principal = Principal {
            owner: "past".into(),
            agent: None,
        };
        let claim = Claim {
            principal: &principal,
            key: change.as_str(),
            tool: &self.proposal.subject.tool,
            fingerprint: Digest::of(change.as_str().as_bytes()),
            change: &change,
        };
        let Claimed::New(lease) = ledger.claim(&claim, self.at).await? else {
            panic!("a new key was known");
        };
        let asked = Asked {
            proposal: &self.proposal,
            roots: &BTreeSet::new(),
            intent: &Intent {
                target: json!({}),
                before: json!({}),
            },
            likeness: None,
            lookback: SignedDuration::from_hours(24),
            exposure_terms: None,
            record: &Map::new(),
            deferred: Deferred {
                arguments: &Map::new(),
                pinned: Digest::of(b"past"),
                policy_digest: Digest::of(b"past"),
            },
        };
        let decided = |moment: &Moment<'_>| self.ruling(moment);
        let reserved = ledger.decide_and_reserve(&lease, &asked, self.at, decided);
        let Reservation::Reserved { permitted, .. } = reserved.await? else {
            return Ok(());
        };
        ledger.sending(&lease, &permitted, self.at).await?;
        ledger.settle(&lease, &self.outcome(), self.at).await
    }

    /// Whatever it was, it was permitted then, or people were asked.
    fn ruling(&self, moment: &Moment<'_>) -> Ruling {
        if self.standing == Standing::Pending {
            let terms = Terms {
                approver_classes: ["past".to_owned()].into(),
                approvers: 1,
                expires_after_ms: 3_600_000,
            };
            return Ruling {
                decision: Decision::NeedsApproval(terms),
                fired: Vec::new(),
                shadow: Vec::new(),
            };
        }
        let wide = [Policy::named("wide")];
        let agreed = Agreed::default();
        decide(&self.proposal, &wide, moment.facts, &agreed, moment.now)
    }

    /// What is open has no end that the server could find.
    fn outcome(&self) -> Outcome {
        if self.standing == Standing::Open {
            return Outcome::NeedsHuman {
                why: "of the past".into(),
                answer: "{}".into(),
            };
        }
        Outcome::Applied {
            at: self.at,
            after: json!({}),
            answer: "{}".into(),
        }
    }
}

/// An earlier change, in the words of the tables.
fn charge(text: &str) -> Charge {
    let mut words = text.split_whitespace();
    let (standing, at) = match words.next().unwrap() {
        "applied" => (Standing::Applied, ago(words.next().unwrap())),
        "open" => (Standing::Open, NOW),
        "pending" => (Standing::Pending, NOW),
        other => panic!("nothing is `{other}`"),
    };
    let mut subject = json!({
        "connector": "meta", "account": "act_1", "tool": "meta_set_budget", "class": "spend",
        "key": "bot", "path": [elsewhere()],
    });
    let mut effect = json!({"primitive": "set_budget", "currency": "EUR"});
    let increase = |value: &str| json!({"increaseMicros": micros(value), "decreaseMicros": 0});
    for word in words {
        let (field, value) = word.split_once('=').unwrap();
        match field {
            "daily" | "lifetime" | "financial" => effect[field] = increase(value),
            "exposure" => effect["exposureMicros"] = json!(micros(value)),
            "created" | "records" => effect[field] = json!(value.parse::<u32>().unwrap()),
            "currency" if value == "-" => effect["currency"] = Value::Null,
            "currency" => effect[field] = json!(value),
            "kind" => effect["primitive"] = json!(value),
            "budgets" => effect[field] = value.split('+').map(|name| budget(name, 1, 1)).collect(),
            "path" => subject[field] = value.split('>').map(id).collect(),
            _ => subject[field] = json!(value),
        }
    }
    Charge {
        at,
        standing,
        proposal: proposal(&subject, &effect),
    }
}

/// Budgets that were lower today.
fn lowest(case: &Case) -> impl Iterator<Item = Charge> {
    case.facts.lowest.iter().map(|(name, amount)| {
        let lowest = micros(amount);
        let effect = json!({
            "primitive": "set_budget", "currency": "EUR",
            "daily": {"increaseMicros": 0, "decreaseMicros": 1},
            "budgets": [budget(name, lowest + 1, lowest)],
        });
        Charge {
            at: NOW - SignedDuration::from_hours(1),
            standing: Standing::Applied,
            proposal: proposal(&somebody("bot"), &effect),
        }
    })
}

/// Changes that wait for people, of the key and of another one.
fn waiting(case: &Case) -> impl Iterator<Item = Charge> {
    let own = case.facts.pending_of_key;
    let others = case.facts.pending_of_tenant.saturating_sub(own);
    let keys = (0..own).map(|_| "bot").chain((0..others).map(|_| "boss"));
    keys.map(|key| Charge {
        at: NOW,
        standing: Standing::Pending,
        proposal: proposal(
            &somebody(key),
            &json!({"primitive": "set_budget", "currency": "EUR"}),
        ),
    })
}

fn somebody(key: &str) -> Value {
    json!({
        "connector": "meta", "account": "act_1", "tool": "meta_set_budget", "class": "spend",
        "key": key, "path": [elsewhere()],
    })
}

/// An object that nobody else names: a newer question about one takes the place
/// of an older one.
fn elsewhere() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    format!("9{number:09}")
}

fn budget(name: &str, before: i64, after: i64) -> Value {
    json!({
        "object": id(name), "becomesLive": false,
        "before": {"Daily": {"amountMicros": before}}, "after": {"Daily": {"amountMicros": after}},
    })
}

fn proposal(subject: &Value, effect: &Value) -> Proposal {
    let proposal = json!({"subject": subject, "effect": effect});
    serde_json::from_value(proposal).unwrap()
}

fn snapshot(text: &str) -> ExposureSnapshot {
    let mut words = text.split_whitespace();
    let as_of = ago(words.next().unwrap());
    let active = words.map(|word| {
        let (place, amount) = word.split_once('=').unwrap();
        let (connector, currency) = place.split_once('/').unwrap();
        let connector = ConnectorName::parse(connector).unwrap();
        (
            (connector, Currency::parse(currency).unwrap()),
            micros(amount),
        )
    });
    let meta = ConnectorName::parse("meta").unwrap();
    ExposureSnapshot {
        as_of,
        accounts: [(meta, AccountId::parse(ACCOUNT).unwrap())].into(),
        active_daily_micros: active.collect(),
    }
}
