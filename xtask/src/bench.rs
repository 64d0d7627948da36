//! `cargo xtask bench`: figures side by side, never a bar of their own.
//! Machines are shared and noisy, so what is compared runs in turns, under the
//! same load, and a ratio is taken within each turn.

mod read;
mod servers;
mod tenants;
mod write;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;

use crate::workspace;

/// What can be measured.
#[derive(Subcommand)]
pub enum Bench {
    /// A read through the whole pipeline, beside bare echo servers
    Read {
        /// Turns; each server gets the load once a turn
        #[arg(long, default_value_t = 5)]
        turns: usize,
        /// Seconds of load
        #[arg(long, default_value_t = 3)]
        seconds: u64,
        /// Clients at the same time
        #[arg(long, default_value_t = 32)]
        clients: usize,
        /// One JSON object instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Changes through a ledger, on both engines, beside the bare engine
    Write {
        /// Turns of each engine
        #[arg(long, default_value_t = 5)]
        turns: u32,
        /// Changes of a turn: a day's, which all count when the last is decided
        #[arg(long, default_value_t = 1000)]
        changes: u32,
        /// Clients at the same time
        #[arg(long, default_value_t = 8)]
        clients: u32,
        /// One JSON object instead of a table
        #[arg(long)]
        json: bool,
    },
    /// From `apply` to Ready for many tenants, beside a bare client that
    /// writes the same objects; then the operator at rest
    Tenants {
        /// How many tenants, one measurement each
        #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100])]
        counts: Vec<usize>,
        /// Seconds of rest in which the operator's writes are counted
        #[arg(long, default_value_t = 30)]
        rest: u64,
    },
}

/// Measures.
pub fn run(bench: &Bench) -> Result<ExitCode> {
    match bench {
        Bench::Read {
            turns,
            seconds,
            clients,
            json,
        } => read::run(*turns, *seconds, *clients, *json)?,
        Bench::Write {
            turns,
            changes,
            clients,
            json,
        } => {
            let load = write::Load {
                turns: *turns,
                changes: *changes,
                clients: *clients,
            };
            write::run(load, *json)?;
        }
        Bench::Tenants { counts, rest } => tenants::run(counts, *rest)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Compiles what is compared; answers where it is.
fn compile() -> Result<PathBuf> {
    let target = workspace::target_dir();
    let status = workspace::cargo()
        .args([
            "build",
            "--profile",
            "ci",
            "-p",
            "tenantry-bench",
            "--bins",
            "--target-dir",
        ])
        .arg(&target)
        .status()
        .context("run cargo")?;
    ensure!(status.success(), "the benchmark does not compile");
    Ok(target.join("ci"))
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
