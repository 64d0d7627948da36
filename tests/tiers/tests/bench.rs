//! How long tenants take from `apply` to Ready, beside a client that only
//! writes the same objects; and what the operator does and holds at rest. A
//! real API server, the real operator, and a stand-in that says at once what a
//! kubelet and a server would say: what is measured is the operator.
//!
//! `cargo xtask bench tenants` runs it.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on fails there"
)]

#[path = "bench/cluster.rs"]
mod cluster;
#[path = "apiserver/operator_process.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod operator_process;
#[path = "apiserver/plane.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod plane;

use std::time::{Duration, Instant};

use cluster::Cluster;
use operator_process::OperatorProcess;
use plane::Plane;

/// The example that the README shows.
const EXAMPLE: &str = include_str!("../../../examples/acme.yaml");

/// The figures of one number of tenants.
struct Figures {
    tenants: usize,
    ready: Duration,
    bare: Duration,
    memory_kib: u64,
    changed_at_rest: usize,
}

fn main() {
    let counts = std::env::var("TENANTRY_BENCH_TENANTS").unwrap();
    let rest = std::env::var("TENANTRY_BENCH_REST").unwrap();
    let rest = Duration::from_secs(rest.parse().unwrap());
    let _ = rustls::crypto::ring::default_provider().install_default();
    println!(
        "{:>8}{:>14}{:>16}{:>8}{:>16}{:>18}",
        "tenants", "to Ready s", "bare client s", "ratio", "operator MiB", "changed at rest"
    );
    for count in counts.split(',') {
        let figures = measure(count.parse().unwrap(), rest);
        let ratio = figures.ready.as_secs_f64() / figures.bare.as_secs_f64();
        println!(
            "{:>8}{:>14.2}{:>16.2}{ratio:>8.2}{:>16.1}{:>18}",
            figures.tenants,
            figures.ready.as_secs_f64(),
            figures.bare.as_secs_f64(),
            f64::from(u32::try_from(figures.memory_kib).unwrap()) / 1024.0,
            figures.changed_at_rest,
        );
    }
    println!(
        "one API server, no pods; the operator's own Lease is left out of what changed in {} s of rest",
        rest.as_secs()
    );
}

fn measure(tenants: usize, rest: Duration) -> Figures {
    let plane = Plane::without_operator().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let operator = OperatorProcess::start(&plane, folder.path(), "bench").unwrap();
    operator.wait_until_ready();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let cluster = Cluster::new(plane.client().await);
        let stand_in = cluster.stand_in();
        cluster.prepare("tenant", tenants, EXAMPLE).await;
        cluster.prepare("bare", tenants, EXAMPLE).await;
        let began = Instant::now();
        cluster.onboard("tenant", tenants, EXAMPLE).await;
        cluster.wait_until_ready(tenants).await;
        let ready = began.elapsed();
        stand_in.abort();
        let objects = cluster.written("tenant", tenants).await;
        let began = Instant::now();
        cluster.write_alike(objects, "tenant", "bare").await;
        let bare = began.elapsed();
        let before = cluster.versions().await;
        tokio::time::sleep(rest).await;
        let after = cluster.versions().await;
        let changed = after
            .iter()
            .filter(|(name, version)| before.get(*name) != Some(version));
        Figures {
            tenants,
            ready,
            bare,
            memory_kib: operator.resident_kib(),
            changed_at_rest: changed.count(),
        }
    })
}
