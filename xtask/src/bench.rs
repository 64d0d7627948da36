//! `cargo xtask bench`: figures side by side, never a bar of their own.
//! Machines are shared and noisy, so what is compared runs in turns, under the
//! same load, and a ratio is taken within each turn.

mod read;
mod servers;
mod tenants;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

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
        Bench::Tenants { counts, rest } => tenants::run(counts, *rest)?,
    }
    Ok(ExitCode::SUCCESS)
}
