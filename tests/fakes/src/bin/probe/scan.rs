//! Many targets at once, judged beside a control that is known to be open: a
//! machine that is too busy to answer in time makes a scan longer, not wrong.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Verdict, probe};

/// Connections in progress at a time; enough for a cluster of tests, few
/// enough for one core to answer all of them in time.
const MOST_AT_ONCE: usize = 32;

/// A control that does not answer in 1.5, 3, 6 or 12 s is no control.
const ROUNDS: u32 = 4;

/// Scans and prints; fails if the control is not open.
pub async fn run(targets: Vec<String>, control: &str, timeout_ms: u64) -> ExitCode {
    let mut silent = targets;
    for round in 0..ROUNDS {
        let patience_ms = timeout_ms << round;
        let verdicts = attempt(silent, patience_ms).await;
        let control_is_open = matches!(probe(control, None, patience_ms).await, Verdict::Open(_));
        silent = Vec::new();
        for (target, verdict) in verdicts {
            // What was answered was answered; silence has to be proved.
            if control_is_open || !matches!(verdict, Verdict::Timeout) {
                println!("{} {target}", verdict.word());
            } else {
                silent.push(target);
            }
        }
        if control_is_open {
            return ExitCode::SUCCESS;
        }
    }
    eprintln!("the control {control} is not open");
    ExitCode::FAILURE
}

async fn attempt(targets: Vec<String>, timeout_ms: u64) -> Vec<(String, Verdict)> {
    let places = Arc::new(Semaphore::new(MOST_AT_ONCE));
    let mut attempts = JoinSet::new();
    for target in targets {
        let places = Arc::clone(&places);
        attempts.spawn(async move {
            // It is closed by nobody.
            let _place = places.acquire().await;
            let verdict = probe(&target, None, timeout_ms).await;
            (target, verdict)
        });
    }
    attempts.join_all().await
}
