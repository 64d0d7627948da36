//! What one round is to be like.

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::replicas::REPLICAS;

/// Clients at the same time, each with a change of its own.
pub const CLIENTS: u64 = 64;

/// A client's whole change takes about six requests to the vendor, so that those
/// who die do so anywhere on the way.
const MOST_REQUESTS: u64 = CLIENTS * 6;

/// A round.
#[derive(Debug)]
pub struct Plan {
    /// By how much each client raises its budget.
    pub amount_cents: u64,
    /// By how much all budgets together may rise.
    pub cap_cents: u64,
    /// Who is killed, and when; nobody in every second round.
    pub deaths: Vec<Death>,
}

/// Some of the servers are killed, and started again.
#[derive(Debug)]
pub struct Death {
    /// When the vendor has got so many requests.
    pub after_requests: usize,
    /// Which servers.
    pub who: Vec<usize>,
}

impl Plan {
    /// The round with that number.
    pub fn of(seed: u32, number: u32) -> Self {
        let mut dice = Dice::of(seed, number);
        let amount_cents = dice.between(100, 5_000);
        // What is asked for is once to ten times the cap.
        let thousandths = dice.between(1_000, 10_000);
        let cap_cents = CLIENTS * amount_cents * 1_000 / thousandths;
        let deaths = if number.is_multiple_of(2) {
            Vec::new()
        } else {
            deaths(&mut dice)
        };
        Self {
            amount_cents,
            cap_cents,
            deaths,
        }
    }

    /// How many changes fit below the cap.
    pub fn room(&self) -> u64 {
        self.cap_cents / self.amount_cents
    }

    /// The policy that has the cap.
    pub fn policy(&self) -> Value {
        let window = json!({
            "window": "24h", "scope": "Account", "maxDailyIncrease": decimal(self.cap_cents),
        });
        json!({"mode": "Enforce", "currency": "EUR", "budget": {"perWindow": [window]}})
    }
}

/// An amount in euros.
pub fn decimal(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn deaths(dice: &mut Dice) -> Vec<Death> {
    let count = dice.between(1, 4);
    let deaths = (0..count).map(|_| Death {
        after_requests: dice.between(1, MOST_REQUESTS).try_into().unwrap(),
        who: some(dice),
    });
    let mut deaths: Vec<Death> = deaths.collect();
    deaths.sort_by_key(|death| death.after_requests);
    deaths
}

/// At least one of the servers, and all of them at times.
fn some(dice: &mut Dice) -> Vec<usize> {
    let chosen = dice.between(1, (1 << REPLICAS) - 1);
    (0..REPLICAS)
        .filter(|number| chosen >> number & 1 == 1)
        .collect()
}
