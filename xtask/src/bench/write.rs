//! Changes through a ledger beside the bare engine under it: how much of what
//! the disk gives is left for changes.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tenantry_cluster::packages;

use super::{compile, median};

const ENGINES: [(&str, &str); 2] = [("sqlite", "SQLite"), ("postgres", "PostgreSQL")];

/// What one engine has shown in one turn.
struct Turn {
    apart_per_s: f64,
    in_turn_per_s: f64,
    changes_per_s: f64,
    transactions_per_s: f64,
    p50_us: f64,
    p99_us: f64,
}

/// What is to be measured.
#[derive(Clone, Copy)]
pub struct Load {
    /// Turns of each engine.
    pub turns: u32,
    /// Changes of a turn.
    pub changes: u32,
    /// Clients at the same time.
    pub clients: u32,
}

/// Measures both engines and prints what came of it.
pub fn run(load: Load, as_json: bool) -> Result<()> {
    ensure!(
        load.turns > 0 && load.changes > 0 && load.clients > 0,
        "turns, changes and clients are at least 1"
    );
    packages::ensure_database()?;
    let binaries = compile()?;
    let mut rows = Vec::new();
    for (engine, name) in ENGINES {
        eprintln!("{name}");
        rows.push((name, measure(&binaries, engine, load)?));
    }
    if as_json {
        let rows = rows.iter().map(|(name, turns)| told(name, turns));
        println!("{}", rows.collect::<Value>());
    } else {
        print(&rows);
    }
    Ok(())
}

fn measure(binaries: &Path, engine: &str, load: Load) -> Result<Vec<Turn>> {
    let mut command = Command::new(binaries.join("bench-write"));
    command.args(["--engine", engine]);
    command.args(["--turns", &load.turns.to_string()]);
    command.args(["--changes", &load.changes.to_string()]);
    command.args(["--clients", &load.clients.to_string()]);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.context("run the measurement")?;
    ensure!(output.status.success(), "the measurement failed");
    let text = String::from_utf8(output.stdout)?;
    text.lines().map(Turn::read).collect()
}

impl Turn {
    fn read(line: &str) -> Result<Self> {
        let line: Value = serde_json::from_str(line).context("read the figures")?;
        let figure = |name: &str| line[name].as_f64().with_context(|| format!("no {name}"));
        Ok(Self {
            apart_per_s: figure("raw_apart_per_s")?,
            in_turn_per_s: figure("raw_in_turn_per_s")?,
            changes_per_s: figure("changes_per_s")?,
            transactions_per_s: figure("transactions_per_s")?,
            p50_us: figure("p50_us")?,
            p99_us: figure("p99_us")?,
        })
    }

    fn ratio(&self) -> f64 {
        self.transactions_per_s / self.in_turn_per_s
    }
}

fn of(turns: &[Turn], figure: impl Fn(&Turn) -> f64) -> f64 {
    median(turns.iter().map(figure))
}

fn told(name: &str, turns: &[Turn]) -> Value {
    json!({
        "engine": name,
        "changes_per_s": of(turns, |turn| turn.changes_per_s),
        "p50_ms": of(turns, |turn| turn.p50_us / 1000.0),
        "p99_ms": of(turns, |turn| turn.p99_us / 1000.0),
        "transactions_per_s": of(turns, |turn| turn.transactions_per_s),
        "raw_in_turn_per_s": of(turns, |turn| turn.in_turn_per_s),
        "raw_apart_per_s": of(turns, |turn| turn.apart_per_s),
        "ratio_to_raw": of(turns, Turn::ratio),
    })
}

fn print(rows: &[(&str, Vec<Turn>)]) {
    println!(
        "{:<12}{:>11}{:>9}{:>9}{:>9}{:>13}{:>13}{:>8}",
        "", "changes/s", "p50 ms", "p99 ms", "tx/s", "raw in turn", "raw apart", "ratio"
    );
    for (name, turns) in rows {
        println!(
            "{name:<12}{:>11.0}{:>9.2}{:>9.2}{:>9.0}{:>13.0}{:>13.0}{:>8.2}",
            of(turns, |turn| turn.changes_per_s),
            of(turns, |turn| turn.p50_us / 1000.0),
            of(turns, |turn| turn.p99_us / 1000.0),
            of(turns, |turn| turn.transactions_per_s),
            of(turns, |turn| turn.in_turn_per_s),
            of(turns, |turn| turn.apart_per_s),
            of(turns, Turn::ratio),
        );
    }
    println!(
        "medians over the turns; a change is 4 transactions that are on the disk one after the other (claim, reserve, send, settle),\n\
         raw is the smallest transaction by the same driver, settings and number of clients on the same disk: in turn on one row,\n\
         as a chain asks, or apart on a row each; ratio of the transactions to the raw ones in turn, in each turn"
    );
}
