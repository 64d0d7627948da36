//! The real server dies at every step of a change, under every behaviour of the
//! vendor, with every tool that changes something: nothing is made twice,
//! nothing is lost, and every reservation ends. The fake vendor's log of what
//! was really changed is the oracle.
//!
//! A part of the matrix that has something of everything is run;
//! `TENANTRY_CRASH_MATRIX=whole` runs all of it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of this is tests, helpers as well"
)]

#[cfg(feature = "apiserver")]
mod agreed;
mod course;
mod documents;
mod house;
mod matrix;
#[path = "../../../crates/ledger/tests/book/postgres.rs"]
mod postgres;
mod program;
mod proof;
mod slow;
#[cfg(feature = "apiserver")]
mod town;

use std::collections::BTreeMap;
use std::io::Write as _;

use futures::StreamExt as _;
use matrix::Case;

/// Cases at the same time: most of the time of each is waiting.
const AT_ONCE: usize = 4;

/// Runs the whole matrix.
const WHOLE: &str = "TENANTRY_CRASH_MATRIX";

/// Runs the cases alone whose names contain this.
const ONLY: &str = "TENANTRY_CRASH_ONLY";

fn chosen() -> Vec<Case> {
    let mut cases = matrix::all();
    if let Ok(part) = std::env::var(ONLY) {
        cases.retain(|case| case.to_string().contains(&part));
        return cases;
    }
    if is_whole() {
        return cases;
    }
    matrix::sample(cases)
}

fn is_whole() -> bool {
    std::env::var(WHOLE).is_ok_and(|chosen| chosen == "whole")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_the_server_dies_nothing_is_made_twice_and_nothing_is_lost() {
    let cases = chosen();
    let (count, of) = (cases.len(), matrix::all().len());
    let deaths: usize = cases.iter().map(|case| case.deaths.len()).sum();
    let running = cases
        .into_iter()
        .enumerate()
        .map(|(number, case)| async move { (case, course::run(&case, number).await) });
    let mut ended = futures::stream::iter(running).buffer_unordered(AT_ONCE);
    let (mut ends, mut failed) = (BTreeMap::new(), Vec::new());
    while let Some((case, end)) = ended.next().await {
        match end {
            Ok(end) => *ends.entry(end).or_insert(0) += 1,
            Err(error) => {
                // Evidence now: whoever waits for the rest may not come that far.
                say(&format!("FAILED {case}: {error:#}"));
                failed.push(case.to_string());
            }
        }
    }
    say(&format!(
        "crash matrix: {count} of {of} cases, {deaths} chosen deaths, {ends:?}, {} failed",
        failed.len()
    ));
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(count > 0, "there are no such cases");
}

/// Past the capture of tests: the count is part of what this test is for.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
