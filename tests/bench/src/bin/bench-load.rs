//! The load as a program of its own, so that it has a core of its own: prints
//! one JSON object with what it measured.

use std::time::Duration;

use clap::Parser;
use serde_json::json;
use tenantry_bench::load::{self, Target};

/// Calls a tool as often as the server answers.
#[derive(Parser)]
struct Arguments {
    /// host:port
    #[arg(long)]
    address: String,
    /// The path of MCP.
    #[arg(long, default_value = "/mcp")]
    path: String,
    /// The tool.
    #[arg(long)]
    tool: String,
    /// Clients at the same time.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// How long.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let target = Target {
        address: arguments.address,
        path: arguments.path,
        // Not an argument: everybody on the machine can read those.
        key: std::env::var("TENANTRY_API_KEY").ok(),
        tool: arguments.tool,
        arguments: json!({"account": "act_1001", "limit": 10}),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let duration = Duration::from_secs(arguments.seconds);
    let measured = runtime.block_on(load::run(&target, arguments.clients, duration))?;
    println!(
        "{}",
        json!({"calls_per_s": measured.calls_per_s, "p50_us": measured.p50_us, "p99_us": measured.p99_us})
    );
    Ok(())
}
