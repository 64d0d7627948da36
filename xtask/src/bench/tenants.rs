//! From `apply` to Ready: the benchmark lives with the tiers, whose control
//! plane it starts; this runs it.

use anyhow::{Context as _, Result, ensure};

use crate::workspace;

/// Measures each count of tenants, then `rest` seconds of rest.
pub fn run(counts: &[usize], rest: u64) -> Result<()> {
    ensure!(
        !counts.is_empty() && !counts.contains(&0),
        "a count of tenants is at least 1"
    );
    let counts: Vec<_> = counts.iter().map(ToString::to_string).collect();
    let status = workspace::cargo()
        .args([
            "test",
            "--workspace",
            "--profile",
            "ci",
            "--features",
            "tenantry-tests/bench",
            "--test",
            "bench",
        ])
        .env("CARGO_TARGET_DIR", workspace::target_dir())
        .env("TENANTRY_BENCH_TENANTS", counts.join(","))
        .env("TENANTRY_BENCH_REST", rest.to_string())
        .status()
        .context("run cargo")?;
    ensure!(status.success(), "the benchmark failed");
    Ok(())
}
