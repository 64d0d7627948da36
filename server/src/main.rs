//! The front door: command line, logs, signals, and out.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use tenantry_api::compile::OperatorView;
use tenantry_api::label;
use tenantry_server::catalog::Catalog;
use tenantry_server::cli::{Cli, LogLevel};
use tenantry_server::control_plane::ControlPlane;
use tenantry_server::control_plane::folder::Folder;
use tenantry_server::control_plane::kubernetes::Kubernetes;
use tenantry_server::crash;
use tenantry_server::credentials::Credentials;
use tenantry_server::run::{self, Parts};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// A call allocates some three hundred times. The C library's allocator takes a
/// fifth of its time for that, and in a static binary no better one is there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse().checked().unwrap_or_else(|error| error.exit());
    log_to_stderr(cli.log_level);
    // One TLS stack, chosen before anything opens a connection.
    let installed = rustls::crypto::ring::default_provider().install_default();
    installed.map_err(|_| anyhow::anyhow!("another TLS provider was installed before ours"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cli.workers.into())
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let ended = runtime.block_on(serve(&cli));
    // All that matters has ended; a file that a slow disk withholds does not.
    runtime.shutdown_background();
    if let Err(error) = &ended {
        tracing::error!(error = format!("{error:#}"), "the server ends");
    }
    ended
}

async fn serve(cli: &Cli) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let catalog = Catalog::load(cli.connectors_dir.as_deref()).context("loading the connectors")?;
    let catalog = Arc::new(catalog);
    let (control_plane, credentials) = control_plane(cli, &catalog).await?;
    let stdout = std::io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .context("opening stdout for the audit stream")?;
    let parts = Parts {
        control_plane,
        catalog,
        // The bare file: std's own stdout would keep the rest of a failed write.
        audit_out: Box::new(std::fs::File::from(stdout)),
        open_ports: watch::Sender::default(),
        clock: crash::clock(),
        transport: None,
    };
    let settings = crash::hurried(cli.settings(credentials, new_boot_id()?));
    run::run(parts, settings, stop).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Where the organisation is declared, and where its credentials are then.
async fn control_plane(
    cli: &Cli,
    catalog: &Arc<Catalog>,
) -> anyhow::Result<(Arc<dyn ControlPlane>, Credentials)> {
    let Some(dir) = &cli.dir else {
        let namespace = cli.namespace.as_deref();
        let namespace = namespace.context("neither --dir nor --namespace is given")?;
        let control_plane = Kubernetes::connect(namespace, &cli.pod_name).await?;
        let mounted = Credentials::Dir(label::CREDENTIALS_DIR.into());
        return Ok((Arc::new(control_plane), mounted));
    };
    let view = OperatorView {
        sandbox_base_urls: cli.sandbox_base_url.iter().cloned().collect(),
        ..OperatorView::default()
    };
    let folder = Folder::open(
        dir.clone(),
        view,
        Arc::clone(catalog),
        cli.report_file.clone(),
    )?;
    let held = Credentials::Held(folder.secrets());
    Ok((Arc::new(folder), held))
}

fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

fn new_boot_id() -> anyhow::Result<String> {
    let number =
        getrandom::u64().map_err(|error| anyhow::anyhow!("drawing the boot id: {error}"))?;
    Ok(format!("{number:016x}"))
}

fn log_to_stderr(level: LogLevel) {
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(lines)
        .with(targets(level))
        .init();
}

fn targets(level: LogLevel) -> Targets {
    // Libraries speak up when something is wrong; their detail is not ours.
    Targets::new()
        .with_default(LevelFilter::WARN)
        // Warns of every refused message with its id and method, which are the
        // caller's words, of any length; the audit stream has it already.
        .with_target("rmcp", LevelFilter::ERROR)
        .with_target("tenantry_server", level.filter())
        .with_target("tenantry_connectors", level.filter())
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn what_callers_say_does_not_come_into_the_log_by_way_of_the_mcp_library() {
        let targets = targets(LogLevel::Debug);
        assert!(!targets.would_enable("rmcp::service", &Level::WARN));
        assert!(targets.would_enable("rmcp::service", &Level::ERROR));
        assert!(targets.would_enable("hyper", &Level::WARN));
        assert!(targets.would_enable("tenantry_server::run", &Level::DEBUG));
    }
}
