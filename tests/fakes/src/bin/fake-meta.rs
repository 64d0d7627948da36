//! The fake Meta as a program.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::Context;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// A fake Meta Graph API for sandboxes and tests.
#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// A further token and the accounts it sees: `TOKEN=act_1001,act_1002`.
    #[arg(long = "token", value_parser = grant)]
    tokens: Vec<(String, BTreeSet<String>)>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().json().init();
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("listening on {}", arguments.listen))?;
    tracing::info!(address = %listener.local_addr()?, "the fake Meta listens");
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    tenantry_fakes::meta::serve(listener, arguments.tokens, stop)
        .await
        .context("serving")
}

fn grant(text: &str) -> Result<(String, BTreeSet<String>), String> {
    let (token, accounts) = text
        .split_once('=')
        .ok_or("expected TOKEN=ACCOUNT[,ACCOUNT]")?;
    Ok((
        token.to_owned(),
        accounts.split(',').map(str::to_owned).collect(),
    ))
}
