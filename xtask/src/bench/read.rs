//! A read through the whole pipeline: keys, schema, limits and audit on, beside
//! bare echo servers.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::servers::Server;
use super::{compile, median};

/// The core of the load.
const LOAD_CORE: &str = "1";

/// What one server has shown over all turns.
struct Row {
    name: &'static str,
    calls_per_s: Vec<f64>,
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
    memory_kib: (u64, u64),
}

/// Measures `turns` times and prints what came of it.
pub fn run(turns: usize, seconds: u64, clients: usize, as_json: bool) -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    ensure!(
        cores > 1,
        "the benchmark needs two cores: one for the server, one for the load"
    );
    ensure!(
        turns > 0 && seconds > 0 && clients > 0,
        "turns, seconds and clients are at least 1"
    );
    let binaries = compile()?;
    let servers = Server::all(&binaries)?;
    let mut rows: Vec<Row> = servers.iter().map(Row::new).collect();
    for turn in 0..=turns {
        for (server, row) in servers.iter().zip(&mut rows) {
            let before = server.lines.load(Ordering::Relaxed);
            let measured = load(&binaries, server, seconds, clients)?;
            // The first turn warms up caches and just-in-time compilers.
            if turn > 0 {
                row.add(&measured)?;
                eprintln!(
                    "turn {turn} of {turns}: {} {:.0}/s",
                    row.name,
                    row.calls_per_s[turn - 1]
                );
            }
            if server.key.is_some() {
                let audited = server.lines.load(Ordering::Relaxed) - before;
                ensure!(audited > 0, "the pipeline ran without its audit");
            }
            row.memory_kib = server.memory_kib()?;
        }
    }
    print(&rows, as_json);
    Ok(())
}

fn load(binaries: &Path, server: &Server, seconds: u64, clients: usize) -> Result<Value> {
    let mut command = Command::new("taskset");
    command
        .args(["--cpu-list", LOAD_CORE])
        .arg(binaries.join("bench-load"));
    command.args([
        "--address",
        &server.address.to_string(),
        "--tool",
        server.tool,
    ]);
    command.args([
        "--seconds",
        &seconds.to_string(),
        "--clients",
        &clients.to_string(),
    ]);
    command.env_remove("TENANTRY_API_KEY");
    command.envs(server.key.iter().map(|key| ("TENANTRY_API_KEY", key)));
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("run the load")?;
    ensure!(
        output.status.success(),
        "the load on {} failed",
        server.name
    );
    serde_json::from_slice(&output.stdout).context("read the load's figures")
}

impl Row {
    fn new(server: &Server) -> Self {
        Self {
            name: server.name,
            calls_per_s: vec![],
            p50_us: vec![],
            p99_us: vec![],
            memory_kib: (0, 0),
        }
    }

    fn add(&mut self, measured: &Value) -> Result<()> {
        let figure = |name: &str| {
            measured[name]
                .as_f64()
                .with_context(|| format!("no {name}"))
        };
        self.calls_per_s.push(figure("calls_per_s")?);
        self.p50_us.push(figure("p50_us")?);
        self.p99_us.push(figure("p99_us")?);
        Ok(())
    }

    /// The ratio to another server, turn by turn.
    fn ratio(&self, other: &Self) -> f64 {
        let turns = self.calls_per_s.iter().zip(&other.calls_per_s);
        median(turns.map(|(mine, theirs)| mine / theirs))
    }
}

fn print(rows: &[Row], as_json: bool) {
    let bare = &rows[1];
    let told = rows.iter().map(|row| {
        let of = |figures: &[f64]| median(figures.iter().copied());
        (
            row,
            of(&row.calls_per_s),
            of(&row.p50_us) / 1000.0,
            of(&row.p99_us) / 1000.0,
            row.ratio(bare),
        )
    });
    if as_json {
        let rows = told.map(|(row, calls, p50, p99, ratio)| {
            json!({"server": row.name, "calls_per_s": calls.round(), "p50_ms": p50, "p99_ms": p99, "rss_kib": row.memory_kib.0, "rss_anon_kib": row.memory_kib.1, "ratio_to_bare": ratio})
        });
        println!("{}", rows.collect::<Value>());
        return;
    }
    println!(
        "{:<26}{:>9}{:>9}{:>9}{:>14}{:>9}",
        "", "calls/s", "p50 ms", "p99 ms", "RSS (anon) MB", "ratio"
    );
    for (row, calls, p50, p99, ratio) in told {
        let megabytes = |kib: u64| kib / 1024;
        let memory = format!(
            "{} ({})",
            megabytes(row.memory_kib.0),
            megabytes(row.memory_kib.1)
        );
        println!(
            "{:<26}{calls:>9.0}{p50:>9.2}{p99:>9.2}{memory:>14}{ratio:>9.2}",
            row.name
        );
    }
    println!(
        "medians over the turns; each server on one core, the load on another; ratio to the bare rmcp echo of the same turn"
    );
}
