//! The front door: command line, logs, signals, and out. In the library, so
//! that tests run the very program that is installed.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::controller::{self, Parts};
use crate::settings::Settings;

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
    /// The canary: a port on which servers knock to prove that they may not.
    #[arg(long, default_value = "0.0.0.0:9091")]
    canary: SocketAddr,
    /// Names this operator in the Lease, with a number of its own behind.
    #[arg(
        long,
        value_name = "NAME",
        env = "POD_NAME",
        default_value = "tenantry-operator"
    )]
    identity: String,
}

/// Runs until a signal or an error ends it.
pub fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    runtime.block_on(run())
}

async fn run() -> anyhow::Result<()> {
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
    let config = kube::Config::infer()
        .await
        .context("finding the API server")?;
    let admin_port = TcpListener::bind(arguments.admin)
        .await
        .with_context(|| format!("listening on {}", arguments.admin))?;
    let canary_port = TcpListener::bind(arguments.canary)
        .await
        .with_context(|| format!("listening on {}", arguments.canary))?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("stopping");
    };
    let identity = identity(&arguments.identity)?;
    tracing::info!(
        release = env!("CARGO_PKG_VERSION"),
        identity,
        "the operator starts"
    );
    let parts = Parts {
        config,
        settings,
        identity,
        admin_port,
        canary_port,
    };
    controller::run(parts, stop).await.context("running")?;
    tracing::info!("stopped");
    Ok(())
}

/// A container that starts again in the same pod is another candidate: the one
/// before it may be stopped and not dead.
fn identity(name: &str) -> anyhow::Result<String> {
    let number = getrandom::u32().map_err(|error| anyhow::anyhow!("drawing a number: {error}"))?;
    Ok(format!("{name}_{number:08x}"))
}
