//! The front door: command line, logs, signals, and out.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use tenantry_operator::controller;
use tenantry_operator::settings::Settings;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The Tenantry operator: gives each organisation its own isolated MCP server.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The settings file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where health and metrics are served.
    #[arg(long, default_value = "0.0.0.0:9090")]
    admin: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    // One TLS stack, chosen before anything opens a connection.
    let installed = rustls::crypto::ring::default_provider().install_default();
    installed.map_err(|_| anyhow::anyhow!("another TLS provider was installed before ours"))?;
    let settings = Settings::load(&arguments.config).context("starting")?;
    let client = kube::Client::try_default()
        .await
        .context("finding the API server")?;
    let port = TcpListener::bind(arguments.admin)
        .await
        .with_context(|| format!("listening on {}", arguments.admin))?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("stopping");
    };
    tracing::info!(release = env!("CARGO_PKG_VERSION"), "the operator starts");
    controller::run(client, settings, port, stop)
        .await
        .context("running")?;
    tracing::info!("stopped");
    Ok(())
}
