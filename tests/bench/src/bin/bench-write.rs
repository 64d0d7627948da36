//! A ledger beside its bare engine, on the same disk: a line of JSON for each
//! turn, with what each of them took.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use serde_json::json;
use tempfile::TempDir;
use tenantry_bench::changes::{Changes, TRANSACTIONS};
use tenantry_bench::load::Measured;
use tenantry_bench::raw::Raw;
use tenantry_ledger::place::{LEAST_FREE_BYTES, Place, SqlitePlace};
use tokio::task::JoinSet;

#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "it is that of the ledger's own tests"
)]
#[path = "../../../../crates/ledger/tests/book/postgres.rs"]
mod postgres;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures one engine.
#[derive(Parser)]
struct Arguments {
    /// Which.
    #[arg(long)]
    engine: Engine,
    /// Turns, after one that warms up.
    #[arg(long, default_value_t = 5)]
    turns: u32,
    /// Changes of a turn.
    #[arg(long, default_value_t = 1000)]
    changes: u32,
    /// Clients at the same time.
    #[arg(long, default_value_t = 8)]
    clients: u32,
}

/// What keeps the ledger.
#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    /// A file.
    Sqlite,
    /// A database.
    Postgres,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // Beside the database's, which no other place would let in.
    let dir = TempDir::new()?;
    let place = match arguments.engine {
        Engine::Sqlite => Place::Sqlite(SqlitePlace {
            path: dir.path().join("ledger.db"),
            least_free_bytes: LEAST_FREE_BYTES,
        }),
        Engine::Postgres => Place::Postgres(postgres::place()),
    };
    let raw = Raw::beside(&place, arguments.clients).await?;
    let changes = Arc::new(Changes::open(&place).await?);
    let emptied = Arc::clone(&changes);
    let emptied = tokio::spawn(async move { emptied.keep_emptied().await });
    for turn in 0..=arguments.turns {
        let told = measure(&arguments, &raw, &changes).await?;
        if turn > 0 {
            println!("{told}");
        }
    }
    emptied.abort();
    match emptied.await {
        Ok(Err(error)) => Err(error.context("taking lines out")),
        _ => Ok(()),
    }
}

async fn measure(
    arguments: &Arguments,
    raw: &Raw,
    changes: &Arc<Changes>,
) -> Result<serde_json::Value> {
    let Arguments {
        changes: count,
        clients,
        ..
    } = *arguments;
    let transactions = count * TRANSACTIONS;
    let apart = |client: u32| {
        let raw = raw.clone();
        move || {
            let raw = raw.clone();
            async move { raw.transact(client).await }
        }
    };
    let apart = load(clients, transactions, apart).await?;
    let in_turn = |_| {
        let raw = raw.clone();
        move || {
            let raw = raw.clone();
            async move { raw.transact(0).await }
        }
    };
    let in_turn = load(clients, transactions, in_turn).await?;
    changes.sleep_over();
    let made = |_| {
        let changes = Arc::clone(changes);
        move || {
            let changes = Arc::clone(&changes);
            async move { changes.make().await }
        }
    };
    let made = load(clients, count, made).await?;
    Ok(json!({
        "raw_apart_per_s": apart.calls_per_s,
        "raw_in_turn_per_s": in_turn.calls_per_s,
        "changes_per_s": made.calls_per_s,
        "transactions_per_s": made.calls_per_s * f64::from(TRANSACTIONS),
        "p50_us": made.p50_us,
        "p99_us": made.p99_us,
    }))
}

/// Has clients work, each again as soon as it is done, `count` times together.
async fn load<W, F>(clients: u32, count: u32, client: impl Fn(u32) -> W) -> Result<Measured>
where
    W: Fn() -> F + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    let asked_for = Arc::new(AtomicU32::new(0));
    let start = Instant::now();
    let mut running = JoinSet::new();
    for number in 1..=clients {
        let (work, asked_for) = (client(number), Arc::clone(&asked_for));
        running.spawn(async move {
            let mut times_us = Vec::new();
            while asked_for.fetch_add(1, Ordering::SeqCst) < count {
                let asked = Instant::now();
                work().await?;
                times_us.push(u64::try_from(asked.elapsed().as_micros())?);
            }
            Ok::<_, anyhow::Error>(times_us)
        });
    }
    let mut times_us = Vec::new();
    while let Some(ended) = running.join_next().await {
        times_us.extend(ended.context("a client")??);
    }
    Measured::of(times_us, start.elapsed())
}
