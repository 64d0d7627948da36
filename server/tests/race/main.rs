//! Three real servers over one PostgreSQL, and 64 clients that together want up
//! to ten times what a policy's window has room for. Where nothing dies, exactly
//! what fits is made; where servers are killed at any moment, never more than
//! that, and no change twice. The fake vendor's log of what was really changed
//! is the oracle.
//!
//! `TENANTRY_RACE_ROUNDS=200` runs so many rounds, and `TENANTRY_RACE_SEED`
//! other ones.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is tests, helpers as well"
)]

mod client;
mod dice;
#[path = "../crash/documents.rs"]
mod documents;
mod plan;
#[path = "../../../crates/ledger/tests/book/postgres.rs"]
mod postgres;
#[expect(dead_code, reason = "the crash matrix waits for more of a process")]
#[path = "../crash/program.rs"]
mod program;
mod replicas;
mod round;

use std::io::Write as _;

use anyhow::{Context as _, Result};
use plan::Plan;
use round::Count;

/// Enough to have something of everything, in about a minute of a busy machine.
const SAMPLE: u32 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_dies_no_more_is_spent_than_the_cap() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (rounds, seed) = (
        chosen("TENANTRY_RACE_ROUNDS", SAMPLE)?,
        chosen("TENANTRY_RACE_SEED", 1)?,
    );
    let mut sum = Count::default();
    for number in 0..rounds {
        let plan = Plan::of(seed, number);
        let count = round::run(&plan, number).await;
        let of = || format!("round {number} of seed {seed}, {plan:?}");
        sum += count.with_context(of)?;
    }
    say(&format!(
        "overspend race: seed {seed}, {rounds} rounds, {sum}"
    ));
    Ok(())
}

fn chosen(name: &str, usual: u32) -> Result<u32> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("reading {name}")),
        Err(_) => Ok(usual),
    }
}

/// Past the capture of tests: the count is part of what this test is for.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
