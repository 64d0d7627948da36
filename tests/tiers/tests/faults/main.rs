//! What the operator does when things go wrong: its own program, with the
//! rights of its chart, before a real API server, behind a proxy that knows
//! every request and lets one of them fail.
//!
//! `TENANTRY_FAULT_PLAN` runs the plans alone whose id begins with it;
//! `TENANTRY_FAULTS=all` runs those as well that are left out for their time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]
#![expect(
    clippy::similar_names,
    reason = "a plane has plans, and a path patches"
)]

mod api;
mod fault;
mod observer;
mod oracle;
mod plan;
mod plane;
mod proxy;
mod stage;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;

use fault::{Fault, WatchFault, WriteFault};
use plan::{Plan, Workload, reference};
use plane::Plane;
use stage::Stage;

/// Runs plans and says how many came to the end that they should.
fn all_converge(plane: &Arc<Plane>, plans: &[Plan]) {
    let plans = plans.iter().filter(|plan| wanted(&plan.to_string()));
    let plans: Vec<_> = plans.collect();
    // Said at once: the others take minutes.
    let run = async |plan: &Plan| {
        let ended = plan.run(plane).await;
        if ended.is_err() {
            say(&format!("{plan} fails"));
        }
        ended
    };
    let ended = plane.run(join_all(plans.iter().map(|plan| run(plan))));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failed = vec![];
    for (plan, ended) in plans.iter().zip(ended) {
        match ended {
            Ok(()) => *counts.entry(plan.fault.code()).or_default() += 1,
            Err(error) => failed.push(format!("{plan}: {error:#}")),
        }
    }
    let each: Vec<_> = counts
        .iter()
        .map(|(code, count)| format!("{code} {count}"))
        .collect();
    say(&format!(
        "fault plans: {} of {} converged ({})",
        plans.len() - failed.len(),
        plans.len(),
        each.join(", ")
    ));
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// Whether the plans whose id begins so are asked for.
fn wanted(id: &str) -> bool {
    let wanted = std::env::var("TENANTRY_FAULT_PLAN").unwrap_or_default();
    id.starts_with(&wanted) || wanted.starts_with(id)
}

/// To whoever looks, even when the test passes.
fn say(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// These faults at every write of these workloads.
fn at_every_write(plane: &Arc<Plane>, workloads: &[Workload], faults: &[WriteFault]) -> Vec<Plan> {
    let mut plans = vec![];
    for workload in workloads.iter().copied() {
        if !wanted(workload.name()) {
            continue;
        }
        let reference = plane.run(reference(plane, workload)).unwrap();
        for write in &reference.writes {
            for fault in faults {
                let fault = Fault::Write(*fault, write.clone());
                plans.push(Plan { workload, fault });
            }
        }
    }
    plans
}

fn in_every_workload(faults: &[Fault]) -> Vec<Plan> {
    let plan = |workload| {
        let faults = faults.iter().cloned();
        faults.map(move |fault| Plan { workload, fault })
    };
    Workload::ALL.into_iter().flat_map(plan).collect()
}

/// Some workloads stand for all, unless all are asked for.
fn some(workloads: &[Workload]) -> &[Workload] {
    let all = std::env::var("TENANTRY_FAULTS").is_ok_and(|faults| faults == "all");
    if all { &Workload::ALL } else { workloads }
}

#[test]
fn an_operator_that_is_killed_at_any_write_ends_up_the_same() {
    let plane = Plane::shared();
    let mut plans = at_every_write(&plane, &Workload::ALL, &WriteFault::KILLS);
    plans.extend(in_every_workload(&[Fault::Away]));
    // A second death on the way back, each time at another place.
    let workloads = some(&[Workload::Create, Workload::Change]);
    let twice = at_every_write(&plane, workloads, &[WriteFault::KillTwice(0)]);
    for (number, mut plan) in twice.into_iter().enumerate() {
        if let Fault::Write(fault, _) = &mut plan.fault {
            *fault = WriteFault::KillTwice(number % 6);
        }
        plans.push(plan);
    }
    all_converge(&plane, &plans);
}

#[test]
fn a_write_that_fails_or_is_not_confirmed_is_made_good() {
    let plane = Plane::shared();
    let workloads = some(&[Workload::Create]);
    let mut plans = at_every_write(&plane, workloads, &WriteFault::ANSWERS);
    let hang = at_every_write(&plane, workloads, &[WriteFault::Hang]);
    plans.extend(
        hang.into_iter()
            .filter(|plan| plan.to_string().contains("statefulsets")),
    );
    // Who creates under a new name has no rival.
    plans.retain(|plan| !plan.to_string().contains("R1/post:"));
    all_converge(&plane, &plans);
}

#[test]
fn watches_that_all_end_at_once_are_followed_again_soon() {
    let plans = in_every_workload(&[Fault::Expired]);
    all_converge(&Plane::shared(), &plans);
}

#[test]
fn a_watch_that_errs_misleads_nobody() {
    let plane = Plane::shared();
    let mut plans = vec![];
    for workload in some(&[Workload::Create]).iter().copied() {
        let reference = plane.run(reference(&plane, workload)).unwrap();
        for kind in &reference.kinds {
            for fault in WatchFault::ALL {
                let fault = Fault::Watch(fault, kind.clone());
                plans.push(Plan { workload, fault });
            }
        }
    }
    all_converge(&plane, &plans);
}

#[test]
fn an_operator_that_sees_the_past_does_no_harm() {
    let plane = Plane::shared();
    let mut plans = vec![];
    for workload in Workload::ALL {
        let reference = plane.run(reference(&plane, workload)).unwrap();
        let kinds = reference.kinds.iter().cloned().map(Some);
        for kind in kinds.chain([None]) {
            let fault = Fault::Stale(kind);
            plans.push(Plan { workload, fault });
        }
    }
    all_converge(&plane, &plans);
}

#[test]
fn two_operators_at_once_do_no_harm() {
    let mut plans = in_every_workload(&[Fault::Two]);
    for workload in [Workload::Create, Workload::Pair] {
        let fault = Fault::Stolen;
        plans.push(Plan { workload, fault });
    }
    all_converge(&Plane::shared(), &plans);
}

#[test]
fn nothing_is_written_when_nothing_happens() {
    let plane = Plane::shared();
    let quiet = async {
        let _lane = plane.lanes.acquire().await?;
        let stage = Stage::open(&plane, Workload::Create, None).await?;
        let quiet = async {
            stage.perform(Workload::Create, None).await?;
            let before = stage.writes().len();
            stage.disturb(3).await?;
            let written = stage.writes().split_off(before);
            anyhow::ensure!(written.is_empty(), "written were {written:?}");
            Ok(())
        };
        tokio::select! {
            quiet = quiet => quiet,
            ended = stage.survive() => ended,
        }
    };
    plane.run(quiet).unwrap();
}
